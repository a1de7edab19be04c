// Checks the dashboard in Chromium: every page of its navigation, a page below each, and the
// login, at several widths, light and dark, with a keyboard alone, and without JavaScript.
//
//     CARROT=BINARY NODE_MODULES=FOLDER node .ci/dashboard/check.mjs
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { axeSource, browse, end, folder, living, open, patience, ports, sections, serve, sleep, still, until } from './browser.mjs';

const widths = [360, 768, 1280, 1920];
const schemes = ['light', 'dark'];
const began = Date.now();
const found = [];
const wrong = (text) => { if (!found.includes(text) && found.push(text) <= 100) console.error('WRONG: ' + text); };
const check = (ok, text) => { if (!ok) wrong(text); };
const said = (text) => console.log(`${((Date.now() - began) / 1000).toFixed(1).padStart(5)} s  ${text}`);

// look checks how the page that is open looks, by default at all widths, light and dark.
async function look(page, name, some = { widths, schemes }) {
  const at = new Map(); // what is wrong, and where
  const note = (text, where) => at.set(text, [...at.get(text) ?? [], where]);
  for (const scheme of some.schemes) {
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    for (const width of some.widths) {
      await page.setViewport({ width, height: 900 });
      const where = `${width} px ${scheme}`;
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth &&
        [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.parentElement.closest('.scroll, pre')).slice(0, 3)
          .map((e) => `${e.tagName.toLowerCase()}.${e.className?.baseVal ?? e.className} to ${Math.round(e.getBoundingClientRect().right)}`));
      if (wide) note(`the page scrolls sideways: ${wide}`, where);
      for (const v of await violations(page, scheme === 'light' ? {} : { runOnly: ['color-contrast'] })) note(`axe: ${v}`, where); // else dark is like light
    }
  }
  for (const [text, where] of at) wrong(`${name}, ${where.length === some.widths.length * some.schemes.length ? 'everywhere' : where.join(', ')}: ${text}`);
  await page.setViewport({ width: 1280, height: 900 });
}

// violations returns what axe-core finds on the page that is open.
async function violations(page, options = {}) {
  if (!await page.evaluate('typeof axe === "object"')) await page.evaluate(axeSource);
  return page.evaluate(async (options) => (await axe.run({ resultTypes: ['violations'], ...options })).violations.flatMap((v) => v.nodes.slice(0, 3).map((n) => `${v.id}: ${v.help}: ${n.target}: ${n.html.slice(0, 120)}`)), options);
}

// focus describes the element that has the focus, and what is wrong with it.
const focus = (page) => page.evaluate(() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const r = e.getBoundingClientRect(), style = getComputedStyle(e);
  const at = Number(e.dataset.tabbed ?? -1);
  return {
    at, name: `${e.tagName.toLowerCase()} “${(e.getAttribute('aria-label') ?? e.textContent.trim()).slice(0, 40)}”${e.id && ' #' + e.id}`,
    shown: r.width > 0 && r.bottom > 0 && r.top < innerHeight && r.right > 0 && r.left < innerWidth,
    marked: e.matches(':focus-visible') && (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 || style.boxShadow !== 'none'),
  };
});

// walk presses Tab through the page that is open. Every control must be reached, in order,
// seen, and marked; Escape must change nothing.
async function walk(page, name) {
  await still(page); // or it would take away what is about to have the focus
  await page.evaluate(() => { // to where Tab begins
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute('tabindex');
    scrollTo(0, 0);
  });
  const wanted = await page.evaluate(() => {
    const tabbable = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
      .filter((e) => !e.disabled && e.type !== 'hidden' && e.tabIndex >= 0 && e.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true }));
    const radios = new Set();
    return tabbable.filter((e) => e.type !== 'radio' || !radios.has(e.name) && radios.add(e.name)).map((e, i) => {
      e.dataset.tabbed = i;
      return e.outerHTML.slice(0, 80);
    });
  });
  const where = page.url();
  let next = 0;
  for (let presses = 0; next < wanted.length && presses < 2 * wanted.length; presses++) {
    await page.keyboard.press('Tab');
    const now = await focus(page);
    if (!now) break;
    if (now.at < 0 || now.at === next - 1) continue; // another radio button of a group, another part of a date
    check(now.at === next, `${name}, keyboard: Tab goes to ${now.name}, not to ${wanted[next]}`);
    check(now.shown, `${name}, keyboard: ${now.name} has the focus and is not in sight`);
    check(now.marked, `${name}, keyboard: ${now.name} has the focus and is not marked`);
    if (presses % 7 === 0) {
      await page.keyboard.press('Escape');
      check((await focus(page))?.at === now.at, `${name}, keyboard: Escape moves the focus away from ${now.name}`);
    }
    next = now.at + 1;
  }
  check(next === wanted.length, `${name}, keyboard: Tab reaches ${next} of ${wanted.length} controls, and not ${wanted[next]}`);
  check(page.url() === where, `${name}, keyboard: Tab leads to ${page.url()}`);
  return wanted.length;
}

