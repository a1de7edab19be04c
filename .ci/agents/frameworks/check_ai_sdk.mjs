// The AI SDK with one of its providers, which keep their defaults:
//
//   node check_ai_sdk.mjs http://HOST:PORT MODEL responses|chat|compatible|messages
//
// The modules must be installed beside this file, or in a folder above it. The lines
// that connect a provider to the gateway are those of docs/clients/ai-sdk.md, whose
// folder is in the environment variable DOCS. What is checked, and how the simulated
// model works, is said in checks.py.

import { randomInt } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

import { generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";

const headings = { responses: "Responses", chat: "Chat completions", compatible: "Chat completions, with the compatible provider", messages: "Messages" };
const [url, name, api] = process.argv.slice(2);
if (!headings[api]) {
  console.error("usage: check_ai_sdk.mjs URL MODEL responses|chat|compatible|messages");
  process.exit(2);
}

// model returns the model that the lines of the page define.
async function model() {
  const page = readFileSync(process.env.DOCS + "/ai-sdk.md", "utf8");
  const lines = page.split(`\n## ${headings[api]}\n`)[1]?.match(/^```\w+\n(.*?)^```/ms)?.[1];
  if (!lines?.includes("http://127.0.0.1:8080") || !lines.includes('"auto"')) {
    throw new Error(`ai-sdk.md has no lines to paste for ${api}`);
  }
  const file = new URL(`./pasted-${process.pid}.mjs`, import.meta.url);
  writeFileSync(file, lines.replaceAll("http://127.0.0.1:8080", url).replaceAll('"auto"', JSON.stringify(name)) + "\nexport { model };\n");
  return (await import(file)).model;
}

const call = (...groups) => groups.map((g) => g.split(" ").map((w) => `[[call secret {"which": "${w}"}]]`).join("+")).join(" ");
const turns = [
  ["one call", call("first"), ["first"]],
  ["parallel calls", call("left right"), ["left", "right"]],
  ["a call after another", call("before", "after"), ["before", "after"]],
  ["no call", "Thank you.", []],
  ["parallel calls, then one", call("east west", "north"), ["east", "west", "north"]],
];

async function conversation(how, model, more) {
  const given = [];
  const secret = tool({
    description: "Returns the secret of that name.",
    inputSchema: z.object({ which: z.string() }),
    execute: async ({ which }) => {
      const number = String(randomInt(1e9, 1e10));
      given.push([which, number]);
      return number;
    },
  });
  let messages = [];
  let thoughts = "";
  for (const [what, text, calls] of turns) {
    const start = Date.now();
    const before = given.length;
    messages.push({ role: "user", content: text });
    const params = { model, instructions: "Be brief.", tools: { secret }, stopWhen: isStepCount(5), maxRetries: 0, messages, ...more };
    let answer, parts;
    if (how === "whole") {
      const result = await generateText(params);
      [answer, parts] = [result.text, result.responseMessages];
      thoughts += result.steps.map((s) => s.reasoningText ?? "").join("");
    } else {
      let failed;
      const result = streamText({ ...params, onError: ({ error }) => { failed = error; } });
      let said = "";
      for await (const part of result.textStream) said += part;
      if (failed) throw failed;
      [answer, parts] = [await result.text, await result.responseMessages];
      thoughts += (await result.steps).map((s) => s.reasoningText ?? "").join("");
      check(said.endsWith(answer) && answer, "the streamed text", said);
    }
    messages = JSON.parse(JSON.stringify([...messages, ...parts])); // saved and loaded again
    const ran = given.slice(before);
    check(ran.map(([w]) => w).sort().join() === [...calls].sort().join(), `${what}: the tool ran for`, ran);
    const wanted = calls.length ? [ran.find(([w]) => w === calls.at(-1))[1]] : ["You said: ", text];
    check(wanted.every((w) => answer.includes(w)), `${what}: no ${wanted} in the answer`, answer);
    console.log(`ok  ${how}${more ? ", thinking" : ""}, ${what} (${((Date.now() - start) / 1000).toFixed(1)}s)`);
  }
  if (more && name === "over-" + api) { // nothing is translated
    check(thoughts, "no thinking", thoughts);
  }
  if (process.env.PROVIDER_LOG) {
    const received = await (await fetch(process.env.PROVIDER_LOG)).text();
    const missing = given.filter(([, n]) => !received.includes(n));
    check(!missing.length, "results that never reached the provider", missing);
  }
}

function check(ok, what, got) {
  if (!ok) throw new Error(`${what}: ${JSON.stringify(got)}`);
}

try {
  const connected = await model();
  const thinking = {
    responses: { openai: { forceReasoning: true, reasoningEffort: "high", reasoningSummary: "auto" } },
    messages: { anthropic: { thinking: { type: "enabled", budgetTokens: 2048 } } },
  }[api];
  for (const how of ["whole", "streamed"]) {
    await conversation(how, connected);
    if (thinking) await conversation(how, connected, { providerOptions: thinking, maxOutputTokens: 9000 });
    if (api === "responses") await conversation(how, connected, { providerOptions: { openai: { ...thinking.openai, store: false } } });
  }
} catch (error) {
  console.error(error);
  console.error(`FAILED ${error?.message}`);
  process.exit(1);
}
