"""The tool runner of Anthropic's client. It asks the server to hold the conversation (a
thread) and sends only what is new, and sends everything again if it does not."""

import checks
from anthropic import beta_tool

URL, MODEL, API = checks.arguments()
names = checks.paste("anthropic-tool-runner.md", URL, MODEL, API)
client, model = names["client"], names["model"]


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def secret_tool(secrets):
    @beta_tool
    def secret(which: str) -> str:
        """Returns the secret of that name.

        Args:
            which: the name
        """
        return secrets.give(which)

    return secret


async def conversation(name, streamed, **more):
    secrets = checks.Secrets()
    messages = []

    async def ask(text, turn):
        messages.append({"role": "user", "content": text})
        runner = client.beta.messages.tool_runner(
            model=model, max_tokens=9000, system="Be brief.", tools=[secret_tool(secrets)], messages=list(messages), stream=streamed, **more)
        for message in runner:
            if streamed:
                said = "".join(message.text_stream)
                message = message.get_final_message()
                assert said == text_of(message), (said, message)
            messages.append({"role": "assistant", "content": message.content})
            if results := runner.generate_tool_call_response():
                messages.append(results)
        return text_of(message)

    await checks.converse(name, secrets, ask)


async def thread(name, streamed):
    """One thread for the whole conversation."""
    secrets = checks.Secrets()

    kept = client.beta.messages.thread(model=model, max_tokens=1000, system="Be brief.", tools=[secret_tool(secrets)])

    async def ask(text, turn):
        kept.append({"role": "user", "content": text})
        runner = kept.tool_runner(stream=streamed)
        for message in runner:
            if streamed:
                message = message.get_final_message()
        return text_of(message)

    await checks.converse(name, secrets, ask)


checks.run(
    conversation("whole", False), conversation("streamed", True), conversation("whole, no thread", False, thread=False),
    conversation("streamed, thinking", True, thinking={"type": "enabled", "budget_tokens": 2048}),
    conversation("whole, thinking, no thread", False, thinking={"type": "adaptive"}, thread=False),
    thread("one thread, whole", False), thread("one thread, streamed", True))
