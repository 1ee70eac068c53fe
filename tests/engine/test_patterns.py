"""Many patterns over one text: sought together, and found as each by itself would be."""

import random
import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies.decisions import NOW
from thoth.contract import Effect
from thoth.engine import checked as c
from thoth.engine import reference
from thoth.engine.automaton import automaton_of
from thoth.engine.columns import Columns
from thoth.engine.compile import compile
from thoth.engine.decide import decide
from thoth.native.sweep import Sweep

TOOL = (c.ToolPattern("name", "t"),)
REGEXES = [
    "b+c",
    "^a",
    "z$",
    "(?i)QUICK",
    "[0-9]{3}",
    "é+",
    "\\bfox\\b",
    "a.*z",
    "x{2,4}y",
    "^(abc)*$",
    "\\d\\.\\d",
    "ab|ba",
]
DETECTED = ["email", "iban", "card_number", "ip", "us_ssn"]
PIECES = [
    "abc",
    "bbc",
    "z",
    "quick",
    "123",
    "é",
    " fox ",
    "xxy",
    "4111 1111 1111 1111",
    "4111 1111 1111 1112",
    "a@b.com",
]
PIECES += ["10.0.0.1", "DE89370400440532013000", "123-45-6789", "\n", "000-12-3456"]


def policy_of(patterns: list[c.Pattern]) -> c.CheckedPolicy:
    rules = tuple(
        c.Rule(f"r{number:03}", Effect.BLOCK, TOOL, c.Test(c.Matches(c.Argument(("body",)), pattern)))
        for number, pattern in enumerate(patterns)
    )
    tool = c.Tool("t", None, (c.Param("body", c.Type("string")),))
    return c.CheckedPolicy("p", tools={"t": (tool,)}, rules=rules, default=Effect.ALLOW, digest="d")


POLICY = policy_of([*(c.Pattern(regex) for regex in REGEXES), *(c.Pattern("", name) for name in DETECTED)])
TABLE = compile(POLICY)


def call(text: str) -> dict[str, Any]:
    return {"tool_name": "t", "tool_args": {"body": text}}


@given(st.lists(st.sampled_from([*PIECES, *string.ascii_letters]), max_size=300).map("".join))
def test_patterns_that_are_sought_together_are_found_as_the_reference_finds_them(text: str) -> None:
    expected = reference.decide(POLICY, call(text), now=NOW)
    assert decide(TABLE, call(text), now=NOW).facts() == expected.facts()


parts = st.sampled_from(["a", "b", "ab", "[ab]", "[^a]", ".", "(a|bc)", "^", "$", "x", "", "(^a|b)", "(c$|d)"])
marks = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,3}"])
regexes = st.lists(st.builds(str.__add__, parts, marks), min_size=1, max_size=4).map("".join)


@given(st.lists(regexes, min_size=1, max_size=40), st.lists(st.text("abcdx\n", max_size=24), min_size=1, max_size=5))
def test_a_sweep_finds_what_each_automaton_finds(given_regexes: list[str], texts: list[str]) -> None:
    automata = [automaton for regex in given_regexes if (automaton := automaton_of(regex)) is not None]
    if not automata:
        return
    sweep = Sweep(automata)
    for text in texts if sweep.made else ():
        each = [place for place, automaton in enumerate(automata) if finds(automaton, text)]
        assert sweep.found(text) == each


def finds(automaton: tuple[bytes, int, int, int], text: str) -> bool:
    table, states, width, state = automaton
    for sign in text.encode():
        state = table[128 + state * width + table[sign]]
    return state == 1 or bool(table[128 + states * width + state])


def test_a_sweep_of_many_words_is_made_and_one_of_too_many_states_is_not() -> None:
    words = [automaton_of(f"(w{number:03}x|a+{number % 10}x)[0-9]{{3}}") for number in range(256)]
    sweep = Sweep([word for word in words if word is not None])
    assert sweep.found("yaa w255x123 aaa7x000") == [7, *range(17, 256, 10), 255]
    assert sweep.found("yaa w255x12 aaa7x00") == []
    assert sweep.found("é") is None
    wide = [automaton_of(f"{string.ascii_lowercase[number]}.*{number % 10}") for number in range(26)]
    assert not Sweep([one for one in wide if one is not None]).made


def nothing_found(columns: Columns, numbers: list[int]) -> Callable[[bytes], list[int]]:
    return lambda text: []


def test_a_set_that_runs_out_of_memory_never_means_that_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Columns, "searching", nothing_found)
    table = compile(POLICY)
    drawn = random.Random(7)
    for _ in range(50):
        text = "".join(drawn.choices(PIECES, k=100))
        expected = reference.decide(POLICY, call(text), now=NOW)
        assert expected.effect is Effect.BLOCK
        assert decide(table, call(text), now=NOW).facts() == expected.facts()


def test_a_set_of_which_no_small_automaton_can_be_made_is_given_up() -> None:
    """Each of these needs exponentially many states; by itself, RE2 searches for any of them in linear time."""
    policy = policy_of([c.Pattern(f"(a|b)*a(a|b){{{number + 9}}}$") for number in range(12)])
    table = compile(policy)
    drawn = random.Random(7)
    for _ in range(12):
        text = "".join(drawn.choices("ab", k=1_000))
        assert decide(table, call(text), now=NOW).facts() == reference.decide(policy, call(text), now=NOW).facts()


def test_more_patterns_than_one_set_takes_are_sought_in_several() -> None:
    policy = policy_of([c.Pattern(f"w{number:03}x") for number in range(600)])
    table = compile(policy)
    for number in (0, 255, 256, 511, 512, 599):
        decided = decide(table, call("y" * 500 + f"w{number:03}x"), now=NOW)
        assert decided.rules == (f"r{number:03}",)
    assert decide(table, call("y" * 500), now=NOW).effect is Effect.ALLOW
