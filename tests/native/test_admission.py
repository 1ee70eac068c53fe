"""Taking a request in: a copy that shares nothing with the caller, or the word that somebody else has to look."""

import json
from typing import Any

import pytest
from hypothesis import given

from tests.strategies.decisions import malformed, requests
from thoth.contract import Request, admit
from thoth.engine import Engine
from thoth.engine.batch import decide_many
from thoth.engine.compile import compile
from thoth.engine.decide import INTAKE

TABLE = compile(Engine.from_text("allow t").policy)


def plain_of(given: Any) -> Any:
    return INTAKE.read(given)


@given(requests() | malformed())
def test_what_is_taken_in_is_what_the_slow_way_takes_in(call: Any) -> None:
    taken = plain_of(call)
    if taken is not None:
        assert repr(taken) == repr(admit(call))


@given(requests())
def test_a_typed_request_is_taken_in_like_the_dict_it_was_made_of(call: Any) -> None:
    admitted = admit(call)
    if isinstance(admitted, Request):
        assert repr(plain_of(admitted)) == repr(admitted)


def containers(value: Any) -> list[int]:
    """Return the identity of every list and dict in a value."""
    if isinstance(value, dict):
        return [id(value), *(one for member in value.values() for one in containers(member))]
    return [id(value), *(one for item in value for one in containers(item))] if isinstance(value, list) else []


@pytest.mark.parametrize("typed", [False, True])
def test_nothing_that_can_change_is_shared_with_the_caller(typed: bool) -> None:
    call: dict[str, Any] = {
        "tool_name": "t",
        "tool_args": {"a": [1, [2, {"b": [3]}]], "c": {"d": {}}},
        "metadata": {"e": [[]]},
        "approved_scope": ["t"],
    }
    mine = [one for value in call.values() for one in containers(value)]
    taken = plain_of(Request(**call) if typed else call)
    theirs = [one for name in call for one in containers(getattr(taken, name))]
    assert len(mine) == len(theirs)
    assert set(mine).isdisjoint(theirs)


@pytest.mark.parametrize(
    "call",
    [
        {"tool_name": "t", "tool_args": {"x": float("nan")}},
        {"tool_name": "t", "tool_args": {"x": 1 << 4096}},
        {"tool_name": "t", "tool_args": {"\ud800": 1}},
        {"tool_name": "t", "tool_args": {"x": [{"y": "\ud800"}]}},
        {"tool_name": "t", "tool_args": {1: 2}},
        {"tool_name": "t", "tool_args": [1]},
        {"tool_name": "t", "tool_args": {"x": [object()]}},
        {"tool_name": "t", "tool_args": {"x": [0] * 100_001}},
        {"tool_name": ""},
        {"tool_name": None},
        {5: "tool_name"},
        [],
    ],
    ids=lambda call: repr(call)[:40],
)
def test_what_is_not_plain_is_left_to_somebody_else(call: Any) -> None:
    assert plain_of(call) is None


def test_an_integer_of_the_greatest_size_is_plain() -> None:
    assert plain_of({"tool_name": "t", "tool_args": {"x": (1 << 4096) - 1}}) is not None


def test_keys_are_known_by_their_text_not_by_who_made_them() -> None:
    call = json.loads('{"tool_name": "t", "agent_id": "a", "something": 1, "tool_args": {}}')
    assert plain_of(call) == Request(tool_name="t", agent_id="a")


def test_a_large_dict_is_asked_only_for_what_is_read() -> None:
    call = {f"other {number}": object() for number in range(1_000)} | {"tool_name": "t"}
    assert plain_of(call) == Request(tool_name="t")


class Attributes:
    def __init__(self, **members: Any) -> None:
        self.__dict__.update(members)


def of_many_kinds(members: dict[str, Any]) -> list[dict[str, Any]]:
    """Return dicts of the same members as CPython keeps them in different ways."""
    apart: dict[Any, Any] = {1: 1, **members}
    del apart[1]
    gone = {"gone": 1, **members, "also gone": 1}
    del gone["gone"], gone["also gone"]
    shared = vars(Attributes(**members))
    small = {**members, **{f"field_{number}": number for number in range(100)}}
    for number in range(100):
        del small[f"field_{number}"]
    return [members, apart, gone, shared, small]


def test_a_dict_is_read_however_python_keeps_it() -> None:
    args = {"a": 1, "\xe9": ["x", {"y": None}], "c": {"d": 1.5}}
    wanted = Request(tool_name="t", tool_args=args, agent_id="ada")
    for inner in of_many_kinds(args):
        for call in of_many_kinds({"tool_name": "t", "tool_args": inner, "agent_id": "ada", "other": [1]}):
            assert admit(call) == wanted
            assert plain_of(call) in (wanted, None)
            assert decide_many(TABLE, [call], now=0.0).effect_of(0) == "ALLOW"


def test_a_dict_with_keys_that_are_no_texts_is_left_to_the_slow_way() -> None:
    assert plain_of({"tool_name": "t", "tool_args": {1: 2}}) is None
    assert plain_of({"tool_name": "t", 1: 2}) is None
