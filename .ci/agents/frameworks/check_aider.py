"""aider: it writes a number into a file, and goes on with the conversation when it is
started again. It calls no tools: the model's text is the file."""

import os
import secrets
import shlex
import subprocess
import sys
import tempfile

import checks

URL, MODEL, API = checks.arguments()


def main():
    # The lines to paste: settings of the environment, and the command.
    *settings, command = checks.block("aider.md", URL, MODEL, API).strip().splitlines()
    env = dict(os.environ)
    for line in settings:
        name, value = line.removeprefix("export ").split("=", 1)
        env[name] = shlex.split(value)[0]
    program, *options = shlex.split(command)
    assert program == "aider", command
    for stream in "--no-stream", "--stream":
        with tempfile.TemporaryDirectory() as folder:
            aider(folder, env, options + [stream])
            print("ok  %s" % stream, flush=True)


def aider(folder, env, options):
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    path = os.path.join(folder, "note.txt")
    number = ""
    for turn in range(2):
        with open(path, "a", encoding="utf-8"):
            pass
        before, number = number, str(secrets.randbelow(9 * 10**9) + 10**9)
        run = subprocess.run(
            [sys.executable, "-m", "aider", *options, "--edit-format", "whole", "--restore-chat-history", "--yes-always", "--no-pretty", "--no-gitignore",
             "--no-show-model-warnings", "--no-show-release-notes", "--map-tokens", "0", "--message", "to/note.txt\n```\n%s\n```" % number, "note.txt"],
            cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200)
        with open(path, encoding="utf-8") as file:
            written = file.read()
        if written.strip() != number or run.returncode != 0:
            sys.exit("FAILED: note.txt has %r, want %r; aider ended with %d:\n%s%s" % (written, number, run.returncode, run.stdout, run.stderr))
        checks.arrived("aider", [n for n in (before, number) if n])
    log = subprocess.run(["git", "log", "--format=%s"], cwd=folder, capture_output=True, text=True, check=True).stdout.split("\n")
    if len([line for line in log if line]) < 2:
        sys.exit("FAILED: aider has committed %r" % log)


main()
