"""Text to syntax tree, or every mistake of the text.

The text is split into items first (`chunks`), each item is read by the grammar of `thoth.lark`, and
the comments are put where they belong. Cost: linear; a thousand rules take a fraction of a second.
"""

import re
from itertools import pairwise
from typing import Any

from .chunks import GROUP_WORDS, ITEM_WORDS, TEST_WORDS, Chunk, chunks, first_word
from .comments import attach
from .messages import Message, Mistake, PolicyError
from .syntax import Comment, Condition, Item, Policy, Span

SIZE_MAX = 16 * 1024 * 1024
"""Longest policy text, in characters."""

_name = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
MISTAKES_MAX = 1000
"""After so many mistakes the rest of a text is not read."""

_unreadable = re.compile("[\x00\ud800-\udfff]")


def parse(text: str, source: str = "policy.thoth") -> Policy:
    """Return the policy that a text says; `source` is the name that messages call it by.

    Accepts any line ends and a byte order mark.

    Raises:
        PolicyError: with every mistake of the text, in its order.
    """
    policy, messages = read_policy(text, source)
    if messages:
        raise PolicyError(messages)
    return policy


def read_policy(text: str, source: str = "policy.thoth") -> tuple[Policy, tuple[Message, ...]]:
    """Return what can be read of a text, and the mistakes in the rest of it.

    A checker that reads on after a mistake tells what is wrong with the healthy items in the same run.

    Raises:
        PolicyError: the text cannot be read at all: too long, or no Unicode text.
    """
    lines = lines_of(text, source)
    items: list[Item] = []
    mistakes: list[Mistake] = []
    broken: set[str] = set()
    comments: list[Comment] = []
    for chunk in chunks(lines):
        if chunk.word == "" and not chunk.lines:
            comments = chunk.comments
            continue
        try:
            items.append(read_item(chunk))
        except Mistake as mistake:
            mistakes += _all_mistakes(chunk, mistake)
            broken.update(_name.findall("\n".join(chunk.lines)))
            if len(mistakes) >= MISTAKES_MAX:
                last = mistakes[MISTAKES_MAX - 1]
                mistakes[MISTAKES_MAX:] = [Mistake(f"more than {MISTAKES_MAX} mistakes; the rest is left out", last.at)]
                break
    messages = tuple(_message(mistake, lines, source) for mistake in mistakes)
    return Policy(tuple(items), tuple(comments), source, text, frozenset(broken)), messages


def parse_condition(text: str, source: str = "condition") -> Condition:
    """Return the condition that a text says, as it would stand behind `when`.

    Raises:
        PolicyError: with the first mistake.
    """
    lines = lines_of(text, source)
    probe = Chunk(1, "condition")
    for chunk in chunks([f" {line}" for line in lines]):
        probe.mistake = probe.mistake or chunk.mistake
    try:
        if probe.mistake:
            raise probe.mistake
        condition: Condition = _read("lone_condition", "\n".join(lines), 1)
    except Mistake as mistake:
        raise PolicyError([_message(mistake, lines, source)]) from None
    return condition


def _read(start: str, text: str, line: int) -> Any:
    from .reader import read  # loads Lark: when something is parsed, not when this room is imported

    return read(start, text, line)


def read_item(chunk: Chunk) -> Item:
    """Return the item of a chunk, with its comments.

    Raises:
        Mistake: the first one in it.
    """
    if chunk.mistake:
        raise chunk.mistake
    if chunk.lines[0][0] in " \t":
        width = len(chunk.lines[0]) - len(chunk.lines[0].lstrip(" \t"))
        raise Mistake(
            "an item starts in the first column; take away the blanks before it",
            Span(chunk.line, 1, chunk.line, width + 1),
        )
    item: Item = _read("item", "\n".join(chunk.lines), chunk.line)
    return attach(item, chunk) if chunk.comments else item


# ---------------------------------------------------------------- going on after a mistake


