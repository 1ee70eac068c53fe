"""What detectors find, and where a value has been seen."""

import re
from fractions import Fraction
from typing import Any

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from thoth.contract.detectors import DETECTORS
from thoth.native.provenance import stands_in, token_of
from thoth.native.scan import Scan
from thoth.native.values import EMAIL_CODE, HOST_CODE, Named


def detector(name: str) -> Scan:
    return Scan(re2.compile(DETECTORS[name].regex), True, DETECTORS[name].check)


@pytest.mark.parametrize(
    ("name", "text", "finds"),
    [
        ("card_number", "pay 4111 1111 1111 1111 now", ["4111 1111 1111 1111"]),
        ("card_number", "4111-1111-1111-1112", []),
        ("card_number", "12 4111111111111111", ["4111111111111111"]),
        ("card_number", "0000 0000 0000 0000", []),
        ("iban", "to DE89 3704 0044 0532 0130 00.", ["DE89 3704 0044 0532 0130 00"]),
        ("iban", "DE88 3704 0044 0532 0130 00", []),
        ("us_ssn", "123-45-6789 000-12-3456 666-12-3456 900-12-3456 123-00-4567", ["123-45-6789"]),
        ("ip", "10.0.0.1 or fe80::1, not 10.0.0.256", ["10.0.0.1", "fe80::1"]),
        ("email", "mail ada@acme.com.", ["ada@acme.com"]),
    ],
)
def test_a_detector_finds_what_its_check_lets_stand(name: str, text: str, finds: list[str]) -> None:
    assert [text[start:end] for start, end in detector(name).spans(text)] == finds
    assert detector(name).holds(text) is bool(finds)


def luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


@given(st.from_regex(re.compile(r"[1-9][0-9]{12,18}", re.ASCII), fullmatch=True))
def test_a_run_of_digits_is_a_card_number_where_luhn_says_so(digits: str) -> None:
    assert detector("card_number").holds(digits) is luhn(digits)


def test_a_pattern_that_could_not_be_compiled_leaves_it_in_doubt() -> None:
    assert Scan(None).holds("anything") is None


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("ab", None),
        ("abc", ("text", "abc")),
        (True, None),
        (999, None),
        (1000, ("number", "1000")),
        (1000.0, ("number", "1000")),
        (-2500.5, ("number", "-5001/2")),
        ("999", None),
        ("0999.50", None),
        ("1,000", ("text", "1,000")),
        ([1000], None),
        ({}, None),
        (Named(EMAIL_CODE, "Ada@acme.com"), ("email", "Ada@acme.com")),
        (Named(HOST_CODE, "acme.com"), ("host", "acme.com")),
    ],
)
def test_a_value_that_says_too_little_is_not_looked_for(value: Any, token: tuple[str, str] | None) -> None:
    assert token_of(value, False) == token


def test_a_url_is_looked_for_by_its_host() -> None:
    assert token_of("https://ACME.com/x", True) == ("host", "acme.com")
    assert token_of("acme.com", True) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("abc", "abc"),
        ("abc", "(abc)"),
        ("abc", "is it abc?"),
        (25_000, "pay 25,000.00 EUR"),
        (25_000, "25000"),
        (-2500.5, "-2,500.50"),
        (Named(EMAIL_CODE, "Ada@acme.com"), "to Ada@ACME.com, now"),
        (Named(HOST_CODE, "acme.com"), "see https://Acme.com, please"),
        ("caf\u00e9", "cafe\u0301"),
    ],
)
def test_a_value_stands_in_a_text_as_a_whole(value: Any, text: str) -> None:
    token = token_of(value, False)
    assert token is not None
    assert stands_in(token, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("abc", "xabc"),
        ("abc", "abc_d"),
        ("abc", "abc-d"),
        ("abc", "d.abc"),
        (25_000, "125,000"),
        (25_000, "25,000.01"),
        (25_000, "25000.0.1"),
        (Named(EMAIL_CODE, "Ada@acme.com"), "ada@acme.com"),
        (Named(EMAIL_CODE, "Ada@acme.com"), "Ada@acme.com.example"),
        (Named(HOST_CODE, "acme.com"), "notacme.com"),
    ],
)
def test_a_part_of_something_longer_is_not_the_value(value: Any, text: str) -> None:
    token = token_of(value, False)
    assert token is not None
    assert not stands_in(token, text)


@given(st.integers(1000, 10**12), st.integers(0, 99))
def test_a_number_is_found_however_it_is_spelled(whole: int, cents: int) -> None:
    token = token_of(Fraction(whole * 100 + cents, 100), False)
    assert token is not None
    assert stands_in(token, f"pay {whole:,}.{cents:02} now")
    assert stands_in(token, f"{whole}.{cents:02}0")
    assert not stands_in(token, f"{whole}.{cents:02}1")
