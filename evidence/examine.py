"""Whether a log is whole: every record read and hashed, every tree held against what was signed for it.

What is found is reported shard by shard, the first thing that does not fit of each; what could not be checked without a
key or a checkpoint from outside the folder is reported too. `verify.py` asks the same in other words and other code.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..contract import OperationError
from .checkpoint import Checkpoint, open_checkpoint, peek_checkpoint
from .errors import CorruptLog, NoLog, explain
from .folder import PUBLIC, ROOT, LogFolder, need_cryptography, open_folder, verifier_of
from .merkle import HASH_SIZE, Frontier, ProofError
from .note import VerifierKey
from .read import read
from .recover import Survey, survey
from .root import read_note
from .storage import FileStorage, Storage
from .writer import CHECKPOINT

Step = Callable[[int], object]
"""Takes how many more records have been read: for a progress bar."""

NO_KEY: Final = (
    "the key: it was read from the folder, and whoever can change the log can change it too; give the one you were"
    " handed with `--key`"
)
NO_SINCE: Final = (
    "that nothing was cut off or begun anew: that takes a checkpoint kept outside the folder; give one with"
    " `--since-checkpoint`"
)


@dataclass(slots=True)
class ShardFound:
    """What one tree of the log holds, the root log's own included."""

    name: str
    origin: str
    size: int = 0
    signed: int = 0
    root: str = ""
    torn_bytes: int = 0
    problem: str = ""
    first_bad: int | None = None


