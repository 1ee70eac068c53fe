"""One call that a framework makes by name and arguments: asked about, run, reported.

For places where a framework hands over a tool's name, its arguments as a dict, and a way to run it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..binding import same, unchanged
from ..contract import Ending
from ..plain import plain, told
from ..runs import seen
from ..sessions import CURRENT
from ..wrapping import afailed, failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ..guard import Guard
    from ..runs import Run

COMPLETED = Ending.COMPLETED


def shown(args: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return arguments as a policy sees them."""
    return {str(name): plain(value) for name, value in (args or {}).items()}


def call(
    guard: Guard,
    tool: str,
    args: Mapping[str, Any] | None,
    run: Callable[[dict[str, Any]], Any],
    as_json: Callable[[Any], tuple[Any, bool]] = told,
) -> Any:
    """Return what `run` returns, called with the arguments as they may run; `as_json` says what is told of it.

    Raises:
        ThothPolicyViolation: it does not run.
    """
    given = dict(args or {})
    asked = shown(given)
    began = guard.begin(tool, asked)
    _still(began, given, asked)
    before = CURRENT.set(began.seat.frame)
    try:
        result = run(_given(given, asked, began))
    except BaseException as error:
        CURRENT.reset(before)
        after = failed(began, error)
        if after is error:
            raise
        raise after from None
    CURRENT.reset(before)
    json, whole = as_json(result)
    return seen(result, guard.end(began, COMPLETED, json, whole=whole), json)


async def acall(
    guard: Guard,
    tool: str,
    args: Mapping[str, Any] | None,
    run: Callable[[dict[str, Any]], Awaitable[Any]],
    as_json: Callable[[Any], tuple[Any, bool]] = told,
) -> Any:
    """As `call`, on an event loop."""
    given = dict(args or {})
    asked = shown(given)
    began = await guard.abegin(tool, asked)
    _still(began, given, asked)
    before = CURRENT.set(began.seat.frame)
    try:
        result = await run(_given(given, asked, began))
    except BaseException as error:
        CURRENT.reset(before)
        after = await afailed(began, error)
        if after is error:
            raise
        raise after from None
    CURRENT.reset(before)
    json, whole = as_json(result)
    return seen(result, await guard.aend(began, COMPLETED, json, whole=whole), json)


def _still(began: Run, given: dict[str, Any], asked: dict[str, Any]) -> None:
    """Let a call go on whose arguments are those that it was asked about; raise where they are not any more."""
    if began.reply is not None and not unchanged(given, asked, shown(given)):
        raise began.guard.not_the_same(began)


def _given(given: dict[str, Any], asked: dict[str, Any], began: Run) -> dict[str, Any]:
    """Return the caller's own values, and the changed ones where the enforcer changed some."""
    if not began.modified:
        return given
    wanted = began.args or {}
    if wanted.keys() == {"args", "kwargs"} and not wanted["args"] and "args" not in given:
        wanted = wanted["kwargs"]
    return {
        name: given[name] if name in given and same(asked[name], value) else value for name, value in wanted.items()
    }
