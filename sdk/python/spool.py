"""Reports that wait on disk for an enforcer that is away, and are sent later, once.

One file for each process and enforcer, JSON lines, each line written whole; what a crashed process left is taken over
by the next one that speaks to the same enforcer. At most 10,000 reports and 16 MiB are kept; what does not fit is
counted as lost, and said.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .enforcer import EnforcerAway, EnforcerRefused

if TYPE_CHECKING:
    from .enforcer import Enforcer

REPORTS_MAX: Final = 10_000
BYTES_MAX: Final = 16 << 20
SENT_AT_ONCE: Final = 64


class Spool:
    """The reports that wait for one enforcer. Safe to use from several threads."""

    _shared: Final[dict[tuple[str, str], Spool]] = {}
    _sharing: Final = threading.Lock()

    def __init__(self, folder: Path, enforcer: Enforcer) -> None:
        """Take over what is left in `folder` for this enforcer by processes that have ended."""
        self.enforcer = enforcer
        self.folder = folder / hashlib.sha256(enforcer.name.encode()).hexdigest()[:16]
        self.untaken = 0
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._bytes = 0
        self._file: Any = None
        self._path = self.folder
        self._reports: list[bytes] = []
        self._pid = os.getpid()
        self._take_over()

    @classmethod
    def shared(cls, folder: Path, enforcer: Enforcer) -> Spool:
        """Return the spool of a folder and an enforcer; one for a process."""
        key = (str(folder), f"{enforcer.name} {id(enforcer)}")
        with cls._sharing:
            found = cls._shared.get(key)
            if found is None:
                found = cls._shared[key] = cls(folder, enforcer)
            return found

    # ------------------------------------------------------------ keeping

    def keep(self, report: dict[str, Any]) -> bool:
        """Keep one report; False where there is no room, or the disk takes none."""
        line = json.dumps(report, separators=(",", ":"), default=str).encode() + b"\n"
        with self._lock:
            if len(self._reports) >= REPORTS_MAX or self._bytes + len(line) > BYTES_MAX:
                return False
            try:
                file = self._opened()
                file.write(line)
                file.flush()
            except OSError:
                pass  # it waits in memory alone; better than not at all
            self._reports.append(line)
            self._bytes += len(line)
            return True

    def _opened(self) -> Any:
        import fcntl

        if self._file is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path = self.folder / f"{self._pid}-{os.urandom(4).hex()}.jsonl"
            self._file = open(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600), "r+b", buffering=0)  # noqa: PTH123, SIM115
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self._file

    def _take_over(self) -> None:
        """Read what ended processes left; a file that somebody still holds is theirs."""
        import fcntl

        try:
            left = sorted(self.folder.glob("*.jsonl"))
        except OSError:
            return
        for path in left:
            try:
                with path.open("r+b") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    lines = file.read().splitlines(keepends=True)
                    for line in lines:
                        if line.endswith(b"\n") and len(self._reports) < REPORTS_MAX:
                            self._opened().write(line)
                            self._reports.append(line)
                            self._bytes += len(line)
                        else:
                            self.untaken += 1  # torn when its process ended, or one too many
                    path.unlink()
            except OSError:
                continue

    # ------------------------------------------------------------ sending

    @property
    def count(self) -> int:
        """How many reports wait."""
        return len(self._reports)

    def nudge(self) -> None:
        """Send what waits from a thread of its own, for the enforcer has just answered."""
        if self._reports and not self._sending.locked():
            threading.Thread(target=self.flush, name="thoth-spool", daemon=True).start()

    def flush(self, *, final: bool = False) -> int:
        """Send what waits, oldest first, until the enforcer is away again; return how many are left.

        At the end of the process (`final`) an empty file is taken away.
        """
        if self._reports and self._sending.acquire(blocking=final):
            try:
                self._send()
            finally:
                self._sending.release()
        if final and not self._reports:
            self._put_away()
        return len(self._reports)

    def _send(self) -> None:
        while True:
            with self._lock:
                lines = self._reports[:SENT_AT_ONCE]
            if not lines:
                break
            try:
                self.untaken += self.enforcer.deliver([json.loads(line) for line in lines])
            except (EnforcerAway, EnforcerRefused):
                break
            with self._lock:
                del self._reports[: len(lines)]
                self._bytes -= sum(map(len, lines))
        with self._lock:
            self._rewrite()

    def _rewrite(self) -> None:
        """Leave in the file what still waits; sent twice, a report counts once, so a crash before this does no harm."""
        if self._file is not None:
            try:
                self._file.truncate(0)
                self._file.write(b"".join(self._reports))
            except OSError:
                pass

    def abandon(self) -> None:
        """Let go of the file as a process does that ends: what waits is the next one's."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                file.close()

    def _put_away(self) -> None:
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                try:
                    self._path.unlink()
                except OSError:
                    pass
                file.close()
