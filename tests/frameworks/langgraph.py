"""LangChain and LangGraph: an agent made by `create_agent`, its tools and its graph governed by `instrument`."""

from typing import Any

import pytest

import thoth

RAISES = True
CANCELLED = ["cancelled"]
HEARS = True


def NAME_OF(tool: str) -> str:  # noqa: N802
    return tool


async def run(client: Any, office: Any, text: str) -> Any:
    from langchain.agents import create_agent
    from langchain_core.tools import StructuredTool
    from langchain_openai import ChatOpenAI

    tools = [
        StructuredTool.from_function(f, name=f.__name__, description=f.__name__)
        for f in (office.pay, office.wipe, office.deploy)
    ]
    tools.append(StructuredTool.from_function(coroutine=office.read_customer, name="read_customer", description="read"))
    model = ChatOpenAI(model="scripted", base_url=f"{office.model.url}/v1", api_key="none", max_retries=0)
    graph = client.instrument(create_agent(model, tools))
    return await graph.ainvoke({"messages": [("user", text)]})


def wipe_tool(office: Any) -> Any:
    from langchain_core.tools import StructuredTool

    return StructuredTool.from_function(office.wipe, name="wipe", description="wipe")


def agent_of(office: Any, tools: list[Any], **more: Any) -> Any:
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="scripted", base_url=f"{office.model.url}/v1", api_key="none", max_retries=0)
    return create_agent(model, tools, **more)


async def bound_before(client: Any, office: Any) -> None:
    tool = wipe_tool(office)
    ways = [tool.invoke, tool.run]
    client.instrument(tool)
    for way in ways:
        with pytest.raises(thoth.ThothPolicyViolation):
            way({"path": "/srv"})
    with pytest.raises(thoth.ThothPolicyViolation):
        await tool.ainvoke({"path": "/srv"})


async def executor_directly(client: Any, office: Any) -> None:
    tool = client.instrument(wipe_tool(office))
    for way in (lambda: tool.func(path="/srv"), lambda: tool._run(config={}, path="/srv")):
        with pytest.raises(thoth.ThothPolicyViolation):
            way()


async def tool_class(client: Any, office: Any) -> None:
    from langchain_core.tools import BaseTool

    class Wipe(BaseTool):
        name: str = "wipe"
        description: str = "wipe"

        def _run(self, path: str) -> str:
            return str(office.wipe(path))

    tool = Wipe()
    bound = tool.invoke
    client.instrument(tool)
    for way in (bound, tool.invoke, tool.run):
        with pytest.raises(thoth.ThothPolicyViolation):
            way({"path": "/srv"})
    assert len(office.world.recorder.decisions) == 3


async def added_later(client: Any, office: Any) -> None:
    from langchain_core.tools import StructuredTool
    from langgraph.prebuilt import ToolNode

    pay = StructuredTool.from_function(office.pay, name="pay", description="pay")
    graph = client.instrument(agent_of(office, [pay]))
    (node,) = [node.bound for node in graph.nodes.values() if isinstance(node.bound, ToolNode)]
    node.tools_by_name["wipe"] = wipe_tool(office)
    office.model.script = ("wipe", {"path": "/srv"})
    await graph.ainvoke({"messages": [("user", "go")]})


async def middleware(client: Any, office: Any) -> None:
    from thoth.integrations.langgraph import ThothMiddleware

    graph = agent_of(office, [wipe_tool(office)], middleware=[ThothMiddleware(client)])
    office.model.script = ("wipe", {"path": "/srv"})
    state = await graph.ainvoke({"messages": [("user", "go")]})
    assert state["messages"][-2].status == "error"


async def interrupt(client: Any, office: Any) -> None:
    """A held call interrupts the graph, and goes on when that is resumed with an answer to this very hold."""
    from langchain_core.tools import StructuredTool
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command

    pay = StructuredTool.from_function(office.pay, name="pay", description="pay")
    asking = office.world.client(approved_scope=["pay", "wipe"], on_hold="interrupt")
    graph = asking.instrument(agent_of(office, [pay], checkpointer=InMemorySaver()))
    thread: Any = {"configurable": {"thread_id": "t-1"}}
    office.model.script = ("pay", {"amount": 20000, "to": "ACME"})
    state = await graph.ainvoke({"messages": [("user", "go")]}, thread)
    (held,) = state["__interrupt__"]
    assert (held.value["tool"], held.value["approvers"]) == ("pay", ["finance-leads"])
    state = await graph.ainvoke(Command(resume={"hold": "another", "granted": True, "principal": "eve"}), thread)
    assert office.ran == []
    answer = {"hold": held.value["hold"], "granted": True, "approver": "finance-leads", "principal": "bob"}
    state = await graph.ainvoke(Command(resume=answer), thread)
    assert office.ran == [("pay", 20000, "ACME")]
    assert {d.request.session_id for d in office.world.recorder.decisions} == {"t-1"}
    assert asking.audit().balanced
    with pytest.raises(thoth.ThothPolicyViolation):
        client.instrument(wipe_tool(office)).invoke({"path": "/srv"})


WAYS = {f.__name__: f for f in (bound_before, executor_directly, tool_class, added_later, middleware, interrupt)}
