"""However many calls wait: one that has to go gives back what it reserved, and no answers push out another."""

from typing import Any

import pytest

from thoth.contract import Decision, Effect, RequestError
from thoth.engine import Engine
from thoth.engine.held import NAMES_MAX

POLICY = """
allow * as all
step_up pay as large ask "a", "b", "c" all
limit pay as budget to 100 of args.amount per 1d by agent else block
"""


def request(agent: str, amount: int, number: int = 0) -> dict[str, Any]:
    known = {"agent_id": agent, "user_id": "ann", "tenant_id": "t", "environment": "prod", "session_id": f"s{number}"}
    return {**known, "tool_name": "pay", "tool_args": {"amount": amount}}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr("thoth.engine.held.HELD_MAX", 3)
    return Engine.from_text(POLICY, clock=lambda: 1_000.0)


def held(engine: Engine, agent: str, amount: int, number: int = 0) -> Decision:
    decision = engine.decide(request(agent, amount, number))
    assert decision.effect is Effect.STEP_UP
    return decision


def test_a_hold_that_is_pushed_out_gives_back_what_it_reserved(engine: Engine) -> None:
    first = held(engine, "first", 100)
    assert engine.decide(request("first", 1)).reason_code == "limit_exceeded"
    for number in range(3):
        held(engine, f"other-{number}", 100)
    with pytest.raises(RequestError, match="holds no call"):
        engine.answer(first, approver="a", principal="ann")
    held(engine, "first", 100)


def test_answers_to_one_call_push_out_no_other(engine: Engine) -> None:
    others = [held(engine, f"other-{number}", 100, number) for number in range(2)]
    asked = request("mine", 100, 9)
    mine = engine.decide(asked)
    approval = engine.answer(mine, approver="a", principal="one")
    for _ in range(500):
        again = engine.decide(asked, approval=approval)
        assert again.effect is Effect.STEP_UP, "two of three are missing"
    assert len(engine._held) <= 2 + NAMES_MAX
    for other in others:
        assert engine.answer(other, approver="a", principal="one").answers
        assert engine.decide(request(other.request.agent_id, 1)).reason_code == "limit_exceeded"  # type: ignore[union-attr]
    engine.answer(mine, approver="b", principal="two")
    done = engine.answer(mine, approver="c", principal="three")
    assert engine.decide(asked, approval=done).effect is Effect.ALLOW
    assert len(engine._held) == 2
    assert engine.decide(request("mine", 1)).reason_code == "limit_exceeded", (
        "it was let through, and keeps what it has"
    )


def test_a_call_that_is_refused_is_forgotten_under_all_its_names(engine: Engine) -> None:
    asked = request("mine", 100)
    mine = engine.decide(asked)
    approval = engine.answer(mine, approver="a", principal="one")
    last = [engine.decide(asked, approval=approval) for _ in range(NAMES_MAX * 2)][-1]
    engine.refused(last)
    assert not engine._held
    held(engine, "mine", 100)
