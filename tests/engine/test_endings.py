"""How most calls end is taken in by compiled code, and it leaves what the engine's own method leaves."""

from dataclasses import replace
from typing import Any, Literal

import pytest

from thoth.contract import Decision, Ending, Outcome, RequestError
from thoth.engine import Engine

POLICY = """
policy endings
    bounds provenance 64kb, in flight 10m
tool noop(a: int) is read
tool tag(a: int) is read yields secret
tool cut(a: int) is read
allow * as all
on result cut as no-cards redact result matching card_number with "[card]"
"""
RESULTS = (
    None,
    "",
    "text",
    "x\ud800y",
    "Zürich",
    "x" * 40_000,
    True,
    False,
    7,
    -2.5,
    float("inf"),
    10**40,
    ["a", 1],
    10**5000,
)


class Clock:
    """Epoch seconds that a test sets."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Kept:
    """A recorder that keeps what it is told."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def decided(self, decision: Decision) -> None:
        """Nothing is kept of a decision."""

    def ended(self, decision: Decision, outcome: Outcome) -> None:
        """Keep how a call ended."""
        self.outcomes.append(outcome)


def _spelled(outcome: Outcome) -> dict[str, Any]:
    return {name: getattr(outcome, name) for name in Outcome.__slots__ if name != "decision_id"}


Named = Literal["native", "reference"]


@pytest.fixture(scope="module")
def engines() -> dict[Named, Engine]:
    """One engine of each evaluator; their clocks and recorders are theirs."""
    names: tuple[Named, ...] = ("native", "reference")
    return {name: Engine.from_text(POLICY, clock=Clock(), recorder=Kept(), evaluator=name) for name in names}


def left(engine: Engine, tool: str, ending: Ending, result: object, after_s: float, inside: bool) -> Any:
    """Return all that two calls leave that end alike: outcomes, records, and the session."""
    clock: Any = engine._clock
    kept: Any = engine.recorder
    clock.now = 1_000.0
    kept.outcomes.clear()
    engine._sessions.kept.clear()
    session = engine.session("s")
    outcomes = []
    for number in range(2):
        request = {"tool_name": tool, "tool_args": {"a": number}, "agent_id": "a", "approved_scope": [tool]}
        decision = engine.decide(request, session=session if inside else None)
        clock.now += after_s
        outcomes.append(engine.ended(decision, ending, result))
        assert outcomes[-1].decision_id == decision.id
        with pytest.raises(RequestError, match="ended before"):
            engine.ended(decision, ending, result)
    assert kept.outcomes == outcomes
    calls = [replace(call, id="") for call in session.calls]
    heard = (session.results, session.remembered_bytes, session.results_cut, session.labels, session.doubtful)
    return list(map(_spelled, outcomes)), calls, heard, session.digest, session.version, len(engine._running)


@pytest.mark.parametrize("tool", ["noop", "tag", "cut"])
@pytest.mark.parametrize("ending", Ending)
@pytest.mark.parametrize(("after_s", "inside"), [(1.0, True), (1.0, False), (601.0, True)])
def test_endings_leave_the_same_in_compiled_code(
    engines: dict[Named, Engine], tool: str, ending: Ending, after_s: float, inside: bool
) -> None:
    for result in RESULTS:
        native, reference = (left(engine, tool, ending, result, after_s, inside) for engine in engines.values())
        assert native == reference, repr(result)[:40]
