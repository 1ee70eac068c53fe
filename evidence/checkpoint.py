"""Checkpoints (C2SP tlog-checkpoint): how large a log is and what its root is, as a note signed by the log.

A checkpoint binds the log for ever. So the `Signer` remembers the last one, durably and before it lets it go, and
refuses any that would contradict it: a smaller size, or the same size with another root. That a larger tree continues
the smaller one it cannot see; the caller's tree only grows, and an auditor's consistency proof shows that it did.
"""

import base64
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..contract import OperationError
from .errors import SPACE, NoSpace, NoSpaceToSign
from .merkle import EMPTY_ROOT, HASH_SIZE, SIZE_MAX, ProofError
from .note import NOTE_BYTES_MAX, SigningKey, VerifierKey, open_note, sign_note, split_note, unbase64


class SignerRefusal(OperationError):
    """A checkpoint that would contradict an earlier one, or could not be kept. The log must stop and be looked at."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's name, its size in leaves and its root. Extension lines are opaque, and best left out."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            if not line or any(char < " " for char in line):
                raise ProofError(f"a line of a checkpoint is empty or has control characters: `{line!r}`")
        if not 0 <= self.size <= SIZE_MAX:
            raise ProofError(f"the tree size of a checkpoint is {self.size}, which is not between 0 and {SIZE_MAX}")
        if len(self.root) != HASH_SIZE:
            raise ProofError(f"the root of a checkpoint has {len(self.root)} bytes instead of {HASH_SIZE}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise ProofError("a checkpoint of size 0 does not have the root of the empty tree")

    @property
    def text(self) -> str:
        """What is signed: one line each, the last one ended too."""
        root = base64.b64encode(self.root).decode()
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), root, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """The checkpoint with this text, which the caller has verified, or means to.

        Raises:
            ProofError: where it is not the text of a checkpoint.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1]:
            raise ProofError("a checkpoint has at least three lines: origin, tree size, root")
        origin, size, root, *extensions = lines[:-1]
        return cls(origin, read_decimal(size, "tree size"), unbase64(root, "root"), tuple(extensions))


def open_checkpoint(note: bytes, key: VerifierKey, *, others: tuple[VerifierKey, ...] = ()) -> Checkpoint:
    """The checkpoint in a note that the log's own key has signed; the key's name is the log's origin.

    Further keys (witnesses) are given in `others`: a wrong signature of one of them is refused, a missing one is not.

    Raises:
        ProofError: where it is not such a note, or a checkpoint of another log.
    """
    opened = open_note(note, (key, *others))
    if key not in opened.keys:
        raise ProofError(f"the checkpoint is not signed by its log, `{key.name}` ({key.key_id.hex()}), only by others")
    checkpoint = Checkpoint.parse(opened.text)
    if checkpoint.origin != key.name:
        raise ProofError(f"the checkpoint is of the log `{checkpoint.origin}`, and the key is of `{key.name}`")
    return checkpoint


def peek_checkpoint(note: bytes) -> Checkpoint:
    """The checkpoint in a note, with no signature verified: to choose a key or a file by, never to believe."""
    return Checkpoint.parse(split_note(note)[0])


def read_decimal(text: str, what: str) -> int:
    """A number in its one spelling: ASCII digits, no sign, no leading zeros."""
    if not (text.isascii() and text.isdigit()) or (len(text) > 1 and text[0] == "0"):
        raise ProofError(f"the {what} is not a plain decimal number: `{text}`")
    if len(text) > len(str(SIZE_MAX)):
        raise ProofError(f"the {what} is too large: `{text}`")
    return int(text)


class LastCheckpoint(Protocol):
    """Where a signer keeps its last checkpoint: a file, or what a test puts in its place."""

    def read(self) -> bytes | None:
        """The last note that was kept, or None if there never was one. An unreadable one raises."""
        ...

    def replace(self, note: bytes) -> None:
        """Keep this note instead. After a crash the old or the new one is there, whole; after a return, the new one.

        After a NoSpace the old one is there.
        """
        ...


