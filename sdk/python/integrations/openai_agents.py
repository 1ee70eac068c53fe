"""The OpenAI Agents SDK: function tools, the tools of MCP servers, agents as tools, and agents that are handed over to.

Each tool is asked about where the SDK invokes it, inside its own handling of errors, so a tool that fails is reported
as failed whatever the SDK makes of it. A refusal is what the model gets as the tool's output, and the run goes on.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..objects import GovernedList
from ..violation import ThothPolicyViolation, UngovernableTool
from .calls import acall

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..client import ThothClient
    from ..coverages import Coverage

MARK = "_thoth_governed"


def integration_for(thing: object) -> Callable[[ThothClient, Any, Coverage], Any] | None:
    """Return what governs an object of this SDK, None for those that are no tools of it."""
    import agents
    from agents.mcp import MCPServer
    from agents.tool import FunctionTool

    if isinstance(thing, agents.Agent):
        return govern_agent
    if isinstance(thing, FunctionTool):
        return govern_tool
    if isinstance(thing, MCPServer):
        return govern_server
    return refuse if type(thing).__module__ == "agents.tool" else None


def refuse(client: ThothClient, tool: Any, coverage: Coverage) -> Any:
    """Refuse a tool that runs somewhere else, or that the SDK runs without a place to ask."""
    raise UngovernableTool(
        f"`{getattr(tool, 'name', '?')}`, a {type(tool).__name__}, does not run where it can be asked about; give the "
        "agent a function tool that does the same"
    )


def govern_agent(client: ThothClient, agent: Any, coverage: Coverage) -> Any:
    """Govern an agent in place: its tools, its MCP servers, and the agents that it may hand over to."""
    if isinstance(agent.tools, GovernedList):
        return agent
    agent.tools = GovernedList(agent.tools, lambda tool: govern_any(client, tool, coverage))
    agent.mcp_servers = GovernedList(agent.mcp_servers, lambda server: govern_server(client, server, coverage))
    for handoff in agent.handoffs:
        below = handoff if hasattr(handoff, "tools") else _agent_of(handoff)
        if below is None:
            coverage.escapes.append(
                f"the agent behind the handoff `{handoff.tool_name}` is not known; instrument it too"
            )
        else:
            govern_agent(client, below, coverage)
    return agent


def ungoverned(agent: Any) -> list[str]:
    """Return the tools that an agent has now and that do not ask."""
    return [tool.name for tool in getattr(agent, "tools", ()) if not _marked(tool)]


def _marked(tool: Any) -> bool:
    invoker = getattr(tool, "on_invoke_tool", None)
    return bool(getattr(getattr(invoker, "_invoke_tool_impl", invoker), MARK, False))


def govern_any(client: ThothClient, tool: Any, coverage: Coverage) -> Any:
    """Govern one tool of an agent."""
    govern = integration_for(tool)
    if govern is None:
        raise UngovernableTool(f"{type(tool).__name__} is no tool of the Agents SDK that is known")
    return govern(client, tool, coverage)


def _agent_of(handoff: Any) -> Any:
    reference = getattr(handoff, "_agent_ref", None)
    return reference() if callable(reference) else None


def govern_tool(client: ThothClient, tool: Any, coverage: Coverage) -> Any:
    """Govern a function tool in place; a copy that the SDK makes of it is governed as well."""
    invoker = tool.on_invoke_tool
    inner = getattr(invoker, "_invoke_tool_impl", None)
    coverage.cover(tool.name, "on_invoke_tool")
    if getattr(inner or invoker, MARK, False):
        return tool
    asking = _asking(client, tool.name, inner or invoker)
    if inner is None:
        tool.on_invoke_tool = _telling(asking)
        setattr(tool.on_invoke_tool, MARK, True)
        return tool
    # The SDK's own invoker turns what a tool raises into a message; ours sits inside it, where a failure is one yet.
    invoker._invoke_tool_impl = _telling(asking)
    for name, value in vars(inner).items():
        setattr(invoker._invoke_tool_impl, name, value)
    setattr(invoker._invoke_tool_impl, MARK, True)
    below = getattr(tool, "_agent_instance", None)
    if below is not None:
        govern_agent(client, below, coverage)
    return tool


def _asking(client: ThothClient, name: str, invoke: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    async def ask(context: Any, text: str) -> Any:
        _hear(client, context)
        try:
            args = json.loads(text) if text else {}
        except ValueError:
            args = None
        if not isinstance(args, dict):
            return await invoke(context, text)  # the SDK says what is wrong with it, before anything runs

        async def run(given: dict[str, Any]) -> Any:
            if given == args:
                return await invoke(context, text)
            if getattr(context, "_function_tool_arguments", None) is not None:
                context._function_tool_arguments = None  # prepared from the arguments as they were
            return await invoke(context, json.dumps(given))

        return await acall(client.guard, name, args, run)

    return ask


def _telling(ask: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """Return an invoker whose refusals are told to the model."""

    async def invoke(context: Any, text: str) -> Any:
        try:
            return await ask(context, text)
        except ThothPolicyViolation as refused:
            return f"This call was not made: {refused.tell}"

    return invoke


def _hear(client: ThothClient, context: Any) -> None:
    """Take in what the user said: the input of the run, as the SDK shows it to its tools."""
    seat = client.guard.seat()
    if seat.session.root is not None:
        return
    heard = seat.memory.turns
    for item in getattr(context, "turn_input", None) or ():
        if isinstance(item, dict) and item.get("role") == "user":
            content = item.get("content")
            parts = [content] if isinstance(content, str) else content if isinstance(content, list) else []
            for part in parts:
                text = part if isinstance(part, str) else part.get("text") if isinstance(part, dict) else None
                if isinstance(text, str) and text not in heard:
                    seat.session.said(text)


def govern_server(client: ThothClient, server: Any, coverage: Coverage) -> Any:
    """Govern the tools of an MCP server in place, whatever their names."""
    if getattr(server, MARK, False):
        return server
    inner = server.call_tool

    async def call_tool(tool_name: str, arguments: dict[str, Any] | None, *more: Any, **rest: Any) -> Any:
        async def run(given: dict[str, Any]) -> Any:
            return await inner(tool_name, given if given or arguments is not None else None, *more, **rest)

        return await acall(client.guard, tool_name, arguments, run)

    server.call_tool = call_tool
    setattr(server, MARK, True)
    coverage.cover(f"{server.name}: every tool", "call_tool")
    return server
