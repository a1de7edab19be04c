#!/usr/bin/env python3
"""OpenAI's Python client talks to a gateway in front of simulated models.

    python3 .ci/clients/check_openai.py http://HOST:PORT MODEL
"""

import concurrent.futures
import json

import openai
import pydantic

import checks
from checks import equal, raised, true

URL, MODEL = checks.arguments()
client = openai.OpenAI(base_url=URL + "/v1", api_key="none", timeout=30)
names = {m.id for m in client.models.list() if m.owned_by != "carrot"}

TOOL = {"name": "weather", "description": "The weather in a city", "parameters": checks.SCHEMA}


class Place(pydantic.BaseModel):
    city: str


def ask(text, **more):
    """Returns the parameters of a request for a short answer."""
    return {"model": MODEL, "max_completion_tokens": 16, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]} | more


def asked(text, **more):
    return {"model": MODEL, "max_output_tokens": 16, "instructions": "Be brief.", "input": text} | more


def served(answer, read, written):
    true(answer.model in names, "served by none of the configured models", answer.model)
    true(read > 5 and 0 < written <= 16, "usage", answer.usage)


def models():
    """models list"""
    true(len(names) > 1, "models", names)
    true({"auto", "cheap", "balanced", "quality"} <= {m.id for m in client.models.list()}, "the policies are not listed")


def chat():
    """chat"""
    raw = client.chat.completions.with_raw_response.create(**ask("What is 17 * 23?"))
    got = raw.parse()
    served(got, got.usage.prompt_tokens, got.usage.completion_tokens)
    choice = got.choices[0]
    true(len(choice.message.content) > 20, "answer", choice)
    equal(choice.finish_reason, "length", "finish_reason")
    equal(raw.headers["x-carrot-model"], got.model, "x-carrot-model")
    equal(raw.headers["x-carrot-policy"], MODEL, "x-carrot-policy")
    true(float(raw.headers["x-carrot-cost"]) > 0, "x-carrot-cost", raw.headers["x-carrot-cost"])


