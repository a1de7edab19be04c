"""Runs the checks of the other files in this folder. Each check is a function, and
its docstring is the name that is printed."""

import sys
import time
import traceback

TOOL_QUESTION = "Use the tool: how is the weather in Paris?"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGE_TOKENS = 765  # as simulated models count an image


def arguments():
    """Returns the two arguments: the gateway's address, and the model or the file of cases."""
    if len(sys.argv) != 3:
        sys.exit("usage: %s URL MODEL|CASES" % sys.argv[0])
    return sys.argv[1].rstrip("/"), sys.argv[2]


def equal(got, want, what):
    if got != want:
        raise AssertionError("%s: got %r, want %r" % (what, got, want))


def true(ok, what, got=None):
    if not ok:
        raise AssertionError(what if got is None else "%s: got %r" % (what, got))


def raised(kind, call):
    """Returns the error of the given kind that call raises."""
    try:
        got = call()
    except kind as error:
        return error
    raise AssertionError("no %s: got %r" % (kind.__name__, got))


def weather(name, arguments):
    """Checks a call to the tool weather."""
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
