"""LangChain: tools, at the function that every way into a tool comes down to.

`invoke`, `run`, an agent's executor and a graph's tool node all end in a tool's own function, or in its `_run` and
`_arun`; there it is asked, so nothing that calls a tool goes around it. What the framework injects (a config, a
runtime, a state) is none of the agent's arguments and is not shown.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from ..binding import Binding
from ..objects import WayIn, is_function
from ..violation import UngovernableTool
from ..wrapping import GOVERNED, govern, governed_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..client import ThothClient
    from ..coverages import Coverage

INJECTED = ("run_manager", "config", "callbacks", "runtime")


def integration_for(thing: object) -> Callable[[ThothClient, Any, Coverage], Any] | None:
    """Return what governs a tool or a graph, None for anything else of the library."""
    import sys

    from langchain_core.tools import BaseTool

    if isinstance(thing, BaseTool):
        return govern_tool
    if "langgraph" in sys.modules:
        from .langgraph import integration_for as graph_integration

        return graph_integration(thing)
    return None


def govern_tool(client: ThothClient, tool: Any, coverage: Coverage) -> Any:
    """Govern a tool in place."""
    from langchain_core.tools import BaseTool, StructuredTool, Tool

    def guard() -> Any:
        return client.guard

    functions = [name for name in ("func", "coroutine") if is_function(getattr(tool, name, None))]
    kind = type(tool)
    if GOVERNED in kind.__dict__:
        return tool
    if functions and kind._run in (StructuredTool._run, Tool._run):
        for name in functions:
            function = getattr(tool, name)
            if governed_by(function) is None:
                made = govern(
                    function, guard, name=tool.name, binding=Binding(function, hidden=_hidden(tool, function))
                )
                object.__setattr__(tool, name, made)
        coverage.cover(tool.name, *functions, "invoke", "run")
        return tool
    ways = [way for way in ("_run", "_arun") if getattr(kind, way) is not getattr(BaseTool, way, None)]
    if not ways:
        raise UngovernableTool(f"`{tool.name}`, a {kind.__name__}, has neither a function nor a `_run` of its own")
    members: dict[str, Any] = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, GOVERNED: tool.name}
    for way in ways:
        bound = getattr(tool, way)
        way_in = WayIn(id(tool), way, bound, Binding(bound, hidden=_hidden(tool, bound)))
        made = way_in.plain(guard, tool.name) if way == "_run" else way_in.asynchronous(guard, tool.name)
        members[way] = staticmethod(made)
    governed = types.new_class(kind.__name__, (kind,), exec_body=lambda space: space.update(members))
    object.__setattr__(tool, "__class__", governed)
    coverage.cover(tool.name, *ways, "invoke", "run")
    return tool


def _hidden(tool: Any, function: Any) -> frozenset[str]:
    """The parameters that the framework fills in: those that the model's schema of the tool does not have."""
    import inspect

    schema = tool.tool_call_schema
    fields = getattr(schema, "model_fields", None) or (schema.get("properties", {}) if isinstance(schema, dict) else {})
    parameters = inspect.signature(function).parameters.values()
    named = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return frozenset(INJECTED) & named if open_ended else frozenset(named - set(fields))
