"""OpenAI's Agents SDK: an agent with a session, which sends the whole conversation."""

import checks
from agents import Agent, ModelSettings, Runner, SQLiteSession, function_tool
from openai.types.shared import Reasoning

URL, MODEL, API = checks.arguments()
model = checks.paste("openai-agents.md", URL, MODEL, API)["model"]


async def conversation(name, streamed, **settings):
    secrets = checks.Secrets()

    @function_tool
    def secret(which: str) -> str:
        """Returns the secret of that name."""
        return secrets.give(which)

    agent = Agent(name="keeper", instructions="Be brief.", tools=[secret], model=model, model_settings=ModelSettings(**settings))
    session = SQLiteSession(name)

    async def ask(text, turn):
        if not streamed:
            return (await Runner.run(agent, text, session=session)).final_output
        result = Runner.run_streamed(agent, text, session=session)
        said = ""
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                said += event.data.delta
        assert said.endswith(result.final_output), (said, result.final_output)
        return result.final_output

    await checks.converse(name, secrets, ask)


thinking = {"reasoning": Reasoning(effort="high", summary="auto")}
checks.run(
    conversation("whole", False), conversation("streamed", True),
    conversation("whole, thinking", False, **thinking), conversation("streamed, thinking", True, **thinking),
    conversation("not stored", True, store=False, response_include=["reasoning.encrypted_content"], **thinking) if API == "responses" else None)
