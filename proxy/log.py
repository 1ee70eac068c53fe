"""What goes to stderr: our own lines and the server's, never more than the reader takes.

A client may leave stderr unread for ever. So nothing waits for it: one thread writes, and what does not fit its bound
is left out and counted.
"""

import os
import threading
from collections import deque
from typing import Final

HELD_BYTES_MAX: Final = 1024 * 1024
LINE_CHARS_MAX: Final = 1000


class Log:
    """Writes to a file descriptor from a thread of its own, begun with the first line."""

    def __init__(self, descriptor: int = 2, *, name: str = "thoth") -> None:
        self._descriptor = descriptor
        self._name = name
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._left_out = 0
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None

    def event(self, event: str, **facts: object) -> None:
        """Write one line: what happened and its facts. Never blocks, never raises."""
        told = "".join(f" {name}={_shown(value)}" for name, value in facts.items())
        self.pass_on(f"{self._name}: {event}{told}\n".encode("utf-8", "replace"))

    def pass_on(self, data: bytes) -> None:
        """Write bytes as they are: what the server said on its stderr."""
        with self._lock:
            if self._held + len(data) > HELD_BYTES_MAX:
                self._left_out += len(data)
                return
            if self._left_out:
                data = b"thoth: stderr_left_out bytes=%d\n" % self._left_out + data
                self._left_out = 0
            self._pieces.append(data)
            self._held += len(data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="thoth-stderr", daemon=True)
                self._thread.start()
            self._lock.notify()

    def flush(self, patience_s: float = 0.5) -> None:
        """Wait until everything is written, for a bounded time."""
        with self._lock:
            self._lock.wait_for(lambda: not self._held, patience_s)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._pieces)
                piece = self._pieces.popleft()
            try:
                view = memoryview(piece)
                while view:
                    view = view[os.write(self._descriptor, view) :]
            except OSError:
                pass  # nobody listens
            with self._lock:
                self._held -= len(piece)
                self._lock.notify_all()


def _shown(value: object) -> str:
    text = str(value)[:LINE_CHARS_MAX]
    plain = text.isprintable() and " " not in text and '"' not in text and text
    return text if plain else ascii(text)
