"""Agent frameworks: where each of them calls its tools, and how a refusal, a hold or a result passes there.

An integration is loaded when an object of its framework is instrumented; nothing here imports a framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MODULES: Final[dict[str, str]] = {
    "langchain_core": "langchain",
    "langchain": "langchain",
    "langgraph": "langchain",
    "agents": "openai_agents",
    "anthropic": "anthropic_tools",
    "claude_agent_sdk": "claude_agent_sdk",
    "pydantic_ai": "pydantic_ai",
    "mcp": "mcp_client",
}
"""The first part of a class's module name, and the integration that knows the class."""


def integration_for(thing: object) -> Callable[[Any, Any, Any], Any] | None:
    """Return what governs an object of a framework, called with client, object and coverage; None for any other."""
    for kind in type(thing).__mro__:
        name = MODULES.get(kind.__module__.partition(".")[0])
        if name is not None:
            module = import_module(f".{name}", __name__)
            found: Callable[[Any, Any, Any], Any] | None = module.integration_for(thing)
            if found is not None:
                return found
    return None
