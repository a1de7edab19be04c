#!/usr/bin/env python3
"""Opens a page of carrot eval --html in headless Chromium, at the widths of a
laptop and of a phone, and checks that it loads without errors or warnings, that
the slider, the arrow keys, the axes and the legend work, and that nothing is wider
than the window.

    python3 .ci/check_report.py REPORT.html

Without Chromium it says so and exits with 0.
"""

import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

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
"""


def chromium():
    for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        if name and shutil.which(name):
            return name
    return None


def dump(browser, path, folder):
    """Returns the page's DOM after its scripts have run, and the browser's log."""
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
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
        text = text.replace("<title>", CATCH + "<title>", 1).replace("</body>", PROBE + "</body>")
        for name, content in (("probed.html", text), ("frames.html", FRAMES)):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(content)
        tree, _ = dump(browser, os.path.join(folder, "frames.html"), folder)
        out = re.search(r'<pre id="out">(.*?)</pre>', tree, re.S)
        answers = [json.loads(line) for line in html.unescape(out.group(1)).splitlines()] if out else []
        if sorted(a["width"] for a in answers) != [390, 1280]:
            problems.append("only these frames answered: %s" % answers)
        for a in answers:
            problems += ["%d wide: %s" % (a["width"], p) for p in a["found"]]
    for p in problems:
        print(p)
    if problems:
        sys.exit(1)
    print("report: the page works in %s at 390 and 1280" % browser)


main()
