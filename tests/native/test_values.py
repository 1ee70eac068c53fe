"""Values compare exactly, and what cannot be compared is in doubt."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.native.values import (
    ABSENT,
    EMAIL_CODE,
    HOST_CODE,
    ID_CODE,
    UNKNOWN,
    Kind,
    Named,
    Range,
    Word,
    argument,
    equal,
    fit_exactly,
    follow,
    less,
)

NUMBERS = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([2**53 - 1, 2**53, 2**53 + 1, float(2**53), 10**400, 0.1, Fraction(1, 10), Fraction(1, 3)]),
)
ANY = Kind("any")


@given(NUMBERS, NUMBERS)
def test_numbers_compare_exactly(left: Any, right: Any) -> None:
    assert equal(left, right) is (Fraction(left) == Fraction(right))
    assert less(left, right) is (Fraction(left) < Fraction(right))


@pytest.mark.parametrize(
    ("left", "right", "answer"),
    [
        (1, 1.0, True),
        (True, 1, None),
        (True, True, True),
        (False, True, False),
        (2**53, float(2**53), True),
        (2**53 + 1, float(2**53), False),
        ("1", 1, None),
        ("a", "a", True),
        ("a", "A", False),
        ([1], [1], None),
        ({}, {}, None),
        (Named(ID_CODE, "25"), 25, True),
        (Named(ID_CODE, "25"), 25.0, True),
        (Named(ID_CODE, "25"), 25.5, False),
        (Named(ID_CODE, "25"), "25", True),
        (Named(ID_CODE, "true"), True, None),
        (Named(EMAIL_CODE, "Ada@acme.com"), "Ada@ACME.com.", True),
        (Named(EMAIL_CODE, "Ada@acme.com"), "ada@acme.com", False),
        (Named(HOST_CODE, "acme.com"), "not a host", False),
        (Named(HOST_CODE, "acme.com"), 1, None),
        (Range(0, 5), 6, False),
        (Range(0, 5), 5, None),
        (Range(5, 5), 5, True),
        (Word("high", ("low", "high")), "high", True),
        (Word("high", ("low", "high")), "low", False),
        (Word("high", ("low", "high")), "other", None),
    ],
)
def test_equality_is_exact_or_in_doubt(left: Any, right: Any, answer: bool | None) -> None:
    assert equal(left, right) is answer
    assert equal(right, left) is answer


def test_words_compare_by_rank_and_ranges_by_their_ends() -> None:
    low = Word("low", ("low", "high"))
    assert less(low, "high") is True
    assert less("high", low) is False
    assert less(low, "other") is None
    assert less(Range(0, 5), 6) is True
    assert less(Range(5, 9), 5) is False
    assert less(3, Range(0, 5)) is None
    assert less(3, Range(4, float("inf"))) is True


@pytest.mark.parametrize(
    ("value", "steps", "found"),
    [
        ({"a": {"b": 1}}, ("a", "b"), 1),
        ({"a": 1}, ("b",), ABSENT),
        ([1], ("a",), UNKNOWN),
        (None, ("a",), UNKNOWN),
        ({"a": None}, ("a",), UNKNOWN),
        ("[truncated]", (), UNKNOWN),
        ([1, 2], (1,), 2),
        ([1, 2], (2,), ABSENT),
        ("x", (0,), "x"),
        ("x", (1,), ABSENT),
        ("x", (None,), ["x"]),
        ([{"a": [1, 2]}, {"a": 3}, {}], (None, "a", None), [1, 2, 3, ABSENT]),
        ([[1, 2], [3]], (None,), [[1, 2], [3]]),
        ("cafe\u0301", (), "caf\u00e9"),
    ],
)
def test_a_path_is_followed_and_a_single_value_is_a_list_of_one(value: Any, steps: Any, found: Any) -> None:
    assert follow(value, ANY, steps) == found


def test_null_for_an_optional_argument_is_absent_and_elsewhere_unknown() -> None:
    args = {"a": None, "b": None}
    assert argument(args, {}, frozenset({"a"}), ("a",)) is ABSENT
    assert argument(args, {}, frozenset({"a"}), ("b",)) is UNKNOWN
    assert argument(args, {}, frozenset({"a"}), ("c",)) is ABSENT


def test_an_exact_fit_is_seen_and_anything_else_left_to_the_slow_way() -> None:
    params = (("to", Kind("list", Kind("email")), False), ("note", Kind("string"), True))
    assert fit_exactly({"to": ["x"]}, params, False, False)
    assert fit_exactly({"to": [], "note": ""}, params, False, False)
    assert fit_exactly({"to": [], "more": 1}, params, True, False)
    for args in ({}, {"to": "x"}, {"to": [1]}, {"to": [], "note": None}, {"to": [], "note": 1}, {"to": [], "more": 1}):
        assert not fit_exactly(args, params, False, False)
    assert not fit_exactly({"to": [], "note": ""}, params, False, True)


@pytest.mark.parametrize(
    ("kind", "fitting", "others"),
    [
        ("int", [1, 1.0, -(2**70)], [1.5, True, "1", None]),
        ("number", [1, 1.5], [True, "1"]),
        ("boolean", [True, False], [0, "true"]),
        ("id", ["x", 3], [3.0, True]),
        ("record", [{}], [[], "x"]),
        ("string", ["", "x"], [1, None]),
        ("any", [None, 1, []], []),
    ],
)
def test_a_type_takes_what_it_names(kind: str, fitting: list[Any], others: list[Any]) -> None:
    assert all(Kind(kind).fits(value) for value in fitting)
    assert not any(Kind(kind).fits(value) for value in others)


def test_a_number_is_an_int_by_its_exact_value_however_large() -> None:
    assert Kind("int").fits(1e308)
    assert not Kind("int").fits(100_000_000.5)
