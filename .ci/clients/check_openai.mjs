// OpenAI's Node client talks to a gateway in front of simulated models.
//
//     node check_openai.mjs http://HOST:PORT MODEL
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const [url, model] = process.argv.slice(2);
if (!model) {
  console.error('usage: node check_openai.mjs URL MODEL');
  process.exit(2);
}
const client = new OpenAI({ baseURL: url + '/v1', apiKey: 'none', timeout: 30_000 });
const names = new Set();
for await (const m of client.models.list()) if (m.owned_by !== 'carrot') names.add(m.id);

const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
const toolQuestion = 'Use the tool: how is the weather in Paris?';
const ask = (content) => ({ model, max_completion_tokens: 16, messages: [{ role: 'system', content: 'Be brief.' }, { role: 'user', content }] });
const asked = (input) => ({ model, max_output_tokens: 16, instructions: 'Be brief.', input });
const served = (answer) => assert(names.has(answer.model), `served by ${answer.model}, none of the configured models`);

const checks = {
  'models list': async () => assert(names.size > 1, `models ${[...names]}`),

  chat: async () => {
    const { data, response } = await client.chat.completions.create(ask('What is 17 * 23?')).withResponse();
    served(data);
    assert(data.choices[0].message.content.length > 20, 'the answer is short');
    assert.equal(data.choices[0].finish_reason, 'length', 'finish_reason');
    assert(data.usage.prompt_tokens > 5 && data.usage.completion_tokens <= 16, JSON.stringify(data.usage));
    assert.equal(response.headers.get('x-carrot-model'), data.model, 'x-carrot-model');
  },

  'chat, streamed with its usage': async () => {
    let text = '', last;
    for await (last of await client.chat.completions.create({ ...ask('What is 17 * 29?'), stream: true, stream_options: { include_usage: true } })) {
      served(last);
      text += last.choices[0]?.delta.content ?? '';
    }
    assert(text.length > 20, `the streamed text is ${text}`);
    assert(last.usage.completion_tokens <= 16 && last.carrot.cost_usd > 0, `the last chunk is ${JSON.stringify(last)}`);
  },

  'chat, streamed through the accumulator': async () => {
    const stream = client.chat.completions.stream(ask('What is 17 * 31?'));
    let text = '';
    stream.on('content', (delta) => { text += delta; });
    assert.equal(await stream.finalContent(), text, 'the final text');
    assert(text.length > 20, `the streamed text is ${text}`);
  },

  'chat with tools, run by the client, whole and streamed': async () => {
    for (const stream of [false, true]) {
      const calls = [];
      const { max_completion_tokens, ...whole } = ask(toolQuestion); // the runner refuses an answer that was cut off
      const runner = client.chat.completions.runTools({
        ...whole, stream,
        tools: [{ type: 'function', function: { name: 'weather', description: 'The weather in a city', parameters: schema, function: (args) => { calls.push(JSON.parse(args)); return 'Sunny, 21 degrees'; } } }],
      });
      const text = await runner.finalContent();
      assert.equal(calls.length, 1, 'calls of the tool');
      assert.equal(typeof calls[0].city, 'string', 'the argument');
      assert(text.length > 0, 'no answer after the result');
    }
  },

  'responses, streamed': async () => {
    const stream = client.responses.stream(asked('What is 17 * 37?'));
    let text = '', last;
    for await (const event of stream) {
      if (event.type === 'response.output_text.delta') text += event.delta;
      last = event;
    }
    assert(['response.completed', 'response.incomplete'].includes(last.type), `the last event is ${last.type}`);
    served(last.response);
    assert(text.length > 20, `the streamed text is ${text}`);
    assert.equal(last.response.output.at(-1).content[0].text, text, 'the final text');
    assert(last.response.usage.output_tokens <= 16, JSON.stringify(last.response.usage));
  },

  'responses with tools, streamed': async () => {
    const response = await client.responses.stream({ ...asked(toolQuestion), max_output_tokens: 200, tools: [{ type: 'function', name: 'weather', parameters: schema, strict: true }] }).finalResponse();
    const call = response.output.find((item) => item.type === 'function_call');
    assert.equal(call?.name, 'weather', `output ${JSON.stringify(response.output)}`);
    assert.equal(typeof JSON.parse(call.arguments).city, 'string', 'the argument');
  },

  errors: async () => {
    const error = await client.chat.completions.create({ ...ask('Hello'), model: 'gpt-5-ultra' }).then(() => null, (e) => e);
    assert(error instanceof OpenAI.NotFoundError, `no NotFoundError: ${error}`);
    assert.equal(error.code, 'model_not_found', 'code');
    for (const name of names) assert(error.message.includes(name), `${name} is not in ${error.message}`);
    assert.equal(error.requestID, error.headers.get('x-carrot-request-id'), 'the request\'s id');
  },

  'a stream that the client abandons, then other streams': async () => {
    const abandoned = await client.chat.completions.create({ model, stream: true, messages: [{ role: 'user', content: 'Tell me a long story.' }] });
    let chunks = 0;
    for await (const _ of abandoned) if (++chunks === 6) break; // aborts the request
    assert.equal(chunks, 6, 'chunks before the client left');
    const texts = await Promise.all([...Array(8).keys()].map((i) => client.chat.completions.stream(ask(`What is ${i} * 43?`)).finalContent()));
    for (const text of texts) assert(text.length > 20, `one of eight streams is ${text}`);
    await checks.chat();
  },
};

for (const [name, check] of Object.entries(checks)) {
  const start = performance.now();
  try {
    await check();
  } catch (error) {
    console.error(`FAILED node: ${name}: ${error.stack}`);
    process.exit(1);
  }
  console.log(`ok  node   ${name} (${((performance.now() - start) / 1000).toFixed(1)}s)`);
}
