"""What cannot be scanned is withheld, and what is nothing is not kept."""

from collections.abc import Mapping
from typing import Any

import pytest

from thoth.contract import Effect
from thoth.engine import Engine

POLICY = """
policy results
tool fetch(url: string) is read yields card when result matches card_number
tool look(url: string) is read
allow * as all
on result fetch redact result matching card_number with "[card]"
"""


@pytest.mark.parametrize("result", ["4111 1111 1111 1111 \ud800", {"a": ["\udfff 4111 1111 1111 1111"]}, ["\ud800"]])
def test_a_result_that_cannot_be_scanned_is_withheld_and_its_label_may_hold(result: object) -> None:
    """A lone surrogate is a text that JSON can spell and UTF-8 cannot."""
    engine = Engine.from_text(POLICY)
    session = engine.session("s")
    decision = engine.decide({"tool_name": "fetch", "tool_args": {"url": "u"}}, session=session)
    assert decision.effect is Effect.ALLOW
    outcome = engine.completed(decision, result)
    assert outcome.withheld
    assert outcome.result is None
    assert session.may_hold("card") or "card" in session.labels


@pytest.mark.parametrize("evaluator", ["native", "reference"])
def test_of_a_result_that_was_told_in_part_nothing_is_seen_where_a_rule_could_filter_the_rest(evaluator: str) -> None:
    engine = Engine.from_text(POLICY, evaluator=evaluator)  # type: ignore[arg-type]
    session = engine.session("s")
    for tool, withheld in (("fetch", True), ("look", False)):
        decision = engine.decide({"tool_name": tool, "tool_args": {"url": "u"}}, session=session)
        outcome = engine.completed(decision, f"the first page of {tool}", whole=False)
        assert (outcome.withheld, outcome.result is None) == (withheld, withheld)
    assert [told.text for told in session.results] == ["the first page of fetch", "the first page of look"]


@pytest.mark.parametrize("evaluator", ["native", "reference"])
@pytest.mark.parametrize("tool", ["fetch", "look"])
def test_empty_results_and_turns_are_not_kept(evaluator: str, tool: str) -> None:
    engine = Engine.from_text(POLICY, evaluator=evaluator)  # type: ignore[arg-type]
    session = engine.session("s")
    for result in (None, "", "something"):
        session.said("")
        decision = engine.decide({"tool_name": tool, "tool_args": {"url": "u"}}, session=session)
        engine.completed(decision, result)
    assert [told.text for told in session.results] == ["something"]
    assert session.texts == []


class Odd:
    """An object whose text is none."""

    def __str__(self) -> str:
        raise ValueError("no")


def within_itself() -> list[Any]:
    odd: list[Any] = []
    odd.append(odd)
    return odd


UNREADABLE: Mapping[str, object] = {
    "within itself": within_itself(),
    "too long an integer": 10**5000,
    "somewhere in it": {"a": [10**5000]},
    "its text raises": Odd(),
}


@pytest.mark.parametrize("evaluator", ["native", "reference"])
@pytest.mark.parametrize("tool", ["fetch", "look"])
@pytest.mark.parametrize("result", UNREADABLE.values(), ids=UNREADABLE)
def test_a_result_that_cannot_be_made_a_text_is_withheld_and_untold(evaluator: Any, tool: str, result: object) -> None:
    engine = Engine.from_text(POLICY, evaluator=evaluator)
    session = engine.session("s")
    decision = engine.decide({"tool_name": tool, "tool_args": {"url": "u"}}, session=session)
    outcome = engine.completed(decision, result)
    assert (outcome.withheld, outcome.result) == (True, None)
    assert session.calls[0].completed
    assert not session.calls[0].told
    assert session.may_hold("card") is (tool == "fetch")


CONDITIONS = ["matches card_number", 'like "*a*"', 'contains "z"', "size(result) > 100", 'matches "[^a]"']


@pytest.mark.parametrize("evaluator", ["native", "reference"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_whatever_a_rule_asks_of_a_result_that_is_no_unicode_is_in_doubt(evaluator: Any, condition: str) -> None:
    asked = condition if condition.startswith("size") else f"result {condition}"
    engine = Engine.from_text(f"allow *\non result fetch when {asked} withhold", evaluator=evaluator)
    decision = engine.decide({"tool_name": "fetch"})
    assert engine.completed(decision, "a \ud800").withheld


@pytest.mark.parametrize("evaluator", ["native", "reference"])
def test_a_result_is_searched_in_nfc_whoever_searches(evaluator: Any) -> None:
    """Rules, labels and redactions see one text; one in which nothing is found is passed on as it came."""
    text = """
tool t() yields name when result matches "Ren\u00e9"
allow *
on result t redact result matching "Ren\u00e9" with "[n]"
"""
    engine = Engine.from_text(text, evaluator=evaluator)
    session = engine.session("s")
    outcome = engine.completed(
        engine.decide({"tool_name": "t"}, session=session), {"to": ["Rene\u0301"], "x": "e\u0301"}
    )
    assert outcome.result == {"to": ["[n]"], "x": "e\u0301"}
    assert outcome.labels == ("name",)
