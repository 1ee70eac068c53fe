"""The root log: its leaves are the shards' checkpoints, so one signed head covers every writer.

One process at a time writes it, whichever took its lock first; the others leave it alone, and one of them goes on when
that process ends. A leaf is the very note that a shard signed, so an auditor with the root's checkpoint has them all.
"""

import contextlib

from ..native.framing import BODY_BYTES_MAX
from .checkpoint import open_checkpoint, peek_checkpoint
from .errors import NoLog, ShardLocked
from .folder import ROOT, ROOT_SEGMENT_BYTES, LogFolder, verifier_of
from .merkle import ProofError
from .note import SigningKey
from .read import read
from .storage import Storage
from .writer import CHECKPOINT, TreeWriter


class RootLog:
    """The root log of a folder, held or to be had. Calls must not overlap."""

    def __init__(self, folder: LogFolder, storage: Storage, key: SigningKey) -> None:
        self._folder = folder
        self._storage = storage
        self._key = key
        self._directory = f"{folder.directory}/{ROOT}"
        self._writer: TreeWriter | None = None
        self._seen: dict[str, int] = {}  # by shard origin, the size that its newest leaf here says

    @property
    def held(self) -> bool:
        """This process writes the root log."""
        return self._writer is not None

    def update(self) -> bool:
        """Take in every checkpoint that is newer than the last one seen, and sign. False: another process does it.

        What was not signed by this log's key for that very shard is left out, whatever lies there.
        """
        if self._writer is None and not self._take():
            return False
        assert self._writer is not None
        for shard in self._folder.shards(self._storage):
            note = read_note(f"{self._folder.shard_path(shard)}/{CHECKPOINT}", self._storage)
            if note is None or len(note) > BODY_BYTES_MAX:
                continue
            try:
                checkpoint = peek_checkpoint(note)
                if checkpoint.size <= self._seen.get(checkpoint.origin, 0):
                    continue
                open_checkpoint(note, verifier_of(self._key.verifier(), shard))
            except ProofError:
                continue  # a leaf stays for ever; that shard's own verification says what is wrong with it
            self._writer.append(note)
            self._seen[checkpoint.origin] = checkpoint.size
        if self._writer.size > self._writer.signed:
            self._writer.checkpoint()
        return True

    def _take(self) -> bool:
        try:
            self._writer = TreeWriter.open(
                ROOT, self._directory, self._storage, self._key, segment_bytes=ROOT_SEGMENT_BYTES
            )
        except ShardLocked:
            return False
        with contextlib.suppress(NoLog):
            for record in read(self._directory, storage=self._storage):
                checkpoint = peek_checkpoint(record.body)
                self._seen[checkpoint.origin] = checkpoint.size
        return True

    def close(self) -> None:
        """Let go of the root log."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def read_note(path: str, storage: Storage) -> bytes | None:
    """A file with a note; None where there is none."""
    try:
        file = storage.open(path)
    except FileNotFoundError:
        return None
    try:
        return storage.pread(file, storage.size(file), 0)
    finally:
        storage.close(file)
