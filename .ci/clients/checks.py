"""Runs the checks of check_openai.py and check_anthropic.py, each a function
whose first line of documentation is its name."""

import sys
import time
import traceback

TOOL_QUESTION = "Use the tool: how is the weather in Paris?"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGE_TOKENS = 765  # that simulated models count


def arguments():
    """The gateway's address and the model to ask for."""
    if len(sys.argv) != 3:
        sys.exit("usage: %s URL MODEL" % sys.argv[0])
    return sys.argv[1].rstrip("/"), sys.argv[2]


def equal(got, want, what):
    if got != want:
        raise AssertionError("%s: got %r, want %r" % (what, got, want))


def true(ok, what, got=None):
    if not ok:
        raise AssertionError(what if got is None else "%s: got %r" % (what, got))


def raised(kind, call):
    """The error of that kind that call raises."""
    try:
        got = call()
    except kind as error:
        return error
    raise AssertionError("no %s: got %r" % (kind.__name__, got))


def weather(name, arguments):
    """Checks a call to the tool."""
    true(name == "weather" and set(arguments) == {"city"} and isinstance(arguments["city"], str), "not a call to the tool", (name, arguments))


def run(client, checks):
    for check in checks:
        start = time.monotonic()
        try:
            check()
        except Exception as error:
            if not isinstance(error, AssertionError):
                traceback.print_exc()
            sys.exit("FAILED %s: %s: %s: %s" % (client, check.__doc__, type(error).__name__, error))
        print("ok  %-6s %s (%.1fs)" % (client, check.__doc__, time.monotonic() - start), flush=True)
