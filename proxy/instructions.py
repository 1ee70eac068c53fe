"""Hidden instructions in what a server says of its tools: characters that nobody sees, and orders to the model.

Findings are reported to people; they stop nothing, for a description may speak of what it must not do.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .pins import Pinned

INVISIBLE: Final = {
    **dict.fromkeys((8203, 8204, 8205, 8288, 65279, 6158, 173, 847), "zero-width character"),
    **dict.fromkeys((*range(8234, 8239), *range(8294, 8298), 8206, 8207, 1564), "bidirectional control"),
    **dict.fromkeys(range(917504, 917632), "invisible tag character"),
    **dict.fromkeys(range(917760, 918000), "variation selector"),
}
ORDERS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), what)
    for pattern, what in (
        (r"<\s*(important|system|instructions?|secret|hidden)\s*>", "a tag that sets text apart"),
        (r"\b(ignore|disregard|forget|override)\b.{0,40}\b(previous|prior|above|earlier|all)\b", "asks to ignore"),
        (r"\b(do not|don'?t|never|without)\b.{0,30}\b(tell|mention|inform|show|notify|reveal|ask)\w*\b.{0,30}\b(user|human|anyone)\b", "asks to hide something from the user"),  # noqa: E501
        (r"\b(before|after|instead of|whenever|prior to)\b.{0,40}\b(us(e|ing)|call(ing)?|invok(e|ing))\b.{0,30}\b(this|any|other|another|every)\b.{0,20}\btools?\b", "steers the use of tools"),  # noqa: E501
        (r"\b(you (must|should|have to|need to|are required)|always|make sure (to|you))\b.{0,40}\b(read|send|include|pass|attach|forward|upload|execute|append|copy)\b", "an order to the model"),  # noqa: E501
        (r"(~/\.ssh|id_rsa|\.env\b|/etc/(passwd|shadow)|\.aws/credentials|mcp\.json|claude_desktop_config)", "names a file of secrets"),  # noqa: E501
    )
)  # fmt: skip
EXCERPT_CHARS: Final = 60


def suspicions(tool: Any) -> Iterator[tuple[str, str]]:
    """Return where in a tool something stands that a person should see, and what it is, with a printable excerpt."""
    for path, text in _texts(tool, ""):
        for code in sorted({ord(char) for char in text if not char.isascii()} & INVISIBLE.keys()):
            at = text.index(chr(code))
            yield path, f"{INVISIBLE[code]} {_name(code)} {_excerpt(text, at)}"
        for pattern, what in ORDERS:
            match = pattern.search(text)
            if match is not None:
                yield path, f"{what} {_excerpt(text, match.start())}"


def suspicious(tools: Mapping[str, Pinned]) -> Iterator[tuple[str, str, str]]:
    """Return what a person should see in a server's tools: the tool, where in it, and what it is."""
    alike: dict[str, str] = {}
    for name, pinned in sorted(tools.items()):
        for where, what in suspicions(pinned.tool):
            yield name, where, what
        other = alike.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
        if other != name:
            yield name, "name", f"is spelt almost as another tool, {other!a}"


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path or "text", value
    elif isinstance(value, dict):
        for key, member in value.items():
            inner = f"{path}.{key}" if path else str(key)
            if not str(key).isascii():
                yield inner, str(key)
            yield from _texts(member, inner)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")


def _name(code: int) -> str:
    return f"U+{code:04X} {unicodedata.name(chr(code), '')}".strip()


def _excerpt(text: str, at: int) -> str:
    start = max(0, at - 10)
    return ascii(text[start : start + EXCERPT_CHARS])