// tabTo presses Tab until an element has the focus.
async function tabTo(page, selector) {
  for (let presses = 0; presses < 300; presses++) {
    if (await page.evaluate((s) => document.activeElement?.matches(s), selector)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`Tab does not reach ${selector} of ${page.url()}`);
}

// enter presses Enter and waits for the page to which that leads.
const enter = (page) => Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);

// work does with the keyboard what the pages are for.
async function work(page, admin) {
  await page.goto(admin + '/ui/?period=7d'); // today may have begun a moment ago
  await page.keyboard.press('Tab');
  check(await page.evaluate(() => document.activeElement.classList.contains('skip') && document.activeElement.getBoundingClientRect().left >= 0), 'Overview, keyboard: the first Tab does not show the link to the content');
  await page.keyboard.press('Enter');
  check(await page.evaluate(() => document.activeElement.id === 'main'), 'Overview, keyboard: the link to the content does not lead there');

  await still(page);
  await tabTo(page, '#at');
  const figures = () => page.$eval('#replay', (e) => e.textContent);
  let last = await figures();
  for (const key of ['Home', 'End', 'ArrowLeft']) {
    if (key === 'ArrowLeft') for (let i = 0; i < 30; i++) await page.keyboard.press(key);
    else await page.keyboard.press(key);
    last = await until(`the slider changes the figures with ${key}`, async () => { const now = await figures(); return now !== last && now; });
    check(/\$/.test(await page.$eval('#worth', (e) => e.textContent)), `Overview, keyboard: after ${key} the slider does not say what it stands for`);
  }

  const month = '.switch a[href*="30d"]';
  await tabTo(page, month);
  await enter(page);
  check(await page.$eval(month, (a) => a.getAttribute('aria-current')) === 'true', 'Overview, keyboard: the period does not change');

  await page.goto(admin + '/ui/try');
  await tabTo(page, 'textarea');
  await page.keyboard.type('Which is larger, 3/7 or 5/12?');
  await tabTo(page, 'main button');
  await enter(page);
  check(await page.$$eval('tr.chosen', (rows) => rows.length) >= 3, 'Try, keyboard: the form is sent and no decisions are shown');
  check(await page.$eval('textarea', (t) => t.value) === 'Which is larger, 3/7 or 5/12?', 'Try, keyboard: the prompt is not kept');

  await page.goto(admin + '/ui/requests');
  await tabTo(page, '#policy');
  await page.keyboard.type('support');
  await tabTo(page, '#outcome');
  await page.keyboard.press('ArrowDown'); // answered
  await tabTo(page, 'form.filter button');
  await enter(page);
  const asked = new URL(page.url()).searchParams, policies = await page.$$eval('tbody tr', (rows) => rows.map((r) => r.cells[2].textContent));
  check(asked.get('policy') === 'support' && asked.get('outcome'), `Requests, keyboard: the filter asks for ${page.url()}`);
  check(policies.length > 0 && policies.every((p) => p === 'support'), `Requests, keyboard: filtered by the policy support, the list has ${policies}`);
  const id = await page.$eval('tbody a', (a) => a.pathname.split('/').pop());
  await tabTo(page, '#id');
  await page.keyboard.type(id);
  await enter(page);
  check(page.url().endsWith('/' + id), `Requests, keyboard: the id ${id} leads to ${page.url()}`);

  await page.goto(admin + '/ui/clients');
  await tabTo(page, '#create #name');
  await page.keyboard.type('made-by-keyboard');
  await enter(page);
  const text = await page.$eval('main', (m) => m.innerHTML);
  check(/sk-carrot-[A-Z2-7]{26}/.test(text) && !page.url().includes('sk-'), 'Clients, keyboard: the new client has no key');
  await look(page, 'Clients, a new key');
}

