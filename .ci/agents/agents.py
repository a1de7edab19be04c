"""What the checks of agents share: where the gateway is, what the pages in docs/clients
say, what arrived at the provider and what the gateway recorded.

As a program, `agents.py aliases` prints the aliases that the pages recommend."""

import json
import os
import pathlib
import random
import re
import subprocess
import sys
import time
import urllib.request

EVERY = ["messages", "chat", "responses"]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
ADDRESS = "http://127.0.0.1:8080"  # as pages have it
KEY = "your-key-at-the-gateway"


def fenced(page, language):
    """Returns the first fenced block of a language in a page of docs/clients."""
    text = (pathlib.Path(os.environ["DOCS"]) / page).read_text()
    found = re.search(r"^```%s\n(.*?)^```$" % language, text, re.S | re.M)
    if not found:
        raise SystemExit("%s has no block ```%s" % (page, language))
    return found.group(1)


def aliases():
    """Returns the lines below `aliases:` in the blocks of YAML of all pages."""
    out = []
    for page in sorted(pathlib.Path(os.environ["DOCS"]).glob("*.md")):
        for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.S | re.M):
            below = re.search(r"^aliases:\n((?:  .*\n)+)", block, re.M)
            out += below.group(1).splitlines() if below else []
    return list(dict.fromkeys(out))


def skip(reason):
    print("skipped: " + reason)
    sys.exit(77)


class Failed(Exception):
    pass


def true(ok, what):
    if not ok:
        raise Failed(what)


def equal(got, want, what):
    true(got == want, "%s: got %r, want %r" % (what, got, want))


