// What the checks and the pictures of the dashboard share: a gateway, a browser, and the pages.
//
// CARROT is the binary, and NODE_MODULES the folder with the packages of package.json.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const { CARROT, NODE_MODULES, PATH } = process.env;
if (!CARROT || !NODE_MODULES) {
  console.error('set CARROT, the binary, and NODE_MODULES, the folder with the packages of .ci/dashboard/package.json');
  process.exit(2);
}
const require = createRequire(join(NODE_MODULES, 'none.js'));
const puppeteer = require('puppeteer-core');
export const axeSource = require('axe-core').source;

// patience is how long anything may take on a machine that is busy, in milliseconds.
export const patience = 30_000;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const ending = [];
// atEnd says what is to be ended with the program.
export const atEnd = (f) => ending.push(f);
// end ends everything that was started, the last first.
export async function end() {
  while (ending.length) await ending.pop()();
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, async () => { await end(); process.exit(1); });

// folder makes a folder that is removed at the end.
export function folder() {
  const name = mkdtempSync(join(tmpdir(), 'carrot-dashboard-'));
  atEnd(() => rmSync(name, { recursive: true, force: true, maxRetries: 5 }));
  return name;
}

// ports returns the first of two free ports that follow each other.
export async function ports() {
  const listen = (port) => new Promise((done, failed) => {
    const server = createServer().once('error', failed).listen(port, '127.0.0.1', () => done(server));
  });
  const close = (server) => new Promise((done) => server.close(done));
  for (let tries = 0; tries < 50; tries++) {
    const first = await listen(0);
    const { port } = first.address();
    const second = await listen(port + 1).catch(() => null);
    await close(first);
    if (second) {
      await close(second);
      return port;
    }
  }
  throw new Error('there are no two free ports that follow each other');
}

// serve starts a gateway and returns when its admin address answers.
export async function serve(args, admin) {
  const gateway = spawn(CARROT, ['serve', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '', ended = false;
  for (const stream of [gateway.stdout, gateway.stderr]) stream.on('data', (text) => { said += text; });
  const over = new Promise((done) => gateway.once('close', () => { ended = true; done(); }));
  atEnd(async () => {
    gateway.kill('SIGTERM');
    const late = setTimeout(() => gateway.kill('SIGKILL'), patience);
    await over;
    clearTimeout(late);
  });
  await until('the gateway answers', async () => {
    if (ended) throw new Error('the gateway has ended:\n' + said);
    return fetch(admin + '/ui/style.css').then((r) => r.ok, () => false);
  });
}

// until waits until a condition holds.
export async function until(what, condition, wait = patience) {
  for (const late = Date.now() + wait; ;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > late) throw new Error(`${wait / 1000} s later it is still not so that ${what}`);
    await sleep(100);
  }
}

// living starts a demonstration with traffic, and returns its admin address when so many
// requests are in its store.
export async function living(requests, wait) {
  const port = await ports();
  const admin = `http://127.0.0.1:${port + 1}`;
  await serve(['--demo', '--traffic', '--listen', `127.0.0.1:${port}`], admin);
  return { admin, ready: () => until(`${requests} attempts are in the store`, async () => {
    const metrics = await (await fetch(admin + '/metrics')).text();
    return Number(/^carrot_ledger_written_total (\S+)/m.exec(metrics)?.[1]) >= requests;
  }, wait) };
}

// browse starts a browser.
export async function browse() {
  const browser = await puppeteer.launch({
    executablePath: PATH.split(delimiter).map((folder) => join(folder, 'chromium')).find(existsSync) ?? 'chromium', headless: true, userDataDir: folder(), protocolTimeout: 2 * patience, timeout: patience,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars', '--force-color-profile=srgb'],
  });
  atEnd(() => browser.close());
  return browser;
}

// open opens a page that reports what is wrong with it.
export async function open(browser, admin, wrong) {
  const page = await browser.newPage();
  page.setDefaultTimeout(patience);
  page.on('console', (m) => { if (['error', 'warn', 'assert'].includes(m.type())) wrong(`${new URL(page.url()).pathname}: the console says: ${m.text()}`); });
  page.on('pageerror', (e) => wrong(`${new URL(page.url()).pathname}: the script failed: ${e.message}`));
  page.on('request', (r) => { if (!r.url().startsWith(admin + '/') && !r.url().startsWith('data:')) wrong(`${r.url()} is loaded from elsewhere`); });
  return page;
}

// still keeps the page that is open from bringing itself up to date.
export const still = (page) => page.evaluate(() => {
  const refresh = document.getElementById('refresh');
  if (refresh) refresh.checked = false;
});

// sections returns the pages of the navigation, each with a page below it if it has any:
// one request, one client.
export async function sections(page, admin) {
  await page.goto(admin + '/ui/');
  const list = await page.$$eval('header nav a', (links) => links.map((a) => ({ name: a.textContent, url: a.href })));
  const all = [];
  for (const section of list) {
    all.push(section);
    await page.goto(section.url);
    const below = await page.$$eval('main a[href]', (links, url) => links.map((a) => a.href).filter((to) => url !== location.origin + '/ui/' && to.startsWith(url + '/')), section.url);
    if (below.length) all.push({ name: section.name + ', one', url: below[0] });
  }
  return all;
}
