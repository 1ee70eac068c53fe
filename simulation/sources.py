"""Places turned into sessions: which reader a file needs, and whether its calls must be laid down first.

Recorded traces stream session by session. Event batches, evidence logs and other people's tables hold sessions that
overlap, and a policy that counts across sessions wants calls in the order of time: those are laid down in a temporary
file, once, and taken up from there.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .calls import Laid, RecordedSession
from .columns import table_calls
from .counting import Groups
from .events import KINDS, EventReader, documents
from .logs import log_calls
from .opening import Progress, find, is_log
from .problems import Problems
from .reading import read_line
from .spool import Spool
from .traces import Traces

SPOOLED_FROM: Final = 1 << 56
"""Sessions of the temporary file come behind those of traces."""
TRACE, EVENTS, LOG, TABLE = "recorded trace", "event batches", "evidence log", "table"


@dataclass(slots=True)
class Sources:
    """Where calls are read from. Iterate over `sessions`; what was wrong is in `problems` afterwards."""

    traces: Traces
    events: list[Path] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    mapping: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    spool: Spool | None = None
    laid: Problems = field(default_factory=Problems)

    @property
    def files(self) -> list[Path]:
        """Return every file and log."""
        return [*self.traces.files, *self.events, *self.logs, *self.tables]

    def lay_down(self, folder: Path, groups: Groups | None, progress: Progress | None = None) -> None:
        """Lay down in a folder what cannot be streamed: all of it, where calls are to be grouped."""
        if groups is None and not (self.events or self.logs or self.tables):
            return
        self.laid = Problems(self.strict)
        self.spool = Spool(folder / "calls.sqlite")
        self.spool.base = SPOOLED_FROM
        self.spool.fill(self._each(groups is not None, progress), groups)

    def sessions(self, part: int = 0, parts: int = 1) -> Iterator[RecordedSession]:
        """Return the sessions of one of several parts."""
        grouped = self.spool is not None and self.spool.by_time
        if not grouped:
            yield from self.traces.sessions(part, parts)
        if self.spool is not None:
            yield from self.spool.sessions(part, parts)

    def __iter__(self) -> Iterator[RecordedSession]:
        """Return all sessions, as often as is asked; what cannot be streamed has been laid down before."""
        return self.sessions()

    def problems(self) -> Problems:
        """Return what was wrong in what has been read here: of traces that stream, of the latest reading."""
        found = Problems()
        found.add(self.laid)
        if not (self.spool is not None and self.spool.by_time):
            found.add(self.traces.found)
        return found

    def _each(self, everything: bool, progress: Progress | None) -> Iterator[Laid]:
        number = 0
        if everything and self.traces.files:
            self.traces.progress = progress
            for session in self.traces.sessions():
                for call in session.calls:
                    yield number, session.prompt, True, call
                    number += 1
            self.laid.add(self.traces.found)
        base, reader = number, EventReader(self.laid)
        for at, prompt, begun, call in reader.calls(self.events, progress):
            yield base + at, prompt, begun, call
            number = max(number, base + at + 1)
        for folder in self.logs:
            base = number
            for at, prompt, begun, call in log_calls(folder, self.laid):
                yield base + at, prompt, begun, call
                number = max(number, base + at + 1)
        for file in self.tables:
            base = number
            for at, prompt, begun, call in table_calls(file, self.mapping, self.laid, progress):
                yield base + at, prompt, begun, call
                number = max(number, base + at + 1)


def read_sources(
    places: Iterable[str | os.PathLike[str]], *, mapping: Mapping[str, str] | None = None, strict: bool = False
) -> Sources:
    """Return the sources that places mean: files, folders of them, globs, evidence logs.

    A `mapping` (`columns.read_mapping`) makes tables of all files that are neither traces' companions nor logs.

    Raises:
        OperationError: a place is not there, or what it holds is not a recording.
    """
    kinds: dict[str, list[Path]] = {TRACE: [], EVENTS: [], LOG: [], TABLE: []}
    for file in find(places):
        kinds[kind_of(file, bool(mapping))].append(file)
    return Sources(Traces(tuple(kinds[TRACE]), strict), kinds[EVENTS], kinds[LOG], kinds[TABLE], mapping or {}, strict)


def kind_of(file: Path, mapped: bool = False) -> str:
    """Return what kind of recording a file is, by its name and its first line."""
    if file.is_dir() and is_log(file):
        return LOG
    if mapped or file.name.endswith(".parquet"):
        return TABLE
    for _, line in documents(file):
        first = read_line(line)
        if isinstance(first, dict) and isinstance(first.get("events"), list):
            first = first["events"]
        if isinstance(first, list):
            first = first[0] if first else {"event_type": next(iter(KINDS))}
        if isinstance(first, dict) and ("event_type" in first or "eventType" in first):
            return EVENTS
        break
    return TRACE
