#!/usr/bin/env python3
"""Opens a page of carrot eval --html in headless Chromium, at the widths of a
laptop and of a phone, and checks that it loads without errors or warnings, that
the slider, the arrow keys, the axes and the legend work, and that nothing is wider
than the window. In pictures of the page without its script, 360 wide, light and
dark, it checks that a table that is wider than the window has a shadow at every edge
beyond which there is more, and at no other.

    python3 .ci/check_report.py REPORT.html

Without Chromium it says so and exits with 0.
"""

import html
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

PROBE = """
<script>
(() => {
  const found = [];
  const check = (ok, text) => { if (!ok) found.push(text); };
  const $ = (id) => document.getElementById(id);
  const key = (name) => $('stage').dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true }));
  const shown = () => [...document.querySelectorAll('#stage svg.curves')].filter((c) => c.getClientRects().length > 0);
  const run = () => {
    check(document.documentElement.classList.contains('js'), 'the script did not run');
    check(shown().length === 1, shown().length + ' charts of curves are shown, want 1');
    check(document.documentElement.scrollWidth <= innerWidth, 'the page is ' + document.documentElement.scrollWidth + ' wide in a window of ' + innerWidth);
    document.querySelectorAll('details').forEach((d) => { d.open = true; });
    const regions = [...document.querySelectorAll('.scroll')];
    const wider = regions.filter((r) => r.getClientRects().length > 0 && r.scrollWidth > r.clientWidth + 1);
    check(regions.length > 3 && regions.every((r) => r.tabIndex === 0 && r.getAttribute('role') === 'region' && r.getAttribute('aria-label')), 'a table cannot be focused or has no label');
    check(document.querySelectorAll('table').length === document.querySelectorAll('.scroll > table').length, 'a table is outside of a region that scrolls');
    if (innerWidth < 400) check(wider.length > 1, 'only ' + wider.length + ' tables scroll');
    for (const r of wider) {
      r.focus();
      check(document.activeElement === r, r.getAttribute('aria-label') + ' does not take the focus');
      r.scrollLeft = 1e6;
      const last = r.querySelector('thead th:last-child').getBoundingClientRect();
      check(r.scrollLeft > 0 && last.right <= r.getBoundingClientRect().right, r.getAttribute('aria-label') + ' does not scroll to its last column');
      r.scrollLeft = 0;
    }
    const slider = $('pay-slider');
    const move = (value) => {
      slider.value = value;
      slider.dispatchEvent(new Event('input'));
      return $('pay-cost').textContent + ' ' + $('pay-quality').textContent;
    };
    const [cheap, best] = [move(slider.min), move(slider.max)];
    check(/[0-9]/.test(cheap) && cheap !== best, 'the slider shows ' + cheap + ' and ' + best);
    check(slider.getAttribute('aria-valuetext').includes('quality'), 'the slider does not announce its value');
    check(document.querySelectorAll('#pay-bars li').length > 0, 'the slider shows no models');
    const select = $('pay-router');
    select.selectedIndex = select.options.length - 1;
    select.dispatchEvent(new Event('change'));
    check($('pay-kind').textContent.includes(select.options[select.selectedIndex].text), 'the slider does not show the router that was chosen');
    $('stage').focus();
    key('Home');
    const first = $('live').textContent;
    key('ArrowRight');
    const second = $('live').textContent;
    check(/quality 0\\.\\d+/.test(first), 'the keyboard announces ' + first);
    check(first !== second && first.split(',')[0] === second.split(',')[0], 'ArrowRight goes from ' + first + ' to ' + second);
    key('ArrowDown');
    check($('live').textContent.split(',')[0] !== first.split(',')[0], 'ArrowDown stays on ' + first);
    check(!$('readout').hidden, 'nothing is shown beside the point');
    key('Escape');
    check($('readout').hidden, 'Escape does not hide the point');
    $('scale-linear').click();
    check(shown().length === 1 && shown()[0].dataset.log === 'false', 'the cost axis does not become linear');
    const box = document.querySelector('.legend input');
    box.click();
    check([...shown()[0].querySelectorAll('[data-r="' + box.dataset.r + '"]')].every((n) => n.getClientRects().length === 0), 'a hidden router is still shown');
    box.click();
  };
  addEventListener('load', () => {
    try { run(); } catch (error) { found.push(String(error.stack || error)); }
    parent.postMessage({ width: innerWidth, found: found.concat(window.messages) }, '*');
  });
})();
</script>
"""

