"""AutoGen: an agent that is saved and loaded again in each turn. It sends the names of
those who speak."""

import json

import checks
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.messages import ModelClientStreamingChunkEvent, TextMessage

URL, MODEL, API = checks.arguments()
model = checks.paste("autogen.md", URL, MODEL, API)["model"]


async def conversation(name, streamed):
    secrets = checks.Secrets()

    async def secret(which: str) -> str:
        """Returns the secret of that name."""
        return secrets.give(which)

    state = None

    async def ask(text, turn):
        nonlocal state
        agent = AssistantAgent("keeper", model, tools=[secret], max_tool_iterations=5, model_client_stream=streamed, system_message="Be brief.")
        if state:
            await agent.load_state(json.loads(state))
        chunks, result = "", None
        async for event in agent.run_stream(task=TextMessage(content=text, source="Ada")):
            if isinstance(event, ModelClientStreamingChunkEvent):
                chunks += event.content
            elif isinstance(event, TaskResult):
                result = event
        last = result.messages[-1]
        assert last.source == "keeper", last
        assert chunks.endswith(last.content) if streamed else not chunks, (chunks, last)
        state = json.dumps(await agent.save_state())
        return last.content

    await checks.converse(name, secrets, ask)


checks.run(conversation("whole", False), conversation("streamed", True))
