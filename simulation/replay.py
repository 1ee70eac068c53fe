"""Recorded calls decided again, as if each were about to be made: yesterday's calls under tomorrow's policy.

A policy sees of a recorded call what it would have seen of a live one, and no label. What really happened is told to
the session whatever was decided: a call that was executed counts as let through, and what it returned is remembered.
So every decision is about the agent's real past, not about one that this policy would have led to.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..contract import Decision, Effect
from ..engine import UNTOLD, Engine, Session
from .calls import RECORDED, Call, RecordedSession, request_of


@dataclass(slots=True)
class ReplayClock:
    """The clock of an engine that replays: it stands at the time of the recorded call."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return the time of the recorded call, in epoch seconds."""
        return self.now


def replay(engine: Engine, sessions: Iterable[RecordedSession], clock: ReplayClock) -> Iterator[tuple[Call, Decision]]:
    """Decide every call of the sessions, in order; `clock` is the one that the engine was made with.

    Each session is opened fresh; limits and the ladder count across the sessions of one engine.
    """
    for recorded in sessions:
        clock.now = recorded.calls[0].ts
        session = open_session(engine, recorded, clock.now)
        for call in recorded.calls:
            clock.now = call.ts
            decision = engine.decide(request_of(call), session=session)
            tell(engine, session, call, decision)
            yield call, decision


def open_session(engine: Engine, recorded: RecordedSession, now: float) -> Session:
    """Return a fresh session that the engine does not hold, in which the user has said what was asked for."""
    bound = engine.policy.bounds.provenance_bytes
    session = Session(recorded.id, now, tenant=RECORDED, provenance_bytes=bound)
    if recorded.prompt is not None:
        session.said(recorded.prompt)
    return session


def tell(engine: Engine, session: Session, call: Call, decision: Decision) -> None:
    """Report what really happened to a call. One that was let through and yet did not run was cancelled."""
    if decision.request is None:
        return
    if not call.executed:
        if decision.effect in (Effect.ALLOW, Effect.MODIFY):
            engine.cancelled(decision)
        elif decision.effect is Effect.STEP_UP:
            engine.refused(decision)
        return
    engine.ran(decision, session)
    report = engine.completed if call.tool_error is None else engine.failed
    report(decision, UNTOLD if call.result is None else call.result, whole=call.whole)