CATCH = """<script>
window.messages = [];
addEventListener('error', (event) => messages.push('error: ' + event.message));
addEventListener('securitypolicyviolation', (event) => messages.push('blocked by the policy: ' + event.violatedDirective));
console.error = console.warn = (...text) => messages.push('console: ' + text.join(' '));
</script>"""

FRAMES = """<!DOCTYPE html><title>frames</title><pre id="out"></pre>
<script>
addEventListener('message', (event) => { document.getElementById('out').textContent += JSON.stringify(event.data) + '\\n'; });
</script>
<iframe src="probed.html" width="1280" height="900"></iframe>
<iframe src="probed.html" width="390" height="844"></iframe>
<iframe src="probed.html" width="360" height="780"></iframe>
<iframe src="probed.html" width="360" height="780" style="color-scheme: dark"></iframe>
"""

# The main table at its start, in the middle and at its end, of four rows each.
EDGES = """
<script>
addEventListener('load', () => {
  const section = document.getElementById('table');
  const first = section.querySelector('.scroll');
  first.querySelectorAll('tbody tr:nth-child(n+5)').forEach((row) => row.remove());
  const regions = [first, first.cloneNode(true), first.cloneNode(true)];
  section.replaceChildren(...regions);
  document.body.replaceChildren(document.createElement('main'));
  document.querySelector('main').append(section);
  const tables = regions.map((scroll, k) => {
    const hidden = scroll.scrollWidth - scroll.clientWidth;
    scroll.scrollLeft = hidden * k / 2;
    const box = scroll.getBoundingClientRect();
    const row = scroll.querySelector('tbody tr:nth-child(2)').getBoundingClientRect();
    return { left: box.left, right: box.right, y: Math.round(row.top + row.height / 2), before: hidden > 1 && k > 0, after: hidden > 1 && k < 2 };
  });
  const card = getComputedStyle(section).backgroundColor.match(/[0-9]+/g).map(Number);
  parent.postMessage({ name: window.name, card, dark: matchMedia('(prefers-color-scheme: dark)').matches, tables }, '*');
});
</script>
"""

PICTURE = """<!DOCTYPE html><title>edges</title><style>body { margin: 0 } iframe { border: 0; position: absolute; top: 0 }</style><pre id="out" style="visibility: hidden"></pre>
<script>
addEventListener('message', (event) => { document.getElementById('out').textContent += JSON.stringify(event.data) + '\\n'; });
</script>
<iframe name="light" src="edges.html" width="360" height="900" style="left: 0; color-scheme: light"></iframe>
<iframe name="dark" src="edges.html" width="360" height="900" style="left: 400px; color-scheme: dark"></iframe>
<iframe name="wide" src="edges.html" width="1280" height="900" style="left: 800px; color-scheme: light"></iframe>
"""
PLACES = {"light": 0, "dark": 400, "wide": 800}


def chromium():
    for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        if name and shutil.which(name):
            return name
    return None


def pixels(path):
    """Reads a PNG of 8-bit RGB or RGBA as a function from x and y to a colour."""
    with open(path, "rb") as file:
        data = file.read()
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            assert depth == 8 and colour in (2, 6) and not interlaced, "another kind of PNG"
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    size = 3 if colour == 2 else 4
    raw, rows, above = zlib.decompress(packed), [], bytearray(width * size)
    for y in range(height):
        start = y * (width * size + 1)
        kind, row = raw[start], bytearray(raw[start + 1:start + 1 + width * size])
        for k in range(len(row)):
            left, up, corner = row[k - size] if k >= size else 0, above[k], above[k - size] if k >= size else 0
            if kind == 1:
                row[k] = row[k] + left & 255
            elif kind == 2:
                row[k] = row[k] + up & 255
            elif kind == 3:
                row[k] = row[k] + (left + up) // 2 & 255
            elif kind == 4:
                guess = left + up - corner
                near = min((left, up, corner), key=lambda v: abs(guess - v))
                row[k] = row[k] + near & 255
        rows.append(row)
        above = row
    return lambda x, y: tuple(rows[y][x * size:x * size + 3])


