"""Everything that is to be said about the files of one run.

A mistake never stops the reading: it is noted, and something harmless stands in its place, so that one
run tells all of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from ...grammar.messages import Message, did_you_mean
from ...grammar.syntax import ForItem, Policy, Span

NEAR_WORDS_MAX: Final = 8_000
"""Comparing words costs time; when a run has compared this many, no further near word is looked for."""


class Report:
    """The messages of one run, errors and warnings apart; what was said once is not said again.

    `exhausted` tells that some near word was not looked for.
    """

    def __init__(self) -> None:
        self.errors: list[Message] = []
        self.warnings: list[Message] = []
        self._said: set[Message] = set()
        self._near: dict[tuple[str, frozenset[str]], str] = {}
        self._words_left = NEAR_WORDS_MAX
        self.exhausted = False

    def forget(self) -> None:
        """Forget what was said, for another run over what has changed."""
        self.errors, self.warnings, self._said = [], [], set()

    def say(self, message: Message) -> None:
        """Note a message, unless the same was noted before."""
        if message not in self._said:
            self._said.add(message)
            (self.errors if message.severity == "error" else self.warnings).append(message)

    def near(self, word: str, known: Iterable[str]) -> str:
        """Return the nearest of the known words, or nothing."""
        key = (word, frozenset(known))
        if key not in self._near:
            if len(key[1]) > self._words_left:
                self.exhausted = True
                return ""
            self._words_left -= len(key[1])
            self._near[key] = did_you_mean(*key).removeprefix("; did you mean `").removesuffix("`?")
        return self._near[key]


@dataclass
class File:
    """One file of the run. `pack` is "" for the root; `allows` tells whether its allow rules count.

    `group` holds the conditions of the group that took the file in, None where it was taken in for all calls.
    """

    policy: Policy
    report: Report
    pack: str = ""
    allows: bool = True
    group: ForItem | None = None

    def __post_init__(self) -> None:
        self.take(self.policy)

    def take(self, policy: Policy) -> None:
        """Take another text of the file; places in messages are its from now on."""
        self.policy = policy
        self._lines = policy.text.split("\n") if policy.text else []

    @property
    def source(self) -> str:
        """The name under which messages speak of the file."""
        return self.policy.source

    def error(self, at: Span, text: str, code: str) -> None:
        """Note a mistake at a place of this file."""
        self.report.say(self._message(at, text, code, "error"))

    def warn(self, at: Span, text: str, code: str) -> None:
        """Note something that stops nothing."""
        self.report.say(self._message(at, text, code, "warning"))

    def near(self, word: str, known: Iterable[str], spell: Callable[[str], str] = str) -> str:
        """Return "; did you mean `…`?" with the nearest of the known words as `spell` writes it, or nothing."""
        found = self.report.near(word, known)
        return f"; did you mean `{spell(found)}`?" if found else ""

    def place(self, at: Span, seen_from: "File") -> str:
        """Return how a message in another file names a place of this one: `line 3` or `pack.thoth:3`."""
        return f"line {at.line}" if seen_from.source == self.source else f"{self.source}:{at.line}"

    def qualified(self, name: str) -> str:
        """Return a rule's id as the whole policy knows it."""
        return f"{self.pack}.{name}" if self.pack else name

    def _message(self, at: Span, text: str, code: str, severity: str) -> Message:
        line = self._lines[at.line - 1].rstrip("\r") if 0 < at.line <= len(self._lines) else ""
        return Message(text, self.source, at, line, severity, code)


def listed(words: Iterable[str], most: int = 8) -> str:
    """Return `a, b and 3 more`: words in their order, shortened."""
    all_of_them = list(words)
    if len(all_of_them) <= most:
        return ", ".join(all_of_them)
    return f"{', '.join(all_of_them[:most])} and {len(all_of_them) - most} more"
