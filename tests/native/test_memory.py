"""What a growing list of texts holds, asked once or again."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import thoth.engine.reference_facts as reference
from thoth.native.provenance import Memory, stands_in, token_of
from thoth.native.values import EMAIL_CODE, HOST_CODE, Named

VALUES: list[Any] = ["abc", "a1234", 1234, -1234, 12345.5, 10**20, "x-1234", Named(EMAIL_CODE, "ada@acme.com")]
VALUES += [Named(HOST_CODE, "acme.com"), 1_234_567, "1,234"]
PIECES = [
    "abc",
    " ",
    "1234",
    "1,234",
    "1234.00",
    "-1234",
    "12,345.5",
    "1,234,567",
    "ada@ACME.com",
    "ADA@acme.com",
    "é",
    ".",
]
PIECES += ["https://acme.com/", "acme.com", ",", "-", "001234", "100000000000000000000", "234", "a", "e\u0301"]
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@given(st.lists(texts, max_size=4), st.lists(texts, max_size=4), st.sampled_from(VALUES))
def test_asking_again_tells_what_asking_first_does(first: list[str], later: list[str], value: Any) -> None:
    token, memory, held = token_of(value, False), Memory(), list(first)
    assert token is not None
    for more in ([], later, []):
        held += more
        expected = tuple(place for place, text in enumerate(held) if stands_in(token, text))
        assert memory.places(token, held) == expected


@given(texts, st.sampled_from(VALUES))
def test_a_token_is_found_where_the_reference_finds_it(text: str, value: Any) -> None:
    token = token_of(value, False)
    assert token is not None
    assert Memory().places(token, [text]) == ((0,) if reference.stands_in(token, text) else ())
