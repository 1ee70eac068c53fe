"""What takes records out of the tray and has them on disk: everything that waits, as one commit.

Who drains is a thread of the log in mode `async`, and in mode `sync` the first of those who wait. A commit is one
stretch of native code that does not hold the interpreter's lock, so callers go on meanwhile; the thread needs the lock
before and after it, and a caller that comes late makes way.
"""

import contextlib
import threading
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from ..native.tray import FIRST, LATE, Half, Tray
from .errors import SPACE, EvidenceError, NoSpace, explain
from .folder import LogFolder
from .merkle import HASH_SIZE
from .record import day_of
from .root import RootLog
from .storage import Storage
from .vault import Vault
from .writer import Place, TreeWriter

QUEUE_MAX: Final = 4_096
LINGER_S: Final = 0.002
"""How long the thread waits for others to share a commit with the first record that waits."""
LATE_US: Final = 2_500
"""When one record has waited so long, the next caller makes way for the thread, which may not get a turn otherwise."""
CHECKPOINT_S: Final = 1.0
CHECKPOINT_RECORDS: Final = 10_000
ROOT_S: Final = 10.0
RETRY_S: Final = 0.1


class Own(Protocol):
    """What the log says of itself besides what it is given."""

    def due(self, at_us: int) -> bool:
        """Whether it has something to say."""

    def say(self, at_us: int) -> None:
        """Append it behind the other records of a commit.

        Raises:
            NoSpace: it waits for the next time.
        """


