"""Words to values: what a number, a text, a date or a path says, or the mistake in it."""

import datetime as dt
import re
from decimal import Decimal
from functools import lru_cache

from lark import Token

from .messages import Mistake
from .syntax import EACH, Date, Each, Span, Text, ToolPattern

DIGITS_MAX = 400
"""Longest number, in characters; the largest double has 309 digits."""

DURATION_DIGITS_MAX = 9

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

_escape = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)")
_step = re.compile(r'\.([A-Za-z_][A-Za-z0-9_-]*)|\[(\*)\]|\[([0-9]+)\]|\[("(?:[^"\\\n]|\\.)*")\]')


def span(token: Token, start: int = 0, end: int | None = None) -> Span:
    """Return the place of a one-line token, or of a part of it."""
    line, column = token.line or 0, token.column or 0
    return Span(line, column + start, line, column + (len(token) if end is None else end))


def text(token: Token) -> str:
    """Return what a quoted text says, its JSON escapes resolved."""
    inner = token[1:-1]
    if "\\" not in inner:
        return inner
    parts: list[str] = []
    position = 0
    for match in _escape.finditer(inner):
        parts.append(inner[position : match.start()])
        position = match.end()
        code = match[1]
        if code in ESCAPES:
            parts.append(ESCAPES[code])
        elif len(code) == 5:
            parts.append(chr(int(code[1:], 16)))
        else:
            raise Mistake(
                f"unknown escape `\\{code}` in a text; write `\\\\` for a backslash"
                ' (known: \\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX)',
                span(token, match.start() + 1, match.end() + 1),
            )
    parts.append(inner[position:])
    value = "".join(parts)
    try:  # escapes beyond U+FFFF come in pairs, as in JSON
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise Mistake(
            "half of a surrogate pair in a text; write both halves, or the character itself", span(token)
        ) from None


def regex(token: Token) -> str:
    """Return a regular expression as it stands; only `\\"` becomes `"`."""
    return re.sub(r"\\(.)", lambda match: '"' if match[1] == '"' else match[0], token[1:-1])


def number(token: Token) -> int | Decimal:
    """Return a number exactly: an int where it is written as one, else a Decimal."""
    word = token.replace("_", "")
    if len(word) > DIGITS_MAX:
        raise Mistake(f"a number of {len(word)} characters; {DIGITS_MAX} are enough for every double", span(token))
    value: int | Decimal = int(word) if word.lstrip("-").isdigit() else Decimal(word)
    try:
        double = float(value)
    except OverflowError:
        double = float("inf")
    if abs(double) == float("inf") or (double == 0 and value != 0):
        raise Mistake(f"`{token}` is beyond what a double holds; no request can carry such a number", span(token))
    return value


def whole(token: Token, most: int, what: str) -> int:
    """Return a whole number from 1 to `most`, for counts of something."""
    value = number(token) if len(token) <= DURATION_DIGITS_MAX else most + 1
    if not isinstance(value, int) or not 1 <= value <= most:
        raise Mistake(f"`{token}` is not {what}; write a whole number from 1 to {most}", span(token))
    return value


def amount(token: Token, what: str) -> tuple[int, str]:
    """Split `15m` or `64kb` into its amount and its unit."""
    digits = len(token) - len(token.lstrip("0123456789"))
    if digits > DURATION_DIGITS_MAX:
        raise Mistake(f"{what} of more than {DURATION_DIGITS_MAX} digits; write a larger unit", span(token))
    return int(token[:digits]), str(token[digits:])


def date(token: Token, zone: Text | None, at: Span) -> Date:
    """Return a date that the calendar has."""
    year, month, day = (int(part) for part in token.split("-"))
    try:
        dt.date(year, month, day)
    except ValueError:
        raise Mistake(f"the calendar has no {token}; write year-month-day, as in `2026-02-28`", span(token)) from None
    return Date(year, month, day, zone, at=at)


def minutes(token: Token, end: bool = False) -> int:
    """Return a time of day in minutes since midnight; 24:00 only as an `end`."""
    hour, minute = (int(part) for part in token.split(":"))
    if minute < 60 and (hour < 24 or (end and hour == 24 and minute == 0)):
        return hour * 60 + minute
    if hour == 24 and minute == 0:
        raise Mistake("24:00 can only be an end; write `00:00` and the next day", span(token))
    raise Mistake(f"no clock shows {token}; write hours and minutes, as in `09:00` or `17:30`", span(token))


@lru_cache(maxsize=4096)
def path(word: str) -> tuple[str, tuple[str | int | Each, ...], bool]:
    """Return root and steps of a path, and whether it is `args.key`.

    Raises:
        ValueError: the index of a step is too large to be meant.
    """
    root_end = next((i for i, c in enumerate(word) if c in ".["), len(word))
    root = word[:root_end]
    steps: list[str | int | Each] = []
    keys = False
    for name, each, index, quoted in _step.findall(word[root_end:]):
        if name:
            keys = keys or (root == "args" and not steps and name == "key")
            steps.append(name)
        elif each:
            steps.append(EACH)
        elif index:
            if len(index) > DURATION_DIGITS_MAX:
                raise ValueError(index)
            steps.append(int(index))
        else:
            steps.append(text(Token("STRING", quoted)))
    return root, tuple(steps), keys


def tool(token: Token, word: str) -> ToolPattern:
    """Return the pattern that a bare or quoted tool name is: any, a glob, or a name."""
    if word == "*":
        return ToolPattern("any", at=span(token))
    if word == "":
        raise Mistake("an empty tool name; write the tool's name, or `*` for every tool", span(token))
    return ToolPattern("glob" if "*" in word else "name", word, at=span(token))
