"""Expressions read into parts: a text is made for whatever RE2 takes, and RE2 finds the expression in it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thoth.engine.checked import Pattern
from thoth.engine.expressions import NotPlain, Reader, WholeReader
from thoth.engine.reference_values import compiled
from thoth.engine.samples import matching

WRITTEN = [
    "abc",
    "a|b|cd",
    "^(ab|c)$",
    "x{3}",
    "x{2,}",
    "a{0}b",
    "a{,3}",
    "a{b}",
    "[abc]",
    "[^abc]",
    "[]a]",
    "[a-f0-9]+",
    r"[\w.-]+@x",
    r"\d{3}-\d{2}",
    r"\bword\b",
    r"\Bx",
    r"\Aab\z",
    "(?i)abc",
    "(?i:https?://|\\bwww\\.)",
    "(?P<year>[0-9]{4})",
    "(?<m>[0-9]+)",
    "a*?b",
    "a+?",
    "a??b",
    "(?s).",
    "(?m)^x$",
    "(?U)a+",
    r"\x41\x{1F600}",
    r"\Qa.b*c\E",
    r"\QX",
    "[[:alpha:]]+",
    "[^[:space:]]",
    "[[:^digit:]x]",
    r"\pL+",
    r"\p{Greek}",
    r"\PL",
    r"\p{^Lu}",
    r"\p{Lu}",
    "é+",
    "[à-ü]",
    r"[\x41-\x43]",
    r"\.\*\[",
    r"[\]\-^]",
    "}",
    "a]",
    r"\a\f\v\t",
    r"\101",
    "[?&][^=&#]+=[^&#]{80,}",
    "(a|b)(c|d)",
    "(?:a(?:b|(?i:c)))+",
    "a||b",
    "()",
    "[a-]",
    "[-a]",
    r"\C",
    "x(?i)y",
]


@pytest.mark.parametrize("regex", WRITTEN)
def test_a_text_is_made_of_whatever_re2_takes(regex: str) -> None:
    expression = compiled(regex)
    texts = list(matching(Pattern(regex)))
    assert texts
    assert all(expression.search(text) for text in texts)


def test_each_of_several_alternatives_has_its_turn() -> None:
    assert {"ab", "cd", "ef"} <= set(matching(Pattern("^(?:ab|cd|ef)$")))


@pytest.mark.parametrize("regex", [r"\bx", "(?P<n>x)", "x*?", "é", "[[:alpha:]]", r"\pL", r"\x41", "x{1001}", "(?i:x)"])
def test_what_not_everybody_means_alike_is_read_for_samples_alone(regex: str) -> None:
    with pytest.raises(NotPlain):
        Reader(regex).read()
    WholeReader(regex).read()


@settings(max_examples=300)
@given(st.text("ab|()[]^$.*+?{}\\dwbQE:-,1P<>i=!&é", max_size=12))
def test_anything_is_read_or_refused(regex: str) -> None:
    try:
        WholeReader(regex).read()
    except NotPlain:
        pass
