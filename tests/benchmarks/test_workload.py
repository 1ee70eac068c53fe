"""The benchmark measures what it says: the workload is repeatable, is hit as often as promised, and all agree on it."""

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from thoth.contract import Decision
from thoth.engine import Engine

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import handwritten  # noqa: E402
import workload  # noqa: E402

sys.path.remove(str(BENCHMARKS))


def answer(decision: Decision) -> tuple[str, tuple[str, ...], int, str]:
    return decision.effect.value, decision.rules, decision.rules_more, decision.reason_code


WORKLOADS = [
    workload.typical(10),
    workload.typical(300),
    workload.typical(300, 15),
    workload.nothing_selective(40),
    workload.every_rule(40),
]


@pytest.mark.parametrize("one", WORKLOADS, ids=lambda one: one.name)
def test_native_and_reference_and_handwritten_agree(one: Any) -> None:
    policy = one.policy()
    native, reference = Engine.from_text(policy), Engine.from_text(policy, evaluator="reference")
    by_hand = handwritten.Handwritten(one.rules)
    for text in one.first(150):
        decision = native.decide(json.loads(text))
        assert answer(decision) == answer(reference.decide(json.loads(text))) == by_hand.decide(json.loads(text))
        applying = workload.applying(one, json.loads(text))
        assert set(decision.rules) <= set(applying)
        assert decision.rules or not any(effect == "allow" for effect in effects_of(one, applying))


def effects_of(one: Any, ids: list[str]) -> list[str]:
    effects = {rule.id: rule.effect for rule in one.rules}
    return [effects[id] for id in ids]


@pytest.mark.parametrize("rule_count", [10, 1_000])
@pytest.mark.parametrize("attribute_count", [7, 15])
def test_about_half_of_the_requests_come_under_a_rule_and_most_rules_are_hit(
    rule_count: int, attribute_count: int
) -> None:
    one = workload.typical(rule_count, attribute_count)
    hits = [workload.applying(one, json.loads(text)) for text in one.first(1_000)]
    assert 400 <= sum(map(bool, hits)) <= 600
    assert len({id for ids in hits for id in ids}) >= min(rule_count, 350)


def test_rules_and_requests_are_the_same_each_time() -> None:
    one, again = workload.typical(100, 15), workload.typical(100, 15)
    assert one.policy() == again.policy()
    assert one.neutral() == again.neutral()
    assert one.first(200) == again.first(200)
    assert list(islice(again.requests(), 10, 20)) == one.first(20)[10:]
    assert workload.typical(100, 15, seed=1).policy() != one.policy()


def test_no_request_comes_twice_even_without_its_id() -> None:
    requests = [json.loads(text) for text in workload.typical(10).first(2_000)]
    assert len({json.dumps(request | {"request_id": ""}) for request in requests}) == 2_000


def test_three_rules_in_ten_restrict_and_every_kind_of_condition_comes_up() -> None:
    one = workload.typical(1_000, 15)
    assert sum(rule.effect != "allow" for rule in one.rules) == 300
    assert {condition.kind for rule in one.rules for condition in rule.conditions} == set(workload.KINDS)
    assert all(1 <= len(rule.conditions) <= 6 for rule in one.rules)


def test_special_workloads_are_what_they_are_called() -> None:
    nothing, every = workload.nothing_selective(20), workload.every_rule(20)
    for text in nothing.first(100):
        assert workload.applying(nothing, json.loads(text)) == []
    for text in every.first(100):
        assert len(workload.applying(every, json.loads(text))) == 20
