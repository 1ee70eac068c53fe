"""Recorded tool calls, read from files session by session, in the order in which they stand.

A trace file holds one call a line (`*.jsonl` or `*.jsonl.gz`; docs/replay.md lists the fields); the calls of one
session stand together, `seq` grows. Two files beside it say more: `NAME-sessions` or `sessions`, one line a session,
what its user asked for; `NAME-results` or `results`, whole results by `result_sha`. A line that cannot be read is
counted and named, never silently skipped. Unknown fields are ignored.

Memory does not grow with the number of sessions: what is looked up lies in a temporary file.
"""

import gzip
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ..contract import Fault, OperationError, read_json
from ..engine.session import clean

SUFFIXES: Final = (".jsonl.gz", ".jsonl")
BESIDE: Final = ("sessions", "results")
RESULT_CHARS_MAX: Final = 8_000
"""Recorders cut results at this length, so one that reaches it may go on."""
PROBLEMS_KEPT: Final = 100
LABELS: Final = (
    "run_kind",
    "injection_task",
    "attack",
    "is_injection_goal",
    "goal_role",
    "user_gt",
    "injection_seen",
    "oracle_arg_in_injection",
    "utility",
    "security",
    "defense",
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it was made, and how it went.

    `ts` is in epoch seconds. `result` is what came back, None where that was not recorded; `whole` says whether it
    is all of it. `labels` are for scoring: a policy never sees them.
    """

    session_id: str
    seq: int
    ts: float
    suite: str | None
    agent_id: str | None
    tool_name: Any
    tool_args: Any
    executed: bool
    tool_error: str | None
    result: str | None
    whole: bool
    labels: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """One session: what its user asked for (None: not recorded), and its calls in order."""

    id: str
    prompt: str | None
    calls: tuple[Call, ...]


@dataclass(slots=True)
class Traces:
    """Trace files and what was wrong in them; iterate over it to read the sessions.

    `problems` names the first hundred lines that could not be read, as `FILE:LINE: what`; `problem_count` counts all.
    Both are of the latest reading, and complete once it has ended.
    """

    files: tuple[Path, ...]
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0

    def __iter__(self) -> Iterator[RecordedSession]:
        """Read every session of every file.

        Raises:
            OperationError: a file cannot be read, or is not what its name says.
        """
        self.problems, self.problem_count = [], 0
        with closing(sqlite3.connect("")) as shelf:  # "": on disk, and gone when closed
            shelf.execute("CREATE TABLE told (file TEXT, key TEXT, text TEXT, PRIMARY KEY (file, key)) WITHOUT ROWID")
            shelf.execute("CREATE TABLE ended (id TEXT PRIMARY KEY) WITHOUT ROWID")
            known: set[Path] = set()
            for file in self.files:
                prompts, results = (beside(file, kind) for kind in BESIDE)
                for path, key, text in ((prompts, "session_id", "user_prompt"), (results, "result_sha", "text")):
                    if path is not None and path not in known:
                        known.add(path)
                        shelf.executemany(
                            "INSERT OR REPLACE INTO told VALUES (?, ?, ?)",
                            ((str(path), one, said) for one, said in self._pairs(path, key, text)),
                        )
                yield from self._sessions(file, _Shelf(shelf, prompts, results))

    def line_count(self) -> int:
        """Return how many lines the trace files hold: about how many calls there are."""
        return sum(1 for file in self.files for _ in lines(file))

    def problem(self, file: Path, line: int, what: str) -> None:
        """Count one line that could not be read."""
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(f"{file}:{line}: {what}")

    def _sessions(self, file: Path, shelf: "_Shelf") -> Iterator[RecordedSession]:
        calls: list[Call] = []
        for line, row in self._rows(file):
            what = fault(row)
            if not what and calls and calls[-1].session_id == row["session_id"] and row["seq"] <= calls[-1].seq:
                what = f"`seq` is {row['seq']} after {calls[-1].seq}; the calls of a session stand in order"
            elif not what and not (calls and calls[-1].session_id == row["session_id"]):
                if calls:
                    yield shelf.session(calls)
                    calls = []
                if shelf.ended(row["session_id"]):
                    what = "its session has ended further up; the calls of one session stand together"
            if what:
                self.problem(file, line, what)
            else:
                calls.append(shelf.call(row))
        if calls:
            yield shelf.session(calls)

    def _pairs(self, file: Path, key: str, text: str) -> Iterator[tuple[str, str]]:
        for line, row in self._rows(file):
            if isinstance(row.get(key), str) and isinstance(row.get(text), str):
                yield clean(row[key]), clean(row[text])
            else:
                self.problem(file, line, f"`{key}` and `{text}` are not both texts")

    def _rows(self, file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
        for line, text in lines(file):
            row = read_json(text)
            if isinstance(row, dict):
                yield line, row
            else:
                self.problem(file, line, str(row) if isinstance(row, Fault) else "a line is an object")


def read_traces(places: Iterable[str | os.PathLike[str]]) -> Traces:
    """Return the traces in files and folders; the sessions and results files beside them are found by name.

    Raises:
        OperationError: a place is not there, or a folder holds no trace.
    """
    files: list[Path] = []
    for place in map(Path, places):
        if place.is_dir():
            found = sorted(path for path in place.iterdir() if path.name.endswith(SUFFIXES) and not is_beside(path))
            if not found:
                raise OperationError(f"`{place}` holds no trace, no file `*.jsonl` or `*.jsonl.gz`")
            files.extend(found)
        elif place.is_file():
            files.append(place)
        else:
            raise OperationError(f"`{place}` is not there; name a trace file or a folder of them")
    return Traces(tuple(dict.fromkeys(files)))


def stem(file: Path) -> str:
    """Return a trace file's name without its ending."""
    return next((file.name.removesuffix(end) for end in SUFFIXES if file.name.endswith(end)), file.stem)


def is_beside(file: Path) -> bool:
    """Say whether a file holds sessions or results, by its name."""
    return any(stem(file) == kind or stem(file).endswith(f"-{kind}") for kind in BESIDE)


def beside(file: Path, kind: str) -> Path | None:
    """Return the file of this kind that belongs to a trace: `NAME-sessions` before `sessions`."""
    candidates = [file.with_name(name + end) for name in (f"{stem(file)}-{kind}", kind) for end in SUFFIXES]
    return next((path for path in candidates if path.is_file()), None)


def lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Return the lines of a file that are not blank, numbered from 1; `.gz` is unpacked.

    Raises:
        OperationError: the file cannot be read.
    """
    try:
        with gzip.open(file, "rb") if file.name.endswith(".gz") else file.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError) as error:
        raise OperationError(f"`{file}` cannot be read: {getattr(error, 'strerror', None) or error}") from error


def fault(row: dict[str, Any]) -> str:
    """Return what keeps a line from being a recorded call, "" if nothing does."""
    id = row.get("session_id")
    if not isinstance(id, str) or not id or id != clean(id):
        return "`session_id` is not a text"
    if not isinstance(row.get("seq"), int) or isinstance(row["seq"], bool):
        return "`seq` is not an integer"
    if "tool_name" not in row:
        return "`tool_name` is missing"
    if seconds(row.get("ts")) is None:
        return '`ts` is not a time, as in "2026-01-14T18:14:30.000Z"'
    if not isinstance(row.get("executed"), bool):
        return "`executed` is not true or false"
    return ""


def seconds(ts: object) -> float | None:
    """Return a time of RFC 3339 in epoch seconds; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(ts) if isinstance(ts, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The temporary file in which prompts and results are looked up."""

    shelf: sqlite3.Connection
    prompts: Path | None
    results: Path | None

    def look_up(self, file: Path | None, key: object) -> str | None:
        if file is None or not isinstance(key, str):
            return None
        query = "SELECT text FROM told WHERE file = ? AND key = ?"
        found = self.shelf.execute(query, (str(file), clean(key))).fetchone()
        return found[0] if found else None

    def ended(self, id: str) -> bool:
        return self.shelf.execute("SELECT 1 FROM ended WHERE id = ?", (id,)).fetchone() is not None

    def session(self, calls: Sequence[Call]) -> RecordedSession:
        id = calls[0].session_id
        self.shelf.execute("INSERT OR IGNORE INTO ended VALUES (?)", (id,))
        return RecordedSession(id, self.look_up(self.prompts, id), tuple(calls))

    def call(self, row: dict[str, Any]) -> Call:
        result, whole = self.result(row)
        return Call(
            session_id=row["session_id"],
            seq=row["seq"],
            ts=seconds(row["ts"]) or 0.0,
            suite=row["suite"] if isinstance(row.get("suite"), str) else None,
            agent_id=row["agent_id"] if isinstance(row.get("agent_id"), str) else None,
            tool_name=row["tool_name"],
            tool_args=row.get("tool_args"),
            executed=row["executed"],
            tool_error=row["tool_error"] if isinstance(row.get("tool_error"), str) else None,
            result=result,
            whole=whole,
            labels={name: row[name] for name in LABELS if name in row},
        )

    def result(self, row: dict[str, Any]) -> tuple[str | None, bool]:
        """Return a call's result and whether it is all of it.

        An excerpt is a beginning. Where a result has no digest there was none, or the error was all that came back.
        """
        digest, excerpt, error = row.get("result_sha"), row.get("tool_result_excerpt"), row.get("tool_error")
        text = self.look_up(self.results, digest)
        if text is not None:
            return text, len(text) < RESULT_CHARS_MAX
        if isinstance(excerpt, str) and excerpt:
            return excerpt, False
        if isinstance(error, str) and error:
            return error, digest is None
        return ("", True) if digest is None and isinstance(excerpt, str) else (None, False)
