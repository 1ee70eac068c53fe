"""A LangGraph agent whose held calls interrupt the graph, and go on when it is resumed with an answer.

Needs `langchain`; the model is scripted, so it runs offline: `python examples/sdk/langgraph_agent.py`.
"""

import tempfile
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

import thoth

HERE = Path(__file__).parent


class Scripted(GenericFakeChatModel):
    """A model that says what it is given to say."""

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


@tool
def pay(amount: float, to: str) -> str:
    """Pay somebody."""
    return f"paid {amount:,.0f} to {to}"


def main() -> None:
    """Run the graph up to the hold, answer, and run it to its end."""
    call = {"name": "pay", "args": {"amount": 50_000, "to": "ACME"}, "id": "1", "type": "tool_call"}
    model = Scripted(messages=iter([AIMessage("", tool_calls=[call]), AIMessage("It is done.")]))
    graph = thoth.instrument(
        create_agent(model, [pay], checkpointer=InMemorySaver()),
        agent_id="treasury-bot",
        approved_scope=["pay"],
        tenant_id="acme",
        user_id="ann",
        policy=HERE / "office.thoth",
        evidence=Path(tempfile.mkdtemp()) / "evidence",
        on_hold="interrupt",
    )
    thread: Any = {"configurable": {"thread_id": "case-17"}}
    state = graph.invoke({"messages": [("user", "Pay ACME 50,000")]}, thread)
    held = state["__interrupt__"][0].value
    print(f"held: {held['tool']} {held['args']} waits for {', '.join(held['approvers'])}")
    answer = {"hold": held["hold"], "granted": True, "approver": "finance-leads", "principal": "bob"}
    state = graph.invoke(Command(resume=answer), thread)
    print(*(message.content for message in state["messages"][-2:]), sep="\n")
    print(thoth.audit())


if __name__ == "__main__":
    main()
