"""Pydantic AI: an agent whose history is saved as JSON and loaded again in each turn."""

import checks
from pydantic_ai import Agent, AgentRunResultEvent, ModelMessagesTypeAdapter, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta

URL, MODEL, API = checks.arguments()
model = checks.paste("pydantic-ai.md", URL, MODEL, API)["model"]


async def conversation(name, streamed, settings=None):
    secrets = checks.Secrets()
    agent = Agent(model, instructions="Be brief.", model_settings=settings)

    @agent.tool_plain
    def secret(which: str) -> str:
        """Returns the secret of that name."""
        return secrets.give(which)

    saved = b"[]"

    async def ask(text, turn):
        nonlocal saved
        history = ModelMessagesTypeAdapter.validate_json(saved)
        if streamed:
            said, result = "", None
            async with agent.run_stream_events(text, message_history=history) as events:
                async for event in events:
                    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
                        said += event.part.content
                    elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                        said += event.delta.content_delta
                    elif isinstance(event, AgentRunResultEvent):
                        result = event.result
            assert said.endswith(result.output), (said, result.output)
        else:
            result = await agent.run(text, message_history=history)
        saved = result.all_messages_json()
        return result.output

    await checks.converse(name, secrets, ask)


thinking = {
    "chat": {"openai_reasoning_effort": "high"},
    "responses": {"openai_reasoning_effort": "high", "openai_reasoning_summary": "auto"},
    "messages": {"anthropic_thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 9000},
}[API]
checks.run(
    conversation("whole", False), conversation("streamed", True),
    conversation("whole, thinking", False, thinking), conversation("streamed, thinking", True, thinking))
