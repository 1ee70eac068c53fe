"""Values as the reference reads them: obvious, exact, slow.

Reading a value gives a Python value in one of these forms: str (NFC), bool, Fraction, `Range` (a number
known only between two ends), `Word` (an ordered word), `Named` (an e-mail address, host or id in its
normal form), list, dict. Two more answers are no values: ABSENT, the call does not carry the argument;
UNKNOWN, it cannot be read without guessing.
"""

import ipaddress
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from typing import Any, Final

import idna
import re2

from ..contract.attributes import CWD_CHARS_MAX
from ..contract.detectors import DETECTORS
from .checked import Pattern


class Answer(Enum):
    """What reading gives where there is no value."""

    ABSENT = "absent"
    UNKNOWN = "unknown"


ABSENT, UNKNOWN = Answer.ABSENT, Answer.UNKNOWN

Truth = bool | None
"""True, False, or None for unknown."""

COMPILED_MAX: Final = 10_000
"""Expressions kept compiled: the ones of a policy, over and over."""


@dataclass(frozen=True)
class Range:
    """A number of which only the ends are known, both included."""

    low: Fraction | float
    high: Fraction | float


@dataclass(frozen=True)
class Word:
    """An ordered word and its rank."""

    text: str
    rank: int
    order: tuple[str, ...]


@dataclass(frozen=True)
class Named:
    """A text in the normal form of its kind: email, host or id."""

    kind: str
    text: str


# ---------------------------------------------------------------- three values


def negate(truth: Truth) -> Truth:
    return None if truth is None else not truth


def all_of(truths: list[Truth]) -> Truth:
    return False if False in truths else None if None in truths else True


def any_of(truths: list[Truth]) -> Truth:
    return True if True in truths else None if None in truths else False


# ---------------------------------------------------------------- reading


def nfc(text: str) -> str:
    """Return a text in NFC. Marks are put in order first: the library takes quadratic time over a row that is not."""
    if unicodedata.is_normalized("NFC", text):
        return text
    pieces: list[str] = []
    for marks, row in groupby(text, is_mark):
        piece = "".join(row)
        if marks:
            apart = [one for c in piece for one in unicodedata.normalize("NFD", c)]
            piece = "".join(sorted(apart, key=unicodedata.combining))
        pieces.append(piece)
    return unicodedata.normalize("NFC", "".join(pieces))


def is_mark(c: str) -> bool:
    """Say whether a character is a combining one, or begins with one when it is taken apart."""
    return unicodedata.combining(c) > 0 or c in "\u0f73\u0f75\u0f81"


def plain(value: Any, kind: str = "any") -> Any:
    """Read one JSON value as a value of a declared type's name."""
    if value is None:
        return UNKNOWN
    if kind == "id" and isinstance(value, int) and not isinstance(value, bool):
        return Named("id", str(value))
    if isinstance(value, str):
        text = nfc(value)
        if kind == "id":
            return Named("id", text)
        if kind in ("email", "host"):
            normal = READ[kind](text)
            return UNKNOWN if normal is None else Named(kind, normal)
        return text
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return Fraction(value)
    return value


