#!/usr/bin/env python3
"""The Python clients of OpenAI and Anthropic use batches and flex of carrot simulate.

    python3 .ci/clients/check_batches.py http://HOST:PORT DATA

DATA is the data folder that is simulated. Batches take a moment, and a few of their
requests expire.
"""

import io
import json
import os
import time

import anthropic
import openai

import checks
from checks import equal, raised, true

URL, DATA = checks.arguments()
chatgpt = openai.OpenAI(base_url=URL + "/v1", api_key="sk-one", timeout=30, max_retries=0)
claude = anthropic.Anthropic(base_url=URL, api_key="sk-one", timeout=30, max_retries=0)
with open(os.path.join(DATA, "queries.jsonl"), encoding="utf-8") as f:
    prompts = [json.loads(line)["prompt"] for line in f][:60]
with open(os.path.join(DATA, "models.json"), encoding="utf-8") as f:
    MODEL = json.load(f)[0]["name"]


def ended(get, states):
    """Polls a batch until its state is one of the given ones."""
    seen = []
    for _ in range(200):
        batch = get()
        state = getattr(batch, "status", None) or batch.processing_status
        if state not in seen:
            seen.append(state)
        if state in states:
            return batch, seen
        time.sleep(0.02)
    raise AssertionError("the batch does not end: %s" % seen)


def submit(endpoint, body, texts=prompts):
    lines = [json.dumps({"custom_id": "request-%d" % i, "method": "POST", "url": endpoint, "body": {"model": MODEL} | body(p)}) for i, p in enumerate(texts)]
    file = chatgpt.files.create(file=("requests.jsonl", io.BytesIO("\n".join(lines).encode())), purpose="batch")
    equal((file.object, file.purpose, file.filename, file.status), ("file", "batch", "requests.jsonl", "processed"), "the file")
    equal(chatgpt.files.content(file.id).read(), "\n".join(lines).encode(), "the file's content")
    return file, chatgpt.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata={"run": "check"})


def chat_body(prompt):
    return {"messages": [{"role": "user", "content": prompt}]}


def results(*files):
    return [json.loads(line) for file in files if file for line in chatgpt.files.content(file).text.splitlines()]


def openai_batch(endpoint, body, text):
    file, batch = submit(endpoint, body)
    equal((batch.object, batch.endpoint, batch.status, batch.input_file_id, batch.metadata), ("batch", endpoint, "validating", file.id, {"run": "check"}), "the batch")
    batch, seen = ended(lambda: chatgpt.batches.retrieve(batch.id), ("completed", "expired"))
    equal(seen[-1], "expired", "the state, since some requests expire")
    true("in_progress" in seen, "states", seen)
    done = results(batch.output_file_id)
    for line in done:
        equal((line["response"]["status_code"], line["error"]), (200, None), "a result")
        true(text(line["response"]["body"]).startswith("Simulated answer of " + MODEL), "an answer", line)
    late = [line for line in results(batch.error_file_id) if line["error"] and line["error"]["code"] == "batch_expired"]
    failed = [line for line in results(batch.error_file_id) if line["response"]]
    true(done and late, "answered and expired", (len(done), len(late)))
    true(all(line["response"]["body"]["error"]["message"] == "not recorded" for line in failed), "failures", failed)
    ids = [line["custom_id"] for line in done + late + failed]
    equal(sorted(ids), sorted("request-%d" % i for i in range(len(prompts))), "custom_ids")
    counts = batch.request_counts
    equal((counts.total, counts.completed, counts.failed), (len(prompts), len(done), len(failed)), "request_counts")


def batch_of_chat():
    """a batch of chat completions"""
    openai_batch("/v1/chat/completions", chat_body, lambda answer: openai.types.chat.ChatCompletion.model_validate(answer).choices[0].message.content)


def batch_of_responses():
    """a batch of responses"""
    openai_batch("/v1/responses", lambda prompt: {"input": prompt}, lambda answer: openai.types.responses.Response.construct(**answer).output_text)


def refused():
    """a batch that is refused"""
    file = chatgpt.files.create(file=("requests.jsonl", b'{"custom_id":"a"\n'), purpose="batch")
    batch = chatgpt.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    batch, _ = ended(lambda: chatgpt.batches.retrieve(batch.id), ("failed",))
    equal((batch.errors.data[0].code, batch.errors.data[0].line), ("invalid_json_line", 1), "the error")


