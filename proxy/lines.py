"""Bytes of a pipe as messages, one a line, whatever pieces they come in.

A raw carriage return ends a line for some readers and is white space in JSON for others; both must see the same
messages, so inside a line it becomes a space.
"""

from typing import Final

LINE_BYTES_MAX: Final = 256 * 1024 * 1024
HEAD_BYTES: Final = 4096


class TooLong:
    """A line beyond the bound, of which only the beginning is kept."""

    __slots__ = ("head",)

    def __init__(self, head: bytes) -> None:
        self.head = head


class Lines:
    """Cuts what is fed to it into lines; never holds more than `bytes_max` of one."""

    __slots__ = ("_bytes_max", "_head", "_pieces", "_size")

    def __init__(self, bytes_max: int = LINE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._pieces: list[bytes] = []
        self._size = 0
        self._head: bytes | None = None  # of a line that is already too long

    def feed(self, data: bytes) -> list[bytes | TooLong]:
        """Return the lines that `data` completes, without their ends; empty ones are left out."""
        if b"\n" not in data:
            self._keep(data)
            return []
        *whole, rest = data.split(b"\n")
        found: list[bytes | TooLong] = []
        for piece in whole:
            self._keep(piece)
            self._take(found)
        self._keep(rest)
        return found

    def end(self) -> list[bytes | TooLong]:
        """Return the last line, which may lack its end."""
        found: list[bytes | TooLong] = []
        self._take(found)
        return found

    def _keep(self, piece: bytes) -> None:
        if not piece or self._head is not None:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._bytes_max:
            self._head = b"".join(self._pieces)[:HEAD_BYTES]
            self._pieces.clear()

    def _take(self, found: list[bytes | TooLong]) -> None:
        if self._head is not None:
            found.append(TooLong(self._head))
        else:
            line = (self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)).strip(b" \t\r")
            if line:
                found.append(line.replace(b"\r", b" ") if b"\r" in line else line)
        self._pieces.clear()
        self._size = 0
        self._head = None
