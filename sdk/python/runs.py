"""One call on its way: where it belongs, what was allowed, and what of its result may be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .sessions import Frame, Session

if TYPE_CHECKING:
    from .enforcer import Passed, Reply
    from .guard import Guard

WITHHELD: Final = "[withheld by policy]"


class Seat:
    """What one guard keeps of one session: the wire's fields of its calls, and the frame in which its tools run."""

    __slots__ = ("fields", "frame", "guard", "memory", "session", "told")

    def __init__(self, session: Session, guard: Guard, fields: dict[str, Any]) -> None:
        self.session = session
        self.memory = session.memory
        self.fields = fields
        self.guard = guard
        self.frame = Frame(session, guard)
        self.told = 0


class Run:
    """A call that was let through: `args` are the arguments as they are to run, `modified` says that they changed."""

    __slots__ = ("args", "guard", "modified", "reply", "request", "seat", "tool")

    def __init__(self, tool: str, request: dict[str, Any], reply: Reply | None, seat: Seat) -> None:
        self.tool = tool
        self.request = request
        self.reply = reply
        self.seat = seat
        self.guard = seat.guard
        self.modified = reply is not None and reply.modified
        self.args = reply.args if reply is not None and self.modified else request["tool_args"]


class ResultWithheld(Exception):
    """In place of what a tool raised, whose text the policy withholds or redacts."""


def seen(original: Any, passed: Passed | None, told: Any) -> Any:
    """Return a result as the agent may see it: the very object where nothing was changed."""
    if passed is None or not (passed.withheld or passed.rules):
        return original
    if passed.withheld:
        return WITHHELD
    if passed.result == told:
        return original
    if isinstance(original, str | list | dict | int | float | bool | None):
        return passed.result
    validate = getattr(type(original), "model_validate", None)
    if validate is not None:
        try:
            return validate(passed.result)
        except Exception:  # noqa: BLE001 - a redacted value need not fit a model's own rules
            return passed.result
    return passed.result
