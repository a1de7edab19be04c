"""Claude Code reads, edits and runs commands in a conversation of several turns."""

import base64
import json
import os
import re

from agents import ADDRESS, KEY, PIXEL, Conversation, equal, fenced, main, program, true


class ClaudeCode(Conversation):
    session = None

    def ask(self, text):
        """Says something and returns the last answer."""
        env = self.environment(DISABLE_AUTOUPDATER="1", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1")
        for name, value in re.findall(r"^export (\w+)=(.*)$", fenced("claude-code.md", "sh"), re.M):
            env[name] = value.replace(ADDRESS, os.environ["CARROT_URL"]).replace(KEY, os.environ["CARROT_KEY"])
        model = self.asks_for()
        env.pop("ANTHROPIC_MODEL")
        if model:
            env["ANTHROPIC_MODEL"] = model
        if self.header():
            env["ANTHROPIC_CUSTOM_HEADERS"] = "x-carrot-models: " + self.header()
        command = [program("@anthropic-ai", "claude-code-linux-x64", "claude"), "-p", "--output-format", "stream-json", "--verbose"]
        command += ["--allowedTools", "Bash,Read,Edit,Write", "--permission-mode", "acceptEdits"]
        if self.session:
            command += ["--resume", self.session]
        out = self.run(command + ["--", text], env)
        self.compacted = any(event.get("subtype") == "compact_boundary" for event in out)
        result = out[-1]
        equal((result["type"], result.get("is_error")), ("result", False), "the last event of turn %d: %s" % (self.turns, result))
        self.session = result["session_id"]
        return result["result"]


def call(name, **arguments):
    return "[[call %s %s]]" % (name, json.dumps(arguments))


def check(c):
    if c.model == "short":
        return check_short(c)
    if c.fallen:
        return check_falling(c)
    first, second, third, fourth = (c.number() for _ in range(4))
    file, picture = c.folder / "number.txt", c.folder / "pixel.png"
    file.write_text(first + "\n")
    (c.folder / "other.txt").write_text(second + "\n")
    picture.write_bytes(base64.b64decode(PIXEL))
    answer = c.ask("%s: which number is in the file? %s" % (c.tag, call("Bash", command="cat number.txt")))
    equal(answer, "Done: " + first, "turn 1")
    answer = c.ask("And both? %s+%s" % (call("Bash", command="cat number.txt"), call("Bash", command="cat other.txt")))
    true(answer in ("Done: " + first, "Done: " + second), "turn 2, two calls at once, of which one ends last: %r" % answer)
    answer = c.ask("Change it. %s %s %s" % (
        call("Read", file_path=str(file)),
        call("Edit", file_path=str(file), old_string=first, new_string=third),
        call("Bash", command="cat number.txt")))
    equal(answer, "Done: " + third, "turn 3, three calls in sequence")
    equal(file.read_text(), third + "\n", "the file after turn 3")
    answer = c.ask("Look at it. %s %s" % (call("Read", file_path=str(picture)), call("Bash", command="echo seen " + fourth)))
    equal(answer, "Done: seen " + fourth, "turn 4, a picture in the result of a tool")
    answer = c.ask("Fetch. %s %s" % (call("ToolSearch", query="select:WebFetch,NotebookEdit", max_results=2), call("NotebookEdit", notebook_path=str(c.folder / "none.ipynb"), new_source="x")))
    true(answer.startswith("Done: ") and "InputValidationError" not in answer, "turn 5, a tool that is loaded when it is needed: %r" % answer)
    answer = c.ask("Delegate. %s" % call("Agent", description="count", prompt="%s: %s" % (c.tag, call("Bash", command="cat other.txt")), subagent_type="general-purpose", run_in_background=False))
    request = c.log()[-1]["request"]
    report = json.dumps((request.get("messages") or request["input"])[-2:])
    true(answer.startswith("Done: ") and second in report, "turn 6, an agent that has a conversation of its own: %r after %s" % (answer, report))
    answer = c.ask("What did I say?")
    equal(answer, "You said: What did I say?", "turn 7, no tools")
    c.finish([c.tag, first, second, third, fourth, "Look at it."])


def check_falling(c):
    """In the middle of a turn, the API that answers is down, and another takes over."""
    first, second, third = (c.number() for _ in range(3))
    for i, number in enumerate([first, second, third]):
        (c.folder / ("%d.txt" % i)).write_text(number + "\n")
    read = [call("Bash", command="cat %d.txt" % i) for i in range(3)]
    equal(c.ask("Begin. " + read[0]), "Done: " + first, "turn 1")
    equal(c.ask("Go on. %s %s [[down %s]]" % (read[0], read[1], c.fallen[0])), "Done: " + second, "turn 2")
    equal(c.ask("Go on. %s %s" % (read[1], read[2])), "Done: " + third, "turn 3")
    c.finish([first, second, third])


def check_short(c):
    """The conversation becomes longer than the model's context, so it is shortened."""
    number = c.number()
    (c.folder / "number.txt").write_text(number + "\n")
    answer = c.ask("%s: %s %s" % (c.tag, "much text " * 6000, call("Bash", command="cat number.txt")))
    equal(answer, "Done: " + number, "turn 1")
    true(not c.compacted, "turn 1 fits")
    answer = c.ask("More text. " * 5820 + "What now?")
    true(answer.startswith("You said: More text."), "turn 2: %r" % answer)
    true(c.compacted, "the conversation was not shortened in turn 2")
    answer = c.ask("%s: %s" % (c.tag, call("Bash", command="cat number.txt")))
    equal(answer, "Done: " + number, "turn 3")
    c.finish([c.tag], too_long=1)


main(ClaudeCode, check)
