"""Codex runs commands and patches files in a conversation of several turns."""

import base64
import json
import os

from agents import ADDRESS, PIXEL, Conversation, Failed, equal, fenced, main, program, true


class Codex(Conversation):
    thread = None

    def ask(self, text, *arguments):
        """Says something and returns the last answer."""
        settings = self.home / ".codex"
        settings.mkdir(exist_ok=True)
        (settings / "config.toml").write_text(fenced("codex.md", "toml").replace(ADDRESS, os.environ["CARROT_URL"]))
        env = self.environment(CARROT_API_KEY=os.environ["CARROT_KEY"])
        codex = program("@openai", "codex-linux-x64", "vendor", "x86_64-unknown-linux-musl", "bin", "codex")
        command = [codex, "exec"] + (["resume", self.thread] if self.thread else [])
        command += ["--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", *arguments]
        if self.header():
            command += ["--config", 'model_providers.carrot.http_headers={"x-carrot-models" = "%s"}' % self.header()]
        model = self.asks_for()
        if model:
            command += ["--model", model]
        else:
            lines = (settings / "config.toml").read_text().splitlines()
            (settings / "config.toml").write_text("\n".join(l for l in lines if not l.startswith("model = ")) + "\n")
        out = self.run(command + ["--", text], env)
        answer = None
        for event in out:
            if event["type"] == "thread.started":
                self.thread = event["thread_id"]
            if event["type"] in ("error", "turn.failed"):
                raise Failed("turn %d: %s" % (self.turns, event))
            if event["type"] == "item.completed" and event["item"]["type"] == "agent_message":
                answer = event["item"]["text"]
        equal(out[-1]["type"], "turn.completed", "the last event of turn %d" % self.turns)
        return answer


def command(text):
    return "[[call exec_command %s]]" % json.dumps({"cmd": text})


def check_falling(c):
    """In the middle of a turn, the API that answers is down, and another takes over."""
    numbers = [c.number() for _ in range(3)]
    for i, number in enumerate(numbers):
        (c.folder / ("%d.txt" % i)).write_text(number + "\n")
    read = [command("cat %d.txt" % i) for i in range(3)]
    for i, text in enumerate(["Begin. " + read[0], "Go on. %s %s [[down %s]]" % (read[0], read[1], c.fallen[0]), "Go on. %s %s" % (read[1], read[2])]):
        answer = c.ask(text)
        true(answer and answer.startswith("Done: ") and numbers[i] in answer, "turn %d: %r has no %s" % (i + 1, answer, numbers[i]))
    c.finish(numbers)


def check_short(c):
    """The conversation becomes longer than Codex is told to let it, so it is shortened;
    then a message is longer than the model's context, and Codex says so."""
    number = c.number()
    (c.folder / "number.txt").write_text(number + "\n")
    long = " ".join(command("seq %d %d" % (n, n + 2999)) for n in (1000, 4000, 7000))
    answer = c.ask("%s %s %s" % (c.tag, long, command("cat number.txt")))
    true(number in answer, "turn 1: %r has no %s" % (answer, number))
    answer = c.ask("Go on. " + command("cat number.txt"), "--config", "model_auto_compact_token_limit=16000")
    true(number in answer, "turn 2: %r has no %s" % (answer, number))
    log = c.log()
    true(any("CONTEXT CHECKPOINT COMPACTION" in json.dumps(e["request"]) for e in log), "the conversation was not shortened in turn 2")
    true("1100\\n1101" not in json.dumps(log[-1]["request"]), "the last request has the long result that was to be left out")
    try:
        c.ask(c.tag + " much text" * 12800)
    except Failed as error:
        true("ran out of room in the model's context window" in str(error), "Codex does not say that the message is too long: %s" % error)
    else:
        raise Failed("a message that is too long was answered")
    c.finish([c.tag], too_long=1)


def check(c):
    if c.model == "short":
        return check_short(c)
    if c.fallen:
        return check_falling(c)
    first, second, third, fourth = (c.number() for _ in range(4))
    file = c.folder / "number.txt"
    file.write_text(first + "\n")
    (c.folder / "other.txt").write_text(second + "\n")
    (c.folder / "pixel.png").write_bytes(base64.b64decode(PIXEL))
    patch = "*** Begin Patch\n*** Update File: number.txt\n@@\n-%s\n+%s\n*** End Patch" % (first, third)
    if c.model == "default":
        # Its own models call tools in a program, which is the text of one tool.
        def program(*lines):
            return "[[call exec %s]]" % json.dumps("\n".join(lines))

        def shell(*commands):
            return program(*["text((await tools.exec_command({cmd: %s})).output);" % json.dumps(c) for c in commands])

        turns = [shell("cat number.txt"), shell("cat number.txt", "cat other.txt"),
                 program("await tools.apply_patch(%s);" % json.dumps(patch)) + " " + shell("cat number.txt"),
                 program("image(await tools.view_image({path: %s}));" % json.dumps(str(c.folder / "pixel.png"))) + " " + shell("echo seen " + fourth)]
    else:
        change = "[[call apply_patch %s]]" % json.dumps(patch) if c.model == "gpt-5.5" else command("apply_patch <<'EOF'\n%s\nEOF" % patch)
        turns = [command("cat number.txt"), command("cat number.txt") + "+" + command("cat other.txt"),
                 change + " " + command("cat number.txt"),
                 "[[call view_image %s]] %s" % (json.dumps({"path": str(c.folder / "pixel.png")}), command("echo seen " + fourth))]
    for i, (words, number) in enumerate([("which number?", first), ("And both?", second), ("Change it.", third), ("Look at it.", fourth)]):
        answer = c.ask("%s %s %s" % (c.tag, words, turns[i]))
        true(answer and answer.startswith("Done: ") and number in answer, "turn %d: %r has no %s" % (i + 1, answer, number))
    equal(file.read_text(), third + "\n", "the file after turn 3")
    # Tools in a namespace; with gpt-5.5, they are found by a search.
    if c.model == "default":
        answer = c.ask("Who is there? [[call list_agents {}]]")
        true(answer.startswith("Done: ") and "/root" in answer, "turn 5, a tool in a namespace: %r" % answer)
    else:
        search = '[[call tool_search {"query": "close agent", "limit": 3}]] ' if c.model == "gpt-5.5" else ""
        nobody = "01a22806-0000-7000-8000-000000000000"
        answer = c.ask("Close it. %s[[call close_agent %s]]" % (search, json.dumps({"target": nobody})))
        true(answer.startswith("Done: ") and nobody in answer, "turn 5, a tool in a namespace: %r" % answer)
    answer = c.ask("What did I say?")
    equal(answer, "You said: What did I say?", "turn 6, no tools")
    c.finish([c.tag, first, second, third, fourth, "Look at it."])


main(Codex, check)
