// OpenAI's Node client talks to a gateway in front of .ci/clients/scripted. For each
// script it must see what cases.json says.
//
//     node check_scripts.mjs http://HOST:PORT CASES
import assert from 'node:assert/strict';
import fs from 'node:fs';
import OpenAI from 'openai';

const [url, file] = process.argv.slice(2);
if (!file) {
  console.error('usage: node check_scripts.mjs URL CASES');
  process.exit(2);
}
const client = new OpenAI({ baseURL: url + '/v1', apiKey: 'none', timeout: 30_000, maxRetries: 0 });

// Each of these functions appends the answer to got.text, and sets the model, the
// usage, and the code of an error that the client reports as an event.
const apis = {
  chat: async (request, got) => {
    const answer = await client.chat.completions.create(request);
    for await (const part of request.stream ? answer : [answer]) {
      for (const { message, delta } of part.choices) {
        got.text += (message ?? delta).content ?? '';
        for (const call of (message ?? delta).tool_calls ?? []) got.text += call.function.arguments ?? '';
      }
      got.model = part.model;
      got.usage = part.usage;
    }
  },

  responses: async (request, got) => {
    let answer = await client.responses.create(request);
    if (request.stream) {
      let last;
      for await (last of answer) if (last.type.endsWith('.delta')) got.text += last.delta;
      if (last.type === 'response.failed') { // after the event error
        got.code = last.response.error.code;
        return;
      }
      answer = last.response;
    }
    const whole = answer.output.map((item) => item.arguments ?? item.content?.map((part) => part.text).join('') ?? '').join('');
    if (got.text) assert.equal(got.text, whole, 'the streamed text'); // some servers send no parts, only whole items
    Object.assign(got, { text: whole, model: answer.model, usage: answer.usage });
  },
};

// seen returns what the client sees, in the words of gateway/testdata/clients.txt.
async function seen(ask, request) {
  const got = { text: '' };
  try {
    await ask(request, got);
  } catch (error) {
    if (error instanceof OpenAI.NotFoundError) return `404 ${error.code}`;
    if (!(error instanceof OpenAI.APIError)) throw error;
    got.code = error.code;
  }
  if (got.code) return `${got.text}, ${got.code}`;
  if (got.model === 'standby' && got.text) return 'standby';
  return got.text + (got.usage?.total_tokens ? '' : ' (no usage)');
}

const cases = JSON.parse(fs.readFileSync(file));
for (const [api, ask] of Object.entries(apis)) {
  const start = performance.now();
  const ofAPI = cases.filter((one) => one.api === api);
  for (const { name, request, want } of ofAPI) {
    try {
      assert.equal(await seen(ask, request), want);
    } catch (error) {
      console.error(`FAILED node: ${name}: ${error.stack}`);
      process.exit(1);
    }
  }
  console.log(`ok  node   ${ofAPI.length} scripts of ${api} (${((performance.now() - start) / 1000).toFixed(1)}s)`);
}
