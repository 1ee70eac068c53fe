"""Syntax tree to text, the small parts: values, terms, conditions, each on one line.

One spelling for each thing, and what `parse` reads back as the same node.
"""

import re
from collections.abc import Iterable
from decimal import Decimal

from .syntax import (
    After,
    And,
    Boolean,
    Call,
    Condition,
    Count,
    Date,
    Duration,
    Each,
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
    Size,
    Term,
    Test,
    Text,
    ToolPattern,
    Value,
)

_name = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_tool_name = re.compile(r"[A-Za-z_*][A-Za-z0-9_*-]*([.:/][A-Za-z0-9_*-]+)*")

GROUPED_FROM = 10_000
"""Integers from here on are written with groups of three digits."""

NOT_A_TOOL = frozenset(
    [
        "class",
        "in",
        "agent",
        "user",
        "tenant",
        "env",
        "scope",
        "intent",
        "purpose",
        "data",
        "mode",
        "context",
        "said",
        "baseline",
        "at",
    ]
)
"""Words that mean something else where a tool may stand; a tool of that name is quoted."""

_escapes = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(value: str) -> str:
    """Return a text in its quotes; what does not print is written as an escape."""
    return f'"{"".join(_quoted(sign) for sign in value)}"'


def _quoted(sign: str) -> str:
    if sign in _escapes:
        return _escapes[sign]
    if sign.isprintable():
        return sign
    units = sign.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def word(value: str) -> str:
    """Return a name bare where it can stand so, else quoted."""
    return value if _name.fullmatch(value) else quote(value)


def tool_name(value: str) -> str:
    """Return a tool's name or glob bare where it can stand so, else quoted."""
    bare = _tool_name.fullmatch(value) and value not in NOT_A_TOOL
    return value if bare else quote(value)


def tool(pattern: ToolPattern) -> str:
    """Return one pattern of tools."""
    if pattern.kind == "any":
        return "*"
    return f"class {word(pattern.value)}" if pattern.kind == "class" else tool_name(pattern.value)


def tools(patterns: Iterable[ToolPattern]) -> str:
    """Return patterns of tools, separated by commas."""
    return ", ".join(tool(pattern) for pattern in patterns)


def number(value: int | Decimal) -> str:
    """Return a number: digits in groups, no exponent where twenty digits do."""
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= GROUPED_FROM else str(value)
    if value == 0:
        return "0.0"
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    written = "".join(map(str, digits)).lstrip("0")
    exponent += len(written) - len(written.rstrip("0"))
    written = written.rstrip("0")
    minus = "-" if sign else ""
    point = len(written) + exponent  # digits before the decimal point
    if not -6 <= point <= 20:
        return f"{minus}{written[0]}{'.' + written[1:] if written[1:] else ''}e{point - 1}"
    whole, part = written[: max(point, 0)].ljust(point, "0"), "0" * -point + written[max(point, 0) :]
    grouped = f"{int(whole or '0'):_}" if int(whole or "0") >= GROUPED_FROM else whole or "0"
    return f"{minus}{grouped}.{part or '0'}"


def value(node: Value | Size) -> str:
    """Return a value."""
    match node:
        case Text():
            return quote(node.value)
        case Regex():
            return '"' + node.value.replace('"', '\\"') + '"'
        case Number():
            return number(node.value)
        case Boolean():
            return "true" if node.value else "false"
        case Null():
            return "null"
        case Name():
            return node.value
        case Duration() | Size():
            return f"{node.amount}{node.unit}"
        case Date():
            zone = f" in {quote(node.zone.value)}" if node.zone else ""
            return f"{node.year:04}-{node.month:02}-{node.day:02}{zone}"
        case SetLiteral():
            return "{" + values(node.items) + "}"
        case ListLiteral():
            return "[" + values(node.items) + "]"
        case RecordLiteral():
            return "{" + ", ".join(arguments(node.members)) + "}"


def values(nodes: Iterable[Value | Size]) -> str:
    """Return values, separated by commas."""
    return ", ".join(value(node) for node in nodes)


def arguments(members: Iterable[tuple[str, Value]]) -> list[str]:
    """Return the arguments of a call, or the members of a record, one text each."""
    return [f"{word(name)}: {value(node)}" for name, node in members]


def path(node: Path) -> str:
    """Return an attribute."""
    parts = [node.root]
    for i, step in enumerate(node.steps):
        if isinstance(step, Each):
            parts.append("[*]")
        elif isinstance(step, int):
            parts.append(f"[{step}]")
        elif _name.fullmatch(step) and (node.keys or (node.root, i, step) != ("args", 0, "key")):
            parts.append(f".{step}")
        else:
            parts.append(f"[{quote(step)}]")
    return "".join(parts)


def term(node: Term) -> str:
    """Return what a condition looks at, or compares with."""
    match node:
        case Path():
            return path(node)
        case Call():
            return f"{node.function}({term(node.argument)})"
        case Count():
            window = f", in {value(node.window)}" if node.window else ""
            return f"{node.function}({tools(node.tools)}{window})"
    return value(node)


def condition(node: Condition) -> str:
    """Return a condition, with no more parentheses than it needs."""
    match node:
        case Or():
            return " or ".join(condition(part) for part in node.parts)
        case And():
            return " and ".join(within_and(part) for part in node.parts)
        case Not():
            return (
                f"not {condition(node.part)}"
                if isinstance(node.part, Test | After)
                else f"not ({condition(node.part)})"
            )
        case After():
            return f"after {tools(node.tools)}"
        case Test():
            return _test(node)


def within_and(node: Condition) -> str:
    """Return a condition as a part of an `and`."""
    return f"({condition(node)})" if isinstance(node, Or) else condition(node)


def _test(node: Test) -> str:
    if node.operator == "has":
        return f"has {term(node.left)}"
    left = f"{node.each} {term(node.left)}" if node.each else term(node.left)
    if node.operator == "is":
        operator = "is not" if node.negated else "is"
    else:
        operator = f"not {node.operator}" if node.negated else node.operator
    if node.operator == "from tool":
        match node.right:
            case None:
                return f"{left} {operator} *"
            case Text() | Name():
                return f"{left} {operator} {_one_tool(node.right)}"
    if node.operator == "from tool class" and isinstance(node.right, Name):
        named = tool(ToolPattern("class", node.right.value))
        return f"{left} {operator.removesuffix(' class')} {named}"
    if node.right is None:
        return f"{left} {operator}"
    if isinstance(node.right, tuple):
        return f"{left} {operator} {term(node.right[0])} and {term(node.right[1])}"
    return f"{left} {operator} {term(node.right)}"


def _one_tool(node: Text | Name) -> str:
    return node.value if isinstance(node, Name) else quote(node.value)
