#!/usr/bin/env python3
"""Anthropic's Python client talks to a gateway in front of simulated models.

    python3 .ci/clients/check_anthropic.py http://HOST:PORT MODEL
"""

import concurrent.futures

import anthropic

import checks
from checks import equal, raised, true

URL, MODEL = checks.arguments()
client = anthropic.Anthropic(base_url=URL, api_key="none", timeout=30)
names = {m.id for m in client.models.list() if m.model_extra["owned_by"] != "carrot"}

TOOL = {"name": "weather", "description": "The weather in a city", "input_schema": checks.SCHEMA}


def ask(text, **more):
    """Returns the parameters of a request for a short answer."""
    return {"model": MODEL, "max_tokens": 16, "system": "Be brief.", "messages": [{"role": "user", "content": text}]} | more


def served(answer):
    true(answer.model in names, "served by none of the configured models", answer.model)
    true(answer.usage.input_tokens > 5 and 0 < answer.usage.output_tokens <= 16, "usage", answer.usage)


def models():
    """models list"""
    true(len(names) > 1, "models", names)


def messages():
    """messages"""
    raw = client.messages.with_raw_response.create(**ask("What is 17 * 23?"))
    got = raw.parse()
    served(got)
    equal([block.type for block in got.content], ["text"], "content")
    true(len(got.content[0].text) > 20, "answer", got.content)
    equal((got.role, got.type, got.stop_reason), ("assistant", "message", "max_tokens"), "role, type and stop_reason")
    equal(raw.headers["x-carrot-model"], got.model, "x-carrot-model")
    equal(raw.headers["x-carrot-policy"], MODEL, "x-carrot-policy")
    true(float(raw.headers["x-carrot-cost"]) > 0, "x-carrot-cost", raw.headers["x-carrot-cost"])


def stream():
    """messages, streamed"""
    with client.messages.stream(**ask("What is 17 * 29?")) as got:
        text = "".join(got.text_stream)
        final = got.get_final_message()
    served(final)
    true(len(text) > 20, "text", text)
    equal(final.content[0].text, text, "the final text")
    equal(final.stop_reason, "max_tokens", "stop_reason")
    whole = client.messages.create(**ask("What is 17 * 29?"))
    if whole.model == final.model:  # neither fell back
        equal(text, whole.content[0].text, "the streamed text")
        equal(final.usage.input_tokens, whole.usage.input_tokens, "the streamed input_tokens")
        equal(final.usage.output_tokens, whole.usage.output_tokens, "the streamed output_tokens")


def events():
    """the order of a stream's events"""
    with client.messages.create(**ask("What is 17 * 31?", stream=True)) as got:
        kinds = [e.type for e in got if e.type != "ping"]
    equal(kinds[:2], ["message_start", "content_block_start"], "the first events")
    equal(kinds[-3:], ["content_block_stop", "message_delta", "message_stop"], "the last events")
    equal(set(kinds[2:-3]), {"content_block_delta"}, "the events between")


def turns():
    """system blocks and earlier turns"""
    got = client.messages.create(**ask("x", system=[{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}], messages=[
        {"role": "user", "content": "My name is Ada."}, {"role": "assistant", "content": "Hello Ada."},
        {"role": "user", "content": [{"type": "text", "text": "What is my name?"}]}]))
    served(got)


def tools():
    """tools, whole and streamed"""
    params = ask(checks.TOOL_QUESTION, tools=[TOOL], max_tokens=200)
    whole = client.messages.create(**params)
    with client.messages.stream(**params) as got:
        streamed = got.get_final_message()
    for got in whole, streamed:
        equal(got.stop_reason, "tool_use", "stop_reason")
        call = got.content[-1]
        equal(call.type, "tool_use", "the last block")
        checks.weather(call.name, call.input)
        after = params | {"max_tokens": 16, "messages": params["messages"] + [
            {"role": "assistant", "content": got.content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "Sunny, 21 degrees"}]}]}
        with client.messages.stream(**after) as stream:
            said = "".join(stream.text_stream)
        true(said, "no answer after the tool's result")


def tool_choice():
    """a tool that must be called"""
    got = client.messages.create(**ask("How is the weather?", tools=[TOOL], tool_choice={"type": "tool", "name": "weather"}, max_tokens=200))
    checks.weather(got.content[-1].name, got.content[-1].input)


def image():
    """an image"""
    got = client.messages.create(**ask([
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": checks.PIXEL}},
        {"type": "text", "text": "What is in the picture?"}]))
    served(got)
    true(got.usage.input_tokens > checks.IMAGE_TOKENS, "tokens of a request with a picture", got.usage.input_tokens)


def count():
    """count_tokens"""
    params = ask("What is 17 * 37?")
    del params["max_tokens"]
    few = client.messages.count_tokens(**params).input_tokens
    many = client.messages.count_tokens(**params | {"system": "Be brief. " * 100}).input_tokens
    true(5 < few < many - 100, "tokens", (few, many))
    named = client.messages.count_tokens(**params | {"model": sorted(names)[0]}).input_tokens
    true(5 < named < 100, "tokens of a named model", named)


def errors():
    """errors"""
    e = raised(anthropic.NotFoundError, lambda: client.messages.create(**ask("Hello", model="claude-9")))
    equal(e.body["type"], "error", "the envelope")
    equal(e.body["error"]["type"], "not_found_error", "an unknown model")
    true(all(name in e.body["error"]["message"] for name in names | {"auto"}), "the valid names are not in the message", e.body)
    equal(e.body["request_id"], e.response.headers["x-carrot-request-id"], "the request's id")
    equal(e.request_id, e.body["request_id"], "the client's request_id")
    e = raised(anthropic.BadRequestError, lambda: client.messages.create(**ask("Hello", messages=[])))
    true("messages" in e.body["error"]["message"], "an empty conversation", e.body)
    e = raised(anthropic.BadRequestError, lambda: client.messages.create(**ask("Hello", metadata={"user_id": "1"}, extra_headers={"x-carrot-models": "claude-9"})))
    true("claude-9" in e.body["error"]["message"], "an unknown model in a header", e.body)


def abort():
    """a stream that the client abandons, then other streams"""
    with client.messages.stream(model=MODEL, max_tokens=4000, messages=[{"role": "user", "content": "Tell me a long story."}]) as got:
        for _ in range(3):
            next(got.text_stream)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda i: streamed_text("What is %d * 43?" % i), range(8)))
    true(all(len(text) > 20 for text in texts), "eight streams at once", texts)
    messages()


def streamed_text(question):
    with client.messages.stream(**ask(question)) as got:
        return "".join(got.text_stream)


checks.run("python", [models, messages, stream, events, turns, tools, tool_choice, image, count, errors, abort])
