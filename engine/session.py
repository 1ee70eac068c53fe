"""What one session knows: its calls, its labels, and what was said and returned in it.

The evaluators read a session and never write it; `embed` writes it between decisions. What a session
cannot know it says: a beginning that was not seen, calls and texts that no longer fit its bounds. Then
the readers answer unknown where the lost part could have mattered, never absent.

No clock: every time is handed in, in epoch seconds.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ..contract import Ending, Json
from ..native.digests import FIRST, after, digest_of
from ..native.provenance import Memory

CALLS_MAX: Final = 10_000
OPENED, SAID, LET_THROUGH, BLOCKED, ENDED = range(5)
"""The kinds of events that a session's digest covers."""


@dataclass(slots=True)
class Call:
    """One call that was let through. `classes` is None where nobody declared the tool.

    `ending` is None until the call reports. `told` says whether its whole result was told. `pending`
    are labels that depend on that result. `number` counts the calls of its session.
    """

    id: str
    tool: str
    classes: frozenset[str] | None
    at: float
    ending: Ending | None = None
    told: bool = False
    pending: frozenset[str] = frozenset()
    number: int = 0

    @property
    def completed(self) -> bool:
        return self.ending is Ending.COMPLETED

    @property
    def failed(self) -> bool:
        return self.ending is not None and self.ending is not Ending.COMPLETED


@dataclass(frozen=True, slots=True)
class Told:
    """The text of one result, and the tool it came from."""

    tool: str
    classes: frozenset[str] | None
    text: str


@dataclass(slots=True)
class Session:
    """One session's facts. `begun`: its beginning was seen. `root` is the session whose user speaks for it.

    `version` grows with everything that is written, so that a reader can tell whether facts have moved on;
    `digest` covers all of it, in order, and the beginning, but for what the user said, which `said_digest` covers:
    sessions of equal digests answer alike. `tallies` is what readers have counted of it, theirs alone.
    """

    id: str
    opened_at: float
    begun: bool = True
    tenant: str | None = None
    root: "Session | None" = None
    provenance_bytes: int = 1024 * 1024
    calls: list[Call] = field(default_factory=list)
    blocks: int = 0
    labels: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)
    results: list[Told] = field(default_factory=list)
    results_cut: bool = False
    dropped_until: float = -math.inf
    remembered_bytes: int = 0
    version: int = 0
    counted: int = 0
    digest: bytes = FIRST
    said_digest: bytes = FIRST
    said_memory: Memory = field(default_factory=Memory, init=False, repr=False, compare=False)
    told_memory: Memory = field(default_factory=Memory, init=False, repr=False, compare=False)
    tallies: dict[object, object] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Begin the digest."""
        begun = "begun" if self.begun else None
        self.digest = after(self.digest, OPENED, self.opened_at, self.id, self.tenant, begun)

    def __getstate__(self) -> tuple[None, dict[str, object]]:
        """Return what a copy is made of; what readers have counted they count anew."""
        return None, {name: getattr(self, name) for name in self.__slots__} | {"tallies": {}}

    def said(self, text: str) -> None:
        """Take in what the user of this session said: a turn reported over the authenticated channel."""
        self.version += 1
        self.said_digest = after(self.said_digest, SAID, 0.0, digest_of(text))
        if text and self.remembered_bytes + len(text) <= self.provenance_bytes:
            self.texts.append(clean(text))
            self.remembered_bytes += len(text)

    def heard(self) -> list[str]:
        """Return what the user of the root session said."""
        return self.speaker().texts

    def speaker(self) -> "Session":
        """Return the root session, whose user speaks for this one."""
        session = self
        while session.root is not None:
            session = session.root
        return session

    def seen_from(self) -> float:
        """Return the time after which no call is missing: minus infinity where all are held."""
        return max(self.dropped_until, -math.inf if self.begun else self.opened_at)

    def whole(self) -> bool:
        """Say whether the session's beginning was seen and no call was dropped."""
        return self.begun and self.dropped_until == -math.inf

    def uncertain_labels(self) -> set[str]:
        """Return the labels that may hold: they depend on a result that was not told."""
        pending = set(self.doubtful)
        for call in self.calls:
            pending |= call.pending
        return pending - self.labels

    def may_hold(self, label: str) -> bool:
        """Say whether a label may hold that is not known to: it is one of `uncertain_labels`."""
        return label in self.doubtful or any(label in call.pending for call in self.calls if call.pending)

    def let_through(self, call: Call, labels: frozenset[str]) -> None:
        """Count a call from the moment of its decision, with the labels that hold from then on."""
        self.version += 1
        self.counted += 1
        call.number = self.counted
        self.digest = after(self.digest, LET_THROUGH, call.at, call.tool, call.classes, labels, call.pending)
        self.calls.append(call)
        if labels:
            self.labels |= labels
        if len(self.calls) > CALLS_MAX:
            oldest = self.calls.pop(0)
            self.dropped_until = max(self.dropped_until, oldest.at)
            self.doubtful |= oldest.pending
            if not oldest.told:
                self.results_cut = True

    def blocked(self) -> None:
        """Count a call that was blocked."""
        self.version += 1
        self.blocks += 1
        self.digest = after(self.digest, BLOCKED, 0.0)

    def find(self, decision_id: str) -> Call | None:
        """Return the call of a decision, or None where it was never let through here or is no longer held."""
        for call in reversed(self.calls):
            if call.id == decision_id:
                return call
        return None

    def ended(
        self,
        call: Call,
        ending: Ending,
        result: str | None,
        labels: frozenset[str],
        whole: bool = True,
        perhaps: frozenset[str] = frozenset(),
    ) -> None:
        """Take in how a call ended; `result` is its text, or a part of it, None where it was not told.

        `labels` hold from now on, those of `perhaps` may.
        """
        told = None if result is None else digest_of(result)
        self._note_end(call, ending, told, labels, whole, perhaps)
        if result is None:
            return
        if whole:
            call.told = True
            call.pending = frozenset()
        self.labels |= labels
        self.doubtful |= perhaps
        if not result:
            return  # nothing comes from it, and the bound would not see how many there are
        if self.remembered_bytes + len(result) <= self.provenance_bytes:
            self.results.append(Told(call.tool, call.classes, clean(result)))
            self.remembered_bytes += len(result)
        else:
            self.results_cut = True

    def restored(
        self, call: Call, ending: Ending, told: bytes, labels: frozenset[str], whole: bool, perhaps: frozenset[str]
    ) -> None:
        """Take in an ending as a record holds it: of what was returned only its digest, empty where nothing was told.

        Its labels are known; the text is not, so where a value comes from stays unknown.
        """
        self._note_end(call, ending, told or None, labels, whole, perhaps)
        if told:
            if whole:
                call.pending = frozenset()
            self.labels |= labels
            self.doubtful |= perhaps

    def _note_end(
        self,
        call: Call,
        ending: Ending,
        told: bytes | None,
        labels: frozenset[str],
        whole: bool,
        perhaps: frozenset[str],
    ) -> None:
        self.version += 1
        call.ending = ending
        part = None if whole else "part"
        self.digest = after(self.digest, ENDED, 0.0, call.number, ending.value, told, part, labels, perhaps)


def clean(text: str) -> str:
    """Return text that is Unicode: lone surrogates become U+FFFD."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def text_of(value: Json) -> str:
    """Return the text in which a result is searched: itself, or each key and scalar of a structure on a line."""
    return value if isinstance(value, str) else "\n".join(_leaves(value))


def _leaves(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from _leaves(member)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif value is not None:
        yield str(value)
