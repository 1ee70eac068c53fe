"""Rows of a small database that are kept in memory, and read again when another process has changed them."""

from abc import ABC, abstractmethod
from pathlib import Path

from .store import connect


class Watched(ABC):
    """A database that several processes have in common. One connection, used from one thread."""

    def __init__(self, path: Path, schema: str) -> None:
        """Open the database, and make it if there is none.

        Raises:
            OperationError: it cannot be opened.
        """
        self._db = connect(path)
        self._db.execute(schema)
        self._version = -1

    def refresh(self) -> None:
        """Take in what other processes have changed since. Cost: a few microseconds where nothing was."""
        (version,) = self._db.execute("pragma data_version").fetchone()
        if version != self._version:
            self._load()
            self._version = version

    @abstractmethod
    def _load(self) -> None:
        """Read all rows."""
