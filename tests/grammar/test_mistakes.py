"""Every mistake of a text: where it is, what it is, and what to write instead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies.syntax import policies
from thoth.grammar import Message, Policy, PolicyError, format, parse, parse_condition
from thoth.grammar.chunks import NESTING_MAX


def mistakes(text: str) -> tuple[Message, ...]:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    return caught.value.messages


def said(text: str) -> list[str]:
    return [f"{message.at.line}:{message.at.column}: {message.text}" for message in mistakes(text)]


def test_a_mistake_does_not_hide_the_next_one() -> None:
    text = """alow *
block * when args.a == 1
allow ok when tool in scope
defer deploy retry after 30
set x = "unclosed
    because "part of the broken item"
step_up * until 2026-02-30
"""
    assert [message.at.line for message in mistakes(text)] == [1, 2, 4, 5, 7]


def test_a_message_shows_the_line_and_the_place() -> None:
    assert mistakes("\n\tblock * when args.a == 1".replace("\t", ""))[0].render() == (
        "policy.thoth:2:21: unknown operator `==`; write `is`\n"
        "    2 | block * when args.a == 1\n"
        "      |                     ^^"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alow *", "1:1: no item begins with `alow`; did you mean `allow`?"),
        ("Block *", "1:1: no item begins with `Block`; write `block`"),
        ("step-up *", "1:1: no item begins with `step-up`; write `step_up`"),
        ("deny *", "1:1: no item begins with `deny`; write `block`"),
        ("permit *", "1:1: no item begins with `permit`; write `allow`"),
        ("block", "1:6: which tools? write `block send_email`, `db.*`, `class NAME`, or `*` for every tool"),
        (
            "block when args.a is 1",
            "1:12: which tools? write a name, `db.*`, `class NAME`, or `*` for every tool before `when`",
        ),
        ("block * if args.a is 1", "1:9: unknown word `if`; write `when`"),
        ("block * when args.a != 1", "1:21: unknown operator `!=`; write `is not`"),
        ("block * when args.a = 1", "1:21: unknown operator `=`; write `is`"),
        ("block * when args.a is 1 && has args.b", "1:26: unknown operator `&&`; write `and`"),
        ("block * when args.a is 1 || has args.b", "1:26: unknown operator `||`; write `or`"),
        ("block * when !args.a is 1", "1:14: unknown operator `!`; write `not`"),
        ("block * when not not args.a is 1", "1:18: `not not` says nothing; leave both out"),
        ("block * when args.a is 'x'", '1:24: texts stand in double quotes; write `"…"`'),
        ("set x = “x”", '1:9: texts stand in double quotes; write `"…"`'),
        ('block * when args.a is "x', '1:24: missing closing `"`; a text ends on the line it begins'),
        (
            'set x = "\\d"',
            r"1:10: unknown escape `\d` in a text; write `\\` for a backslash (known: \" \\ \/ \b \f \n \r \t \uXXXX)",
        ),
        (
            'set x = "\\ud800"',
            "1:9: half of a surrogate pair in a text; write both halves, or the character itself",
        ),
        ("set x = 1e400", "1:9: `1e400` is beyond what a double holds; no request can carry such a number"),
        (
            "set x = 1e-999999999",
            "1:9: `1e-999999999` is beyond what a double holds; no request can carry such a number",
        ),
        ("set x = " + "9" * 5000, "1:9: a number of 5000 characters; 400 are enough for every double"),
        (
            "defer x retry after 30",
            "1:21: `30` is no duration; write its unit too, as in `30s`, `30m`, `30h` or `30d`",
        ),
        (
            "block * until 2026-02-30",
            "1:15: the calendar has no 2026-02-30; write year-month-day, as in `2026-02-28`",
        ),
        (
            'hours h = mon-fri 09:00-25:00 in "UTC"',
            "1:25: no clock shows 25:00; write hours and minutes, as in `09:00` or `17:30`",
        ),
        ('hours h = mon 24:00-08:00 in "UTC"', "1:15: 24:00 can only be an end; write `00:00` and the next day"),
        ("block * when arg.a is 1", "1:14: unknown attribute `arg.a`; did you mean `args.a`?"),
        ("block * when amount > 1", "1:14: unknown attribute `amount`; arguments are written `args.amount`"),
        ("block * becuase", "1:9: unexpected `becuase`; did you mean `because`?"),
        ('block * as because "x"', "1:20: `because` was read as the rule's id; write `as ID because …`"),
        (
            "block * when has args.a when has args.b",
            "1:25: a second `when`; each clause comes once: join the two conditions with `and`",
        ),
        ('block * ask "a"', "1:9: `ask` belongs to `step_up` rules; this is `block`"),
        (
            'limit * to 1 calls per 1m by agent else block ask "a"',
            "1:47: `ask` belongs to `else step_up`; this is `else block`",
        ),
        ("limit x", "1:1: this `limit` lacks what it limits: write `to 30 calls per 1m by agent else block`"),
        ("risk x 30", "1:8: `30` are no points; write `+30`"),
        ("block * when tool is not in scope", "1:29: unexpected `scope`; write `not in` without `is`"),
        ("tool x(a: strng)", "1:11: unknown type `strng`; did you mean `string`?"),
        (
            "tool x() risk hihg",
            "1:10: which risk? write `risk low`, `risk medium`, `risk high` or `risk critical`",
        ),
        ("block *;", "1:8: items and clauses end without `;`; leave it out"),
        ("block *\u00a0when has args.a", "1:8: unexpected character U+00A0; write a plain blank"),
        ("}", "1:1: this `}` closes nothing; leave it out"),
        ("  allow x", "1:1: an item starts in the first column; take away the blanks before it"),
        ('ask "owner"', "1:1: `ask` continues an item; indent it"),
        ("block * when (has args.a", "1:25: the item ends too early; expected `)`, `and` or `or`"),
        (
            "allow z z",
            "1:9: unexpected `z`; expected a clause (`when`, `unless`, `because`, …), `,`, `as` or the end of the item",
        ),
        ("set x = \x00", "1:9: a NUL character; a policy is plain Unicode text"),
        ("# \ud800", "1:3: half of a surrogate pair; a policy is plain Unicode text"),
    ],
)
def test_a_common_mistake_is_told_what_to_write_instead(text: str, message: str) -> None:
    assert said(text) == [message]


def test_an_item_indented_by_mistake_is_told_so_and_still_read() -> None:
    assert said("allow x\n  block y whn\n") == [
        "2:3: `block` begins a new item; write it in the first column",
        "2:11: unexpected `whn`; did you mean `when`?",
    ]


def test_each_line_of_a_group_is_read_on_its_own() -> None:
    text = """for env prod, {
    block x
    blok y
    allow z
        when
    risk * +5 as fine
}
allow x x
"""
    assert [message.at.line for message in mistakes(text)] == [1, 3, 5, 8]


def test_each_line_of_a_test_is_read_on_its_own() -> None:
    text = 'test "t" {\n    given agnt "x"\n    call f(a: b)\n    expect blok\n}\n'
    assert said(text) == [
        "2:11: unexpected `agnt`; did you mean `agent`?",
        '3:15: `b` lacks its quotes; write `"b"`',
        "4:12: unexpected `blok`; did you mean `block`?",
    ]


def test_an_unclosed_brace_does_not_swallow_the_rest() -> None:
    assert said('for env prod {\n  block x\nset y = "1"\nallow x x\n')[0] == (
        "1:14: this `{` is never closed; write `}` behind its last line"
    )
    assert len(mistakes("for env a {\nfor env b {\n")) == 2
    assert [message.at.line for message in mistakes('test "t" {\n  call f()\nallow a\nallow b b\n')] == [1, 4]
    assert [message.at.line for message in mistakes('block * when args.a in {"x",\nallow b b\n')] == [1, 2]


def test_brackets_beyond_the_limit_are_refused_not_followed() -> None:
    deep = "(" * NESTING_MAX + "has args.a" + ")" * NESTING_MAX
    parse(f"block * when {deep}")
    for text in (f"block * when ({deep})", "block * when " + "(" * 100_000, "set x = " + "{" * 100_000):
        assert f"more than {NESTING_MAX} brackets inside each other" in said(text)[0]
    assert "lists in lists" in said("tool x(a: " + "list of " * 5_000 + "any)")[0]
    with pytest.raises(PolicyError):
        parse_condition("(" * 10_000)


def test_after_a_thousand_mistakes_the_rest_is_left_out() -> None:
    for text in ("alow *\n" * 1_100, "for env x {\n" + "block * whn\n" * 1_100 + "}"):
        found = mistakes(text)
        assert len(found) == 1_001
        assert "the rest is left out" in found[-1].text


def test_a_long_chain_is_not_deep() -> None:
    parse("block * when " + " and ".join(["has args.a"] * 5_000))


def test_a_condition_alone_is_told_its_mistakes_too() -> None:
    with pytest.raises(PolicyError, match=r"condition:1:8: unknown operator `==`; write `is`"):
        parse_condition("args.a == 1")
    with pytest.raises(PolicyError, match="nothing here; expected a condition"):
        parse_condition(" ")


@given(policies(2), st.data())
def test_a_broken_text_gives_messages_and_nothing_else(policy: Policy, data: st.DataObject) -> None:
    """Cut, doubled and spoiled texts either parse or raise `PolicyError`; each message has its place in the text."""
    text = format(policy)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    middle = data.draw(
        st.sampled_from(["", '"', "{", "}", "(", "\n", " not ", "\n allow x", text[start:end] * 2, "é", "\\"])
    )
    broken = text[:start] + middle + text[end:]
    try:
        parse(broken)
    except PolicyError as error:
        lines = broken.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for message in error.messages:
            assert 1 <= message.at.line <= len(lines)
            assert 1 <= message.at.column <= len(lines[message.at.line - 1]) + 1
            assert message.text


@given(st.text(max_size=60))
def test_any_text_parses_or_raises_policy_error(text: str) -> None:
    try:
        parse(text)
    except PolicyError as error:
        if not error.messages:
            pytest.fail("an error without a message")
