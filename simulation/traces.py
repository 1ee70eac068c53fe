"""Recorded tool calls, read from files session by session, in the order in which they stand.

A trace file holds one call a line (`*.jsonl`, plain or packed; docs/replay.md lists the fields); the calls of one
session stand together, `seq` grows. Two files beside it say more: `NAME-sessions` or `sessions`, one line a session,
what its user asked for; `NAME-results` or `results`, whole results by `result_sha`. A line that cannot be read is
counted and named, never silently skipped; so are fields that nobody knows and files that are missing beside it.

Memory does not grow with the number of calls: texts that are looked up lie in a temporary file where they are many, and
of a session that has ended eight bytes are kept.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec

from ..contract import Fault
from ..engine.decide import admitted
from ..engine.session import clean
from .calls import CALL, LABELS, RECORDED, Call, RecordedSession
from .opening import Progress, beside, find, lines
from .problems import Problems
from .reading import read_line, read_object, seconds
from .scores import kind_of
from .shelf import Seen, Shelf

RESULT_CHARS_MAX: Final = 8_000
"""Recorders cut results at this length, so one that reaches it may go on."""
NO_LABELS: Final[frozenset[str]] = frozenset()
LINES_OF_A_FILE: Final = 1 << 40
FIELDS: Final = frozenset(
    {
        "session_id", "seq", "suite", "agent_id", "tool_name", "tool_args", "executed", "tool_error", "ts",
        "tool_result_excerpt", "result_sha", "user_id", "tenant_id", *LABELS,
        # Known, and not needed to decide a call.
        "trace_id", "model", "user_task", "arg_src",
    }
)  # fmt: skip


class _Named(msgspec.Struct, gc=False):
    session_id: str


_SESSION_OF: Final = msgspec.json.Decoder(_Named).decode


@dataclass(slots=True)
class Traces:
    """Trace files and what was wrong in them; iterate over it to read the sessions.

    `problems` names the first hundred lines that could not be read, as `FILE:LINE: what`; `problem_count` counts all.
    Both are of the latest reading, and complete once it has ended.
    """

    files: tuple[Path, ...]
    strict: bool = False
    found: Problems = field(default_factory=Problems)
    progress: Progress | None = None

    @property
    def problems(self) -> list[str]:
        """Return the first problems of the latest reading."""
        return self.found.named

    @property
    def problem_count(self) -> int:
        """Return how many problems the latest reading met."""
        return self.found.count

    def __iter__(self) -> Iterator[RecordedSession]:
        """Read every session of every file.

        Raises:
            OperationError: a file cannot be read, or is not what its name says.
        """
        return self.sessions()

    def sessions(self, part: int = 0, parts: int = 1) -> Iterator[RecordedSession]:
        """Read the sessions of one of several parts; together the parts are all of them, each once and whole."""
        self.found = Problems(self.strict)
        shelves: dict[Path, Shelf] = {}
        seen = Seen()
        try:
            for number, file in enumerate(self.files):
                told = [self._shelf(shelves, beside(file, kind), *names) for kind, *names in TOLD]
                reader = _Reader(file, self.found, told[0], told[1], seen, number * LINES_OF_A_FILE, part, parts)
                yield from reader.read(self.progress)
        finally:
            for shelf in shelves.values():
                shelf.close()

    def line_count(self) -> int:
        """Return how many lines the trace files hold: about how many calls there are."""
        return sum(1 for file in self.files for _ in lines(file))

    def _shelf(self, shelves: dict[Path, Shelf], path: Path | None, key: str, text: str) -> Shelf | None:
        if path is None:
            return None
        if path not in shelves:
            shelf = shelves[path] = Shelf()
            for line, given in lines(path):
                row = read_object(given)
                if isinstance(row, str):
                    self.found.problem(f"{path}:{line}", row)
                elif isinstance(row.get(key), str) and isinstance(row.get(text), str):
                    shelf.put(clean(row[key]), clean(row[text]))
                else:
                    self.found.problem(f"{path}:{line}", f"`{key}` and `{text}` are not both texts")
        return shelves[path]


TOLD: Final = (("sessions", "session_id", "user_prompt"), ("results", "result_sha", "text"))


def read_traces(places: Iterable[str | os.PathLike[str]], *, strict: bool = False) -> Traces:
    """Return the traces in files and folders; the sessions and results files beside them are found by name.

    Raises:
        OperationError: a place is not there, or a folder holds no trace.
    """
    return Traces(tuple(find(places)), strict)


class _Reader:
    """Reads one trace file."""

    def __init__(
        self,
        file: Path,
        found: Problems,
        prompts: Shelf | None,
        results: Shelf | None,
        seen: Seen,
        place: int,
        part: int,
        parts: int,
    ) -> None:
        self.file, self.found, self.prompts, self.results = file, found, prompts, results
        self.seen, self.place, self.part, self.parts = seen, place, part, parts

    def read(self, progress: Progress | None) -> Iterator[RecordedSession]:
        calls: list[Call] = []
        current, last, place, whose = "", -1, 0, False
        parts, file, seen = self.parts, self.file, self.seen
        for number, line in lines(file, progress):
            if parts > 1:
                whose = self._whose(line)
                if not whose:
                    continue
            row = read_line(line)
            if type(row) is not dict:
                self.found.problem(f"{file}:{number}", str(row) if isinstance(row, Fault) else "a line is an object")
                continue
            get = row.get
            id, ts = get("session_id"), seconds(get("ts"))
            seq: Any = get("seq")
            plain = type(id) is str and type(seq) is int and type(get("executed")) is bool and "tool_name" in row
            what = "" if plain and ts is not None and id and id.isascii() else fault(row)
            id = str(id)
            if not what:
                if calls and id == current:
                    if seq <= last:
                        what = f"`seq` is {seq} after {last}; the calls of a session stand in order"
                else:
                    if calls:
                        yield self._session(calls, place)
                        calls = []
                    if id in seen:
                        what = "its session has ended further up; the calls of one session stand together"
                    else:
                        current, place = id, self.place + number
            if what:
                self.found.problem(f"{file}:{number}", what)
                continue
            if not FIELDS.issuperset(row):
                for name in row:
                    if name not in FIELDS:
                        self.found.remark(f"{file}:{number}", f"unknown field `{name[:64]}`")
            last = seq
            calls.append(self._call(row, number, ts or 0.0))
        if calls:
            yield self._session(calls, place)

    def _whose(self, line: bytes) -> bool:
        """Say whether a line is of this part, by its session; one whose session cannot be read is of the first part."""
        try:
            id = _SESSION_OF(line).session_id
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self.part == 0
        return crc32(id.encode()) % self.parts == self.part

    def _session(self, calls: list[Call], place: int) -> RecordedSession:
        id = calls[0].session_id
        self.seen.add(id)
        prompt = None if self.prompts is None else self.prompts.get(id)
        if prompt is None:
            where = f"{self.file}:{place - self.place}"
            if self.prompts is None:
                self.found.remark(
                    where, f"no sessions file beside `{self.file.name}`: what the user asked is not known"
                )
            else:
                self.found.remark(
                    where, "a session that the sessions file does not name: what its user asked is not known"
                )
        return RecordedSession(id, prompt, tuple(calls), place=place)

    def _call(self, row: dict[str, Any], number: int, ts: float) -> Call:
        get = row.get
        result, whole = self._result(row, number)
        suite, agent, error, args = get("suite"), get("agent_id"), get("tool_error"), get("tool_args")
        tenant, user = get("tenant_id"), get("user_id")
        id, name = row["session_id"], row["tool_name"]
        tenant, user = tenant if type(tenant) is str else RECORDED, user if type(user) is str else RECORDED
        suite, agent = suite if type(suite) is str else None, agent if type(agent) is str else None
        request = admitted(
            {
                "tool_name": name,
                "tool_args": args,
                "agent_id": agent,
                "session_id": id,
                "environment": suite,
                "tenant_id": tenant,
                "user_id": user,
            }
        )
        labels: dict[str, Any] = {name: row[name] for name in LABELS if name in row}
        # In the order of the fields of `Call`.
        call: Call = CALL.fill(
            (
                id, row["seq"], ts, suite, agent, name, args, row["executed"], error if type(error) is str else None,
                result, whole, labels, tenant, user, True, NO_LABELS, None, None, kind_of(labels), request,
            )
        )  # fmt: skip
        return call

    def _result(self, row: dict[str, Any], number: int) -> tuple[str | None, bool]:
        """Return a call's result and whether it is all of it.

        An excerpt is a beginning. Where a result has no digest there was none, or the error was all that came back.
        """
        digest, excerpt, error = row.get("result_sha"), row.get("tool_result_excerpt"), row.get("tool_error")
        if type(digest) is str:
            if self.results is None:
                what = f"no results file beside `{self.file.name}`: results are known by their beginnings"
                self.found.remark(f"{self.file}:{number}", what)
            else:
                text = self.results.get(digest)
                if text is not None:
                    return text, len(text) < RESULT_CHARS_MAX
                what = "a result that the results file does not hold: it is known by its beginning"
                self.found.remark(f"{self.file}:{number}", what)
        if isinstance(excerpt, str) and excerpt:
            return clean(excerpt), False
        if isinstance(error, str) and error:
            return clean(error), digest is None
        return ("", True) if digest is None and isinstance(excerpt, str) else (None, False)


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
