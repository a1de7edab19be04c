"""LangGraph: two named agents take turns in a conversation that is kept in a
checkpointer, so each of them gets messages with the name of the other."""

import checks
from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

URL, MODEL, API = checks.arguments()


def team(model, secrets):
    @tool
    def secret(which: str) -> str:
        """Returns the secret of that name."""
        return secrets.give(which)

    graph = StateGraph(MessagesState)
    for name in "alice", "bob":
        graph.add_node(name, create_agent(model, [secret], system_prompt="You are %s. Be brief." % name, name=name))
        graph.add_edge(name, END)
    users = lambda state: sum(m.type == "human" for m in state["messages"])
    graph.add_conditional_edges(START, lambda state: "alice" if users(state) % 2 else "bob", ["alice", "bob"])
    return graph.compile(checkpointer=InMemorySaver())


async def conversation(name, model, streamed):
    secrets = checks.Secrets()
    graph, thread = team(model, secrets), {"configurable": {"thread_id": name}}

    async def ask(text, turn):
        said = {"messages": [HumanMessage(text, name="Ada")]}
        if streamed:
            async for _, (part, _) in graph.astream(said, thread, stream_mode="messages", subgraphs=True):
                if isinstance(part, AIMessageChunk) and part.text:
                    texts.append(part.text)
        else:
            await graph.ainvoke(said, thread)
        messages = graph.get_state(thread).values["messages"]
        assert messages[-1].name == ("alice", "bob")[turn % 2], messages[-1]
        if streamed:
            assert "".join(texts).endswith(messages[-1].text), (texts, messages[-1])
        return messages[-1].text

    texts = []
    await checks.converse(name, secrets, ask)


def models():
    model = checks.paste("langgraph.md", URL, MODEL, API)["model"]
    yield "default", model
    more = {
        "responses": {"reasoning": {"effort": "high", "summary": "auto"}},
        "messages": {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 9000},
    }
    if API in more:
        yield "thinking", model.model_copy(update=more[API])


checks.run(*(conversation("%s, %s" % (kind, how), model, how == "streamed") for kind, model in models() for how in ("whole", "streamed")))