class Conversation:
    """One conversation of an agent, in a folder of its own. Subclasses say how the
    agent is called."""

    def __init__(self, model):
        self.model, _, self.api = model.partition("@")
        self.fallen = model.split("-")[1:] if model.startswith("falling-") else []
        self.client = os.environ["CARROT_CLIENT"]
        self.turns = 0
        # Agents tell the model in which folder they are, so its name is in every
        # request of the conversation.
        self.tag = "tag%012x" % random.getrandbits(48)
        self.folder = pathlib.Path.cwd() / self.tag
        self.home = pathlib.Path.cwd() / "home"
        self.folder.mkdir()
        self.home.mkdir()

    def number(self):
        """Returns a number that the model can only know from a tool."""
        return "%018d" % random.randrange(10**18)

    def asks_for(self):
        """Returns the model to ask for in this turn, or None for the agent's own."""
        if self.model == "moving":
            return "over-" + EVERY[self.turns % len(EVERY)]
        return None if self.model == "default" else self.model

    def header(self):
        """Returns the value of x-carrot-models in this turn, or None without one."""
        api = EVERY[self.turns % len(EVERY)] if self.api == "moving" else self.api
        return self.candidate(api) if api else None

    def candidate(self, api):
        """Returns the name of the candidate that answers over an API."""
        return ("s-" if self.model == "short" else "m-") + api

    def environment(self, **more):
        """Returns an environment with nothing from outside but the path."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "TMPDIR": os.environ["TMPDIR"], "LANG": "C.UTF-8", "CI": "1", "NO_PROXY": "127.0.0.1", **more}

    def run(self, command, env):
        """Runs the agent and returns the objects that it prints, one a line."""
        self.turns += 1
        done = subprocess.run(command, env=env, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100)
        out = []
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                out.append(json.loads(line))
        true(done.returncode == 0, "turn %d ended with %d:\n%s\n%s" % (self.turns, done.returncode, done.stdout[-3000:], done.stderr[-2000:]))
        return out

    def log(self):
        """Returns what arrived at the provider from this conversation."""
        with urllib.request.urlopen(os.environ["PROVIDER_URL"] + "/log?with=" + self.tag) as answer:
            return [json.loads(line) for line in answer]

    def records(self):
        """Returns the attempts that the gateway recorded for this conversation."""
        for _ in range(50):  # rows are written in the background
            rows = []
            with open(os.environ["RECORDS"]) as file:
                for line in file:
                    if line.endswith("\n"):
                        row = json.loads(line)
                        if row.get("client") == self.client:
                            rows.append(row)
            if len(rows) >= len([e for e in self.log() if not e["path"].startswith("/v1/messages/count_tokens")]):
                return rows
            time.sleep(0.1)
        raise Failed("the gateway recorded %d attempts, but the provider got %d" % (len(rows), len(self.log())))

    def finish(self, remembers, too_long=0):
        """Checks what all conversations must have in common: the provider refused
        nothing, except as many requests as too long as expected, the gateway served
        the others, and the last request still has the texts of the first turns. Prints
        what was called and what was left out, which the agent's page must name.
        Requests to an API that was down are not counted, but there must be some."""
        log = self.log()
        if self.fallen:
            down = [e["api"] for e in log if e["status"] == 503]
            equal(sorted(set(down)), self.fallen[:1], "the API that was down")
            log = [e for e in log if e["status"] != 503]
        refused = ["%s %s: %s" % (e["api"], e["path"], e["error"]) for e in log if e["status"] != 200]
        true(len(refused) == too_long, "the provider refused %d of %d requests:\n%s" % (len(refused), len(log), "\n".join(refused)))
        last = json.dumps(log[-1]["request"], ensure_ascii=False)
        for text in remembers:
            true(text in last, "the last request has no %r any more" % text)
        rows = self.records()
        if self.fallen:
            rows = [r for r in rows if r.get("status") != 503]
        bad = ["%s %s %s: %s" % (r["candidate"], r["outcome"], r.get("status"), r.get("error_code")) for r in rows if r["outcome"] != "served"]
        true(len(bad) == too_long, "attempts that served nothing:\n%s" % "\n".join(bad))
        kept_out = {c["name"] + " " + c["excluded"] for r in rows for c in r["decision"]["candidates"] if c["excluded"] not in (None, "not among the models to choose from")}
        true(not kept_out, "candidates were kept out: %s" % ", ".join(kept_out))
        billed = [e["api"] for e in log if e["api"] != "messages" and "x-anthropic-billing-header" in json.dumps(e["request"])]
        true(not billed, "the billing block of Claude Code went to other vendors: %s" % billed)
        apis = sorted({e["api"] for e in log})
        if self.fallen:
            equal(apis, sorted(self.fallen), "the APIs that were called")
        elif "moving" in (self.model, self.api):
            equal(apis, sorted(EVERY), "the APIs that were called")
        elif self.api or self.model.startswith("over-"):
            equal(apis, [self.api or self.model[len("over-"):]], "the APIs that were called")
        page = (pathlib.Path(os.environ["DOCS"]) / (self.client.split(":")[0] + ".md")).read_text()
        unsaid = {name for r in rows for what in ("dropped", "narrowed") for name in r.get(what) or [] if "`%s`" % name not in page}
        true(not unsaid, "the page does not name what was left out or changed: %s" % ", ".join(sorted(unsaid)))
        for api in apis:
            mine = [r for r in rows if r["candidate"] == self.candidate(api)]
            print("   %d requests over %s" % (len(mine), api), end="")
            for what in ("dropped", "narrowed"):
                names = sorted({name for r in mine for name in r.get(what) or []})
                print("; %s %s" % (what, ", ".join(names)) if names else "", end="")
            print()
        return log, rows


def main(conversation, check):
    """Runs a check with the model of the command line."""
    if len(sys.argv) != 2:
        sys.exit("usage: %s MODEL" % sys.argv[0])
    try:
        check(conversation(sys.argv[1]))
    except (Failed, subprocess.TimeoutExpired) as error:
        print(error)
        sys.exit(1)


def program(*path):
    """Returns the path of a program below NODE_MODULES, or skips the check."""
    folder = os.environ["NODE_MODULES"]
    file = pathlib.Path(folder, *path)
    if not folder or not file.exists():
        skip("%s is not installed" % "/".join(path))
    return str(file)


if __name__ == "__main__":
    if sys.argv[1:] != ["aliases"]:
        sys.exit("usage: agents.py aliases")
    print("\n".join(aliases()))
