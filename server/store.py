"""What must survive a restart, in SQLite on a thread of its own: held calls, and messages that nobody took.

WAL with `synchronous=FULL`: a commit is on disk when it is answered, 0.3 to 2 ms later, so never on the loop. What
waits together goes into one commit. A crash between the commit and its answer leaves a hold that nobody was told of;
it expires.
"""

import contextlib
import os
import queue
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from ..contract import OperationError

SCHEMA: Final = """
create table if not exists holds (
    token text primary key, expires real not null, waiting integer not null, body blob not null
);
create table if not exists undelivered (
    id text primary key, at real not null, url text not null, body blob not null, why text not null
);
"""
TOGETHER_MAX: Final = 256
BUSY_S: Final = 5.0
PAUSE_S: Final = 0.002

Done: TypeAlias = Callable[[Exception | None], None]
"""Told, on the store's thread, that a change is durable, or why it is not."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a database of ours, made for its owner alone.

    Raises:
        OperationError: it cannot be opened.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        write_ahead(db)
        db.execute("pragma synchronous=full")
    except (OSError, sqlite3.Error) as error:
        raise OperationError(f"`{path}` cannot be opened: {error}") from error
    return db


def write_ahead(db: sqlite3.Connection) -> None:
    """Have a database write ahead. Where two do that to a new one at once SQLite waits for neither: this tries again.

    Raises:
        sqlite3.Error: it cannot, or not within the time that every other statement waits.
    """
    until = time.monotonic() + BUSY_S
    while True:
        try:
            db.execute("pragma journal_mode=wal")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(PAUSE_S)


def make_state(folder: Path) -> Path:
    """Make the folder of holds and keys, for its owner alone, and return it.

    Raises:
        OperationError: it cannot be made, or others can enter it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(folder.stat().st_mode)
    except OSError as error:
        raise OperationError(f"`{folder}` cannot be made: {error.strerror or error}") from error
    if mode & 0o077:
        raise OperationError(f"`{folder}` can be entered by others; write `chmod 700 {folder}`")
    return folder


class Store:
    """The database, and the thread that alone writes it."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path)
        self._db.executescript(SCHEMA)
        self._queue: queue.SimpleQueue[tuple[str, tuple[object, ...], Done] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="thoth-store", daemon=True)
        self._thread.start()

    def holds(self, since: float) -> list[bytes]:
        """Return the holds that wait or were answered after `since`; to be called before anything is written."""
        return [body for (body,) in self._db.execute("select body from holds where waiting or expires > ?", (since,))]

    def keep(self, token: str, expires: float, waiting: bool, body: bytes, done: Done) -> None:
        """Write a hold as it stands now."""
        self._queue.put(("insert or replace into holds values (?, ?, ?, ?)", (token, expires, waiting, body), done))

    def forget(self, until: float, done: Done) -> None:
        """Delete the holds that were answered or expired before a time: they hold arguments in clear."""
        self._queue.put(("delete from holds where not waiting and expires <= ?", (until,), done))

    def undelivered(self, id: str, at: float, url: str, body: bytes, why: str, done: Done) -> None:
        """Keep a message that nobody took."""
        self._queue.put(("insert or replace into undelivered values (?, ?, ?, ?, ?)", (id, at, url, body, why), done))

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        self._queue.put(None)
        self._thread.join()
        self._db.close()

    def _run(self) -> None:
        while True:
            taken = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while taken[-1] is not None and len(taken) < TOGETHER_MAX:
                    taken.append(self._queue.get_nowait())
            changes = [change for change in taken if change is not None]
            error: Exception | None = None
            try:
                if changes:
                    self._db.execute("begin immediate")
                    for statement, values, _ in changes:
                        self._db.execute(statement, values)
                    self._db.execute("commit")
            except sqlite3.Error as failed:
                error = failed
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("rollback")
            for _, _, done in changes:
                done(error)
            if taken[-1] is None:
                return