def _all_mistakes(chunk: Chunk, first: Mistake) -> list[Mistake]:
    """Return all mistakes of an item, of which reading it found the first."""
    if chunk.is_group and chunk.opened and first is not chunk.mistake:
        return _mistakes_in_group(chunk) or [first]
    # An item that was indented by mistake looks like a part of the one above it: go on there.
    row = first.at.line - chunk.line
    if 0 < row < len(chunk.lines) and first_word(chunk.lines[row]) in ITEM_WORDS:
        indent = len(chunk.lines[row]) - len(chunk.lines[row].lstrip(" \t"))
        if first.at.column == indent + 1:
            return [first, *_mistakes_of("item", chunk.lines[row:], first.at.line)]
    return [first]


def _mistakes_of(start: str, lines: list[str], line: int) -> list[Mistake]:
    try:
        _read(start, "\n".join(lines), line)
    except Mistake as mistake:
        return [mistake]
    return []


def _mistakes_in_group(chunk: Chunk) -> list[Mistake]:
    """Read the head of a group and each of its lines on its own."""
    assert chunk.opened
    row, column = chunk.opened[0] - chunk.line, chunk.opened[1]
    head = [*chunk.lines[:row], chunk.lines[row][:column] + "}"]
    found = _mistakes_of("item", head, chunk.line)
    body = [" " * column + chunk.lines[row][column:], *chunk.lines[row + 1 :]]
    if chunk.closed:
        del body[chunk.closed[0] - chunk.opened[0] + 1 :]
        body[-1] = body[-1][: chunk.closed[1] - 1]
        rest = chunk.lines[chunk.closed[0] - chunk.line][chunk.closed[1] :].split("#")[0]
        if rest.strip(" \t"):
            at = Span(chunk.closed[0], chunk.closed[1] + 1, chunk.closed[0], chunk.closed[1] + 1 + len(rest.rstrip()))
            found.append(Mistake("nothing may follow the `}`; begin a new line", at))
    else:
        at = Span(*chunk.opened, chunk.opened[0], column + 1)
        found.append(Mistake("this `{` is never closed; write `}` behind its last line", at))
    words = TEST_WORDS if chunk.word == "test" else GROUP_WORDS
    starts = [i for i, line in enumerate(body) if first_word(line) in words]
    if any(_says_something(line) for line in body[: starts[0] if starts else None]):
        starts = [0, *starts]
    for start, end in pairwise([*starts, len(body)]):
        found += _mistakes_of("lone_line", body[start:end], chunk.opened[0] + start)
        if len(found) > MISTAKES_MAX:
            break
    return found


def _says_something(line: str) -> bool:
    return line.strip(" \t")[:1] not in ("", "#")


# ---------------------------------------------------------------- text and messages


def lines_of(text: str, source: str) -> list[str]:
    """Return the lines of a text that can be read as one.

    Raises:
        PolicyError: the text is too long, or holds what no text file holds.
    """
    if len(text) > SIZE_MAX:
        raise PolicyError([Message(f"a policy of more than {SIZE_MAX} characters; split it", source, Span(1, 1, 1, 2))])
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if _unreadable.search(text):
        mistakes = []
        for number, line in enumerate(lines, 1):
            for match in _unreadable.finditer(line):
                what = "a NUL character" if match[0] == "\x00" else "half of a surrogate pair"
                at = Span(number, match.start() + 1, number, match.start() + 2)
                mistakes.append(Mistake(f"{what}; a policy is plain Unicode text", at))
        raise PolicyError(_message(mistake, lines, source) for mistake in mistakes[:100])
    return lines


def _message(mistake: Mistake, lines: list[str], source: str) -> Message:
    line = lines[mistake.at.line - 1] if 0 < mistake.at.line <= len(lines) else ""
    return Message(mistake.text, source, mistake.at, _unreadable.sub("\ufffd", line))