def read_host(text: str) -> str | None:
    """Return a host in lower case, IDNA form, without trailing dot; None where it is not exactly one host.

    A last label that starts with a digit must be part of a dotted IPv4 address, since programs disagree
    about everything else that looks like one (WHATWG URL, "ends in a number").
    """
    if text.startswith("[") and text.endswith("]"):
        try:
            address = ipaddress.IPv6Address(text[1:-1])
        except ValueError:
            return None
        if address.scope_id is not None:
            return None
        return str(address.ipv4_mapped) if address.ipv4_mapped else f"[{address.compressed}]"
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return None
    text = text.lower().removesuffix(".")
    labels = text.split(".")
    if len(text) > 253 or not all(re.fullmatch(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", label) for label in labels):
        return None
    if labels[-1][0].isdigit():
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            return None
    return text


def read_email(text: str) -> str | None:
    """Return exactly one address, local part as written (dot-atom of RFC 5322, ASCII), host normalised."""
    local, at, host = text.rpartition("@")
    normal = read_host(host) if at else None
    if normal is None or normal.startswith("["):
        return None
    atoms = local.split(".")
    if len(local) > 64 or not all(re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+", atom) for atom in atoms):
        return None
    return f"{local}@{normal}"


def read_url_host(text: str) -> str | None:
    """Return the host of a plain http(s) URL; None for anything that readers of URLs disagree about."""
    found = re.fullmatch(r"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]*)([/?#].*)?", text, re.DOTALL)
    if found is None or "\\" in text or any(c.isspace() or ord(c) < 33 or ord(c) == 127 for c in text):
        return None
    authority = found.group(1)
    if "@" in authority or "%" in authority:
        return None
    host, port = authority, ""
    if ":" in authority.rpartition("]")[2]:
        host, _, port = authority.rpartition(":")
    if port and not (port.isascii() and port.isdigit() and int(port[:9]) <= 65_535 and len(port) <= 5):
        return None
    return read_host(host)


def read_path(text: str, cwd: Any) -> str | None:
    """Return a plain path, absolute, `..` resolved; None where reading it would mean guessing."""
    if not text or re.search(r"[\x00-\x1f\x7f\\*?\[\]{}]|%[0-9A-Fa-f]{2}|\$[A-Za-z_{(]", text) or text.startswith("~"):
        return None
    if not text.startswith("/"):
        if not isinstance(cwd, str) or not cwd.startswith("/") or len(cwd) > CWD_CHARS_MAX:
            return None
        folder = read_path(cwd, None)
        if folder is None:
            return None
        text = f"{folder}/{text}" if folder != "/" else f"/{text}"
    if text.startswith("//"):
        return None
    kept: list[str] = []
    for part in nfc(text).split("/"):
        if part == "..":
            kept = kept[:-1]
        elif part not in ("", "."):
            kept.append(part)
    return "/" + "/".join(kept)


def read_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address in its plain spelling; an IPv4 address mapped into IPv6 is the IPv4 address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


READ: Final[dict[str, Callable[[str], str | None]]] = {"email": read_email, "host": read_host}


# ---------------------------------------------------------------- comparing


def equal(left: Any, right: Any) -> Truth:
    """Compare two values exactly; of two different types it is unknown whether they are equal."""
    if isinstance(left, Named) or isinstance(right, Named):
        named, other = (left, right) if isinstance(left, Named) else (right, left)
        if isinstance(other, Named):
            return named.text == other.text
        if isinstance(other, Fraction) and named.kind == "id":
            return other.denominator == 1 and named.text == str(other.numerator)
        if not isinstance(other, str):
            return None
        normal = READ[named.kind](other) if named.kind in READ else other
        return normal is not None and named.text == normal
    if isinstance(left, Word) or isinstance(right, Word):
        ranks = ranks_of(left, right)
        return None if ranks is None else ranks[0] == ranks[1]
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    if isinstance(left, bool) and isinstance(right, bool):
        return left == right
    if is_number(left) and is_number(right):
        a, b = ends(left), ends(right)
        if a.low == a.high == b.low == b.high:
            return True
        return False if a.high < b.low or b.high < a.low else None
    return None


def less(left: Any, right: Any) -> Truth:
    """Compare two numbers, or two words of one order; anything else is unknown."""
    if isinstance(left, Word) or isinstance(right, Word):
        ranks = ranks_of(left, right)
        return None if ranks is None else ranks[0] < ranks[1]
    if is_number(left) and is_number(right):
        a, b = ends(left), ends(right)
        return True if a.high < b.low else False if a.low >= b.high else None
    return None


def is_number(value: Any) -> bool:
    return isinstance(value, Fraction | Range)


def ends(value: Any) -> Range:
    return value if isinstance(value, Range) else Range(value, value)


def ranks_of(left: Any, right: Any) -> tuple[int, int] | None:
    order = left.order if isinstance(left, Word) else right.order
    words = [value.text if isinstance(value, Word) else value for value in (left, right)]
    if not all(isinstance(word, str) and word in order for word in words):
        return None
    return order.index(words[0]), order.index(words[1])


def text_of_value(value: Any) -> str | None:
    """Return the text of a value that is one."""
    if isinstance(value, Named | Word):
        return value.text
    return value if isinstance(value, str) else None


# ---------------------------------------------------------------- globs and patterns


def fits_glob(glob: str, text: str) -> bool:
    """Match a whole text against a glob: `*` any run, `?` one character, `\\` takes the next one literally."""
    return bool(compiled(rf"(?s)\A(?:{expression_of(glob)})\z").search(text))


@lru_cache(maxsize=COMPILED_MAX)
def expression_of(glob: str) -> str:
    expression, escaped = "", False
    for c in glob:
        if escaped or c not in "*?\\":
            expression, escaped = expression + re.escape(c), False
        elif c == "\\":
            escaped = True
        else:
            expression += ".*?" if c == "*" else "."
    return expression


@lru_cache(maxsize=COMPILED_MAX)
def compiled(expression: str) -> Any:
    return re2.compile(expression, quiet())


def quiet() -> Any:
    options = re2.Options()
    options.log_errors = False
    return options


def glob_for(kind: str, glob: str) -> str:
    """Bring a glob's host part into the form in which hosts compare: lower case, IDNA, no trailing dot."""
    local, at, host = glob.rpartition("@") if kind == "email" else ("", "", glob)
    labels = []
    for label in nfc(host).split("."):
        if not label.isascii() and "*" not in label and "?" not in label:
            try:
                label = idna.encode(label, uts46=True).decode("ascii")
            except (idna.IDNAError, UnicodeError):
                pass
        labels.append(label.lower())
    return local + at + ".".join(labels).removesuffix(".")


def found(pattern: Pattern, text: str) -> bool:
    """Say whether a pattern or detector is found anywhere in a text."""
    return bool(spans(pattern, text, first=True))


def spans(pattern: Pattern, text: str, first: bool = False) -> list[tuple[int, int]]:
    """Return where a pattern or detector is found, as code point offsets; empty finds do not count in spans."""
    detector = DETECTORS.get(pattern.detector)
    expression = compiled(detector.regex if detector else pattern.regex)
    if first and detector is None:
        return [(0, 0)] if expression.search(text) else []
    places: list[tuple[int, int]] = []
    for match in expression.finditer(text):
        start, end = match.span()
        if detector is None or not detector.check:
            if end > start:
                places.append((start, end))
        else:
            places.extend((start + a, start + b) for a, b in WINDOWS[detector.check](match.group()))
    return places


def windows(
    text: str, separators: str, shortest: int, longest: int, good: Callable[[str], bool]
) -> list[tuple[int, int]]:
    """Return the leftmost, longest pieces that begin and end at a group's edge and are good without separators."""
    starts = [i for i in range(len(text)) if text[i] not in separators and (i == 0 or text[i - 1] in separators)]
    stops = [
        i
        for i in range(1, len(text) + 1)
        if text[i - 1] not in separators and (i == len(text) or text[i] in separators)
    ]
    places: list[tuple[int, int]] = []
    for start in starts:
        if places and start < places[-1][1]:
            continue
        near = stops[bisect_right(stops, start) : bisect_right(stops, start + 2 * longest)]
        for stop in reversed(near):
            piece = "".join(c for c in text[start:stop] if c not in separators)
            if shortest <= len(piece) <= longest and good(piece):
                places.append((start, stop))
                break
    return places


def luhn(digits: str) -> bool:
    """Luhn's sum (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (1 + place % 2)
        total += number - 9 if number > 9 else number
    return total % 10 == 0 and set(digits) != {"0"}


def iban(text: str) -> bool:
    """Mod 97 of the rearranged number is one (ISO 13616)."""
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]+", text):
        return False
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def _ssn(text: str) -> list[tuple[int, int]]:
    area, group, serial = text.split("-")
    bad = area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000"
    return [] if bad else [(0, len(text))]


def _ip(text: str) -> list[tuple[int, int]]:
    return [(0, len(text))] if read_ip(text) is not None else []


WINDOWS: Final[dict[str, Callable[[str], list[tuple[int, int]]]]] = {
    "luhn": lambda text: windows(text, " -", 13, 19, luhn),
    "iban": lambda text: windows(text, " ", 15, 34, iban),
    "ssn": _ssn,
    "ip": _ip,
}
