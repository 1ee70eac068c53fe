"""Texts that are looked up by a key, in memory up to a bound and in a temporary file beyond it."""

import sqlite3
from array import array
from typing import Final

from xxhash import xxh3_64_intdigest

MEMORY_CHARS: Final = 64 << 20


class Shelf:
    """Texts by key; what does not fit into memory lies in a file that is gone when the shelf is."""

    def __init__(self, memory_chars: int = MEMORY_CHARS) -> None:
        """Begin with an empty one; `memory_chars` bounds what stays in memory."""
        self.near: dict[str, str] = {}
        self.room = memory_chars
        self.far: sqlite3.Connection | None = None

    def put(self, key: str, text: str) -> None:
        """Keep a text, in place of an earlier one of this key."""
        if self.far is None and (len(key) + len(text) <= self.room or key in self.near):
            self.room -= len(key) + len(text)
            self.near[key] = text
            return
        if self.far is None:
            self.far = sqlite3.connect("")  # "": on disk, and gone when closed
            self.far.execute("CREATE TABLE kept (key TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID")
        self.near.pop(key, None)
        self.far.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (key, text))

    def get(self, key: str) -> str | None:
        """Return the text of a key."""
        text = self.near.get(key)
        if text is not None or self.far is None:
            return text
        found = self.far.execute("SELECT text FROM kept WHERE key = ?", (key,)).fetchone()
        return found[0] if found else None

    def close(self) -> None:
        """Let go of it all."""
        self.near.clear()
        if self.far is not None:
            self.far.close()


class Seen:
    """Keys that were met before, 8 bytes each: among ten million two look alike once in 370,000 times."""

    def __init__(self) -> None:
        """Begin with none."""
        self.slots = array("Q", bytes(8 * 1024))
        self.count = 0

    def __contains__(self, key: str) -> bool:
        digest = xxh3_64_intdigest(key.encode()) or 1
        return self.slots[self._place(self.slots, digest)] == digest

    def add(self, key: str) -> None:
        """Remember a key."""
        digest = xxh3_64_intdigest(key.encode()) or 1
        place = self._place(self.slots, digest)
        if self.slots[place] == digest:
            return
        self.slots[place] = digest
        self.count += 1
        if self.count * 3 > len(self.slots) * 2:
            grown = array("Q", bytes(16 * len(self.slots)))
            for kept in self.slots:
                if kept:
                    grown[self._place(grown, kept)] = kept
            self.slots = grown

    @staticmethod
    def _place(slots: "array[int]", digest: int) -> int:
        """Return where a digest stands, or the empty slot where it would."""
        last = len(slots) - 1  # a power of two, less one
        place = digest & last
        while slots[place] and slots[place] != digest:
            place = (place + 1) & last
        return place
