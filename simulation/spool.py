"""Calls laid down in a temporary file, to be taken up in another order: session by session, or by time.

Sources in which sessions overlap are taken up session by session. Where a policy counts across sessions, their calls
are taken up in the order in which they were made, and a session then comes in parts of one call.
"""

import pickle
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from .calls import Call, Laid, RecordedSession
from .counting import LEDGERS, Groups

AT_ONCE: Final = 10_000
TABLES: Final = """
CREATE TABLE sessions (
    number INTEGER PRIMARY KEY, id TEXT, prompt TEXT, begun INTEGER,
    first INTEGER, last INTEGER, node INTEGER, ledger INTEGER
);
CREATE TABLE calls (session INTEGER, at REAL, number INTEGER, body BLOB);
"""


_Row: TypeAlias = tuple[int, int, bytes, int, str, str | None, int, int, int, int]


@dataclass(slots=True)
class _Session:
    number: int
    prompt: str | None
    begun: bool
    first: int
    last: int
    node: int
    at: float


class Spool:
    """A temporary file of calls. Fill it, then `arrange` it once, then take sessions up as often as is needed."""

    def __init__(self, path: Path) -> None:
        """Make a file; whoever made its folder takes it away again."""
        self.path = path
        self.by_time = False
        self.base = 0
        self.groups: Groups | None = None
        with self._connect() as connection:
            connection.executescript(TABLES)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path)
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;")
        return connection

    def fill(self, calls: Iterable[Laid], groups: Groups | None = None) -> None:
        """Lay calls down."""
        sessions: dict[tuple[str, str], _Session] = {}
        self.groups, self.by_time = groups, groups is not None
        with self._connect() as connection:
            rows = self._rows(calls, sessions, groups)
            connection.executemany("INSERT INTO calls VALUES (?, ?, ?, ?)", rows)
            kept = (
                (
                    s.number, key[1], s.prompt, s.begun, s.first, s.last, s.node,
                    groups.group(s.node) % LEDGERS if groups else -1,
                )
                for key, s in sessions.items()
            )  # fmt: skip
            connection.executemany("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", kept)
            order = "calls.at, calls.number" if self.by_time else "session, calls.at, calls.number"
            connection.execute(
                "CREATE TABLE ordered AS SELECT session, calls.number AS number, body FROM calls ORDER BY " + order
            )
            connection.execute("DROP TABLE calls")

    def _rows(
        self,
        calls: Iterable[Laid],
        sessions: dict[tuple[str, str], _Session],
        groups: Groups | None,
    ) -> Iterator[tuple[int, float, int, bytes]]:
        for number, prompt, begun, call in calls:
            key = (call.tenant_id, call.session_id)
            session = sessions.get(key)
            if session is None:
                session = sessions[key] = _Session(len(sessions), prompt, begun, number, number, -1, call.ts)
            session.first, session.last = min(session.first, number), max(session.last, number)
            # A clock that went backwards inside a session does not turn its calls round.
            session.at = max(session.at, call.ts) if self.by_time else call.ts
            if groups is not None:
                session.node = groups.join(session.node, call)
            yield session.number, session.at, number, pickle.dumps(call, pickle.HIGHEST_PROTOCOL)

    def sessions(self, part: int = 0, parts: int = 1) -> Iterator[RecordedSession]:
        """Take up the sessions of one of several parts, whole or in parts, in the order of `place`."""
        with self._connect() as connection:
            query = (
                "SELECT ordered.rowid, session, body, ordered.number, id, prompt, begun, first, last, ledger "
                "FROM ordered JOIN sessions ON sessions.number = session "
                "WHERE (CASE WHEN ledger < 0 THEN session ELSE ledger END) % ? = ? ORDER BY ordered.rowid"
            )
            rows = connection.execute(query, (parts, part))
            yield from self._in_parts(rows) if self.by_time else self._whole(rows)

    def _in_parts(self, rows: Iterable[_Row]) -> Iterator[RecordedSession]:
        for place, _, body, number, id, prompt, begun, first, last, ledger in rows:
            call: Call = pickle.loads(body)
            yield RecordedSession(
                id, prompt, (call,), number == first, number == last, bool(begun), self.base + place, ledger
            )

    def _whole(self, rows: Iterable[_Row]) -> Iterator[RecordedSession]:
        calls: list[Call] = []
        head: tuple[int, int, str, str | None, int] | None = None
        for place, session, body, _, id, prompt, begun, *_ in rows:
            if head is not None and head[1] != session:
                yield self._session(head, calls)
                calls, head = [], None
            head = head or (place, session, id, prompt, begun)
            calls.append(replace(pickle.loads(body), seq=len(calls)))
        if head is not None:
            yield self._session(head, calls)

    def _session(self, head: tuple[int, int, str, str | None, int], calls: list[Call]) -> RecordedSession:
        place, _, id, prompt, begun = head
        return RecordedSession(id, prompt, tuple(calls), begun=bool(begun), place=self.base + place)