def contrast(a, b):
    """The contrast of two colours as WCAG defines it."""
    def luminance(colour):
        parts = [v / 255 / 12.92 if v / 255 <= 0.04045 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in colour]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def edges(browser, text, folder):
    """Returns what is wrong with the shadows of tables."""
    text = re.sub(r"(?s)<script.*?</script>", "", text).replace("</body>", EDGES + "</body>")
    for name, content in (("edges.html", text), ("picture.html", PICTURE)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(content)
    page, picture = os.path.join(folder, "picture.html"), os.path.join(folder, "picture.png")
    tree, _ = dump(browser, page, folder, "--window-size=2080,900")
    out = re.search(r'<pre id="out".*?>(.*?)</pre>', tree, re.S)
    answers = [json.loads(line) for line in html.unescape(out.group(1)).splitlines()] if out else []
    if sorted(a["name"] for a in answers) != sorted(PLACES) or any(a["dark"] != (a["name"] == "dark") for a in answers):
        return ["only these pages without script answered: %s" % answers]
    dump(browser, page, folder, "--window-size=2080,900", "--screenshot=" + picture)
    at, found = pixels(picture), []
    for a in answers:
        for table, place in zip(a["tables"], ("start", "middle", "end")):
            if a["name"] != "wide" and not (table["before"] or table["after"]):
                found.append("%s, %s: the table does not scroll" % (a["name"], place))
            for side, x, more in (("left", table["left"] + 1, table["before"]), ("right", table["right"] - 2, table["after"])):
                c = contrast(at(PLACES[a["name"]] + int(x), table["y"]), a["card"])
                if more and c < 3 or not more and c > 1.05:
                    found.append("%s, table at its %s: the %s edge has a contrast of %.2f, and there is %s beyond it" % (a["name"], place, side, c, "more" if more else "nothing"))
    return found


def dump(browser, path, folder, *flags):
    """Returns the page's DOM after its scripts have run, and the browser's log."""
    done = subprocess.run(
        [browser, *flags, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--user-data-dir=" + folder + "/profile",
         "--virtual-time-budget=10000", "--dump-dom", "file://" + path],
        capture_output=True, text=True, timeout=120)
    return done.stdout, done.stderr


def main():
    page = os.path.abspath(sys.argv[1])
    browser = chromium()
    if browser is None:
        print("skipped: no Chromium")
        return
    with tempfile.TemporaryDirectory() as folder:
        tree, log = dump(browser, page, folder)
        problems = [line for line in log.splitlines() if "CONSOLE" in line]
        if not re.search(r'<html[^>]* class="js"', tree):
            problems.append("the page's Content-Security-Policy blocks its script")
        with open(page, encoding="utf-8") as file:
            text = file.read()
        text = re.sub(r"script-src &#39;sha256-.*?&#39;", "script-src 'unsafe-inline'", text, count=1)
        probed = text.replace("<title>", CATCH + "<title>", 1).replace("</body>", PROBE + "</body>")
        for name, content in (("probed.html", probed), ("frames.html", FRAMES)):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(content)
        tree, _ = dump(browser, os.path.join(folder, "frames.html"), folder)
        out = re.search(r'<pre id="out">(.*?)</pre>', tree, re.S)
        answers = [json.loads(line) for line in html.unescape(out.group(1)).splitlines()] if out else []
        if sorted(a["width"] for a in answers) != [360, 360, 390, 1280]:
            problems.append("only these frames answered: %s" % answers)
        for a in answers:
            problems += ["%d wide: %s" % (a["width"], p) for p in a["found"]]
        problems += edges(browser, text, folder)
    for p in problems:
        print(p)
    if problems:
        sys.exit(1)
    print("report: the page works in %s at 360, 390 and 1280, and its tables show where they scroll" % browser)


main()
