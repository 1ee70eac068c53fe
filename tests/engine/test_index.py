"""Rows under pivots and in families are found as the reference finds them, whatever the buckets look like."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any
from unittest import mock

import pytest
import re2
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.decisions import NOW
from thoth.contract import Effect, Request
from thoth.engine import checked as c
from thoth.engine import pivots, reference
from thoth.engine.automaton import automaton_of
from thoth.engine.call import Call
from thoth.engine.compile import DecisionTable, compile
from thoth.engine.decide import decide
from thoth.engine.flat import Span, below_fraction
from thoth.native.table import Walk

TOOL = (c.ToolPattern("name", "t"),)
EXAMPLES = settings().max_examples if settings().max_examples > 1000 else 100
NUMBERS: list[Any] = [0, 1, -1, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**30, 5, 6, 7]
DECIMALS = [
    Decimal("1000.01"),
    Decimal("0.1"),
    Decimal("5.5"),
    Decimal(1),
    Decimal("1e300"),
    Decimal("9007199254740993.5"),
]
FLOATS = [
    0.0,
    -0.0,
    1.0,
    0.1,
    5.5,
    1000.01,
    math.nextafter(1000.01, 0),
    math.nextafter(1000.01, 2000),
    1e300,
    2.0**63,
    2.0**53,
]
NO_NUMBERS = [math.nan, math.inf, -math.inf]
TEXTS = [
    "",
    "a",
    "ab",
    "abc",
    "abcdefgh",
    "abcdefghi",
    "abcdefgh/",
    "b",
    "é",
    "e\u0301",
    "éa",
    "a*",
    "日本",
    "日",
    "\u0000",
    "1",
    "true",
]
PATHS = [
    "/",
    "/etc",
    "/etc/",
    "/etc/passwd",
    "/etcetera",
    "/srv/a",
    "/srv/a/b",
    "/srv/ab",
    "/srv/../etc/x",
    "/.x",
    "srv",
    "/a/./b",
    "/é/x",
]
GLOBS = ["*", "a*", "ab*", "*c", "a*c", "*b*", "?b*", "abcdefgh*", "abcdefghi*", "é*", "a\\*", "日*", "*a", "abc", "[x"]
FOLDERS = ["/", "/etc", "/srv", "/srv/a", "/srv/a/b", "/é"]
REGEXES = ["^(a[b-d]*)$", "b", "^ab", "c$", "^$", "(?i)ABC", "é", "^(a|ab)(c|bcd)$", "\\bab", "[^a]", "a{2,}"]


def colliding() -> tuple[str, str]:
    """Return two texts that share all 32 bits of the hash that an entry keeps."""
    seen: dict[int, str] = {}
    for number in range(400_000):
        text = f"v{number}"
        hashed = xxhash.xxh3_64_intdigest(text.encode()) & 0xFFFFFFFF
        if hashed in seen:
            return seen[hashed], text
        seen[hashed] = text
    raise AssertionError("400,000 texts, and no two hash alike")


COLLIDING = colliding()
ALIKE = [c.Constant(text) for text in COLLIDING]


def argument(name: str) -> c.Argument:
    return c.Argument((name,))


def constants(drawn: Any) -> st.SearchStrategy[c.Constant]:
    return st.sampled_from(drawn).map(c.Constant)


numbers = st.sampled_from([*NUMBERS, *DECIMALS]).map(c.Constant)
texts = st.sampled_from(TEXTS).map(c.Constant)
anything = st.one_of(numbers, texts, st.booleans().map(c.Constant))


@st.composite
def predicates(draw: st.DrawFn) -> Any:
    left = argument(draw(st.sampled_from("xyz")))
    match draw(st.integers(0, 9)):
        case 0:
            return c.Compare(left, "is", draw(anything))
        case 1:
            return c.Member(left, tuple(draw(st.lists(anything, min_size=1, max_size=12))))
        case 2:
            return c.Member(left, tuple(draw(st.lists(texts, min_size=1, max_size=20))))
        case 3 | 4:
            return c.Compare(left, draw(st.sampled_from(["<", "<=", ">", ">="])), draw(numbers))
        case 5:
            return c.Affix(draw(st.sampled_from(["starts", "ends"])), left, draw(texts))
        case 6:
            return c.Like(left, tuple(draw(st.lists(st.sampled_from(GLOBS), min_size=1, max_size=3))))
        case 7:
            return c.Under(left, tuple(draw(st.lists(st.sampled_from(FOLDERS), min_size=1, max_size=3))))
        case 8:
            few = draw(st.lists(st.sampled_from(ALIKE), min_size=1, max_size=2))
            return c.Member(left, tuple(few + draw(st.lists(texts, max_size=9))))
    return c.Matches(left, c.Pattern(draw(st.sampled_from(REGEXES))))


@st.composite
def asked(draw: st.DrawFn) -> c.Test:
    each = draw(st.sampled_from(["", "", "", "", "any", "all"]))
    return c.Test(draw(predicates()), draw(st.sampled_from([False, False, False, True])), each)


@st.composite
def conditions(draw: st.DrawFn) -> c.Condition:
    parts: list[c.Condition] = draw(st.lists(asked(), min_size=1, max_size=3))
    if draw(st.integers(0, 5)) == 0:
        parts.append(c.AnyOf(tuple(draw(st.lists(asked(), min_size=1, max_size=2)))))
    return c.AllOf(tuple(parts))


EFFECTS = [Effect.ALLOW, Effect.BLOCK, Effect.DEFER, Effect.STEP_UP]
KINDS = ["any", "string", "number", "id", "email", "host", "path"]


def policy_of(rules: list[c.Rule], kinds: tuple[str, ...]) -> c.CheckedPolicy:
    params = tuple(c.Param(name, c.Type(kind), optional=True) for name, kind in zip("xyz", kinds, strict=True))
    tools = {"t": (c.Tool("t", None, params),)}
    return c.CheckedPolicy("p", tools=tools, rules=tuple(rules), approvers=("ops",), digest="d")


@st.composite
def policies(draw: st.DrawFn) -> c.CheckedPolicy:
    """One tool, rules enough for pivots, and sometimes families of rules that one span sets apart."""
    rules = []
    for number in range(draw(st.integers(1, 40))):
        effect, unless = draw(st.sampled_from(EFFECTS)), draw(st.one_of(st.just(c.FALSE), asked()))
        rules.append(c.Rule(f"r{number}", effect, TOOL, draw(conditions()), unless, ask=c.Ask(("ops",), 1)))
    for family in range(draw(st.integers(0, 3))):
        effect, left = draw(st.sampled_from(EFFECTS)), argument(draw(st.sampled_from("xyz")))
        guard = draw(st.lists(asked(), max_size=2))
        for number in range(draw(st.sampled_from([15, 16, 17, 40]))):
            span = draw(
                st.lists(
                    st.builds(
                        lambda op, bound, left=left: c.Test(c.Compare(left, op, bound)),
                        st.sampled_from(["<", "<=", ">", ">="]),
                        numbers,
                    ),
                    min_size=1,
                    max_size=3,
                )
            )
            rule = c.Rule(f"f{family}-{number:02}", effect, TOOL, c.AllOf((*guard, *span)), ask=c.Ask(("ops",), 1))
            rules.append(rule)
    return policy_of(rules, tuple(draw(st.sampled_from(KINDS)) for _ in "xyz"))


values = st.one_of(
    st.sampled_from(
        [
            *NUMBERS,
            *FLOATS,
            *TEXTS,
            *PATHS,
            *COLLIDING,
            True,
            False,
            None,
            "a@b.c",
            "A@B.C",
            "b.c.",
        ]
    ),
    st.lists(st.sampled_from([1, 1.0, True, "a", "ab", None, "é", 2**53 + 1, []]), max_size=4),
    st.just({}),
)
calls = st.dictionaries(st.sampled_from("xyz"), values).map(lambda args: {"tool_name": "t", "tool_args": args})


@settings(max_examples=EXAMPLES)
@given(policies(), st.lists(calls, min_size=1, max_size=6))
def test_large_buckets_agree_with_the_reference(policy: c.CheckedPolicy, given_calls: list[Any]) -> None:
    table = compile(policy)
    for call in given_calls:
        expected = reference.decide(policy, call, now=NOW)
        decided = decide(table, call, now=NOW)
        assert decided.facts() == expected.facts()
        surveyed(table, call)


@settings(max_examples=EXAMPLES // 4)
@given(policies(), st.lists(st.one_of(values, st.sampled_from(NO_NUMBERS)), min_size=3, max_size=3))
def test_an_index_finds_what_looking_at_each_rule_finds_whatever_the_values(
    policy: c.CheckedPolicy, given_values: list[Any]
) -> None:
    """No request carries NaN or infinity; a search that meets one all the same says what it says of any value."""
    table = compile(policy)
    with mock.patch.multiple(pivots, PIVOTED_MIN=10**9, FAMILY_MIN=10**9):
        unindexed = compile(policy)
    call = {"tool_name": "t", "tool_args": dict(zip("xyz", given_values, strict=True))}
    expected = reference.decide(policy, call, now=NOW).facts()
    found = []
    for one in (table, unindexed):
        assert decide(one, call, now=NOW).facts() == expected
        request = Request(tool_name="t", tool_args=call["tool_args"])
        binding = one.declarations.bind("t", None, request.tool_args)
        about = Call(one.knowledge, request, "t", binding, None, NOW)
        bucket = one.bucket("t", -1 if about.declared is None else about.declared.number)
        found.append([Walk(one.table, about).holding(rows, NOW) for rows in bucket.rules])
    assert found[0] == found[1]
    surveyed(table, call)


def surveyed(table: DecisionTable, call: dict[str, Any]) -> None:
    """Compare what a survey tells with what there is."""
    request = Request(tool_name="t", tool_args=call["tool_args"])
    binding = table.declarations.bind("t", None, request.tool_args)
    about = Call(table.knowledge, request, "t", binding, None, NOW)
    bucket = table.bucket("t", -1 if about.declared is None else about.declared.number)
    for rows in bucket.rules:
        everyone = Walk(table.table, about).holding(rows, NOW)
        told, more = Walk(table.table, about).surveyed(rows, NOW)
        assert everyone == sorted(set(everyone))
        assert told == sorted(set(told))
        assert set(told) <= set(everyone)
        assert len(told) + sum(count for _, count in more) == len(everyone)
        untold = set(everyone) - set(told)
        assert len(untold) == 0 or more
        for number in list(untold)[:100]:  # of its effect sixteen come first
            effect = table.rows[number].rule.effect
            assert sum(table.rows[n].rule.effect is effect and n < number for n in told) >= 16


MANY = tuple(c.Constant(f"v{number}") for number in range(5_000))
LISTED = [
    c.Rule("among", Effect.BLOCK, TOOL, c.Test(c.Member(argument("x"), (*ALIKE[:1], *MANY)))),
    c.Rule(
        "mixed", Effect.DEFER, TOOL, c.Test(c.Member(argument("y"), (*MANY, c.Constant(2**53 + 1), c.Constant(True))))
    ),
    c.Rule("not", Effect.ALLOW, TOOL, c.Test(c.Member(argument("x"), MANY), negated=True)),
]
LISTED_POLICY = policy_of(LISTED, ("any", "any", "any"))
LISTED_TABLE = compile(LISTED_POLICY)
members = st.one_of(values, st.sampled_from(["v0", "v2500", "v4999", "v5000", "V0", "v"]))


@given(st.dictionaries(st.sampled_from("xy"), members))
def test_lists_of_five_thousand_are_looked_up_as_the_reference_walks_them(args: dict[str, Any]) -> None:
    call = {"tool_name": "t", "tool_args": args}
    expected = reference.decide(LISTED_POLICY, call, now=NOW)
    assert decide(LISTED_TABLE, call, now=NOW).facts() == expected.facts()


def test_what_hashes_alike_is_told_apart_by_its_bytes() -> None:
    for one, other in (COLLIDING, COLLIDING[::-1]):
        rules = [
            c.Rule(f"r{n}", Effect.ALLOW, TOOL, c.Test(c.Compare(argument("x"), "is", c.Constant(text))))
            for n, text in enumerate([one, *(f"w{k}" for k in range(10))])
        ]
        table = compile(policy_of(rules, ("string",) * 3))
        assert decide(table, {"tool_name": "t", "tool_args": {"x": one}}, now=NOW).rules == ("r0",)
        assert decide(table, {"tool_name": "t", "tool_args": {"x": other}}, now=NOW).rules == ()


def test_of_ten_thousand_rules_that_all_hold_sixteen_and_a_count_are_told() -> None:
    bound = [c.Test(c.Compare(argument("x"), "<=", c.Constant(1_000 + n))) for n in range(10_000)]
    table = compile(
        policy_of([c.Rule(f"r{n:05}", Effect.ALLOW, TOOL, test) for n, test in enumerate(bound)], ("int",) * 3)
    )
    call = {"tool_name": "t", "tool_args": {"x": 500}}
    decided = decide(table, call, now=NOW)
    assert (decided.rules, decided.rules_more) == (tuple(f"r{n:05}" for n in range(16)), 9_984)
    surveyed(table, call)


PARTS = [
    "a",
    "b",
    "c",
    "[ab]",
    "[^a]",
    ".",
    "\\d",
    "^",
    "$",
    "(a|b)",
    "(ab|c)",
    "(^a|b)",
    "()",
    "(a$|b)",
    "[a-c]",
    "\\w",
    "-",
]
REPEATS = ["", "", "", "*", "+", "?", "{2}", "{1,2}", "{0,2}", "{2,}"]
regexes = st.builds(
    lambda flags, parts, whole: f"{flags}^({parts})$" if whole else flags + parts,
    st.sampled_from(["", "", "(?i)", "(?s)"]),
    st.lists(st.builds(str.__add__, st.sampled_from(PARTS), st.sampled_from(REPEATS)), min_size=1, max_size=5).map(
        "".join
    ),
    st.booleans(),
)


@settings(max_examples=max(EXAMPLES, 500))
@given(regexes, st.lists(st.text("abcABd1-\n", max_size=8), min_size=1, max_size=8))
def test_an_automaton_finds_what_re2_finds(regex: str, given_texts: list[str]) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(regex, options)
    except re2.error:
        return
    automaton = automaton_of(regex)
    for text in given_texts if automaton else ():
        assert ran(automaton, text) == (compiled.search(text) is not None)


def ran(automaton: Any, text: str) -> bool:
    table, states, width, state = automaton
    for c_ in text.encode():
        if state < 2:
            break
        state = table[128 + state * width + table[c_]]
    return bool(state if state < 2 else table[128 + states * width + state])


@pytest.mark.parametrize("regex", ["\\bx", "é", "x**", "(?P<n>a)", "a*?", "\\pL", "[[:alpha:]]", "a{1000}", "(?m)^a"])
def test_what_is_not_plain_is_left_to_re2(regex: str) -> None:
    assert automaton_of(regex) is None


@given(st.fractions(), st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_nothing_lies_between_a_fraction_and_the_double_before_it(value: Fraction, number: int | float) -> None:
    near = below_fraction(value)
    if near is not None and value.denominator & (value.denominator - 1):
        assert (number > value) is (number > near)


def test_a_span_without_ends_holds_every_number() -> None:
    assert Span() == (None, False, None, False)
