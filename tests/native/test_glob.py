"""A glob against a text: whole values, one escape, and never more than length times length."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.native.glob import match_glob


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("", ""),
        ("*", ""),
        ("*", "anything"),
        ("**", "anything"),
        ("db.*", "db.read"),
        ("*@acme.com", "ada@acme.com"),
        ("a*b*c", "a--b-b--c"),
        ("a?c", "abc"),
        ("?", "€"),
        ("?", "\N{GRINNING FACE}"),
        ("*ab", "aab"),
        (r"\*", "*"),
        (r"\?", "?"),
        (r"\\", "\\"),
        (r"\a", "a"),
        (r"*\*", "stars *"),
        ("\\", "\\"),
        ("a*\\", "ab\\"),
    ],
)
def test_a_glob_covers_what_it_describes(pattern: str, text: str) -> None:
    assert match_glob(pattern, text) is True


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("", "a"),
        ("?", ""),
        ("?", "ab"),
        ("a", "ab"),
        ("b", "ab"),
        ("db.*", "xdb.read"),
        ("*@acme.com", "ada@acme.com.example"),
        ("a*b*c", "a--c--b"),
        (r"\*", "a"),
        (r"\?", "a"),
        (r"a\*", "ab"),
        ("A", "a"),
        ("é", "e\N{COMBINING ACUTE ACCENT}"),
    ],
)
def test_a_glob_covers_the_whole_value_and_nothing_else(pattern: str, text: str) -> None:
    assert match_glob(pattern, text) is False


def test_many_stars_cost_no_more_than_length_times_length() -> None:
    """Tried star by star, this pattern would take longer than the world has lasted."""
    assert match_glob("*a" * 60 + "b", "a" * 5_000) is False
    assert match_glob("*a" * 60, "a" * 5_000) is True


@pytest.mark.parametrize(("pattern", "text"), [(None, ""), ("", None), (b"", ""), ("", 1)])
def test_only_text_is_matched(pattern: object, text: object) -> None:
    with pytest.raises(TypeError):
        match_glob(pattern, text)  # type: ignore[arg-type]


# One letter of each width that CPython stores, so that pattern and text differ in width.
LETTERS = "ab€\N{GRINNING FACE}\n"


@given(st.text("*?\\" + LETTERS, max_size=12), st.text("*?\\" + LETTERS, max_size=12))
def test_a_glob_agrees_with_its_regular_expression(pattern: str, text: str) -> None:
    assert match_glob(pattern, text) == (re.fullmatch(regex_of(pattern), text) is not None)


@given(st.lists(st.tuples(st.sampled_from("*?"), st.text(LETTERS, max_size=4)), max_size=6), st.text(LETTERS))
def test_a_glob_covers_a_text_made_from_it(pieces: list[tuple[str, str]], run: str) -> None:
    """Two random strings seldom match, so this one builds the text along with the pattern."""
    pattern = "".join(wild + literal for wild, literal in pieces)
    text = "".join((run if wild == "*" else "x") + literal for wild, literal in pieces)
    assert match_glob(pattern, text)


@given(st.text("*?\\" + LETTERS))
def test_an_escaped_text_covers_itself_alone(text: str) -> None:
    pattern = re.sub(r"([*?\\])", r"\\\1", text)
    assert match_glob(pattern, text)
    assert not match_glob(pattern, text + "a")


def regex_of(pattern: str) -> re.Pattern[str]:
    parts = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            parts.append(re.escape(next(characters, "\\")))
        else:
            parts.append({"*": ".*", "?": "."}.get(character) or re.escape(character))
    return re.compile("".join(parts), re.DOTALL)