// plain looks at the pages without JavaScript.
async function plain(browser, admin, pages) {
  const page = await open(browser, admin, wrong);
  await page.setJavaScriptEnabled(false);
  for (const { name, url } of pages) {
    await page.goto(url);
    check((await page.$eval('main', (m) => m.innerText)).length > 80, `${name}, without JavaScript: there is nothing`);
    const dead = await page.$$eval('main form', (forms) => forms.filter((f) => !f.querySelector('button, input[type=submit]')?.checkVisibility()).length);
    check(dead === 0, `${name}, without JavaScript: a form has no button`);
  }
  await page.goto(admin + '/ui/?period=7d');
  const before = await page.$eval('#replay', (e) => e.textContent);
  await tabTo(page, '#at');
  await page.keyboard.press('End');
  await tabTo(page, '#what-if button');
  await enter(page);
  check(await page.$eval('#replay', (e) => e.textContent) !== before && page.url().includes('at='), 'Overview, without JavaScript: the button does not replay');
  await page.close();
}

// login checks a gateway that has an admin key, and the pages of one that nothing was sent to.
async function login(browser) {
  const port = await ports(), admin = `http://127.0.0.1:${port + 1}`, key = 'not-a-secret-0123456789';
  const at = folder();
  writeFileSync(join(at, 'carrot.yaml'), `listen: 127.0.0.1:${port}
admin_listen: 127.0.0.1:${port + 1}
admin_key: ${key}
store: carrot.db
providers: [{name: none, kind: openai, base_url: "http://127.0.0.1:1/v1"}]
models: [{name: gpt-4o-mini-2024-07-18, provider: none}, {name: deepseek-v2.5-0908, provider: none}]
log: {level: error}
`);
  await serve(['--config', join(at, 'carrot.yaml')], admin);
  const context = await browser.createBrowserContext(); // whose cookies are its own: ports do not separate them
  const page = await open(context, admin, (text) => { if (!/status of 403/.test(text)) wrong(text); }); // the wrong key's
  await page.goto(admin + '/ui/router');
  check(page.url().startsWith(admin + '/ui/login'), `Login: ${page.url()} is shown to whoever has not logged in`);
  await look(page, 'Login');
  await page.goto(admin + '/ui/login?to=/ui/router');
  await walk(page, 'Login');
  const send = async (text) => {
    await tabTo(page, '#key');
    await page.keyboard.type(text);
    await enter(page);
  };
  await send('a wrong key');
  check(await page.$eval('[role=alert]', (e) => e.textContent) !== '' && await page.$eval('#key', (e) => e.getAttribute('aria-invalid')) === 'true', 'Login: a wrong key is not said to be wrong');
  for (const v of await violations(page)) wrong(`Login, wrong key: axe: ${v}`);
  await send(key);
  check(page.url() === admin + '/ui/router', `Login: the key leads to ${page.url()}`);
  const [cookie] = await context.cookies();
  check(cookie?.httpOnly && cookie.sameSite === 'Strict', `Login: the cookie is ${JSON.stringify(cookie)}`);
  for (const { name, url } of await sections(page, admin)) {
    await page.goto(url);
    await look(page, name + ', nothing sent', { widths: [360, 1280], schemes: ['light'] });
  }
  await tabTo(page, '.out button');
  await enter(page);
  await page.goto(admin + '/ui/');
  check(page.url().startsWith(admin + '/ui/login'), 'Login: whoever has logged out sees pages');
  await context.close();
}

async function main() {
  const browser = await browse();
  const [{ admin, ready }] = await Promise.all([living(60), login(browser)]);
  said('the login, and the pages of a gateway that nothing was sent to');
  await ready();
  said('60 attempts are in the store of the demonstration');
  const watched = await open(await browser.createBrowserContext(), admin, wrong); // in a window of its own: one that is hidden does nothing
  await watched.goto(admin + '/ui/');
  const old = await watched.$('#live > *');
  const page = await open(browser, admin, wrong);
  const pages = await sections(page, admin);
  for (const name of ['Overview', 'Requests', 'Requests, one', 'Models', 'Clients', 'Clients, one', 'Router', 'Try']) check(pages.some((p) => p.name === name), `there is no page ${name}`);
  for (const { name, url } of pages) {
    await page.goto(url);
    await look(page, name);
    await page.goto(url);
    said(`${name}: ${await walk(page, name)} controls`);
  }
  await work(page, admin);
  said('the keyboard');
  await plain(browser, admin, pages);
  said('without JavaScript');
  await until('the overview brings itself up to date', () => old.evaluate((e) => !e.isConnected));
}

setTimeout(async () => {
  console.error('WRONG: the checks take longer than five minutes');
  await Promise.race([end(), sleep(patience)]);
  process.exit(1);
}, 10 * patience).unref();
try {
  await main();
} catch (e) {
  wrong(e.stack);
} finally {
  await end();
}
said(found.length ? `${found.length} things are wrong` : `nothing is wrong at ${widths.join(', ')} px, ${schemes.join(' and ')}`);
process.exit(found.length ? 1 : 0);
