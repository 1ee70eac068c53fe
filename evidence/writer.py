"""One tree that is being written: a shard, the root that grows with it, and the signer of its checkpoints."""

from typing import Final, Self

import msgspec

from thoth.native.tray import Half

from .checkpoint import Checkpoint, CheckpointFile, Signer
from .errors import EvidenceError, explain
from .hashes import SubtreeHashes
from .merkle import HASH_SIZE, Frontier
from .note import SigningKey
from .read import leaf_runs
from .recover import Recovery
from .shard import Boxes, Shard
from .storage import Storage

CHECKPOINT: Final = "checkpoint"


class NotWhatWasSigned(EvidenceError):
    """The records are sound, and are others than those that a checkpoint was signed for."""

    def __init__(self, directory: str, checkpoint: Checkpoint, root: bytes) -> None:
        super().__init__(
            f"evidence shard `{directory}` holds other records than its checkpoint was signed for: {checkpoint.size}"
            f" records have the root {root.hex()} instead of {checkpoint.root.hex()}; nothing is written to it. Keep"
            " the folder as it is, and restore the shard from a copy or begin a log elsewhere"
        )


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a record stands, for ever: its shard, its number there, and its leaf hash in hexadecimal."""

    shard: str
    seq: int
    leaf: str


class TreeWriter:
    """A shard with its checkpoints. Calls must not overlap."""

    def __init__(self, name: str, directory: str, storage: Storage, signer: Signer) -> None:
        """For `open`, which knows what is on disk."""
        self.name = name
        self.directory = directory
        self._storage = storage
        self._signer = signer
        self._frontier = Frontier()
        self.hashes = SubtreeHashes(lambda begin, end: b"".join(leaf_runs(directory, begin, end, storage=storage)))
        self._shard: Shard
        self.note: bytes | None = None

    @classmethod
    def open(
        cls, name: str, directory: str, storage: Storage, key: SigningKey, *, segment_bytes: int, zeroed: bool = True
    ) -> Self:
        """Open a shard to write, or begin it where there was none; what is there is held against its checkpoint.

        `zeroed` is that of `Shard.open`.

        Raises:
            EvidenceError: what is wrong, and what to do.
            SignerRefusal: its checkpoint is not one of this key.
        """
        kept = CheckpointFile(f"{directory}/{CHECKPOINT}", storage)
        try:
            note = kept.read()
        except OSError as error:
            raise explain(error, f"{directory}/{CHECKPOINT}", "read") from error
        signer = Signer(key, kept)
        writer = cls(name, directory, storage, signer)
        writer.note = note
        last, frontier = signer.last, writer._frontier

        def grow(leaves: bytes) -> None:
            writer.hashes.extend(leaves)
            count = len(leaves) // HASH_SIZE
            signed = last.size - frontier.size if last is not None else 0
            if last is not None and 0 < signed <= count:
                frontier.extend(leaves, 0, signed)
                if frontier.root() != last.root:
                    raise NotWhatWasSigned(directory, last, frontier.root())
                frontier.extend(leaves, signed)
            else:
                frontier.extend(leaves)

        size = last.size if last is not None else None
        writer._shard = Shard.open(
            storage,
            directory,
            segment_bytes=segment_bytes,
            zeroed=zeroed,
            create=size is None,
            newest_checkpoint_size=size,
            each_leaves=grow,
        )
        assert frontier.size == writer._shard.next_seq
        return writer

    @property
    def recovery(self) -> Recovery:
        """What opening found and did."""
        return self._shard.recovery

    @property
    def size(self) -> int:
        """How many records there are, durable or not."""
        return self._shard.next_seq

    @property
    def signed(self) -> int:
        """How many of them the newest checkpoint covers."""
        return self._signer.last.size if self._signer.last is not None else 0

    @property
    def body_bytes_max(self) -> int:
        """How long a record may be; a small segment holds no longer ones."""
        return self._shard.body_bytes_max

    @property
    def wants_spare(self) -> bool:
        """The next segment had better be made now."""
        return self._shard.wants_spare

    def append(self, body: bytes) -> Place:
        """Give a record its place; durable after `commit`."""
        appended = self._shard.append(body)
        self._frontier.append(appended.leaf)
        self.hashes.extend(appended.leaf)
        return Place(self.name, appended.seq, appended.leaf.hex())

    def append_half(self, half: Half, start: int, leaves: list[bytes]) -> None:
        """Give records their places, from number `start` of those taken out on; their leaves are added as they come."""
        while start < half.count:
            added = self._shard.append_half(half, start, self._frontier.peaks)
            self.hashes.extend(added)
            leaves.append(added)
            start += len(added) // HASH_SIZE

    def commit_half(self, half: Half, start: int, boxes: Boxes | None) -> bytes | None:
        """Make records durable, from number `start` of those taken out on; see `Shard.commit_half`."""
        leaves = self._shard.commit_half(half, start, self._frontier.peaks, boxes)
        if leaves is not None:
            self.hashes.extend(leaves)
        return leaves

    def commit(self) -> None:
        """Make everything durable that was appended."""
        self._shard.commit()

    def make_ahead(self) -> None:
        """Make the next segment; may run while another thread appends."""
        self._shard.make_ahead()

    def checkpoint(self) -> bytes | None:
        """Commit, sign what is there, and return the note; None for an empty tree."""
        self._shard.commit()
        if self.size > self.signed:
            try:
                self.note = self._signer.sign(self.size, self._frontier.root())
            except OSError as error:
                raise explain(error, f"{self.directory}/{CHECKPOINT}", "write") from error
            self._shard.write_head()
        return self.note

    def close(self) -> None:
        """Commit, and let go of the shard; without a checkpoint."""
        self._shard.close()
