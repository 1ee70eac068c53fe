"""Opening a log to record in it: which shard, under which clock, and what to say when it cannot be."""

import contextlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from ..contract import OperationError
from .errors import ClockWentBack, EvidenceError, ShardLocked
from .folder import ROOT, LogFolder, need_cryptography, open_folder
from .log import EvidenceLog, OnFailure, RecordingMode
from .read import read
from .record import Shown
from .storage import FileStorage, Storage
from .writer import TreeWriter

CLOCK_BACK_US_MAX: Final = 5_000_000


class _At(msgspec.Struct):
    at_us: int = 0


def open_log(
    directory: str | os.PathLike[str],
    *,
    mode: RecordingMode = "async",
    recording: RecordingMode | None = None,
    on_failure: OnFailure = "block",
    shown: Shown | None = None,
    subjects: Mapping[str, str] | None = None,
    keep_results: bool = False,
    keep_values: bool = True,
    shard: str | None = None,
    storage: Storage | None = None,
) -> EvidenceLog:
    """Open a log to record in it; close it, or use it in `with`.

    `recording` is what records say of it, `mode` if unsaid: whoever opens a log in mode `async`, and has every answer
    wait for `flush`, says `sync`. `shown` names the arguments of each tool that are kept in clear; `subjects` the
    argument of each tool that says whose values these are, where it is not the request's user. `keep_results`: results
    are sealed as well, not only committed to. `keep_values=False`: nothing is sealed at all; what was never kept cannot
    be shown, disclosed or replayed, and its commitment says nothing to anyone. `shard` unsaid: the first that no
    living process writes.
    Cost: the shard is read and hashed once.

    Raises:
        NoLog: there is none here; `thoth evidence init` makes one.
        EvidenceError: it cannot be written; what to do stands in the message.
    """
    if mode not in ("sync", "async"):
        raise EvidenceError(f"a log is opened in mode `sync` or `async`, not `{mode}`")
    if on_failure not in ("block", "allow"):
        raise EvidenceError(f"`on_failure` is `block` or `allow`, not `{on_failure}`")
    storage = storage or FileStorage()
    need_cryptography()
    folder = open_folder(directory, storage)
    # Where nobody waits for a commit there are many records in it.
    writer = _open_shard(folder, storage, shard, zeroed=(recording or mode) == "sync")
    try:
        log = EvidenceLog(
            folder,
            storage,
            writer,
            mode=mode,
            recording=recording or mode,
            on_failure=on_failure,
            shown=shown if shown is not None else {},  # it may be filled later
            subjects=subjects or {},
            keep_results=keep_results,
            keep_values=keep_values,
        )
        log.begin(_newest_us(folder, storage, writer))
    except BaseException:
        with contextlib.suppress(OperationError):
            writer.close()
        raise
    return log


def _open_shard(folder: LogFolder, storage: Storage, shard: str | None, *, zeroed: bool) -> TreeWriter:
    """The shard of this name, or the first that nobody writes, or a new one."""

    def opened(name: str) -> TreeWriter:
        return TreeWriter.open(
            name,
            folder.shard_path(name),
            storage,
            folder.signing_key(name),
            segment_bytes=folder.settings.segment_bytes,
            zeroed=zeroed,
        )

    if shard is not None:
        if not shard.isascii() or not shard.isalnum() or shard == ROOT:
            raise EvidenceError(f"a shard is named with letters and digits, and not `{ROOT}`: `{shard}`")
        return opened(shard)
    there = folder.shards(storage)
    for name in there:
        try:
            return opened(name)
        except ShardLocked:
            continue
    number = 0
    while True:
        name = f"{number:02d}"
        number += 1
        if name not in there:
            try:
                return opened(name)
            except ShardLocked:  # made by another process just now
                continue


def _newest_us(folder: LogFolder, storage: Storage, writer: TreeWriter) -> int:
    """The time of a shard's newest record.

    Raises:
        ClockWentBack: it is later than the clock, by more than a clock is set right in passing.
    """
    newest = 0
    for record in read(writer.directory, max(0, writer.size - 1), writer.size, storage=storage):
        with contextlib.suppress(msgspec.DecodeError):
            newest = msgspec.json.decode(record.body, type=_At).at_us
    now = storage.now() // 1000
    if newest - now > CLOCK_BACK_US_MAX:
        raise ClockWentBack(folder.directory, _iso(newest), _iso(now))
    return newest


def _iso(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="seconds")
