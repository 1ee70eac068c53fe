"""What an operator meets around an evidence log: each error says what happened and what to do."""

import errno
import os

from thoth.contract import OperationError, RequestError


class EvidenceError(OperationError):
    """Around an evidence log; every error of this room that an operator can mend."""


class NoLog(EvidenceError):
    """There is no log where one was expected, or one must not be made there."""

    def __init__(self, directory: str, checkpoint_size: int | None = None) -> None:
        if checkpoint_size is None:
            advice = f"create it with `thoth evidence init {directory}`"
        else:
            advice = (
                f"but a signed checkpoint says that it held {checkpoint_size} records, so a new one is not made in its"
                " place; bring its folder back, or begin a log under a new origin"
            )
        super().__init__(f"evidence log `{directory}` does not exist; {advice}")


class WrongOwner(EvidenceError):
    """This user may not read or write the log."""

    def __init__(self, path: str, doing: str) -> None:
        user = f"user {os.geteuid()}" if hasattr(os, "geteuid") else "this user"
        super().__init__(
            f"{user} may not {doing} `{path}`; run as the owner of the log, or give it the folder with `chown -R`"
        )


class ReadOnly(EvidenceError):
    """The file system under the log takes no writes."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"`{path}` is on a file system that is mounted read-only; evidence cannot be written there. After disk"
            " errors systems remount so: look into the kernel's log, then mount it writable or move the log"
        )


class NoSpace(EvidenceError):
    """No room for another segment. What was accepted before is not touched, and room made is found."""

    def __init__(self, directory: str, byte_count: int) -> None:
        super().__init__(
            f"no space for another segment of {byte_count} bytes in `{directory}`; free space, or end the retention of"
            " old records. Nothing that was accepted is lost, and writing goes on once there is room"
        )


class NoSpaceToSign(NoSpace):
    """No room for the next checkpoint. The one before stands."""

    def __init__(self, path: str) -> None:
        EvidenceError.__init__(
            self,
            f"no space for the next checkpoint `{path}`; free space. The one before stands, nothing that was accepted"
            " is lost, and the next one is signed once there is room",
        )


class ShardLocked(EvidenceError):
    """Another living process writes this shard."""

    def __init__(self, path: str, pid: int | None) -> None:
        self.pid = pid
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            f"`{path}` is locked by {who}, which is alive; one shard has one writer: give this process a shard of its"
            " own, or end that one"
        )


class ClockWentBack(EvidenceError):
    """The clock shows an earlier time than the newest record does."""

    def __init__(self, directory: str, newest: str, now: str) -> None:
        super().__init__(
            f"the clock says {now}, but the newest record in `{directory}` was written at {newest}; set the clock right"
            " (`timedatectl`), then start again"
        )


class NotSupported(EvidenceError):
    """This system lacks what the log stands on."""

    def __init__(self, what: str) -> None:
        super().__init__(f"evidence cannot be written on this system: it has no {what}; use Linux, macOS or a BSD")


class DiskError(EvidenceError):
    """A read or a write failed in a way that has no name of its own."""

    def __init__(self, path: str, doing: str, error: OSError) -> None:
        super().__init__(f"cannot {doing} `{path}`: {error.strerror or error}; see to the disk, then start again")


class ShardStopped(EvidenceError):
    """The shard takes nothing any more; a reply that would say otherwise must not be sent."""

    def __init__(self, directory: str, why: str) -> None:
        super().__init__(
            f"evidence shard `{directory}` has stopped: {why}. What is on disk is no longer known, and trying again"
            " would not tell: end the process; when the shard is opened again, recovery decides what was kept"
        )


class CorruptLog(EvidenceError):
    """Records that were durable are damaged or missing. Nothing has been changed."""

    def __init__(self, directory: str, seq: int, segment: str, offset: int, why: str) -> None:
        self.directory, self.seq, self.segment, self.offset = directory, seq, segment, offset
        super().__init__(
            f"evidence shard `{directory}` is damaged: record {seq} in `{segment}` at byte {offset}: {why}. This is no"
            " torn write, so nothing was mended and the shard is not served. Keep the folder as it is; copy what can be"
            f" read with `thoth evidence salvage {directory} OUT`, restore the shard from a copy, or begin a log under"
            " a new origin"
        )


class RecordTooLong(RequestError):
    """A record has at most 65,535 bytes: an entry of the tile format counts them in 16 bits."""

    def __init__(self, byte_count: int, byte_count_max: int) -> None:
        super().__init__(f"a record of {byte_count} bytes is too long; at most {byte_count_max:,} are kept in one")


SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


def explain(error: OSError, path: str, doing: str) -> EvidenceError:
    """The error that an operator can act on; `doing` is a verb, as in "cannot open"."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return WrongOwner(path, doing)
    if error.errno == errno.EROFS:
        return ReadOnly(path)
    return DiskError(path, doing, error)