class Drain:
    """One shard's tray, its writer and vault, and the thread between them."""

    def __init__(
        self, folder: LogFolder, storage: Storage, writer: TreeWriter, vault: Vault, own: Own, *, waits: bool
    ) -> None:
        """`waits`: callers wait until their records are durable, which is mode `sync`."""
        self.tray = Tray(storage.random, QUEUE_MAX, LATE_US)
        self.writer = writer
        self.vault = vault
        self.waits = waits
        self.dead: Exception | None = None  # for good
        self.failure: Exception | None = None  # for now: more room may be found
        self.closed = False
        self._own = own
        self._directory = folder.directory
        self._segment_bytes = folder.settings.segment_bytes
        self._root = RootLog(folder, storage, folder.signing_key())
        self._left: Half | None = None  # of what was taken out of the tray, what found no room yet: from `_left_at` on
        self._left_at = 0
        self._boxed = False  # the boxes of what was taken out are written
        self._settled: dict[int, Place | Exception] = {}  # of mode `sync`: what became of those who wait, by ticket
        self._settled_to = 0
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._taken = threading.Event()
        self._signed_at = monotonic()
        self._rooted_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="thoth-evidence", daemon=True)
        self._maker: threading.Thread | None = None

    def begin(self) -> None:
        """Take records in from now on."""
        self.tray.ready = True
        self._thread.start()

    # ------------------------------------------------------------ for who put a record in

    def see_to(self, ticket: int) -> Place | None:
        """Do for a record what the tray asks for: in mode `sync` its place, once it is durable.

        Raises:
            EvidenceError: it could not be written.
        """
        if self.waits:
            return self._wait_for(ticket >> 2)
        if ticket & 3 == FIRST:
            self._wake.set()
        elif ticket & 3 == LATE:
            if self.tray.count > QUEUE_MAX:
                with self._writing:
                    self._drain()
            else:
                self._taken.clear()
                self._hurry.set()
                self._taken.wait(LATE_US / 1e6)
        return None

    def _wait_for(self, ticket: int) -> Place:
        with self._writing:
            if self._settled_to < ticket:
                self._drain()
            outcome = self._settled.pop(ticket, None) or self.dead
        assert outcome is not None, "only a log that is dead leaves somebody waiting"
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def try_again(self) -> None:
        """Write what found no room before, if there is some now."""
        with self._writing:
            self._drain()

    # ------------------------------------------------------------ one commit

    def _drain(self) -> None:
        """Write everything that waits, as one commit; the caller holds `_writing`."""
        try:
            self._write_all()
        except Exception:
            raise
        except BaseException as error:  # Ctrl-C, wherever it came: what was taken out by then may be nowhere
            self._fail(error)
            raise

    def _write_all(self) -> None:
        if self.dead is not None:
            return
        half, start = self._left, self._left_at
        if half is None:
            half, start = self.tray.take(), 0
            self._boxed = False
            self._taken.set()
            if not half.count:
                return
        leaves: list[bytes] = []
        error: Exception | None = None
        base = self.writer.size
        try:
            error = self._commit(half, start, leaves)
        except Exception as failed:  # noqa: BLE001 - whoever waits for one of these records must hear of it
            self.tray.ready = False
            if isinstance(failed, OSError) and failed.errno in SPACE:
                error = NoSpace(self._directory, self._segment_bytes)
            else:
                self._settle(half, start, b"", base, self._fail(failed))
                return
        written = start + sum(map(len, leaves)) // HASH_SIZE
        if self.waits:
            self._settle(half, start, b"".join(leaves), base, error)
        elif written < half.count:
            self._left, self._left_at = half, written
        else:
            self._left = None
            self.tray.give_back(half)
        self.failure = None if self.waits else error
        self.tray.ready = self.failure is None and not self.closed
        if error is None and self.writer.size - self.writer.signed >= CHECKPOINT_RECORDS:
            with contextlib.suppress(NoSpace):
                self.sign()

    def _commit(self, half: Half, start: int, leaves: list[bytes]) -> NoSpace | None:
        """Write boxes and records, with what the log says of itself; their leaves are added as they are written.

        Where a segment is full and there is no room for another, what did not fit is left over, and the error returned.

        Raises:
            OSError: the boxes could not be written, and no record was.
            EvidenceError: the shard has stopped.
        """
        vault, boxes = self.vault, None
        if half.box_count and not self._boxed:
            boxes = vault.place(vault.sealed(half), day_of(half.last_us))
        if not self.waits and not self._own.due(half.last_us):
            written = self.writer.commit_half(half, start, boxes)
            if written is not None:
                if boxes is not None:
                    vault.written(boxes)
                self._boxed = True
                leaves.append(written)
                return None
        if boxes is not None:
            vault.write(boxes, sync=self.waits)
        self._boxed = True
        error = None
        try:
            self.writer.append_half(half, start, leaves)
            self._own.say(half.last_us)
        except NoSpace as full:
            error = full
        self.writer.commit()
        return error

    def _settle(self, half: Half, start: int, leaves: bytes, base: int, error: Exception | None) -> None:
        """Say to everybody who waits what became of their records: those that have leaves are durable."""
        self._settled_to = half.first_ticket + half.count - 1
        if not self.waits:
            return
        for number in range(start, half.count):
            at = HASH_SIZE * (number - start)
            outcome: Place | Exception | None = error
            if at < len(leaves):
                leaf = leaves[at : at + HASH_SIZE].hex()
                outcome = Place(self.writer.name, base + number - start, leaf)
            assert outcome is not None
            self._settled[half.first_ticket + number] = outcome

    def sign(self) -> None:
        """Sign a checkpoint; the caller holds `_writing`.

        Raises:
            NoSpace: the one before stands; there may be room later.
            EvidenceError: it could not be kept, and the log is dead.
        """
        try:
            self.vault.sync_now()
            self.writer.checkpoint()
        except NoSpace:
            self._signed_at = monotonic()
            raise
        except OSError as error:
            raise self._fail(error) from error
        except BaseException as error:
            self._fail(error)
            raise
        self._signed_at = monotonic()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        while True:
            self._wake.wait(self._patience())
            self._wake.clear()
            if self.tray.count and not self.waits and not self.closed:
                self._hurry.wait(LINGER_S)  # others may come, and share the commit
                self._hurry.clear()
            try:
                if self.writer.wants_spare:
                    self._make_ahead()
                with self._writing:
                    if self.closed:
                        return
                    self._drain()
                    self._tick()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next call must hear of it
                self._fail(error)
            if self.dead is not None:
                return

    def _fail(self, error: BaseException) -> Exception:
        """After a failed write or sync nobody knows what is on disk, so nothing is taken in any more: why."""
        self.tray.ready = False
        said: BaseException = error
        if isinstance(error, OSError):
            said = explain(error, self._directory, "write to")
        elif not isinstance(error, Exception):
            said = EvidenceError(
                f"writing to `{self._directory}` was interrupted ({type(error).__name__}), and what was recorded last"
                " may not be there; close the log and open it again"
            )
        assert isinstance(said, Exception)
        self.dead = self.dead or said
        return said

    def _make_ahead(self) -> None:
        """Have the next segment made meanwhile: zeros take longer to write than records may wait."""
        if self._maker is not None and self._maker.is_alive():
            return

        def make() -> None:
            try:
                with contextlib.suppress(NoSpace):  # there is room in this segment; it is said when there is none
                    self.writer.make_ahead()
            except Exception as error:  # noqa: BLE001 - as in `_run`
                self._fail(error)

        self._maker = threading.Thread(target=make, name="thoth-evidence-segment", daemon=True)
        self._maker.start()

    def _tick(self) -> None:
        now = monotonic()
        unsigned = self.writer.size - self.writer.signed
        if unsigned and now - self._signed_at >= CHECKPOINT_S:
            with contextlib.suppress(NoSpace):
                self.sign()
                unsigned = 0
        if not unsigned and now - self._rooted_at >= ROOT_S:
            self._rooted_at = now
            with contextlib.suppress(NoSpace):  # the shards' own checkpoints stand; the next update takes them in
                self._root.update()

    def _patience(self) -> float | None:
        if self.failure is not None:
            return RETRY_S
        if self.writer.size > self.writer.signed:
            return max(0.01, CHECKPOINT_S - (monotonic() - self._signed_at))
        return ROOT_S if self._root.held else None

    # ------------------------------------------------------------ asking, and the end

    def held(self) -> contextlib.AbstractContextManager[object]:
        """Nobody else writes within."""
        return self._writing

    def flush(self) -> bool:
        """Write all that waits; whether that could be."""
        with self._writing:
            while (self.tray.count or self._left is not None) and self.dead is None:
                self._drain()
                if self.failure is not None:
                    break
        return self.dead is None and self.failure is None

    def close(self, flush: Callable[[], None]) -> None:
        """Write what waits, sign it, take it into the root log, and let go of everything; `flush` may raise.

        Raises:
            EvidenceError: some of it could not be written.
        """
        try:
            if self.dead is None:
                flush()
                with self._writing:
                    self.closed = True
                    self.tray.ready = False
                    self._drain()  # what came since
                    self.sign()
                    with contextlib.suppress(NoSpace):
                        self._root.update()
        finally:
            self.closed = True
            self.tray.ready = False
            self._wake.set()
            self._hurry.set()
            self._thread.join()
            if self._maker is not None:
                self._maker.join()
            with contextlib.ExitStack() as held:  # one that cannot be closed keeps no other
                held.callback(self.writer.close)
                held.callback(self._root.close)
                with contextlib.suppress(OSError):
                    self.vault.close()
        if self.dead is not None:
            raise self.dead
