"""What the texts inside a policy must be: regular expressions, globs, networks, folders, dates and zones.

Each function returns what was meant, or says what is wrong and what to write instead. Pure, apart
from the zone data that comes with the `tzdata` package, never from the machine.
"""

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import re2

from ...grammar.syntax import Date
from ..zones import zone_of

_LOOK_AROUND: Final = ("(?=", "(?!", "(?<")


@dataclass(frozen=True)
class Wrong:
    """Why a text is not what it should be, and what to write instead."""

    why: str


def nfc(text: str) -> str:
    """Return the text in the form in which texts are compared."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


# ---------------------------------------------------------------- regular expressions


@lru_cache(maxsize=4096)
def regex_mistake(regex: str) -> str:
    """Return what RE2 has against a regular expression, or nothing."""
    options: Any = re2.Options()
    options.log_errors = False
    try:
        re2.compile(regex, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        if reason.startswith("invalid perl operator") and any(mark in reason for mark in _LOOK_AROUND):
            return f"RE2 has no look-around (`{reason.rpartition(': ')[2]}`); write a second test with `and` or `not`"
        if reason.startswith("invalid escape sequence: \\") and reason[-1].isdigit():
            return f"RE2 has no back-references (`{reason.rpartition(': ')[2]}`); write what may stand there"
        return f"RE2 says: {reason}"
    except UnicodeEncodeError:
        return "a regular expression is text without lone surrogates"
    return ""


@lru_cache(maxsize=4096)
def is_anchored(regex: str) -> bool:
    """Tell whether a (valid) expression is `^(…)$` as a whole, flags like `(?i)` before it allowed."""
    start = 0
    while regex.startswith("(?", start):
        end = regex.find(")", start)
        flags = regex[start + 2 : end]
        # With `m`, ^ and $ stand for the ends of lines.
        if end < 0 or not flags or not all(flag in "isU-" for flag in flags):
            break
        start = end + 1
    return regex.startswith("^(", start) and regex.endswith(")$") and _closing(regex, start + 1) == len(regex) - 2


def anchored_form(regex: str) -> str:
    """Return the anchored expression that somebody who wrote this one probably means."""
    flags, inner = _leading_flags(regex)
    flags = flags.replace("m", "")
    flags = "" if flags in ("(?)", "(?-)") else flags
    if is_anchored(flags + inner):
        return flags + inner
    inner = inner.removeprefix("^")
    if inner.endswith("$") and not inner.endswith("\\$"):
        inner = inner[:-1]
    return f"{flags}^({inner})$"


def _leading_flags(regex: str) -> tuple[str, str]:
    """Return the `(?i)` with which an expression begins, and the rest."""
    end = regex.find(")") + 1
    flags = regex[:end]
    if flags.startswith("(?") and all(flag in "imsU-" for flag in flags[2:-1]):
        return flags, regex[end:]
    return "", regex


def _closing(regex: str, opening: int) -> int:
    """Return where the parenthesis that opens at `opening` closes; -1 where it does not."""
    depth, i = 0, opening
    while i < len(regex):
        mark = regex[i]
        if mark == "\\":
            if regex.startswith("\\Q", i):
                end = regex.find("\\E", i)
                i = len(regex) if end < 0 else end + 2
                continue
            i += 2
            continue
        if mark == "[":
            i = _class_end(regex, i)
            continue
        if mark == "(":
            depth += 1
        elif mark == ")":
            depth -= 1
            if depth == 0:
                return i
        i += 1
    return -1


def _class_end(regex: str, i: int) -> int:
    """Return the index behind the character class that opens at `i`."""
    i += 1
    if regex.startswith("^", i):
        i += 1
    if regex.startswith("]", i):
        i += 1
    while i < len(regex) and regex[i] != "]":
        if regex[i] == "\\":
            i += 2
        elif regex.startswith("[:", i) and ":]" in regex[i:]:
            i = regex.index(":]", i) + 2
        else:
            i += 1
    return i + 1


# ---------------------------------------------------------------- globs


def is_glob(text: str) -> bool:
    """Tell whether a text holds `*` or `?`."""
    return "*" in text or "?" in text


def glob_mistake(glob: str) -> str:
    """Return what is wrong with a glob, or nothing."""
    trailing = len(glob) - len(glob.rstrip("\\"))
    return "ends in a backslash that escapes nothing; write `\\\\` for one backslash" if trailing % 2 else ""


def glob_beginning(glob: str) -> str:
    """Return the characters with which every text begins that fits a glob."""
    return re.split(r"[*?\\]", glob, maxsplit=1)[0]


@lru_cache(maxsize=4096)
def glob_tokens(glob: str) -> tuple[str, ...]:
    """Return a glob's parts: "*", "?" or one plain character behind a "="."""
    tokens: list[str] = []
    i = 0
    while i < len(glob):
        if glob[i] == "\\" and i + 1 < len(glob):
            tokens.append("=" + glob[i + 1])
            i += 2
            continue
        if glob[i] not in "*?":
            tokens.append("=" + glob[i])
        elif glob[i] == "?" or not tokens or tokens[-1] != "*":
            tokens.append(glob[i])
        i += 1
    return tuple(tokens)


