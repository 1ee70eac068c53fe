"""What is refused whatever a policy says: a tool that changed, a process that may not ask, an enforcer that is away.

These refusals are decisions like any other: a small policy of its own, `policies/floor.thoth`, takes them from facts
under `context.mcp`, so that they are recorded, have rule ids, and can be read by everybody. A call that is fine in all
of them does not come here.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from ..contract import Effect
from ..enforcer import Enforcer, Reply
from ..sessions import Session
from .log import Log

FINE: Final[Mapping[str, str]] = {
    "tool": "pinned",
    "arguments": "plain",
    "lineage": "clear",
    "intent": "inside",
    "enforcer": "answers",
}
"""Every fact, with the value that stops nothing."""


class Refused:
    """The reply in place of one that nobody could give: BLOCK, and not recorded."""

    id = ""
    effect = Effect.BLOCK
    reason_code = "evidence_unavailable"
    args = None
    modified = False
    rules: tuple[str, ...] = ()
    asks: tuple[Any, ...] = ()
    hold_s = None
    retry_after_s = None
    tells: tuple[tuple[str, str], ...] = (("floor", "ask whoever runs this agent to look at `thoth doctor`"),)


class Floor(Protocol):
    """Where such refusals are decided and recorded."""

    @property
    def enforcer(self) -> Enforcer:
        """An engine in this process with the floor's policy."""


class FloorCheck:
    """Asks the floor, and answers for it where it cannot."""

    def __init__(self, floor: Floor, log: Log) -> None:
        self._floor = floor
        self._log = log

    def refuse(
        self, request: Mapping[str, Any], facts: Mapping[str, str], session: Session
    ) -> tuple[Reply, Enforcer | None]:
        """Return what becomes of a call for which not all facts are fine: never a reply that lets it through.

        The enforcer beside it is the one that can hold the call, where the reply is STEP_UP.
        """
        metadata = {**(request.get("metadata") or {}), "mcp": {**FINE, **facts}}
        told = " ".join(f"{name}:{value}" for name, value in facts.items() if FINE.get(name) != value)
        try:
            enforcer = self._floor.enforcer
            reply = enforcer.check({**request, "metadata": metadata}, session)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the call does not run
            self._log.event("refused_unrecorded", tool=request.get("tool_name"), why=type(error).__name__, facts=told)
            return Refused(), None
        self._log.event("refused", tool=request.get("tool_name"), decision=reply.id, facts=told)
        if reply.effect is Effect.STEP_UP:
            return reply, enforcer
        return (reply if reply.effect in (Effect.BLOCK, Effect.DEFER) else Refused()), None
