"""Counts and labels of a session are followed, not counted anew; they stay what the reference counts."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.contract import Ending
from thoth.engine import Engine, reference, session
from thoth.engine.compile import compile
from thoth.engine.decide import decide
from thoth.engine.session import Call, Session

POLICY = """
tool a() is read yields seen
tool b() is write yields hot when result matches "x"
tool c() is send
allow *
block c as many     when calls(a) >= 3
block c as often    when calls(*, in 10s) >= 3
block c as done     when completed(class read) >= 2
block c as failing  when failed(b, in 20s) >= 1
block c as marked   when session.labels contains seen
defer c as perhaps  when session.labels contains hot
"""
ENGINE = Engine.from_text(POLICY)
TABLE = compile(ENGINE.policy)
CLASSES = {"a": frozenset({"read"}), "b": frozenset({"write"}), "c": frozenset({"send"}), "d": None}
LABELS = {"a": frozenset({"seen"})}
PENDING = {"b": frozenset({"hot"})}

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["call", "call", "call", "end", "block", "say"]),
        st.sampled_from("abcd"),
        st.sampled_from([0.0, 1.0, 4.0, 11.0, -3.0]),
        st.sampled_from(list(Ending)),
    ),
    max_size=30,
)


def take(one: Session, step: tuple[str, str, float, Ending], now: float, number: int) -> None:
    kind, tool, _, ending = step
    if kind == "call":
        labels = LABELS.get(tool, frozenset()) if number % 3 == 0 else frozenset()
        one.let_through(Call(str(number), tool, CLASSES[tool], now, pending=PENDING.get(tool, frozenset())), labels)
    elif kind == "end":
        running = [call for call in one.calls if call.ending is None]
        if running:
            one.ended(running[number % len(running)], ending, "y" if number % 2 else None, frozenset())
    elif kind == "block":
        one.blocked()
    else:
        one.said("hello")


@pytest.mark.parametrize("kept", [4, 10_000])
@given(steps=STEPS, begun=st.booleans())
def test_what_is_followed_is_what_the_reference_counts(kept: int, steps: list[Any], begun: bool) -> None:
    """Calls, endings and clocks that go back, in sessions that forget and in sessions that do not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "CALLS_MAX", kept)
        one, now = Session("s", 0.0, begun), 100.0
        for number, step in enumerate(steps):
            now += step[2]
            take(one, step, now, number)
            for known in (one, copy.deepcopy(one)) if number % 7 == 0 else (one,):
                expected = reference.decide(ENGINE.policy, {"tool_name": "c"}, session=known, now=now)
                assert decide(TABLE, {"tool_name": "c"}, session=known, now=now).facts() == expected.facts()


def test_a_session_that_forgets_for_long_stays_small() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "CALLS_MAX", 10)
        one = Session("s", 0.0)
        for number in range(2_000):
            one.let_through(Call(str(number), "a", CLASSES["a"], float(number)), frozenset())
            if number % 100 == 0:
                now = float(number)
                expected = reference.decide(ENGINE.policy, {"tool_name": "c"}, session=one, now=now)
                assert decide(TABLE, {"tool_name": "c"}, session=one, now=now).facts() == expected.facts()


def test_an_engine_counts_a_call_in_its_session_as_the_session_itself_would() -> None:
    """The desk writes what `let_through` writes: version, number, digest, labels."""
    engine = Engine.from_text(POLICY, clock=lambda: 5.0)
    counted = engine.session("s")
    itself = Session("s", 5.0)
    for tool in "abad":
        decision = engine.decide({"tool_name": tool}, session=counted)
        call = Call(decision.id, tool, CLASSES[tool], 5.0, pending=PENDING.get(tool, frozenset()))
        itself.let_through(call, LABELS.get(tool, frozenset()))
    assert counted == itself
