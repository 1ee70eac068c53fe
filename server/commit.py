"""Answers that wait for the disk: everything decided meanwhile goes into one commit, and is answered after it.

One thread waits for the disk, the loop goes on. An answer is given out when its record is durable; where that fails,
each of the waiting answers becomes BLOCK `evidence_unavailable`.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol

from ..native.lane import give_out
from ..native.waiting import Waiting

Deliver = Callable[[Any, Exception | None], None]
"""Called on the loop with what was added, a decision or an outcome, and with why it is not durable."""


class Log(Protocol):
    """What is asked of a log: to say when all that was recorded is durable."""

    def flush(self) -> None:
        """Return when everything recorded so far is durable, or raise."""


class Commit:
    """Collects the answers of a turn, and gives them out when the disk has their records."""

    def __init__(self, log: Log, later: Callable[..., object], soon: Callable[..., object]) -> None:
        """`later` runs a function on the loop from any thread, `soon` at the end of this turn."""
        self._log, self._later, self._soon = log, later, soon
        self.waiting = Waiting(self._first)
        self._queue: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()
        self._busy = False
        self._thread = threading.Thread(target=self._run, name="thoth-commit", daemon=True)
        self._thread.start()

    def add(self, made: Any, deliver: Deliver) -> None:
        """Have a decision or an outcome given out when it is durable."""
        self.waiting.add((made, deliver))

    def _first(self) -> None:
        if not self._busy:
            self._soon(self._hand_over)

    def _hand_over(self) -> None:
        if self.waiting.count and not self._busy:
            self._busy = True
            self._queue.put(self.waiting.take())

    def _run(self) -> None:
        while (taken := self._queue.get()) is not None:
            error: Exception | None = None
            try:
                self._log.flush()
            except Exception as failed:  # noqa: BLE001 - whatever it was, there is no evidence
                error = failed
            self._later(self._deliver, taken, error)

    def _deliver(self, taken: list[Any], error: Exception | None) -> None:
        self._busy = False
        self._hand_over()
        give_out(taken, error)

    @property
    def empty(self) -> bool:
        """Whether no answer waits."""
        return not self._busy and not self.waiting.count

    def close(self) -> None:
        """Stop the thread; to be called when nothing waits any more."""
        self._queue.put(None)
        self._thread.join()
