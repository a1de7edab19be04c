"""AutoGen: a team of two agents. The second one says what the first one has told it, so
the first one's answer arrives with its name."""

import checks
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.messages import ModelClientStreamingChunkEvent, TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat

URL, MODEL, API = checks.arguments()
model = checks.paste("autogen.md", URL, MODEL, API)["model"]


async def conversation(name, streamed):
    secrets = checks.Secrets()

    async def secret(which: str) -> str:
        """Returns the secret of that name."""
        return secrets.give(which)

    keeper = AssistantAgent("keeper", model, tools=[secret], max_tool_iterations=5, model_client_stream=streamed, system_message="Be brief.")
    herald = AssistantAgent("herald", model, model_client_stream=streamed, system_message="Say what the keeper said.")
    team = RoundRobinGroupChat([keeper, herald], max_turns=2)

    async def ask(text, turn):
        chunks, result = "", None
        async for event in team.run_stream(task=TextMessage(content=text, source="Ada")):
            if isinstance(event, ModelClientStreamingChunkEvent):
                chunks += event.content
            elif isinstance(event, TaskResult):
                result = event
        last = result.messages[-1]
        assert last.source == "herald", last
        assert chunks.endswith(last.content) if streamed else not chunks, (chunks, last)
        return last.content

    await checks.converse(name, secrets, ask)


checks.run(conversation("whole", False), conversation("streamed", True))
