// Takes the pictures of docs/dashboard.md: every page of a demonstration that has sent itself
// requests for a few minutes, and the first one dark and on a phone.
//
//     CARROT=BINARY NODE_MODULES=FOLDER node .ci/dashboard/pictures.mjs FOLDER [ATTEMPTS]
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { browse, end, living, open, sections } from './browser.mjs';

const [folder, attempts = '500'] = process.argv.slice(2);
const most = 150_000; // bytes of a picture
const heights = [2400, 2000, 1600, 1200, 900]; // pixels; what is below is cut off, after a section if it can be
const wrong = (text) => { throw new Error(text); };

// take takes a picture of the page that is open.
async function take(page, name, { width = 1280, scheme = 'light', sharp = 1 } = {}) {
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.setViewport({ width, height: 800, deviceScaleFactor: sharp });
  await page.evaluate(() => { document.activeElement?.blur(); scrollTo(0, 0); });
  const [whole, ends] = await page.evaluate(() => [document.documentElement.scrollHeight,
    [...document.querySelectorAll('main section, main .tiles')].map((e) => Math.round(e.getBoundingClientRect().bottom) + 18)]);
  for (const tallest of heights) {
    const height = whole <= tallest ? whole : Math.max(...ends.filter((y) => y > tallest / 2 && y <= tallest), 0) || tallest;
    for (let quality = 90; quality >= 70; quality -= 10) {
      const picture = await page.screenshot({ type: 'webp', quality, clip: { x: 0, y: 0, width, height }, captureBeyondViewport: true });
      if (picture.length > most) continue;
      const file = join(folder, `dashboard-${name}.webp`);
      writeFileSync(file, picture);
      console.log(`${file}: ${width} × ${height}, ${picture.length} bytes, quality ${quality}`);
      return;
    }
  }
  wrong(`the picture of ${name} has more than ${most} bytes`);
}

try {
  mkdirSync(folder, { recursive: true });
  const browser = await browse();
  const { admin, ready } = await living(Number(attempts), 15 * 60_000);
  await ready();
  const first = admin + '/ui/?policy=support&at=44'; // where another objective would have decided
  const page = await open(browser, admin, wrong);
  for (const { name, url } of await sections(page, admin)) {
    await page.goto(name === 'Overview' ? first : url);
    if (name === 'Requests, one') { // rather one that failed at first
      await page.goto(admin + '/ui/requests');
      const twice = await page.$$eval('tbody tr', (rows) => rows.find((r) => r.cells[5].textContent === '2' && /answered/.test(r.cells[6].textContent))?.querySelector('a').href);
      await page.goto(twice ?? url);
    }
    if (name === 'Try') {
      await page.type('textarea', 'A train leaves Porto at 90 km/h, and another follows 25 minutes later at 120 km/h. When does it catch up?');
      await Promise.all([page.waitForNavigation(), page.click('main form button')]);
    }
    await take(page, name.toLowerCase().replace(/\W+/g, '-'));
  }
  await page.goto(first);
  await take(page, 'dark', { scheme: 'dark' });
  await take(page, 'phone', { width: 390, sharp: 2 });
} finally {
  await end();
}
process.exit(0);
