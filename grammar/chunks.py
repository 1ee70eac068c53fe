"""A text to items still unread: where each begins and ends, and the comments around it.

Cheap, and blind to grammar: it knows columns, texts, comments and braces. So a mistake inside one
item does not hide the next one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .messages import Mistake
from .syntax import Comment, Span

NESTING_MAX = 64
"""How deep brackets may stand in brackets; bounds the depth of every syntax tree."""

EFFECTS = ("allow", "modify", "step_up", "defer", "block", "limit", "risk")
TOP_WORDS = ("policy", "use", "set", "pattern", "hours", "agent", "intent", "for", "test")
GROUP_WORDS = (*EFFECTS, "on", "tool")
TEST_WORDS = ("given", "after", "call", "expect")
ITEM_WORDS = (*TOP_WORDS, *GROUP_WORDS)

_interesting = re.compile(r'"[^"\\]*(?:\\(?:.|$)[^"\\]*)*("|$)|[#{}()\[\]]')
_first_word = re.compile(r"[ \t]*([A-Za-z_][A-Za-z0-9_-]*)")


@dataclass(slots=True)
class Chunk:
    """The lines of one item. `line` is the number of its first; places are (line, column), 1-based."""

    line: int
    word: str
    lines: list[str] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    opened: tuple[int, int] | None = None
    closed: tuple[int, int] | None = None
    mistake: Mistake | None = None
    depth: int = 0
    nesting: int = 0

    @property
    def is_group(self) -> bool:
        """Whether braces hold further items."""
        return self.word in ("for", "test")

    def ends_before(self, line: str) -> bool:
        """Whether a line with something in its first column begins another item."""
        if line[0] in ")]":
            return False
        if self.depth == 0:
            return True
        word = first_word(line)
        if self.word == "for":
            return word in TOP_WORDS and (word != "set" or "=" in line.split()[2:3])
        return word in ITEM_WORDS


def first_word(line: str) -> str:
    """Return the word that a line begins with, or nothing."""
    match = _first_word.match(line)
    return match[1] if match else ""


def comment(line: str, number: int, column: int, trailing: bool) -> Comment:
    """Return the comment that begins at a 0-based column."""
    text = line[column + 1 :].rstrip(" \t")
    return Comment(text.removeprefix(" "), trailing, at=Span(number, column + 1, number, len(line) + 1))


def chunks(lines: list[str], first: int = 0) -> Iterator[Chunk]:
    """Yield the items of a text; the last, of the word "", holds the comments after the last item.

    `first` is the index of the line to begin with, where what stands before it is known to be over.
    """
    current: Chunk | None = None
    held: list[Comment] = []
    for number, line in enumerate(lines[first:] if first else lines, first + 1):
        code = line.lstrip(" \t")
        if not code:
            continue
        if code[0] == "#":
            held.append(comment(line, number, len(line) - len(code), False))
            continue
        if current is None or (line[0] not in " \t" and current.ends_before(line)):
            if current is not None:
                yield current
            current = Chunk(number, first_word(line))
        current.comments += held
        held = []
        # Blank and comment lines in between are kept, so that places inside the chunk stay true.
        current.lines += lines[current.line - 1 + len(current.lines) : number]
        _read_line(current, line, number)
    if current is not None:
        yield current
    yield Chunk(len(lines), "", comments=held)


def _read_line(chunk: Chunk, line: str, number: int) -> None:
    """Take note of a line's brackets and its comment."""
    for match in _interesting.finditer(line):
        sign = line[match.start()]
        if sign == '"':
            if not match[1]:
                return
        elif sign == "#":
            chunk.comments.append(comment(line, number, match.start(), True))
            return
        elif sign in "({[":
            chunk.nesting += 1
            if chunk.nesting > NESTING_MAX and chunk.mistake is None:
                at = Span(number, match.start() + 1, number, match.start() + 2)
                chunk.mistake = Mistake(f"more than {NESTING_MAX} brackets inside each other; split the rule", at)
            if sign == "{":
                chunk.depth += 1
                chunk.opened = chunk.opened or (number, match.start() + 1)
        else:
            chunk.nesting -= 1
            if sign == "}" and chunk.depth:
                chunk.depth -= 1
                if chunk.depth == 0:
                    chunk.closed = (number, match.start() + 1)
