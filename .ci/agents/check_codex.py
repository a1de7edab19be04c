"""Codex runs commands and patches files in a conversation of several turns."""

import base64
import json
import os

from agents import ADDRESS, PIXEL, Conversation, Failed, equal, fenced, main, program, true


class Codex(Conversation):
    thread = None

    def ask(self, text):
        """Says something and returns the last answer."""
        settings = self.home / ".codex"
        settings.mkdir(exist_ok=True)
        (settings / "config.toml").write_text(fenced("codex.md", "toml").replace(ADDRESS, os.environ["CARROT_URL"]))
        env = self.environment(CARROT_API_KEY=os.environ["CARROT_KEY"])
        codex = program("@openai", "codex-linux-x64", "vendor", "x86_64-unknown-linux-musl", "bin", "codex")
        command = [codex, "exec"] + (["resume", self.thread] if self.thread else [])
        command += ["--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
        if self.header():
            command += ["--config", 'model_providers.carrot.http_headers={"x-carrot-models" = "%s"}' % self.header()]
        model = self.asks_for()
        if model:
            command += ["--model", model]
        else:
            lines = (settings / "config.toml").read_text().splitlines()
            (settings / "config.toml").write_text("\n".join(l for l in lines if not l.startswith("model = ")) + "\n")
        out = self.run(command + [text], env)
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


def check(c):
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
    answer = c.ask("What did I say?")
    equal(answer, "You said: What did I say?", "turn 5, no tools")
    c.finish([c.tag, first, second, third, fourth, "Look at it."])


main(Codex, check)
