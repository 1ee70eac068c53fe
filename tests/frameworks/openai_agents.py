"""The OpenAI Agents SDK: an agent with function tools, run by `Runner`."""

from typing import Any

import pytest

import thoth

RAISES = False
CANCELLED = ["cancelled"]
HEARS = True


def NAME_OF(tool: str) -> str:  # noqa: N802
    return tool


async def run(client: Any, office: Any, text: str) -> Any:
    from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
    from openai import AsyncOpenAI

    set_tracing_disabled(True)
    openai = AsyncOpenAI(base_url=f"{office.model.url}/v1", api_key="none", max_retries=0)
    tools = [function_tool(f) for f in (office.pay, office.wipe, office.deploy, office.read_customer)]
    agent = Agent(name="office", tools=tools, model=OpenAIChatCompletionsModel("scripted", openai))
    client.instrument(agent)
    return await Runner.run(agent, text)


def tool_context(tool: Any) -> Any:
    from agents.tool_context import ToolContext

    return ToolContext(context=None, tool_name=tool.name, tool_call_id="call_1", tool_arguments='{"path": "/srv"}')


async def bound_before(client: Any, office: Any) -> None:
    from agents import function_tool

    tool = function_tool(office.wipe)
    invoke = tool.on_invoke_tool
    client.instrument(tool)
    assert "not made" in await invoke(tool_context(tool), '{"path": "/srv"}')
    assert "not made" in await tool.on_invoke_tool(tool_context(tool), '{"path": "/srv"}')


async def copies(client: Any, office: Any) -> None:
    import copy
    import dataclasses

    from agents import function_tool

    tool = client.instrument(function_tool(office.wipe))
    for copied in (copy.copy(tool), dataclasses.replace(tool)):
        assert "not made" in await copied.on_invoke_tool(tool_context(tool), '{"path": "/srv"}')


async def added_later(client: Any, office: Any) -> None:
    from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
    from openai import AsyncOpenAI

    set_tracing_disabled(True)
    openai = AsyncOpenAI(base_url=f"{office.model.url}/v1", api_key="none", max_retries=0)
    agent = Agent(name="o", tools=[function_tool(office.pay)], model=OpenAIChatCompletionsModel("scripted", openai))
    client.instrument(agent)
    agent.tools.append(function_tool(office.wipe))
    office.model.script = ("wipe", {"path": "/srv"})
    await Runner.run(agent, "go")


async def replaced_later(client: Any, office: Any) -> None:
    from agents import Agent, function_tool

    agent = Agent(name="o", tools=[function_tool(office.pay)])
    client.instrument(agent)
    assert client.audit().escapes == ()
    agent.tools = [function_tool(office.wipe)]
    assert client.audit().escapes == ("wipe",)
    office.began = agent  # it lives on


async def handed_over(client: Any, office: Any) -> None:
    from agents import Agent, function_tool, handoff

    direct = Agent(name="direct", tools=[function_tool(office.wipe)])
    behind = Agent(name="behind", tools=[function_tool(office.wipe)])
    client.instrument(Agent(name="o", tools=[function_tool(office.pay)], handoffs=[direct, handoff(behind)]))
    for agent in (direct, behind):
        assert "not made" in await agent.tools[0].on_invoke_tool(tool_context(agent.tools[0]), '{"path": "/srv"}')


async def hosted(client: Any, office: Any) -> None:
    from agents import Agent, WebSearchTool, function_tool

    with pytest.raises(thoth.UngovernableTool, match="does not run where it can be asked about"):
        client.instrument(Agent(name="o", tools=[WebSearchTool()]))
    tool = client.instrument(function_tool(office.wipe))
    await tool.on_invoke_tool(tool_context(tool), '{"path": "/srv"}')


WAYS = {f.__name__: f for f in (bound_before, copies, added_later, replaced_later, handed_over, hosted)}