@lru_cache(maxsize=65536)
def globs_overlap(one: str, other: str) -> bool:
    """Tell whether some text fits both globs."""
    a, b = glob_tokens(one), glob_tokens(other)
    reached = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        i, j = todo.pop()
        if i == len(a) and j == len(b):
            return True
        following: list[tuple[int, int]] = []
        star_a, star_b = i < len(a) and a[i] == "*", j < len(b) and b[j] == "*"
        if star_a:
            following += [(i + 1, j)] + ([(i, j + 1)] if j < len(b) else [])
        if star_b:
            following += [(i, j + 1)] + ([(i + 1, j)] if i < len(a) else [])
        if not star_a and not star_b and i < len(a) and j < len(b) and (a[i] == b[j] or a[i] == "?" or b[j] == "?"):
            following.append((i + 1, j + 1))
        for state in following:
            if state not in reached:
                reached.add(state)
                todo.append(state)
    return False


def glob_of(text: str) -> str:
    """Return the glob that fits exactly this text."""
    return "".join("\\" + c if c in "*?\\" else c for c in text)


@lru_cache(maxsize=65536)
def glob_fits(glob: str, text: str) -> bool:
    """Tell whether the whole text fits the glob."""
    if "?" not in glob and "\\" not in glob:
        return _stars_fit(glob.split("*"), text)
    tokens = glob_tokens(glob)
    rows = {0}
    for c in (*text, ""):
        grown = set(rows)
        for row in sorted(rows):
            while row < len(tokens) and tokens[row] == "*":
                row += 1
                grown.add(row)
        rows = grown
        if c:
            rows = {
                row if tokens[row] == "*" else row + 1
                for row in rows
                if row < len(tokens) and tokens[row] in ("*", "?", "=" + c)
            }
    return len(tokens) in rows


def _stars_fit(parts: list[str], text: str) -> bool:
    """Tell whether a text is made of the parts, with anything between them."""
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return text == first
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    start, end = len(first), len(text) - len(last)
    for part in parts[1:-1]:
        found = text.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True


# ---------------------------------------------------------------- networks and folders


def network(text: str) -> str | Wrong:
    """Return the network or single address that a text names, in its usual spelling."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        wider = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return Wrong(f"`{text}` is no network; write one like `10.0.0.0/8` or `2001:db8::/32`")
    return Wrong(f"`{text}` has bits set behind its prefix; write `{wider}`")


def is_network(text: str) -> bool:
    """Tell whether a text with a `/` reads as a network."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def folder(text: str) -> str | Wrong:
    """Return a plain absolute folder without its trailing slash, as `under` compares it."""
    if not text.startswith("/") or text.startswith("//"):
        return Wrong(f"`{text}` is no absolute folder; write it from the root, like `/etc`")
    if any(ord(c) < 32 or ord(c) == 127 or c in "\\*?[]$%" for c in text):
        return Wrong(f"`{text}` is no plain folder; it holds a wildcard, an escape or a variable")
    parts = [part for part in text.split("/") if part]
    if "." in parts or ".." in parts:
        resolved: list[str] = []
        for part in parts:
            if part == "..":
                del resolved[-1:]
            elif part != ".":
                resolved.append(part)
        return Wrong(f"`{text}` is not resolved; write `/{'/'.join(resolved)}`")
    return nfc("/" + "/".join(parts))


# ---------------------------------------------------------------- days and zones


def day_start(day: Date, days_later: int = 0) -> float | Wrong:
    """Return when a date begins in its zone (UTC if none), in epoch seconds, some days later."""
    where = day.zone.value if day.zone else "UTC"
    try:
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone_of(where)) + timedelta(days=days_later)
    except (ValueError, OverflowError):
        return Wrong(f"`{day.year:04}-{day.month:02}-{day.day:02}` is no date of the calendar")
    return midnight.timestamp()
