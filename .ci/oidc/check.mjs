// Lets people log in to the dashboard of carrot serve with oidc-provider, a certified
// implementation of OpenID Connect:
//
//     NODE_MODULES=FOLDER CARROT=BINARY node check.mjs
//
// Its pages for logging in and agreeing are its own, which accept any name and password.
// The script is the browser: it follows redirects and keeps cookies.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const { CARROT, NODE_MODULES } = process.env;
if (!CARROT || !NODE_MODULES) {
  console.error('usage: NODE_MODULES=FOLDER CARROT=BINARY node check.mjs');
  process.exit(2);
}
process.env.NODE_ENV = 'test';
const resolve = createRequire(path.join(path.resolve(NODE_MODULES), 'x.js')).resolve;
const warn = console.warn;
console.info = console.warn = () => {}; // it warns that its keys and pages are for development
const { default: Provider } = await import(pathToFileURL(resolve('oidc-provider')));

// free returns a port that nobody listens on.
const free = () => new Promise((done) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});

const groups = { anna: ['ops', 'staff'], ben: ['staff'], eve: ['sales'] };
const secret = 'a-secret-of-the-dashboard-0123456789';
const [adminPort, providerPort] = [await free(), await free()];
const dashboard = `http://127.0.0.1:${adminPort}`;
const issuer = `http://127.0.0.1:${providerPort}`;
const provider = new Provider(issuer, {
  clients: [{ client_id: 'carrot', client_secret: secret, redirect_uris: [`${dashboard}/ui/callback`], grant_types: ['authorization_code'], response_types: ['code'] }],
  claims: { openid: ['sub'], profile: ['preferred_username'], email: ['email', 'email_verified'], groups: ['groups'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, preferred_username: id, email: `${id}@carrot.example`, email_verified: true, groups: groups[id] }) }),
});
const providing = await new Promise((done) => { const s = provider.listen(providerPort, '127.0.0.1', () => done(s)); });

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'carrot-oidc-'));
const key = 'operator-0123456789abcdef';
fs.writeFileSync(path.join(folder, 'carrot.yaml'), `
listen: 127.0.0.1:0
admin_listen: 127.0.0.1:${adminPort}
admin_key: ${key}
store: carrot.db
providers: [{name: nobody, kind: openai, base_url: "http://127.0.0.1:9/v1"}]
models: [{name: gpt-4o-mini-2024-07-18, provider: nobody}]
oidc:
  issuer: ${issuer}
  client_id: carrot
  client_secret: ${secret}
  redirect_url: ${dashboard}/ui/callback
  scopes: [openid, profile, email, groups]
  admins: [ops]
  viewers: [staff]
`);
const gateway = spawn(CARROT, ['serve', '--config', path.join(folder, 'carrot.yaml')], { stdio: ['ignore', 'pipe', 'pipe'] });
let log = '';
let ended = false;
for (const event of ['exit', 'error']) gateway.on(event, (why) => { ended = true; log += `carrot serve: ${why}\n`; });
gateway.stderr.on('data', (data) => { log += data; });
gateway.stdout.on('data', (data) => { log += data; });

// Browser keeps cookies by port, path and name, and follows redirects. What was asked last
// is in url.
class Browser {
  cookies = [];

  async get(address, form) {
    for (let hops = 0; hops < 20; hops++) {
      this.url = new URL(address, this.url);
      const mine = this.cookies.filter((c) => c.port === this.url.port && (this.url.pathname + '/').startsWith(c.path.replace(/\/?$/, '/')));
      const answer = await fetch(this.url, {
        method: form ? 'POST' : 'GET',
        body: form && new URLSearchParams(form),
        redirect: 'manual',
        headers: { cookie: mine.map((c) => `${c.name}=${c.value}`).join('; '), ...(form ? { origin: this.url.origin } : {}) },
      });
      for (const text of answer.headers.getSetCookie()) {
        const [pair, ...rest] = text.split(/; ?/);
        const at = Object.fromEntries(rest.map((r) => r.toLowerCase().startsWith('path=') ? ['path', r.slice(5)] : r.toLowerCase().split('=')));
        const [, name, value] = pair.match(/^([^=]*)=(.*)$/);
        this.cookies = this.cookies.filter((c) => c.port !== this.url.port || c.name !== name || c.path !== at.path);
        if (value && at['max-age'] !== '-1' && at['max-age'] !== '0' && !(Date.parse(at.expires) < Date.now())) this.cookies.push({ port: this.url.port, path: at.path ?? '/', name, value });
      }
      this.status = answer.status;
      this.text = await answer.text();
      const refresh = answer.headers.get('refresh')?.match(/url=(.*)/)?.[1];
      const to = answer.headers.get('location') ?? refresh;
      if (!to) return this.text;
      address = to;
      form = undefined;
    }
    throw new Error(`too many redirects, the last to ${this.url}`);
  }

