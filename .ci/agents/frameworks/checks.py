"""What the checks of the Python frameworks share.

Each program in this folder holds conversations with a framework as a user of it
would write them:

    python3 check_NAME.py http://HOST:PORT MODEL API

API is one that the framework speaks: chat, responses or messages. The model is
simulated: it makes the calls that the user's text asks for in [[call NAME JSON]],
joined by + if they are parallel, and then says "Done: " and the result of the last
call, or "You said: " and the text. The lines that connect the framework to the
gateway are those that its page in docs/clients tells users to paste.
"""

import asyncio
import os
import random
import re
import sys
import time
import traceback
import urllib.request

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../docs/clients")
HEADINGS = {"chat": "Chat completions", "responses": "Responses", "messages": "Messages"}


def arguments():
    """Returns the arguments: the gateway's address, the model and the API."""
    if len(sys.argv) != 4 or sys.argv[3] not in HEADINGS:
        sys.exit("usage: %s URL MODEL chat|responses|messages" % sys.argv[0])
    return sys.argv[1].rstrip("/"), sys.argv[2], sys.argv[3]


def block(page, url, model, api):
    """Returns the first fenced block under the API's heading of a page, for another
    address and model than those in the page."""
    with open(os.path.join(DOCS, page), encoding="utf-8") as file:
        text = file.read()
    found = re.search(r"^## %s\n.*?^```\w+\n(.*?)^```" % HEADINGS[api], text, re.M | re.S)
    lines = found and found[1]
    if not lines or "http://127.0.0.1:8080" not in lines or "auto" not in lines:
        raise AssertionError("%s has no lines to paste for %s, with the address http://127.0.0.1:8080 and the model auto" % (page, api))
    return re.sub(r"\bauto\b", model, lines.replace("http://127.0.0.1:8080", url))


def paste(page, url, model, api):
    """Runs the lines to paste of a page, and returns the names that they define."""
    names = {}
    exec(compile(block(page, url, model, api), page, "exec"), names)
    return names


class Secrets:
    """A tool that returns random numbers, which no model can guess."""

    def __init__(self):
        self.given = []  # (which, number)

    def give(self, which):
        number = str(random.SystemRandom().randrange(10**9, 10**10))
        self.given.append((which, number))
        return number


def call(*groups):
    """Returns a text that asks for calls: each group of names is one answer's."""
    return " ".join("+".join('[[call secret {"which": "%s"}]]' % which for which in group.split()) for group in groups)


TURNS = [
    ("one call", call("first"), ["first"]),
    ("parallel calls", call("left right"), ["left", "right"]),
    ("a call after another", call("before", "after"), ["before", "after"]),
    ("no call", "Thank you.", []),
    ("parallel calls, then one", call("east west", "north"), ["east", "west", "north"]),
]


async def converse(name, secrets, ask):
    """Holds a conversation. ask takes the user's text and a number that is higher in
    each turn, and returns the model's last text of the turn."""
    numbers = []
    for turn, (what, text, calls) in enumerate(TURNS):
        start = time.monotonic()
        before = len(secrets.given)
        try:
            answer = await ask(text, turn)
        except BaseException as error:
            raise AssertionError("%s, %s: %s: %s" % (name, what, type(error).__name__, error)) from error
        given = secrets.given[before:]
        if sorted(which for which, _ in given) != sorted(calls):
            raise AssertionError("%s, %s: the tool ran for %r, want %r; the answer is %r" % (name, what, [w for w, _ in given], calls, answer))
        wanted = [n for which, n in given if which == calls[-1]] if calls else ["You said: ", text]
        if not all(part in answer for part in wanted):
            raise AssertionError("%s, %s: the answer is %r, want %r in it" % (name, what, answer, wanted))
        numbers += [n for _, n in given]
        print("ok  %s, %s (%.1fs)" % (name, what, time.monotonic() - start), flush=True)
    arrived(name, numbers)


def arrived(name, numbers):
    """Checks that the results of all calls reached the provider, whose log is at the
    address in the environment variable PROVIDER_LOG, if that is set."""
    if log := os.environ.get("PROVIDER_LOG"):
        with urllib.request.urlopen(log) as response:
            received = response.read().decode()
        if missing := [n for n in numbers if n not in received]:
            raise AssertionError("%s: results that never reached the provider: %r" % (name, missing))


def run(*conversations):
    """Runs coroutines, one after another."""

    async def all_of_them():
        for conversation in conversations:
            if conversation:
                await conversation

    try:
        asyncio.run(all_of_them())
    except Exception as error:
        if not isinstance(error, AssertionError) or error.__cause__:
            traceback.print_exc()
        sys.exit("FAILED %s" % error)
