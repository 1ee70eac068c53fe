"""An answer that is kept for the rows that hold is the call's own in everything that is the call's own."""

import gc
import json
from typing import Any

from thoth.contract import Effect
from thoth.engine import Engine

POLICY = """
tool pay(amount: number, to: string)
allow pay as small when args.amount < 100
step_up pay as large when args.amount >= 100 ask "finance"
block pay as barred when args.to is "mallory"
defer pay as tried trial until 2026-01-02 when args.to is "trudy"
limit pay as spending to 50 of args.amount per 1d by agent else defer
"""


def call_of(amount: float, to: str = "bob", **more: Any) -> dict[str, Any]:
    made = {"tool_name": "pay", "tool_args": {"amount": amount, "to": to}, "agent_id": "ada", **more}
    return json.loads(json.dumps(made))  # type: ignore[no-any-return]


def engine_of(now: list[float]) -> Engine:
    return Engine.from_text(POLICY, clock=lambda: now[0])


def test_two_calls_of_the_same_rows_have_their_own_arguments_ids_and_times() -> None:
    now = [1_700_000_000.0]
    engine = engine_of(now)
    first = engine.decide(call_of(1))
    now[0] += 1
    second = engine.decide(call_of(2))
    assert (first.args, second.args) == ({"amount": 1, "to": "bob"}, {"amount": 2, "to": "bob"})
    assert first.id != second.id
    assert second.now == first.now + 1
    assert [reservation.amount for reservation in second.reservations] == [2]
    assert first.rules == second.rules == ("small",)


def test_two_held_calls_of_the_same_rows_are_bound_each_to_its_own_call() -> None:
    engine = Engine.from_text('tool pay(amount: number)\nallow pay\nstep_up pay as ask-first ask "finance"')
    calls = [engine.decide({"tool_name": "pay", "tool_args": {"amount": n}}) for n in (1, 2, 1)]
    assert [decision.effect for decision in calls] == [Effect.STEP_UP] * 3
    assert calls[0].call == calls[2].call != calls[1].call


def test_a_limit_that_has_no_room_any_more_changes_the_answer_to_the_same_call() -> None:
    engine = engine_of([0.0])
    decided = [engine.decide(call_of(20)) for _ in range(3)]
    assert [decision.effect for decision in decided] == [Effect.ALLOW, Effect.ALLOW, Effect.DEFER]
    assert decided[2].reservations == ()


def test_a_rule_whose_trial_ends_is_enforced_from_then_on_for_the_same_call() -> None:
    now = [1_767_225_600.0]
    engine = engine_of(now)
    assert engine.decide(call_of(1, "trudy")).trial == ("tried",)
    now[0] += 7 * 86_400
    assert engine.decide(call_of(1, "trudy")).effect == Effect.DEFER


def test_a_decision_that_is_let_go_is_gone_at_once() -> None:
    """What explains it does not hold it: no decision waits for the garbage collector."""
    engine = engine_of([0.0])
    decision = engine.decide(call_of(1))
    assert not any(held is decision for held in gc.get_referents(decision.explainer))
    assert "small" in decision.explain()
