"""The grammar of `thoth.lark` at work: one construct's text to its node.

The only file that runs Lark. It is slow to import and loads the grammar once in a process; after
that it reads some hundred thousand words a second.
"""

import re
from functools import cache
from importlib import resources
from typing import Any

from lark import Lark
from lark.exceptions import UnexpectedCharacters, UnexpectedToken
from lark.lexer import PatternRE, PatternStr, TerminalDef
from lark.parsers.lalr_interactive_parser import InteractiveParser

from . import hints
from .build import Items


def read(start: str, text: str, line: int) -> Any:
    """Read one construct that begins on a line of the file.

    Raises:
        Mistake: the first one, with a hint what to write instead.
    """
    reader = _reader(start, text, line)
    try:
        return reader.resume_parse()  # type: ignore[no-untyped-call]
    except UnexpectedToken as error:
        offset = len(text) if error.token.type == "$END" else error.token.start_pos or 0
    except UnexpectedCharacters as error:
        offset = error.pos_in_stream
    # Seeing the wrong word has already closed what could have gone on before it: read up to there again.
    reader = _reader(start, text[:offset], line)
    reader.exhaust_lexer()
    accepts: set[str] = reader.accepts()  # type: ignore[no-untyped-call]
    raise hints.mistake(text, offset, accepts, line, start)


def _reader(start: str, text: str, line: int) -> InteractiveParser:
    reader = _grammar().parse_interactive(text, start)
    state = reader.lexer_thread.state
    assert state is not None
    state.line_ctr.line = line
    return reader


@cache
def _grammar() -> Lark:
    """Load the grammar, once in a process."""
    return Lark(
        resources.files(__package__).joinpath("thoth.lark").read_text("utf-8"),
        parser="lalr",
        start=["item", "lone_condition", "lone_line"],
        transformer=Items(),
        keep_all_tokens=True,
        maybe_placeholders=False,
        edit_terminals=_bound_keyword,
    )


def _bound_keyword(terminal: TerminalDef) -> None:
    """Let a keyword match whole words only, and before any name."""
    if isinstance(terminal.pattern, PatternStr) and re.fullmatch("[a-z_]+", terminal.pattern.value):
        terminal.pattern = PatternRE(terminal.pattern.value + "(?![A-Za-z0-9_.:/*-])")
        terminal.priority = 2
