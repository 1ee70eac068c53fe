"""Parse results to nodes, first half: conditions, terms and values.

The parser calls one method for each rule of `thoth.lark` as soon as it is complete, with everything
that the rule matched, keywords included. No state: one builder serves all threads.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from lark import Token

from . import words
from .messages import Mistake
from .syntax import (
    After,
    And,
    Boolean,
    Call,
    Condition,
    Count,
    Date,
    Duration,
    ListLiteral,
    Name,
    Not,
    Null,
    Number,
    Or,
    Path,
    RecordLiteral,
    Regex,
    SetLiteral,
    Span,
    Term,
    Test,
    Text,
    ToolPattern,
)

Parts = list[Any]
"""What a rule matched: tokens, and what the builder made of the rules inside."""


class Clause(NamedTuple):
    """A clause between being read and being put into its item."""

    name: str
    value: Any
    at: Span


def place(parts: Sequence[Any]) -> Span:
    """Return the place from the first of the parts to the last."""
    first, last = parts[0], parts[-1]
    first, last = getattr(first, "at", first), getattr(last, "at", last)
    return Span(first.line, first.column, last.end_line, last.end_column)


def bare_or_text(token: Token) -> str:
    """Return what a bare word or a quoted text says."""
    return words.text(token) if token.type == "STRING" else str(token)


def as_text(token: Token) -> Text:
    """Return a bare word or a quoted text as a text."""
    return Text(bare_or_text(token), at=words.span(token))


def listed(parts: Parts) -> Parts:
    """Return the members of a comma-separated list."""
    return [part for part in parts if part != ","]


class Conditions:
    """The rules of `thoth.lark` from `any_of` down to the values."""

    def lone_condition(self, parts: Parts) -> Condition:
        condition: Condition = parts[0]
        return condition

    def lone_line(self, parts: Parts) -> Parts:
        return parts

    def any_of(self, parts: Parts) -> Or:
        flat: list[Condition] = []
        for part in parts[::2]:
            flat.extend(part.parts if isinstance(part, Or) else (part,))
        return Or(tuple(flat), at=place(parts))

    def all_of(self, parts: Parts) -> And:
        flat: list[Condition] = []
        for part in parts[::2]:
            flat.extend(part.parts if isinstance(part, And) else (part,))
        return And(tuple(flat), at=place(parts))

    def negation(self, parts: Parts) -> Not:
        return Not(parts[1], at=place(parts))

    def group(self, parts: Parts) -> Condition:
        condition: Condition = parts[1]
        return condition

    def comparison(self, parts: Parts) -> Test:
        (each, left), (operator, negated), right = parts[0].value, parts[1].value, parts[2]
        return Test(left, operator, right, negated, each, at=place(parts))

    def operator(self, parts: Parts) -> Clause:
        said = [str(part) for part in parts if part != "not"]
        return Clause("operator", (" ".join(said), len(said) < len(parts)), place(parts))

    def subject(self, parts: Parts) -> Clause:
        each = str(parts[0]) if len(parts) == 2 else None
        return Clause("subject", (each, parts[-1]), place(parts))

    def between(self, parts: Parts) -> Test:
        each, left = parts[0].value
        return Test(left, "between", (parts[-3], parts[-1]), parts[1] == "not", each, at=place(parts))

    def matches(self, parts: Parts) -> Test:
        each, left = parts[0].value
        return Test(left, "matches", parts[-1], parts[1] == "not", each, at=place(parts))

    def plain_test(self, parts: Parts) -> Test:
        each, left = parts[0].value
        negated = parts[1] == "not"
        operator = " ".join(parts[2:] if negated else parts[1:])
        return Test(left, operator, None, negated, each, at=place(parts))

    def from_tool(self, parts: Parts) -> Test:
        each, left = parts[0].value
        token = parts[-1]
        if parts[-2] == "class":
            name = Name(bare_or_text(token), at=words.span(token))
            return Test(left, "from tool class", name, parts[1] == "not", each, at=place(parts))
        tool: Term | None = Name(str(token), at=words.span(token))
        if token.type == "STRING":
            tool = as_text(token)
        elif token == "*":
            tool = None
        elif "*" in token:
            raise Mistake("`from tool` takes one tool's name, `class NAME`, or `*` for any", words.span(token))
        return Test(left, "from tool", tool, parts[1] == "not", each, at=place(parts))

    def has(self, parts: Parts) -> Test:
        return Test(parts[1], "has", at=place(parts))

    def after(self, parts: Parts) -> After:
        return After(tuple(listed(parts[1:])), at=place(parts))

    # ------------------------------------------------------------ terms

    def path(self, parts: Parts) -> Path:
        token = parts[0]
        try:
            root, steps, keys = words.path(str(token))
        except ValueError:
            raise Mistake("no list is that long; write a smaller index", words.span(token)) from None
        except Mistake as mistake:
            raise Mistake(mistake.text, words.span(token)) from None
        return Path(root, steps, keys, at=words.span(token))

    def function(self, parts: Parts) -> Call:
        return Call(str(parts[0]), parts[2], at=place(parts))

    def count(self, parts: Parts) -> Count:
        members = listed(parts[2:-1])
        windows = [i for i, member in enumerate(members) if member == "in"]
        if windows and windows != [len(members) - 2]:
            raise Mistake("the time comes once and last: write `calls(TOOLS, in 10m)`", place(members))
        window: Duration | None = members[-1] if windows else None
        tools: list[ToolPattern] = members[:-2] if windows else members
        return Count(str(parts[0]), tuple(tools), window, at=place(parts))

    def tools(self, parts: Parts) -> Clause:
        return Clause("tools", tuple(listed(parts)), place(parts))

    def tool(self, parts: Parts) -> ToolPattern:
        if len(parts) == 2:
            return ToolPattern("class", bare_or_text(parts[1]), at=place(parts))
        return words.tool(parts[0], bare_or_text(parts[0]))

    def set_literal(self, parts: Parts) -> SetLiteral:
        return SetLiteral(tuple(listed(parts[1:-1])), at=place(parts))

    # ------------------------------------------------------------ values

    def text(self, parts: Parts) -> Text:
        return Text(words.text(parts[0]), at=words.span(parts[0]))

    def regex(self, parts: Parts) -> Regex:
        return Regex(words.regex(parts[0]), at=words.span(parts[0]))

    def number(self, parts: Parts) -> Number:
        return Number(words.number(parts[0]), at=words.span(parts[0]))

    def boolean(self, parts: Parts) -> Boolean:
        return Boolean(parts[0] == "true", at=words.span(parts[0]))

    def name(self, parts: Parts) -> Name:
        return Name(str(parts[0]), at=words.span(parts[0]))

    def duration(self, parts: Parts) -> Duration:
        return Duration(*words.amount(parts[0], "a duration"), at=words.span(parts[0]))

    def date(self, parts: Parts) -> Date:
        return words.date(parts[0], as_text(parts[2]) if len(parts) == 3 else None, place(parts))

    def day(self, parts: Parts) -> Date:
        return words.date(parts[0], None, words.span(parts[0]))

    def null(self, parts: Parts) -> Null:
        return Null(at=words.span(parts[0]))

    def list_literal(self, parts: Parts) -> ListLiteral:
        return ListLiteral(tuple(listed(parts[1:-1])), at=place(parts))

    def record_literal(self, parts: Parts) -> RecordLiteral:
        return RecordLiteral(members(listed(parts[1:-1])), at=place(parts))

    def argument(self, parts: Parts) -> Clause:
        return Clause("argument", (bare_or_text(parts[0]), parts[2]), place(parts))


def members(arguments: list[Clause]) -> tuple[tuple[str, Any], ...]:
    """Return names with values; a name given twice is a mistake."""
    seen: set[str] = set()
    for argument in arguments:
        name = argument.value[0]
        if name in seen:
            raise Mistake(f"`{name}` is given twice; leave one out", argument.at)
        seen.add(name)
    return tuple(argument.value for argument in arguments)
