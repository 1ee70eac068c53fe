"""Messages about a policy's text: where, what, and what to write instead.

A message is a value; `PolicyError` carries all the messages of one run. Rendering is here because
the reader of the parser and the reader of the checker is the same person.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .syntax import Span


@dataclass(frozen=True, slots=True)
class Message:
    """One remark: `source:line:column: text`, the line it is about, and a caret under the place.

    `severity` is error or warning; `code` a stable word for machines. `line` is the excerpt, without
    its line end.
    """

    text: str
    source: str
    at: Span
    line: str = ""
    severity: str = "error"
    code: str = "syntax"

    def __str__(self) -> str:
        return self.render()

    def render(self) -> str:
        """Return the message as people read it: one line, then the excerpt with its caret."""
        mark = "warning: " if self.severity == "warning" else ""
        head = f"{self.source}:{self.at.line}:{self.at.column}: {mark}{self.text}"
        if not self.line:
            return head
        number = str(self.at.line).rjust(5)
        end = self.at.end_column if self.at.end_line == self.at.line else len(self.line) + 1
        width = max(1, min(end, len(self.line) + 1) - self.at.column)
        blank = "".join("\t" if c == "\t" else " " for c in self.line[: self.at.column - 1])
        return f"{head}\n{number} | {self.line}\n{' ' * 5} | {blank}{'^' * width}"

    def as_json(self) -> dict[str, Any]:
        """Return the message for editors and CI, with stable keys."""
        return {
            "file": self.source,
            "line": self.at.line,
            "column": self.at.column,
            "end_line": self.at.end_line,
            "end_column": self.at.end_column,
            "severity": self.severity,
            "code": self.code,
            "message": self.text,
        }


class Mistake(Exception):
    """One mistake at one place of the text; `parse` makes a message of it."""

    def __init__(self, text: str, at: Span) -> None:
        super().__init__(text)
        self.text = text
        self.at = at


class PolicyError(Exception):
    """The author's mistakes, all those of one run, in the order of the text."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self.messages = tuple(sorted(messages, key=lambda m: (m.source, m.at.line, m.at.column)))
        super().__init__("\n".join(message.render() for message in self.messages))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean `…`?" with the nearest known word, or nothing where none is near."""
    near = difflib.get_close_matches(word, sorted(set(known)), n=1, cutoff=0.6)
    return f"; did you mean `{near[0]}`?" if near else ""
