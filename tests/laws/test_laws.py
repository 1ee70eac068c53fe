"""The laws of the language's page, each a property of the reference evaluator, under its own name."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ..cases.run import Case
from . import laws
from .worlds import requests, rules, worlds


@given(worlds(modifying=False))
def test_law_1_only_allow_opens(case: Case) -> None:
    laws.only_allow_opens(case)


@given(worlds(modifying=False))
def test_law_2_strictest_wins(case: Case) -> None:
    laws.strictest_wins(case)


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[Case, list[str]]:
    case = draw(worlds())
    lines = case.document["lines"]
    twice = draw(st.lists(st.sampled_from(lines), max_size=3)) if lines else []
    return case, draw(st.permutations([*lines, *twice]))


@given(shuffled())
def test_law_3_order_and_duplicates_do_not_matter(drawn: tuple[Case, list[str]]) -> None:
    laws.order_and_duplicates_do_not_matter(*drawn)


@given(worlds(most=2), st.sampled_from(laws.FORGOTTEN))
def test_law_4_proof_opens_doubt_closes_forgetting_never_loosens(case: Case, what: str) -> None:
    laws.proof_opens_doubt_closes_forgetting_never_loosens(case, what)


@given(worlds(most=3), rules("added"))
def test_law_5_a_rule_only_does_what_its_effect_says(case: Case, line: str) -> None:
    laws.a_rule_only_does_what_its_effect_says(case, line)


class Hostile(dict[str, Any]):
    """A mapping whose methods raise."""

    def __iter__(self) -> Any:
        raise RuntimeError("no")


odd = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=4)
    | st.sampled_from((2**4096, -(2**4095), b"bytes", object(), {1, 2}, 1j, "\ud800", "\x00", Hostile(a=1))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def hostile(draw: st.DrawFn) -> object:
    if draw(st.integers(0, 5)) == 0:
        return draw(odd)
    request = draw(requests())
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from((*sorted(request), "session_id", "request_id", "approved_scope", "task_context")))
        request[name] = draw(odd)
    if draw(st.booleans()) and isinstance(request["tool_args"], dict):
        request["tool_args"][draw(st.sampled_from(("to", "n", "body", "args", "arg0", "kwargs")))] = draw(odd)
    return request


@given(worlds(), hostile())
def test_law_6_total(case: Case, request: object) -> None:
    laws.total(case, request)


@given(worlds())
def test_law_7_replayable(case: Case) -> None:
    laws.replayable(case)


@given(worlds())
def test_law_8_what_runs_was_judged(case: Case) -> None:
    laws.what_runs_was_judged(case)


@given(worlds())
def test_law_9_explained(case: Case) -> None:
    laws.explained(case)


@given(worlds(), st.sampled_from(laws.OTHER_CALLS))
def test_law_10_an_approval_is_for_one_call(case: Case, other: dict[str, Any]) -> None:
    laws.an_approval_is_for_one_call(case, other)