@dataclass(slots=True)
class Audit:
    """The result of a verification; `problems` is empty where all is well."""

    origin: str
    shards: list[ShardFound] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Nothing that was checked is wrong."""
        return not self.problems

    @property
    def record_count(self) -> int:
        """Records of all shards; those of the root log are checkpoints and do not count."""
        return sum(shard.size for shard in self.shards if shard.name != ROOT)


def audit(
    directory: str | os.PathLike[str],
    *,
    key: VerifierKey | None = None,
    since: bytes | None = None,
    step: Step | None = None,
    storage: Storage | None = None,
) -> Audit:
    """Read a whole log, which may be written meanwhile, and say what does not fit.

    `key` is the auditor's own copy of the public half, `since` a checkpoint of the log or of one of its shards, kept
    elsewhere. Cost: every byte is read and hashed once; memory does not grow with the log.

    Raises:
        NoLog: there is none.
        OperationError: it cannot be read, or `key` or `since` is none.
    """
    storage = storage or FileStorage()
    need_cryptography()
    folder = open_folder(directory, storage)
    found = Audit(folder.origin)
    if key is None:
        key = folder.public_key()
        found.unchecked.append(NO_KEY)
    elif key.name != folder.origin:
        raise ProofError(f"the log is `{folder.origin}`, and the key is of `{key.name}`")
    elif Path(folder.directory, PUBLIC).is_file() and folder.public_key() != key:
        found.problems.append(f"`{folder.directory}/{PUBLIC}` is another key than the one given")
    kept = _kept(folder, key, since)
    if kept is None:
        found.unchecked.append(NO_SINCE)
    # The root's checkpoint is read before the shards': what it covers is then older than what they hold.
    root_note = _note(f"{folder.directory}/{ROOT}", storage)
    leaves = _root_leaves(folder, key, storage, found)
    for shard in sorted({*folder.shards(storage), *leaves}):
        wanted = leaves.get(shard, [])
        if kept is not None and kept.origin == folder.shard_origin(shard):
            wanted = [*wanted, kept]
        path = folder.shard_path(shard)
        note = _note(path, storage)
        found.shards.append(_examine(shard, path, verifier_of(key, shard), note, wanted, step, storage))
    wanted = [kept] if kept is not None and kept.origin == folder.origin else []
    if root_note is not None or wanted:
        found.shards.append(_examine(ROOT, f"{folder.directory}/{ROOT}", key, root_note, wanted, None, storage))
    found.problems.extend(shard.problem for shard in found.shards if shard.problem)
    unsigned = sum(shard.size - shard.signed for shard in found.shards if shard.size > shard.signed)
    if unsigned and found.whole:
        found.unchecked.append(f"the newest {unsigned:,} records, which no checkpoint covers yet")
    return found


def _note(directory: str, storage: Storage) -> bytes | None:
    path = f"{directory}/{CHECKPOINT}"
    try:
        return read_note(path, storage)
    except OSError as error:
        raise explain(error, path, "read") from error


def _kept(folder: LogFolder, key: VerifierKey, since: bytes | None) -> Checkpoint | None:
    if since is None:
        return None
    origin = peek_checkpoint(since).origin
    if origin == folder.origin:
        return open_checkpoint(since, key)
    shard = origin.removeprefix(f"{folder.origin}/")
    if shard == origin or not shard.isalnum():
        raise ProofError(f"the checkpoint is of the log `{origin}`, and this one is `{folder.origin}`")
    return open_checkpoint(since, verifier_of(key, shard))


def _root_leaves(folder: LogFolder, key: VerifierKey, storage: Storage, found: Audit) -> dict[str, list[Checkpoint]]:
    """By shard, every checkpoint of it that the root log holds."""
    leaves: dict[str, list[Checkpoint]] = {}
    try:
        for record in read(f"{folder.directory}/{ROOT}", storage=storage):
            try:
                shard = peek_checkpoint(record.body).origin.removeprefix(f"{folder.origin}/")
                checkpoint = open_checkpoint(record.body, verifier_of(key, shard))
            except ProofError as error:
                found.problems.append(f"record {record.seq} of the root log is no checkpoint of a shard: {error}")
                break
            before = leaves.setdefault(shard, [])
            if before and checkpoint.size <= before[-1].size:
                found.problems.append(f"record {record.seq} of the root log: shard `{shard}` went back in size")
                break
            before.append(checkpoint)
    except NoLog:
        pass
    except CorruptLog:
        pass  # said when the root log itself is examined
    return leaves


def _examine(
    name: str,
    directory: str,
    key: VerifierKey,
    note: bytes | None,
    wanted: list[Checkpoint],
    step: Step | None,
    storage: Storage,
) -> ShardFound:
    found = ShardFound(name, key.name)
    try:
        if note is not None:
            own = open_checkpoint(note, key)
            found.signed = own.size
            wanted = [*wanted, own]
    except ProofError as error:
        found.problem = f"shard `{name}`: its checkpoint cannot be believed: {error}"
    frontier = Frontier()
    targets = sorted(wanted, key=lambda checkpoint: checkpoint.size)
    agreed = 0
    at = 0

    def check() -> None:
        nonlocal at, agreed
        while at < len(targets) and targets[at].size == frontier.size:
            if frontier.root() != targets[at].root and not found.problem:
                found.first_bad = agreed
                found.problem = (
                    f"shard `{name}`: a record from {agreed} to {frontier.size - 1} is not the one that was signed:"
                    f" {frontier.size} records have the root {frontier.root().hex()} instead of"
                    f" {targets[at].root.hex()}"
                )
            elif not found.problem:
                agreed = frontier.size
            at += 1

    def grow(leaves: bytes) -> None:
        begin, count = 0, len(leaves) // HASH_SIZE
        while begin < count:
            stop = count
            if at < len(targets):
                stop = min(count, begin + targets[at].size - frontier.size)
            frontier.extend(leaves, begin, stop)
            begin = stop
            check()
        if step is not None:
            step(count)

    try:
        check()
        surveyed = _survey(directory, targets[-1].size if targets else None, grow, storage)
    except CorruptLog as error:
        found.size = frontier.size
        if not found.problem:
            found.first_bad = error.seq
            found.problem = f"shard `{name}`: record {error.seq} does not fit: {error}"
    except NoLog as error:
        # Its writer is about to begin it, or was killed there; what was signed for must be there.
        if targets:
            found.problem = found.problem or f"shard `{name}`: {error}"
    except OperationError as error:
        found.problem = found.problem or f"shard `{name}`: {error}"
    else:
        found.size, found.root = frontier.size, frontier.root().hex()
        found.torn_bytes = surveyed.dropped.byte_count if surveyed.dropped is not None else 0
    return found


def _survey(directory: str, size: int | None, grow: Callable[[bytes], None], storage: Storage) -> Survey:
    try:
        return survey(storage, directory, newest_checkpoint_size=size, each_leaves=grow, live=True)
    except FileNotFoundError:
        raise NoLog(directory, size) from None
    except OSError as error:
        raise explain(error, directory, "read") from error
