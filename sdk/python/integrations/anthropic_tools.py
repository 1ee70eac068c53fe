"""Tools of the Anthropic library's own tool runner: what `@beta_tool` makes, governed where the function runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..objects import Wrapper
from ..violation import UngovernableTool

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..client import ThothClient
    from ..coverages import Coverage


def integration_for(thing: object) -> Callable[[ThothClient, Any, Coverage], Any] | None:
    """Return what governs a function tool of the runner, None for anything else of the library."""
    if hasattr(thing, "func") and hasattr(thing, "input_schema") and hasattr(thing, "call"):
        return govern_tool
    return refuse if hasattr(thing, "call") and hasattr(thing, "to_dict") else None


def govern_tool(client: ThothClient, tool: Any, coverage: Coverage) -> Any:
    """Govern a function tool in place: the runner's `call` and the function itself."""
    wrapper = Wrapper(lambda: client.guard, coverage, spread=False)
    tool.func = wrapper.function(tool.func, tool.name, "call")
    validated = getattr(tool, "_func_with_validate", None)
    if validated is not None:
        import pydantic

        tool._func_with_validate = pydantic.validate_call(tool.func)
    return tool


def refuse(client: ThothClient, tool: Any, coverage: Coverage) -> Any:
    """Refuse a built-in tool, which runs without a function of yours."""
    raise UngovernableTool(
        f"`{type(tool).__name__}` runs without a function that could be asked about; use `@beta_tool`"
    )
