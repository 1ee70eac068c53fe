"""Pydantic AI: every tool that a run of an agent may call, whichever toolset it comes from and whenever it was added.

The agent's whole toolset is wrapped where a run puts it together, so tools that are registered later, toolsets given to
a run, and overrides in tests are asked about too. A refusal is a failed tool result for the model, and the run goes on.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from ..violation import ThothPolicyViolation, UngovernableTool
from ..wrapping import GOVERNED
from .calls import acall

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..client import ThothClient
    from ..coverages import Coverage


def integration_for(thing: object) -> Callable[[ThothClient, Any, Coverage], Any] | None:
    """Return what governs an agent, None for anything else of the library."""
    from pydantic_ai import Agent

    return govern_agent if isinstance(thing, Agent) else None


def govern_agent(client: ThothClient, agent: Any, coverage: Coverage) -> Any:
    """Govern an agent in place."""
    kind = type(agent)
    if GOVERNED in kind.__dict__:
        return agent
    if not callable(getattr(kind, "_get_toolset", None)) or not hasattr(agent, "_function_toolset"):
        raise UngovernableTool("this version of Pydantic AI puts its toolsets together in a way that is not known")

    def _get_toolset(self: Any, *args: Any, **kwargs: Any) -> Any:
        return governed_toolset(client, kind._get_toolset(self, *args, **kwargs))

    members = {"_get_toolset": _get_toolset, GOVERNED: "agent", "__module__": kind.__module__}
    object.__setattr__(
        agent, "__class__", types.new_class(kind.__name__, (kind,), exec_body=lambda s: s.update(members))
    )
    for toolset in agent.toolsets:
        for name in getattr(toolset, "tools", {}):
            coverage.cover(name, "run")
    coverage.cover("every tool of a run", "toolsets", "run")
    return agent


def governed_toolset(client: ThothClient, toolset: Any) -> Any:
    """Return a toolset whose calls are asked about."""
    from pydantic_ai.exceptions import ToolFailed
    from pydantic_ai.toolsets import WrapperToolset

    class GovernedToolset(WrapperToolset):  # type: ignore[misc]
        async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: Any, tool: Any) -> Any:
            if getattr(tool.tool_def, "kind", "function") == "output":
                return await super().call_tool(name, tool_args, ctx, tool)
            _hear(client, ctx)
            inner = super().call_tool

            async def run(given: dict[str, Any]) -> Any:
                return await inner(name, given, ctx, tool)

            try:
                return await acall(client.guard, name, tool_args, run)
            except ThothPolicyViolation as refused:
                raise ToolFailed(f"This call was not made: {refused.tell}") from refused

    return GovernedToolset(toolset)


def _hear(client: ThothClient, ctx: Any) -> None:
    """Take in what the user said: the prompts of the run, as its messages show them."""
    seat = client.guard.seat()
    if seat.session.root is not None:
        return
    for message in getattr(ctx, "messages", None) or ():
        for part in getattr(message, "parts", ()):
            if getattr(part, "part_kind", "") != "user-prompt":
                continue
            content = part.content
            for text in [content] if isinstance(content, str) else content:
                if isinstance(text, str) and text not in seat.memory.turns:
                    seat.session.said(text)
