"""Every golden case, on every path through the house."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_args

import pytest

from thoth.contract import By, Decision, Effect, Mode
from thoth.contract.detectors import DETECTORS
from thoth.engine import checked as c
from thoth.grammar import parse
from thoth.grammar import syntax as s

from .run import Case, by_table, decide, differences, policy_of, read

CASES = read()
CASES_MIN = 200
OPERATORS = {
    *("is", "<", "<=", ">", ">=", "between", "in", "like", "matches", "starts with", "ends with", "contains"),
    *("under", "in cidr", "from user", "by host from user", "from tool", "from tool class", "in baseline", "has"),
    "by host in baseline",
    *("in scope", "in intent"),
}
BOTH_SENSES = OPERATORS - {"<", "<=", ">", ">=", "by host from user"}
FUNCTIONS = {"size", "lower", "host", "domain"}
COUNTS = {"calls", "completed", "failed"}
SETTINGS = {
    *("version", "regimes", "default", "mode", "approvers", "arguments", "ladder", "data"),
    *("provenance", "scan"),
}


def check(case: Case, decision: Decision) -> None:
    differing = differences(case, decision)
    assert not differing, "\n".join(f"{name}: expected {e!r}, said {s!r}" for name, (e, s) in differing.items())


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_reference_decides_as_the_case_says(case: Case) -> None:
    check(case, decide(case))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_table_decides_as_the_case_says_and_the_reference_in_full(case: Case) -> None:
    decision = decide(case, by_table)
    check(case, decision)
    assert decision.facts() == decide(case).facts()


# ---------------------------------------------------------------- what the cases hold


def test_there_are_many_cases_and_no_two_have_one_name() -> None:
    names = [case.name for case in CASES]
    assert len(names) >= CASES_MIN
    assert len(set(names)) == len(names)


def test_every_case_says_what_it_expects() -> None:
    assert [case.name for case in CASES if not case.document["expect"]] == []


@pytest.fixture(scope="module")
def decisions() -> list[Decision]:
    return [decide(case) for case in CASES]


def test_every_effect_is_enforced_and_said(decisions: list[Decision]) -> None:
    assert {decision.effect for decision in decisions} == set(Effect)
    assert {decision.verdict for decision in decisions} == set(Effect)


def test_every_mode_decides(decisions: list[Decision]) -> None:
    assert {decision.mode for decision in decisions} == set(Mode)


def test_every_kind_of_decider_occurs(decisions: list[Decision]) -> None:
    assert {decision.by for decision in decisions} == set(By)


def nodes(value: object, kind: type | tuple[type, ...]) -> Iterator[Any]:
    """Walk everything inside a tree of dataclasses."""
    if isinstance(value, kind):
        yield value
    if isinstance(value, tuple | list):
        for item in value:
            yield from nodes(item, kind)
    elif isinstance(value, dict):
        yield from nodes(list(value.values()), kind)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from nodes(getattr(value, field.name), kind)


@pytest.fixture(scope="module")
def checked() -> list[c.CheckedPolicy]:
    return [policy_of(case) for case in CASES]


@pytest.fixture(scope="module")
def trees() -> list[s.Policy]:
    return [parse(case.policy_text, "case.thoth") for case in CASES]


def test_every_predicate_occurs_plain_and_negated(checked: list[c.CheckedPolicy]) -> None:
    seen = {(type(test.predicate), test.negated) for policy in checked for test in nodes(policy, c.Test)}
    predicates = set(get_args(c.Predicate)) - {c.ToolFits}  # no text says it; rules ask it of their tools
    assert {kind for kind, _ in seen} == predicates
    assert {kind for kind, negated in seen if negated} == predicates


def test_every_term_occurs(checked: list[c.CheckedPolicy]) -> None:
    terms = set(get_args(c.Term))
    assert {type(term) for policy in checked for term in nodes(policy, tuple(terms))} == terms


def test_every_operator_occurs_in_both_senses(trees: list[s.Policy]) -> None:
    seen = {(test.operator, test.negated) for tree in trees for test in nodes(tree, s.Test)}
    assert {operator for operator, _ in seen} == OPERATORS
    negated = {operator for operator, negated in seen if negated}
    turned = {test.part.operator for tree in trees for test in nodes(tree, s.Not) if isinstance(test.part, s.Test)}
    assert BOTH_SENSES - negated - turned == set()


def test_any_and_all_occur_plain_and_under_not(trees: list[s.Policy]) -> None:
    assert {test.each for tree in trees for test in nodes(tree, s.Test)} == {None, "any", "all"}
    parts = [test.part for tree in trees for test in nodes(tree, s.Not)]
    assert {part.each for part in parts if isinstance(part, s.Test)} >= {"any", "all"}


def test_every_function_and_count_occurs(trees: list[s.Policy]) -> None:
    assert {call.function for tree in trees for call in nodes(tree, s.Call)} == FUNCTIONS
    assert {count.function for tree in trees for count in nodes(tree, s.Count)} == COUNTS


def test_every_item_change_and_setting_occurs(trees: list[s.Policy]) -> None:
    items = set(get_args(s.Item)) - {s.TestItem}
    assert {type(item) for tree in trees for item in nodes(tree, tuple(items))} == items
    assert {change.kind for tree in trees for change in nodes(tree, s.Change)} == {
        *("redact", "set", "drop", "cap", "truncate")
    }
    assert {setting.name for tree in trees for setting in nodes(tree, s.Setting)} >= SETTINGS


def test_every_detector_occurs(checked: list[c.CheckedPolicy]) -> None:
    assert {p.detector for policy in checked for p in nodes(policy, c.Pattern)} >= set(DETECTORS)