def chat_stream():
    """chat, streamed with its usage"""
    with client.chat.completions.create(**ask("What is 17 * 29?", stream=True, stream_options={"include_usage": True})) as stream:
        chunks = list(stream)
    equal({c.model for c in chunks}, {chunks[0].model}, "models of the chunks")
    last = chunks[-1]
    served(last, last.usage.prompt_tokens, last.usage.completion_tokens)
    true(last.model_extra["carrot"]["cost_usd"] > 0, "the cost beside the usage", last.model_extra)
    true([c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length", "the last choice has no finish_reason")
    whole = client.chat.completions.create(**ask("What is 17 * 29?"))
    if whole.model == last.model:  # neither fell back
        equal("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), whole.choices[0].message.content, "the streamed text")


def chat_stream_helper():
    """chat, streamed through the client's accumulator"""
    with client.chat.completions.stream(**ask("What is 17 * 31?")) as stream:
        text = "".join(e.delta for e in stream if e.type == "content.delta")
        final = stream.current_completion_snapshot  # get_final_completion refuses an answer that was cut off
    true(len(text) > 20, "text", text)
    equal(final.choices[0].message.content, text, "the final text")
    equal(final.usage, None, "usage that was not asked for")


def chat_tools():
    """chat with tools, whole and streamed"""
    params = ask(checks.TOOL_QUESTION, tools=[{"type": "function", "function": TOOL}], max_completion_tokens=200)
    whole = client.chat.completions.create(**params)
    with client.chat.completions.stream(**params) as stream:
        streamed = stream.get_final_completion()
    for got in whole, streamed:
        choice = got.choices[0]
        equal(choice.finish_reason, "tool_calls", "finish_reason")
        call = choice.message.tool_calls[0]
        checks.weather(call.function.name, json.loads(call.function.arguments))
        after = params | {"max_completion_tokens": 16, "messages": params["messages"] + [
            choice.message.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True, warnings=False),
            {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 21 degrees"}]}
        got = client.chat.completions.create(**after).choices[0].message
        true(got.content and not got.tool_calls, "the answer after the tool's result", got)


def chat_schema():
    """chat with structured output"""
    got = client.chat.completions.parse(**ask("Name a city.", response_format=Place, max_completion_tokens=200))
    true(isinstance(got.choices[0].message.parsed, Place), "parsed", got.choices[0].message)


def chat_image():
    """chat with an image"""
    got = client.chat.completions.create(**ask([
        {"type": "text", "text": "What is in the picture?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + checks.PIXEL}}]))
    served(got, got.usage.prompt_tokens, got.usage.completion_tokens)
    true(got.usage.prompt_tokens > checks.IMAGE_TOKENS, "tokens of a request with a picture", got.usage.prompt_tokens)


def responses():
    """responses"""
    got = client.responses.create(**asked("What is 17 * 37?"))
    served(got, got.usage.input_tokens, got.usage.output_tokens)
    true(len(got.output_text) > 20, "answer", got.output)
    equal(got.incomplete_details.reason, "max_output_tokens", "incomplete_details")


def responses_stream():
    """responses, streamed through the client's accumulator"""
    with client.responses.stream(**asked("What is 17 * 41?")) as stream:
        events = list(stream)
        final = stream.get_final_response() if events[-1].type == "response.completed" else events[-1].response
    equal(events[0].type, "response.created", "the first event")
    numbers = [e.sequence_number for e in events]
    equal(numbers, sorted(set(numbers)), "sequence numbers")
    served(final, final.usage.input_tokens, final.usage.output_tokens)
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    true(len(text) > 20, "text", text)
    equal(final.output_text, text, "the final text")


def responses_tools():
    """responses with tools, whole and streamed"""
    params = asked(checks.TOOL_QUESTION, tools=[{"type": "function", "strict": True} | TOOL], max_output_tokens=200)
    whole = client.responses.create(**params)
    with client.responses.stream(**params) as stream:
        streamed = stream.get_final_response()
    for got in whole, streamed:
        calls = [item for item in got.output if item.type == "function_call"]
        equal(len(calls), 1, "calls")
        checks.weather(calls[0].name, json.loads(calls[0].arguments))
        after = client.responses.create(**params | {"max_output_tokens": 16, "input": [
            {"role": "user", "content": checks.TOOL_QUESTION},
            {"type": "function_call", "call_id": calls[0].call_id, "name": calls[0].name, "arguments": calls[0].arguments},
            {"type": "function_call_output", "call_id": calls[0].call_id, "output": "Sunny, 21 degrees"}]})
        true(after.output_text, "the answer after the tool's result", after.output)


def responses_schema():
    """responses with structured output"""
    got = client.responses.parse(**asked("Name a city.", text_format=Place, max_output_tokens=200))
    true(isinstance(got.output_parsed, Place), "parsed", got.output)


def errors():
    """errors"""
    e = raised(openai.NotFoundError, lambda: client.chat.completions.create(**ask("Hello", model="gpt-5-ultra")))
    equal((e.status_code, e.code, e.param, e.type), (404, "model_not_found", "model", "invalid_request_error"), "an unknown model")
    true(all(name in e.message for name in names | {"auto"}), "the valid names are not in the message", e.message)
    equal(e.body["request_id"], e.response.headers["x-carrot-request-id"], "the request's id")
    equal(e.request_id, e.body["request_id"], "the client's request_id")
    e = raised(openai.BadRequestError, lambda: client.responses.create(**asked("Hello", extra_headers={"x-carrot-objective": "best"})))
    true("best" in e.message, "the value is not in the message", e.message)
    e = raised(openai.BadRequestError, lambda: client.chat.completions.create(model=MODEL, messages=[]))
    equal(e.param, "messages", "an empty conversation")
    e = raised(openai.NotFoundError, lambda: client.get("/nothing", cast_to=object))
    equal(e.code, "not_found", "an unknown path")


def abort():
    """a stream that the client abandons, then other streams"""
    for kind in "chat", "responses":
        if kind == "chat":
            stream = client.chat.completions.create(model=MODEL, stream=True, messages=[{"role": "user", "content": "Tell me a long story."}])
        else:
            stream = client.responses.create(model=MODEL, stream=True, input="Tell me a long story.")
        for _ in range(6):
            next(stream)
        stream.close()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda i: streamed_text("What is %d * 43?" % i), range(8)))
    true(all(len(text) > 20 for text in texts), "eight streams at once", texts)
    chat()


def streamed_text(question):
    with client.chat.completions.create(**ask(question, stream=True)) as stream:
        return "".join(c.choices[0].delta.content or "" for c in stream if c.choices)


checks.run("python", [models, chat, chat_stream, chat_stream_helper, chat_tools, chat_schema, chat_image,
                      responses, responses_stream, responses_tools, responses_schema, errors, abort])