def openai_cancel():
    """cancel and list, OpenAI"""
    made = [submit("/v1/chat/completions", chat_body, prompts[:5])[1] for _ in range(3)]
    equal(chatgpt.batches.cancel(made[1].id).status, "cancelling", "the status")
    batch, _ = ended(lambda: chatgpt.batches.retrieve(made[1].id), ("cancelled",))
    codes = {line["error"]["code"] for line in results(batch.error_file_id) if line["error"]}
    equal(codes, {"batch_cancelled"}, "errors of the requests")
    listed = [b.id for b in chatgpt.batches.list(limit=2)]  # all pages
    equal([b for b in listed if b in [m.id for m in made]], [m.id for m in reversed(made)], "the list")


def files():
    """files are listed and deleted"""
    file = chatgpt.files.create(file=("x.jsonl", b"{}"), purpose="batch")
    true(file.id in [f.id for f in chatgpt.files.list(purpose="batch")], "the file is not listed")
    true(chatgpt.files.delete(file.id).deleted, "deleted")
    raised(openai.NotFoundError, lambda: chatgpt.files.retrieve(file.id))


def keys():
    """a batch is only for its key"""
    _, batch = submit("/v1/chat/completions", chat_body, prompts[:1])
    raised(openai.NotFoundError, lambda: chatgpt.with_options(api_key="sk-two").batches.retrieve(batch.id))


def flex():
    """flex, which is unavailable at first"""
    ask = lambda: chatgpt.chat.completions.create(model=MODEL, service_tier="flex", **chat_body(prompts[0]))
    e = raised(openai.RateLimitError, ask)
    equal(e.code, "resource_unavailable", "the code")
    equal(ask().service_tier, "flex", "the tier of the answer")
    ask = lambda: chatgpt.responses.create(model=MODEL, service_tier="flex", input=prompts[1])
    raised(openai.RateLimitError, ask)
    equal(ask().service_tier, "flex", "the tier of the response")
    equal(chatgpt.chat.completions.create(model=MODEL, **chat_body(prompts[0])).service_tier, "default", "the default tier")


def message_batch():
    """a message batch"""
    batch = claude.messages.batches.create(requests=[{"custom_id": "request-%d" % i, "params": {"model": MODEL, "max_tokens": 100} | chat_body(p)} for i, p in enumerate(prompts)])
    equal((batch.type, batch.processing_status, batch.request_counts.processing, batch.results_url), ("message_batch", "in_progress", len(prompts), None), "the batch")
    batch, _ = ended(lambda: claude.messages.batches.retrieve(batch.id), ("ended",))
    true(batch.ended_at >= batch.created_at and batch.expires_at > batch.ended_at, "times", batch)
    got = {r.custom_id: r.result for r in claude.messages.batches.results(batch.id)}
    equal(sorted(got), sorted("request-%d" % i for i in range(len(prompts))), "custom_ids")
    kinds = [r.type for r in got.values()]
    counts = batch.request_counts
    equal((counts.processing, counts.succeeded, counts.errored, counts.canceled, counts.expired), (0, kinds.count("succeeded"), kinds.count("errored"), 0, kinds.count("expired")), "request_counts")
    true(counts.succeeded and counts.expired, "answered and expired", counts)
    for r in got.values():
        if r.type == "succeeded":
            true(r.message.content[0].text.startswith("Simulated answer of " + MODEL), "an answer", r)
            equal(r.message.usage.service_tier, "batch", "the service tier")
        if r.type == "errored":
            equal((r.error.type, r.error.error.type), ("error", "api_error"), "an error")


def message_batches():
    """cancel, list and delete, Anthropic"""
    make = lambda: claude.messages.batches.create(requests=[{"custom_id": "a", "params": {"model": MODEL, "max_tokens": 9} | chat_body(prompts[0])}])
    made = [make().id for _ in range(3)]
    equal(claude.messages.batches.cancel(made[2]).processing_status, "canceling", "the status")
    ended(lambda: claude.messages.batches.retrieve(made[2]), ("ended",))
    equal([r.result.type for r in claude.messages.batches.results(made[2])], ["canceled"], "the result")
    equal([b.id for b in claude.messages.batches.list(limit=1)][:3], made[::-1], "the list, in pages")
    equal([b.id for b in claude.messages.batches.list(limit=1, before_id=made[1])][:1], [made[2]], "the page before")
    equal(claude.messages.batches.delete(made[2]).type, "message_batch_deleted", "deleted")
    raised(anthropic.NotFoundError, lambda: claude.messages.batches.retrieve(made[2]))
    e = raised(anthropic.BadRequestError, lambda: claude.messages.batches.create(requests=[{"custom_id": "not allowed", "params": {"model": MODEL, "max_tokens": 9} | chat_body("x")}]))
    true("custom_id" in e.body["error"]["message"], "the error", e.body)


checks.run("batch", [batch_of_chat, batch_of_responses, refused, openai_cancel, files, keys, flex, message_batch, message_batches])
