"""The one seam between evidence and the world: files, locks, the clock and chance.

Everything that evidence writes or reads goes through a `Storage`, so a simulator can stand in for the disk and break
the power between any two calls. `FileStorage` is the real one. Paths are plain strings; a file is a number.
"""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from typing import Protocol

from ..native.disk import DIRECT
from .errors import NotSupported, ShardLocked

try:
    import fcntl
except ImportError:  # Windows: reading a log works there, writing one does not
    fcntl = None  # type: ignore[assignment]

Bytes = bytes | bytearray | memoryview


class Storage(Protocol):
    """Each call does the whole of what it says or raises OSError; afterwards a failed write may have been done in part.

    Nothing is durable before `sync` (what a file holds) and `sync_dir` (which files there are) have returned.
    """

    @property
    def direct(self) -> bool:
        """Whether files are the system's own, which native code may write and sync as `pwrite` and `sync` do."""

    def make_dir(self, path: str) -> None:
        """A new directory and its missing parents; one that is there already is no error."""

    def list(self, path: str) -> list[str]:
        """Names in a directory, in no order."""

    def create(self, path: str) -> int:
        """A new file to read and write; FileExistsError if there is one."""

    def open(self, path: str, *, write: bool = False) -> int: ...

    def close(self, file: int) -> None: ...

    def size(self, file: int) -> int: ...

    def pread(self, file: int, count: int, offset: int) -> bytes:
        """Fewer bytes than asked for only where the file ends."""

    def pread_into(self, file: int, room: memoryview, offset: int) -> int:
        """As `pread`, into memory that is there already: how many bytes there were."""

    def pwrite(self, file: int, data: Bytes, offset: int) -> None: ...

    def reserve(self, file: int, size: int) -> bool:
        """Make an empty file one of so many zeros with room on the disk for what will be written there.

        False, and nothing was done, where the system knows no other way than to write them.
        """

    def truncate(self, file: int, size: int) -> None: ...

    def sync(self, file: int) -> None: ...

    def sync_dir(self, path: str) -> None: ...

    def rename(self, old: str, new: str) -> None: ...

    def unlink(self, path: str) -> None: ...

    def lock(self, path: str) -> tuple[int, bool]:
        """Hold a lock file, with our pid in it, until `unlock` or the end of the process.

        The file, and whether the last holder ended without `unlock`. ShardLocked says who holds it now.
        """

    def unlock(self, file: int) -> None: ...

    def pid(self) -> int: ...

    def now(self) -> int:
        """Nanoseconds since 1970, UTC."""

    def random(self, count: int) -> bytes: ...


@contextlib.contextmanager
def opened(storage: Storage, path: str, *, write: bool = False) -> Iterator[int]:
    """A file for the length of a `with`."""
    file = storage.open(path, write=write)
    try:
        yield file
    finally:
        storage.close(file)


class FileStorage:
    """The files of this machine."""

    @property
    def direct(self) -> bool:
        # Whoever puts something else in place of these calls wants to be asked.
        return DIRECT and (type(self).pwrite, type(self).sync) == OWN_CALLS

    def make_dir(self, path: str) -> None:
        missing = []
        while path and not os.path.isdir(path):  # noqa: PTH112
            missing.append(path)
            path = os.path.dirname(path)  # noqa: PTH120
        for made in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(made, 0o700)  # noqa: PTH102
            self.sync_dir(os.path.dirname(made) or ".")  # noqa: PTH120

    def list(self, path: str) -> list[str]:
        return os.listdir(path)  # noqa: PTH208

    def create(self, path: str) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | CLOEXEC, 0o600)

    def open(self, path: str, *, write: bool = False) -> int:
        return os.open(path, (os.O_RDWR if write else os.O_RDONLY) | CLOEXEC)

    def close(self, file: int) -> None:
        os.close(file)

    def size(self, file: int) -> int:
        return os.fstat(file).st_size

    def pread(self, file: int, count: int, offset: int) -> bytes:
        data = os.pread(file, count, offset)
        while len(data) < count:
            more = os.pread(file, count - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def pread_into(self, file: int, room: memoryview, offset: int) -> int:
        if not hasattr(os, "preadv"):
            data = self.pread(file, len(room), offset)
            room[: len(data)] = data
            return len(data)
        count = 0
        while count < len(room):
            with room[count:] as rest:
                more = os.preadv(file, [rest], offset + count)
            if not more:
                break
            count += more
        return count

    def pwrite(self, file: int, data: Bytes, offset: int) -> None:
        written = os.pwrite(file, data, offset)
        while written < len(data):
            with memoryview(data)[written:] as rest:
                more = os.pwrite(file, rest, offset + written)
            if more == 0:
                raise OSError(errno.EIO, "a write wrote nothing")
            written += more

    def reserve(self, file: int, size: int) -> bool:
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                return False
            raise
        except AttributeError:
            return False
        return True

    def truncate(self, file: int, size: int) -> None:
        os.ftruncate(file, size)

    def sync(self, file: int) -> None:
        if sys.platform == "darwin":
            # fsync there only hands the data to the drive; this also empties the drive's cache.
            try:
                fcntl.fcntl(file, fcntl.F_FULLFSYNC)
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY):
                    raise
                os.fsync(file)  # a file system that knows no better, a network one say
        else:
            os.fdatasync(file)

    def sync_dir(self, path: str) -> None:
        directory = os.open(path, os.O_RDONLY | CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)  # noqa: PTH104

    def unlink(self, path: str) -> None:
        os.unlink(path)  # noqa: PTH108

    def lock(self, path: str) -> tuple[int, bool]:
        if fcntl is None:
            raise NotSupported("flock")
        file = os.open(path, os.O_RDWR | os.O_CREAT | CLOEXEC, 0o600)
        try:
            # flock, not lockf: a lock of the other kind is gone as soon as the process closes any file of that name.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left_behind = os.fstat(file).st_size > 0
            # Written over what is there, and cut afterwards: who ends in between has left something behind as well.
            pid = b"%d\n" % os.getpid()
            os.pwrite(file, pid, 0)
            os.ftruncate(file, len(pid))
        except BlockingIOError:
            written = os.pread(file, 32, 0).split()
            os.close(file)
            raise ShardLocked(path, int(written[0]) if written and written[0].isdigit() else None) from None
        except BaseException:
            os.close(file)
            raise
        return file, left_behind

    def unlock(self, file: int) -> None:
        try:
            os.ftruncate(file, 0)
        finally:
            os.close(file)

    def pid(self) -> int:
        return os.getpid()

    # Not wrapped, because each record asks.
    now = staticmethod(time.time_ns)
    random = staticmethod(os.urandom)


OWN_CALLS = (FileStorage.pwrite, FileStorage.sync)
CLOEXEC = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