class Storage(Protocol):
    """What a `CheckpointFile` needs of the log's storage. Nothing is durable before `sync` and `sync_dir` return."""

    def create(self, path: str) -> int: ...

    def open(self, path: str, *, write: bool = False) -> int: ...

    def close(self, file: int) -> None: ...

    def size(self, file: int) -> int: ...

    def pread(self, file: int, count: int, offset: int) -> bytes: ...

    def pwrite(self, file: int, data: bytes, offset: int) -> None: ...

    def sync(self, file: int) -> None: ...

    def sync_dir(self, path: str) -> None: ...

    def rename(self, old: str, new: str) -> None: ...

    def unlink(self, path: str) -> None: ...


class CheckpointFile:
    """`LastCheckpoint` as a file: written beside it, synced, renamed over it, and the folder synced."""

    def __init__(self, path: str, storage: Storage) -> None:
        self._path = path
        self._storage = storage

    def read(self) -> bytes | None:
        try:
            file = self._storage.open(self._path)
        except FileNotFoundError:
            return None
        try:
            return self._storage.pread(file, min(self._storage.size(file), NOTE_BYTES_MAX + 1), 0)
        finally:
            self._storage.close(file)

    def replace(self, note: bytes) -> None:
        beside = f"{self._path}.new"
        # A crash up to the rename leaves the old checkpoint and at most a stray `.new`, which is taken away next time.
        with contextlib.suppress(FileNotFoundError):
            self._storage.unlink(beside)
        try:
            file = self._storage.create(beside)
            try:
                self._storage.pwrite(file, note, 0)
                # Before the rename: otherwise a crash could leave the new name on an empty file.
                self._storage.sync(file)
            finally:
                self._storage.close(file)
        except OSError as error:
            if error.errno not in SPACE:
                raise
            with contextlib.suppress(OSError):
                self._storage.unlink(beside)
            raise NoSpaceToSign(self._path) from error
        self._storage.rename(beside, self._path)
        # Without this the rename itself could be lost, and an older checkpoint would come back.
        self._storage.sync_dir(str(Path(self._path).parent))


class Signer:
    """Signs the checkpoints of one log, and never one that contradicts an earlier one.

    One signer per log and key; who holds the log's lock holds the signer.
    """

    def __init__(self, key: SigningKey, kept: LastCheckpoint) -> None:
        """Raises:
        SignerRefusal: where what was kept is not a checkpoint signed by this key.
        """
        self._key = key
        self._kept = kept
        self._failed = False
        self._last: Checkpoint | None = None
        note = kept.read()
        if note is not None:
            try:
                self._last = open_checkpoint(note, key.verifier())
            except ProofError as error:
                raise SignerRefusal(
                    f"the last checkpoint of `{key.name}` cannot be believed: {error}; put back the one that was signed"
                    " last, or begin a new log under another name"
                ) from error

    @property
    def last(self) -> Checkpoint | None:
        """What was signed last, by this signer or one before it."""
        return self._last

    def sign(self, size: int, root: bytes, extensions: tuple[str, ...] = ()) -> bytes:
        """The signed note, once it is kept. The same size and root may be signed again.

        Raises:
            SignerRefusal: where it would contradict the last one; and always, once keeping one has failed, for then
                nobody knows which one is kept.
            NoSpace: the last one is kept; the next may be signed when there is room.
        """
        if self._failed:
            raise SignerRefusal(
                f"the signer of `{self._key.name}` stopped when a checkpoint could not be kept; restart it"
            )
        last, checkpoint = self._last, Checkpoint(self._key.name, size, root, extensions)
        if last is not None and size < last.size:
            raise SignerRefusal(
                f"`{self._key.name}` has signed size {last.size} and is asked to sign size {size}: records are gone"
            )
        if last is not None and size == last.size and root != last.root:
            raise SignerRefusal(
                f"`{self._key.name}` has signed root {last.root.hex()} for size {size} and is asked to sign"
                f" {root.hex()}: records are not what they were"
            )
        note = sign_note(checkpoint.text, [self._key])
        try:
            self._kept.replace(note)
        except NoSpace:
            raise  # nobody has seen the note, and the last one is kept as it was
        except BaseException:
            self._failed = True
            raise
        self._last = checkpoint
        return note
