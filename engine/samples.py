"""Values that make one test true, and values that make it false: constants, ends of ranges, members, texts that fit.

Guesses: whoever uses them asks an evaluator what they come to.
"""

import ipaddress
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from ..contract import Json
from . import checked as c
from .expressions import NotPlain, WholeReader
from .reference_values import found

OTHER: Final = "something-else"
DETECTED: Final = {
    "email": "eve@evil.example",
    "card_number": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "us_ssn": "123-45-6789",
    "api_key": "AKIAIOSFODNN7EXAMPLE",
    "private_key": "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----",
    "url": "https://evil.example/a",
    "ip": "203.0.113.9",
}
"""One text for each detector that it finds."""

SIGNS: Final = "x1X-_ ./@"
"""Characters that are taken for a class that has them, the first first."""
TURNS: Final = 6
MADE_MAX: Final = 100_000

PLAIN: Final[dict[str, Json]] = {
    "string": "a text",
    "int": 7,
    "number": 7,
    "boolean": True,
    "id": "id-4711",
    "email": "someone@example.com",
    "url": "https://www.example.com/page",
    "host": "www.example.com",
    "path": "/home/someone/file.txt",
    "ip": "192.0.2.1",
    "record": {},
    "any": "a text",
}


def plain_value(type_: c.Type) -> Json:
    """Return an unremarkable value of a type."""
    if type_.name == "list":
        return [plain_value(type_.items or c.ANY)]
    if type_.name == "enum":
        return type_.values[0] if type_.values else OTHER
    return PLAIN[type_.name]


def number(value: int | Decimal) -> int | float:
    """Return a policy's number as JSON has it."""
    return int(value) if value == int(value) else float(value)


def around(value: int | Decimal) -> list[int | float]:
    """Return a number and its neighbours: the ends of a range are where two policies part."""
    return [number(one) for one in (value, value + 1, value - 1, value + Decimal("0.01"), value - Decimal("0.01"))]


def values(predicate: c.Predicate) -> list[Json]:
    """Return values of the left side that settle a test one way or the other, the true ones first as far as known."""
    match predicate:
        case c.Compare(_, op, c.Constant(value)):
            return _compared(op, value)
        case c.Member(_, members):
            return [*(_json(member.value) for member in members[:12]), OTHER, 999_983]
        case c.Like(_, globs):
            return [*(text for glob in globs[:12] for text in fitting(glob)), OTHER, "nobody@nowhere.example"]
        case c.Matches(_, pattern):
            made = list(matching(pattern))
            within = [text for text in (f"https://www.example.com/page{one}" for one in made) if found(pattern, text)]
            return [*made, *within[:2], OTHER]
        case c.Affix(op, _, c.Constant(str(value))):
            return [f"{value}x" if op == "starts" else f"x{value}", value, OTHER]
        case c.Contains(_, c.Constant(value)):
            return [_json(value), f"a {value} b", OTHER]
        case c.Under(_, folders):
            return [*(f"{folder.rstrip('/')}/x" for folder in folders), *folders, "/elsewhere/x"]
        case c.InCidr(_, networks):
            inside = [str(ipaddress.ip_network(network, strict=False)[0]) for network in networks]
            return [*inside, "203.0.113.9", "2001:db8::9"]
        case c.Compare() | c.Affix() | c.Contains():
            return ["alike", OTHER]
    return []


def _compared(op: str, value: Any) -> list[Json]:
    if isinstance(value, bool):
        return [value, not value]
    if isinstance(value, str):
        return [value, OTHER, f"{value}x"]
    near = around(value)
    truths = {"is": near[0], ">": near[1], ">=": near[0], "<": near[2], "<=": near[0]}
    return [truths[op], *(one for one in near if one != truths[op]), 0, 10**9]


def _json(value: Any) -> Json:
    return value if isinstance(value, str | bool) else number(value)


def fitting(glob: str) -> Iterator[str]:
    """Return texts that fit a glob: each `*` short, then empty."""
    for run in ("x1", ""):
        text, place = "", 0
        while place < len(glob):
            sign = glob[place]
            if sign == "\\" and place + 1 < len(glob):
                place += 1
                text += glob[place]
            else:
                text += run if sign == "*" else "x" if sign == "?" else sign
            place += 1
        yield text


def matching(pattern: c.Pattern) -> Iterator[str]:
    """Return texts in which a pattern is found, as far as they are easily made; RE2 has been asked about each."""
    if pattern.detector:
        yield f"it is {DETECTED[pattern.detector]}"
        yield DETECTED[pattern.detector]
        return
    try:
        part = WholeReader(pattern.regex).read()
    except (NotPlain, RecursionError):
        return
    made = dict.fromkeys("".join(islice(_made(part, turn), MADE_MAX)) for turn in range(TURNS))
    texts = [*made, *(f"it is {text}, you see" for text in made), *(f"x{text}x" for text in made)]
    yield from islice((text for text in texts if found(pattern, text)), TURNS)


def _made(part: Any, turn: int) -> Iterator[str]:
    """Write one text for a part of an expression, in pieces: the least repetitions, of alternatives one by turn."""
    if isinstance(part, frozenset):
        yield next((sign for sign in SIGNS if ord(sign) in part), chr(min(part, default=120)))
    elif isinstance(part, tuple):
        kind, inner = part[0], part[1]
        if kind == "all":
            for one in inner:
                yield from _made(one, turn)
        elif kind == "any":
            yield from _made(inner[turn % len(inner)], turn // len(inner))
        else:
            least, most = part[2], part[3]
            for _ in range(least if most == 0 or turn % 2 else max(1, least)):
                yield from _made(inner, turn)
