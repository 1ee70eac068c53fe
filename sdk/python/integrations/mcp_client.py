"""MCP client sessions: every `tools/call` request that a session sends, however it is made, is asked about.

A refusal raises `ThothPolicyViolation`; who turns MCP results into messages for a model may tell it `violation.tell`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..plain import told
from .calls import acall

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..client import ThothClient
    from ..coverages import Coverage

MARK = "_thoth_governed"


class ToolReportedError(Exception):
    """What an MCP tool says of its own failure: a result marked as an error, on its way past the report."""

    def __init__(self, result: Any) -> None:
        super().__init__(_text(result))
        self.result = result


def integration_for(thing: object) -> Callable[[ThothClient, Any, Coverage], Any] | None:
    """Return what governs a client session, None for anything else of the library."""
    from mcp import ClientSession

    return govern_session if isinstance(thing, ClientSession) else None


def govern_session(client: ThothClient, session: Any, coverage: Coverage) -> Any:
    """Govern a session in place, at the request that leaves it."""
    if getattr(session, MARK, False):
        return session
    from mcp import types

    inner = session.send_request

    async def send_request(request: Any, *more: Any, **rest: Any) -> Any:
        plain = getattr(request, "root", request)
        if getattr(plain, "method", None) != "tools/call":
            return await inner(request, *more, **rest)
        params = plain.params

        async def run(given: dict[str, Any]) -> Any:
            if given == (params.arguments or {}):
                result = await inner(request, *more, **rest)
            else:
                changed = plain.model_copy(update={"params": params.model_copy(update={"arguments": given})})
                result = await inner(changed, *more, **rest)
            if isinstance(result, types.CallToolResult) and _is_error(result):
                raise ToolReportedError(result)
            return result

        try:
            return await acall(client.guard, params.name, params.arguments, run, _as_json)
        except ToolReportedError as failure:
            return failure.result

    session.send_request = send_request
    setattr(session, MARK, True)
    coverage.cover("every tool of the session", "send_request", "call_tool")
    return session


def _is_error(result: Any) -> bool:
    return bool(getattr(result, "is_error", getattr(result, "isError", False)))


def _text(result: Any) -> str:
    return "\n".join(part.text for part in result.content if isinstance(getattr(part, "text", None), str))


def _as_json(result: Any) -> tuple[Any, bool]:
    """A result as it is told: its structure where it has one, and all its texts."""
    return told(result)
