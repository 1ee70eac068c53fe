"""A shard: the one writer of one file set, a batch at a time.

`append` gives a record its place; `commit` makes all that was appended durable, with one write and one sync. A record
that was not committed may be gone after a crash; one that was is not. After a failed write or sync the shard has
stopped: nobody knows what is on disk, and asking again would not tell.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Self

import msgspec

from thoth.native.disk import write_zeros
from thoth.native.framing import BODY_BYTES_MAX, FRAME_HEADER_BYTES, Batch
from thoth.native.peaks import Peaks
from thoth.native.tray import Half

from .errors import SPACE, CorruptLog, EvidenceError, NoLog, NoSpace, RecordTooLong, ShardStopped, explain
from .frames import CHUNK_BYTES, PAGE_BYTES, SegmentHeader, encode_header, frame_bytes, segment_name, segments
from .head import NAME, SLOT_BYTES, encode_head, encode_slot
from .recover import SPARE, EachLeaves, Recovery, Survey, mend, read_head, survey
from .storage import Bytes, Storage, opened

LOCK = "LOCK"
SEGMENT_BYTES = 64 << 20
SEGMENT_BYTES_MIN = 2 * PAGE_BYTES
SYNCED_BYTES = 4 << 20
"""Zeros are synced in pieces of so many: whoever syncs another file of the same disk meanwhile waits for one piece."""


class Appended(msgspec.Struct, frozen=True, gc=False):
    """Where a record stands: its number, its leaf in the Merkle tree, and the chain hash after it."""

    seq: int
    leaf: bytes
    chain: bytes


class Boxes(msgspec.Struct, frozen=True, gc=False):
    """Sealed boxes, and where they are to be written before the records that they are of."""

    data: Bytes
    file: int
    offset: int


class Shard:
    """An open shard. Calls must not overlap, except that `make_ahead` may run in another thread."""

    recovery: Recovery  # what opening found and did

    def __init__(self, storage: Storage, directory: str, lock: int, segment_bytes: int, *, zeroed: bool) -> None:
        """For `open`, which knows what is on disk."""
        self._zeroed = zeroed
        self._storage = storage
        self._directory = directory
        self._lock = lock
        self._pid = storage.pid()
        self._segment_bytes = segment_bytes
        self.body_bytes_max = min(BODY_BYTES_MAX, segment_bytes - PAGE_BYTES - FRAME_HEADER_BYTES)
        self._stopped: str | None = None
        self._spare: int | None = None
        self._making = threading.Lock()
        self._head_slot = 0
        self._durable = 0
        self._file: int | None = None
        self._offset = 0  # where the open batch will be written
        self._room = 0  # bytes behind the open batch
        self._segment_end = 0
        self._salt = 0
        self._batch: Batch

    @classmethod
    def open(
        cls,
        storage: Storage,
        directory: str,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        zeroed: bool = True,
        create: bool = False,
        newest_checkpoint_size: int | None = None,
        kept_from: int = 0,
        each_leaves: EachLeaves | None = None,
    ) -> Self:
        """Lock a shard, recover it, and be ready to write.

        `zeroed`: segments are written as zeros before they are used, so that a commit takes the least time; otherwise
        the system is asked to keep room for them, which costs half as many bytes and makes a commit half as long again.
        `create`: make it if it is not there, but never where a checkpoint says that it was. `newest_checkpoint_size`:
        the tree size in the newest signed checkpoint for this shard, None if there is none. `kept_from`: the oldest
        record that must be there. `each_leaves` gets the leaf hashes of all records, in order and in large pieces.
        Cost: all that is kept is read and hashed once.

        Raises:
            EvidenceError: one of the errors of this room; each says what to do.
        """
        if segment_bytes % PAGE_BYTES or segment_bytes < SEGMENT_BYTES_MIN:
            raise ValueError(f"segment_bytes is a multiple of {PAGE_BYTES}, at least {SEGMENT_BYTES_MIN}")
        try:
            lock, crashed = lock_directory(storage, directory, create, newest_checkpoint_size)
        except OSError as error:
            raise explain_open(error, directory, segment_bytes) from error
        shard = cls(storage, directory, lock, segment_bytes, zeroed=zeroed)
        try:
            if create and newest_checkpoint_size is None:
                make_head(storage, directory)
            found = survey(
                storage,
                directory,
                newest_checkpoint_size=newest_checkpoint_size,
                kept_from=kept_from,
                each_leaves=each_leaves,
            )
            shard.recovery = mend(storage, found, crashed=crashed)
            shard._begin(found)
        except BaseException as error:
            if isinstance(error, CorruptLog) and not crashed:
                with contextlib.suppress(OSError):
                    storage.unlock(lock)
                    shard._lock = -1
            shard._release()
            if isinstance(error, OSError):
                raise explain_open(error, directory, segment_bytes) from error
            raise
        return shard

    def _begin(self, found: Survey) -> None:
        self._batch = Batch(found.next_seq, found.chain)
        self._durable = found.next_seq
        head_rests = found.head.durable == found.next_seq and not found.head.damaged
        self._head_slot = 1 - found.head.slot if head_rests else found.head.slot
        if found.tail is None:
            self._rotate()
        else:
            self._file = self._storage.open(f"{self._directory}/{found.tail.name}", write=True)
            self._salt = found.tail.header.salt
            self._offset = found.tail.end
            self._room = found.tail.size - found.tail.end
            self._segment_end = found.tail.size

    @property
    def next_seq(self) -> int:
        """The number that the next record gets; also how many there are."""
        return self._batch.next_seq

    @property
    def durable(self) -> int:
        """The first record that is not yet known durable; every one before it is."""
        return self._durable

    @property
    def pending(self) -> int:
        """Records that wait for `commit`."""
        return self._batch.count

    @property
    def pending_bytes(self) -> int:
        return self._batch.byte_count

    @property
    def chain(self) -> bytes:
        """The chain hash after the last record appended."""
        return self._batch.chain

    @property
    def wants_spare(self) -> bool:
        """The segment is half full, and the next one is not made yet."""
        return self._spare is None and 2 * self._room < self._segment_bytes

    def append(self, body: bytes) -> Appended:
        """Put a record into the open batch. Touches the disk only where a segment is full: then all before it is
        committed, and the next segment begun.

        Raises:
            NoSpace: for this record; nothing was accepted, and a later call may find room.
            RecordTooLong: more than 65,535 bytes, or than fit into a segment.
            ShardStopped: after a failed write or sync, now or before.
        """
        if self._stopped is not None:
            raise ShardStopped(self._directory, self._stopped)
        length = len(body)
        if length > self.body_bytes_max:
            raise RecordTooLong(length, self.body_bytes_max)
        size = frame_bytes(length)
        if size > self._room:
            self._rotate()
        batch = self._batch
        seq = batch.next_seq
        leaf, chain = batch.add(body)
        self._room -= size
        return Appended(seq, leaf, chain)

    def append_half(self, half: Half, start: int, peaks: Peaks) -> bytes:
        """Put records of `half` from number `start` on into the open batch, as `append` does, and return their leaves.

        At least one is taken in, and as many as fit into the segment; `peaks` grow by them.

        Raises:
            NoSpace, RecordTooLong, ShardStopped: for the first of them; nothing was accepted.
        """
        if self._stopped is not None:
            raise ShardStopped(self._directory, self._stopped)
        leaves = self._batch.add_all(half, start, self._room, peaks)
        if not leaves:
            length = half.body_bytes(start)
            if length > self.body_bytes_max:
                raise RecordTooLong(length, self.body_bytes_max)
            self._rotate()
            leaves = self._batch.add_all(half, start, self._room, peaks)
        assert leaves, "an empty segment holds any record"
        self._room = self._segment_end - self._offset - self._batch.byte_count
        return leaves

    def commit_half(self, half: Half, start: int, peaks: Peaks, boxes: Boxes | None) -> bytes | None:
        """Write boxes, make the records of `half` durable from number `start` on, and return their leaves.

        It is what `append_half` and `commit` do, in one step without the interpreter's lock; None where that cannot be:
        records wait already, or a segment ends, or the storage is not the system's.

        Raises:
            OSError: the boxes could not be written; nothing was accepted.
            ShardStopped: the records may or may not be on disk, and no reply may claim that they are.
        """
        if self._stopped is not None or self._batch.count or not self._storage.direct:
            return None
        if self._storage.pid() != self._pid or self._file is None:
            return None
        batch, what = self._batch, f"writing records {self._durable} to {self._batch.next_seq + half.count - start - 1}"
        file, offset, data = (boxes.file, boxes.offset, boxes.data) if boxes is not None else (-1, 0, None)
        with self._or_stop(what):
            done = batch.commit_all(
                half, start, self._room, peaks, self._durable, self._salt, self._file, self._offset, data, file, offset
            )
            if done is None:
                return None
            if done.errno and done.what != "boxes":
                raise OSError(done.errno, os.strerror(done.errno))
        if done.errno:
            raise OSError(done.errno, os.strerror(done.errno))
        self._committed()
        return done.leaves

    def commit(self) -> int:
        """Make all records durable that were appended: one write, one sync. The new watermark.

        Raises:
            ShardStopped: they may or may not be on disk, and no reply may claim that they are.
        """
        if self._stopped is not None:
            raise ShardStopped(self._directory, self._stopped)
        batch = self._batch
        if batch.count == 0:
            return self._durable
        if self._storage.pid() != self._pid:
            self._stopped = (
                "it was opened before a fork, and its writer is the other process; open a shard here instead"
            )
            raise ShardStopped(self._directory, self._stopped)
        assert self._file is not None
        with self._or_stop(f"writing records {self._durable} to {batch.next_seq - 1}"):
            with batch.seal(self._durable, self._salt) as frames:
                self._storage.pwrite(self._file, frames, self._offset)
            self._storage.sync(self._file)
        self._committed()
        return self._durable

    def _committed(self) -> None:
        self._offset += self._batch.byte_count
        self._room = self._segment_end - self._offset
        self._durable = self._batch.next_seq
        self._batch.clear()

    def write_head(self) -> None:
        """Note in HEAD how far the shard is durable; after each checkpoint, and when it is closed."""
        if self._stopped is not None:
            raise ShardStopped(self._directory, self._stopped)
        path = f"{self._directory}/{NAME}"
        with self._or_stop(f"writing `{NAME}`"), opened(self._storage, path, write=True) as file:
            self._storage.pwrite(file, encode_slot(self._durable), self._head_slot * SLOT_BYTES)
            self._storage.sync(file)
        self._head_slot = 1 - self._head_slot

    def make_ahead(self) -> None:
        """Make the next segment before it is needed: zeros, and room for all of it, so no later write asks for space.

        Raises:
            NoSpace: nothing is left behind; the shard goes on in the segment it has.
            ShardStopped: the disk failed.
        """
        if self._stopped is not None:
            raise ShardStopped(self._directory, self._stopped)
        with self._making:
            if self._spare is None:
                with self._or_stop("making a segment"):
                    self._make_spare(f"{self._directory}/{SPARE}")

    def _make_spare(self, path: str) -> None:
        try:
            self._spare = file = self._storage.create(path)
            self._fill(file)
        except OSError as error:
            # No record is in it, so a full disk is no reason to stop; any other failure is.
            if error.errno not in SPACE:
                raise
            unfinished, self._spare = self._spare, None
            with contextlib.suppress(OSError):
                if unfinished is not None:
                    self._storage.close(unfinished)
                    self._storage.unlink(path)
            raise NoSpace(self._directory, self._segment_bytes) from error

    def _fill(self, file: int) -> None:
        if not self._zeroed and self._storage.reserve(file, self._segment_bytes):
            self._storage.sync(file)
            return
        if self._storage.direct:
            failed = write_zeros(file, self._segment_bytes, SYNCED_BYTES)
            if failed:
                raise OSError(failed, os.strerror(failed))
            return
        zeros = bytes(min(CHUNK_BYTES, self._segment_bytes))
        for offset in range(0, self._segment_bytes, CHUNK_BYTES):
            self._storage.pwrite(file, memoryview(zeros)[: self._segment_bytes - offset], offset)
        self._storage.sync(file)

    def _rotate(self) -> None:
        """Commit, and go on in a new segment. Its name appears only after its first page is durable."""
        self.commit()
        self.make_ahead()
        file = self._spare
        assert file is not None
        header = SegmentHeader(self.next_seq, int.from_bytes(self._storage.random(8), "little") | 1, self.chain)
        with self._or_stop("beginning a segment"):
            self._storage.pwrite(file, encode_header(header), 0)
            self._storage.sync(file)
            self._storage.rename(f"{self._directory}/{SPARE}", f"{self._directory}/{segment_name(header.first_seq)}")
            self._storage.sync_dir(self._directory)
            if self._file is not None:
                self._storage.close(self._file)
        self._file, self._spare = file, None
        self._salt = header.salt
        self._offset = PAGE_BYTES
        self._room = self._segment_bytes - PAGE_BYTES
        self._segment_end = self._segment_bytes

    def close(self) -> None:
        """Commit, write HEAD, and let go of the lock. A shard that has stopped is only let go of."""
        try:
            if self._stopped is None:
                self.commit()
                self.write_head()
                if self._spare is not None:
                    self._storage.unlink(f"{self._directory}/{SPARE}")
                self._storage.unlock(self._lock)
                self._lock = -1
        except OSError as error:
            raise explain(error, self._directory, "close") from error
        finally:
            self._stopped = self._stopped or "it was closed"
            self._release()

    def _release(self) -> None:
        """Close every file. Without `unlock` before it, the next to open sees that this writer did not end well."""
        held = [file for file in (self._file, self._spare, self._lock if self._lock >= 0 else None) if file is not None]
        self._file = self._spare = None
        self._lock = -1
        for file in held:
            with contextlib.suppress(OSError):
                self._storage.close(file)

    @contextlib.contextmanager
    def _or_stop(self, doing: str) -> Iterator[None]:
        """What fails in here stops the shard, for good, also where somebody only pressed Ctrl-C."""
        try:
            yield
        except NoSpace:
            raise
        except BaseException as error:
            self._stopped = f"{doing} failed ({type(error).__name__}: {error})"
            if isinstance(error, Exception):
                raise ShardStopped(self._directory, self._stopped) from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def lock_directory(storage: Storage, directory: str, create: bool, checkpoint_size: int | None) -> tuple[int, bool]:
    """The lock, and whether the last holder crashed. Nothing is made where no log may be made."""
    try:
        names = storage.list(directory)
    except FileNotFoundError:
        names = []
    if NAME not in names and not segments(names):
        if not create or checkpoint_size is not None:
            raise NoLog(directory, checkpoint_size)
        storage.make_dir(directory)
    return storage.lock(f"{directory}/{LOCK}")


def make_head(storage: Storage, directory: str) -> None:
    """Where there is no segment yet: a HEAD that is durable before the first one is. A torn one is made again."""
    names = storage.list(directory)
    if segments(names):
        return
    if NAME in names and read_head(storage, directory) is not None:
        return
    path = f"{directory}/{NAME}"
    file = storage.open(path, write=True) if NAME in names else storage.create(path)
    try:
        storage.pwrite(file, encode_head(), 0)
        storage.sync(file)
    finally:
        storage.close(file)
    storage.sync_dir(directory)


def explain_open(error: OSError, directory: str, segment_bytes: int) -> EvidenceError:
    return NoSpace(directory, segment_bytes) if error.errno in SPACE else explain(error, directory, "open")