  // page gets a page that must be there.
  async page(address, form) {
    const text = await this.get(address, form);
    assert.equal(this.status, 200, `${this.url}: status ${this.status}: ${text}\n${log}`);
    return text;
  }

  // login logs in at the provider, from the link on the dashboard's page.
  async login(name) {
    const login = await this.page(`${dashboard}/ui/clients`);
    assert.match(this.url.pathname, /login$/);
    const link = login.match(/href="(\/ui\/oidc[^"]*)"/)[1].replaceAll('&amp;', '&');
    await this.page(link);
    for (const [prompt, more] of [['login', { login: name, password: 'any' }], ['consent', {}]]) {
      assert.equal(this.url.origin, issuer, `the page of the provider for ${prompt} is at ${this.url}: ${this.text}`);
      const action = this.text.match(/action="([^"]*)"/)[1];
      await this.get(action, { prompt, ...more });
    }
  }

  csrf() { return this.text.match(/name="csrf" value="(\w+)"/)[1]; }
}

try {
  for (let tries = 0; ; tries++) {
    try {
      if ((await fetch(`${dashboard}/ui/login`)).ok) break;
    } catch {}
    assert.ok(tries < 200 && !ended, `carrot serve does not start: ${log}`);
    await new Promise((done) => setTimeout(done, 50));
  }

  const anna = new Browser();
  await anna.login('anna');
  assert.equal(anna.status, 200, anna.text);
  assert.equal(anna.url.href, `${dashboard}/ui/clients`);
  assert.match(anna.text, /anna@carrot\.example/);
  const made = await anna.page('/ui/clients', { csrf: anna.csrf(), name: 'shop' });
  assert.match(made, /sk-carrot-[A-Z2-7]{26}/);
  const audit = await (await fetch(`${dashboard}/audit`, { headers: { authorization: `Bearer ${key}` } })).json();
  assert.equal(audit.changes[0].who, 'dashboard anna@carrot.example (anna)');
  console.log('an administrator logs in, and creates a client');

  const ben = new Browser();
  await ben.login('ben');
  assert.equal(ben.status, 200, ben.text);
  assert.match(ben.text, /shop/);
  assert.doesNotMatch(ben.text, /Create a client/);
  await ben.get('/ui/clients', { csrf: ben.csrf(), name: 'more' });
  assert.equal(ben.status, 403);
  await ben.page('/ui/clients');
  await ben.page('/ui/logout', { csrf: ben.csrf() });
  await ben.page('/ui/clients');
  assert.match(ben.url.pathname, /login$/);
  console.log('a viewer logs in, may change nothing, and logs out');

  const eve = new Browser();
  await eve.login('eve');
  assert.equal(eve.status, 403);
  assert.match(eve.text, /eve@carrot\.example has no access/);
  await eve.page('/ui/clients');
  assert.match(eve.url.pathname, /login$/);
  assert.match(log, /could not log in/);
  console.log('someone without a listed group has no access');

  const late = new Browser();
  await late.page(`${dashboard}/ui/oidc`);
  await late.get(`${dashboard}/ui/callback?code=other&state=other`);
  assert.equal(late.status, 400);
  console.log('another state is refused');
} finally {
  gateway.kill('SIGTERM');
  if (!ended) await new Promise((done) => gateway.on('exit', done));
  providing.closeAllConnections();
  providing.close();
  fs.rmSync(folder, { recursive: true, force: true });
  console.warn = warn;
}
