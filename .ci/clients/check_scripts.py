#!/usr/bin/env python3
"""OpenAI's and Anthropic's Python clients talk to a gateway in front of
.ci/clients/scripted. For each script they must see what cases.json says.

    python3 .ci/clients/check_scripts.py http://HOST:PORT CASES
"""

import json

import anthropic
import openai

import checks

URL, CASES = checks.arguments()
gpt = openai.OpenAI(base_url=URL + "/v1", api_key="none", timeout=30, max_retries=0)
claude = anthropic.Anthropic(base_url=URL, api_key="none", timeout=30, max_retries=0)


# Each of these functions appends the pieces of the answer to the list text, and
# returns the model, the number of tokens, and the code of an error that the client
# reports as an event.


def chat(request, text):
    got = gpt.chat.completions.create(**request)
    for part in got if request.get("stream") else [got]:
        for choice in part.choices:
            said = choice.delta if request.get("stream") else choice.message
            text.append(said.content or "")
            text.extend(call.function.arguments for call in said.tool_calls or [])
    return part.model, part.usage and part.usage.total_tokens, None


def responses(request, text):
    got = gpt.responses.create(**request)
    if request.get("stream"):
        for event in got:
            if event.type.endswith(".delta"):
                text.append(event.delta)
        if event.type == "response.failed":  # after the event error
            return None, None, event.response.error.code
        got = event.response
    whole = got.output_text + "".join(item.arguments for item in got.output if item.type == "function_call")
    if text:  # some servers send no parts, only whole items
        checks.equal("".join(text), whole, "the streamed text")
    else:
        text.append(whole)
    return got.model, got.usage and got.usage.total_tokens, None


def messages(request, text):
    got = claude.messages.create(**request)
    if not request.get("stream"):
        text.extend(block.text if block.type == "text" else json.dumps(block.input, separators=(",", ":")) for block in got.content)
        return got.model, got.usage and got.usage.output_tokens, None
    model = tokens = None
    for event in got:  # not messages.stream, which fails on events without usage
        if event.type == "message_start":
            model = event.message.model
        elif event.type == "content_block_delta" and event.delta.type in ("text_delta", "input_json_delta"):
            text.append(event.delta.text if event.delta.type == "text_delta" else event.delta.partial_json)
        elif event.type == "message_delta":
            tokens = event.usage and event.usage.output_tokens
    return model, tokens, None


def seen(ask, request):
    """Returns what the client sees, in the words of gateway/testdata/clients.txt."""
    text = []
    try:
        model, tokens, code = ask(request, text)
    except openai.NotFoundError as error:
        return "404 " + error.code
    except anthropic.NotFoundError as error:
        return "404 " + error.type
    except openai.APIError as error:
        code = error.code
    except anthropic.APIStatusError as error:
        code = error.type
    text = "".join(text)
    if code:
        return text + ", " + code
    if model == "standby" and text:
        return model
    return text + ("" if tokens else " (no usage)")


def scripts(ask):
    """Returns the check of one API's scripts."""
    def check():
        for case in cases:
            checks.equal(seen(ask, case["request"]), case["want"], case["name"])
    with open(CASES) as file:
        cases = [case for case in json.load(file) if case["api"] == ask.__name__]
    check.__doc__ = "%d scripts of %s" % (len(cases), ask.__name__)
    return check


checks.run("python", [scripts(chat), scripts(responses), scripts(messages)])
