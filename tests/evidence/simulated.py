"""A disk that keeps no promise it did not make: what was not synced may be there, or not, or half, or as rubbish.

The unit is a block of 512 bytes. Writes go to a cache that everyone reads; `sync` takes them to the disk. When the
power is cut, every unsynced block on its own is lost, kept as it was after some write, torn (the head of one, the tail
of the other), or garbled; every change of a directory that was not synced happened or did not. When a sync fails, its
blocks reach the disk or not, and are clean afterwards: no later sync writes them, which is what Linux does.

Two things are assumed of the disk. Writing the same bytes again changes nothing, and writing some bytes of a block
leaves its other bytes alone.
"""

import errno
from random import Random

from thoth.evidence.errors import ShardLocked
from thoth.evidence.storage import Bytes

BLOCK = 512
TAKES_SPACE = frozenset({"pwrite", "create", "rename", "make_dir", "lock", "sync", "truncate", "reserve"})
# Of 1: blocks lost, up to; kept as written, up to; torn, up to; the rest is garbled. One row for each power cut.
HABITS = ((0.5, 0.9, 0.97), (0.1, 0.8, 0.9), (0.9, 0.95, 1.0), (0.3, 0.5, 0.75), (0.0, 1.0, 1.0))


class Killed(BaseException):
    """The process ends here. It is no Exception: nothing in the code may catch it and go on."""


class Inode:
    __slots__ = ("cache", "dirty", "disk")

    def __init__(self, content: bytes = b"") -> None:
        self.cache = bytearray(content)
        self.disk = bytearray(content)
        self.dirty: dict[int, list[bytes]] = {}  # by block: what it held after each write since the last sync

    def blocks(self, start: int, end: int) -> range:
        return range(start // BLOCK, (end + BLOCK - 1) // BLOCK)

    def write(self, data: Bytes, offset: int) -> None:
        end = offset + len(data)
        if end > len(self.cache):
            resize(self.cache, end)
        self.cache[offset:end] = data
        for block in self.blocks(offset, end):
            now = bytes(self.cache[block * BLOCK : (block + 1) * BLOCK])
            if block in self.dirty:
                self.dirty[block].append(now)
            elif now != self.disk[block * BLOCK : (block + 1) * BLOCK]:
                self.dirty[block] = [now]

    def flush(self, block: int) -> None:
        start, end = block * BLOCK, min((block + 1) * BLOCK, len(self.cache))
        if start < end:
            resize(self.disk, max(end, len(self.disk)))
            self.disk[start:end] = self.cache[start:end]

    def sync(self) -> None:
        resize(self.disk, len(self.cache))
        for block in self.dirty:
            self.flush(block)
        self.dirty.clear()

    def lose_cache(self, chance: Random) -> None:
        if len(self.cache) != len(self.disk) and chance.random() < 0.5:
            resize(self.disk, len(self.cache))
        lost, kept, torn = chance.choice(HABITS)
        for block, versions in self.dirty.items():
            draw = chance.random()
            start, end = block * BLOCK, min((block + 1) * BLOCK, len(self.disk))
            if draw < lost or start >= end:
                continue
            old = bytes(self.disk[start:end])
            new = chance.choice(versions)[: end - start].ljust(end - start, b"\0")
            if draw >= kept and old != new:
                first = next(at for at in range(len(old)) if old[at] != new[at])
                after = next(at for at in range(len(old), 0, -1) if old[at - 1] != new[at - 1])
                cut = chance.randint(first, after)
                if draw >= torn:
                    new = new[:first] + chance.randbytes(after - first) + new[after:]
                elif chance.random() < 0.5:
                    new = new[:cut] + old[cut:]
                else:
                    new = old[:cut] + new[cut:]
            self.disk[start:end] = new
        self.dirty.clear()
        self.cache = bytearray(self.disk)


def resize(content: bytearray, size: int) -> None:
    if size > len(content):
        content.extend(bytes(size - len(content)))
    else:
        del content[size:]


class SimulatedStorage:
    """A `Storage` in memory. `arm` chooses the call that goes wrong, and how: kill, eio or enospc."""

    direct = False

    def __init__(self, seed: int = 0) -> None:
        self.chance = Random(seed)
        self.names: dict[str, Inode] = {}
        self.durable_names: dict[str, Inode] = {}
        self.changes: list[tuple[str, str, Inode]] = []  # of directories, not yet synced: old name, new name, or ""
        self.directories: set[str] = set()
        self.files: dict[int, tuple[Inode, bool]] = {}
        self.locked: dict[int, Inode] = {}
        self.next_file = 3
        self.process = 1
        self.calls = 0
        self.changed = 0  # calls that changed a file or a directory
        self.fault = "kill"
        self.fault_at = -1
        self.dead = False

    # What the world does.

    def arm(self, fault: str, call: int) -> None:
        """The call with this number, from now on and from 0, goes wrong."""
        self.fault, self.fault_at = fault, self.calls + call

    def end_process(self) -> None:
        """Whoever had files open is gone; what was written is still in the cache."""
        self.files.clear()
        self.locked.clear()
        self.process += 1
        self.dead = False
        self.fault_at = -1

    def cut_power(self) -> None:
        self.end_process()
        for old, new, inode in self.changes:
            if self.chance.random() < 0.5:
                rename(self.durable_names, old, new, inode)
        self.changes.clear()
        self.names = dict(self.durable_names)
        for inode in self.names.values():
            inode.lose_cache(self.chance)

    def copy(self, seed: int) -> "SimulatedStorage":
        """The same disk, cache and all dropped unsynced state included, for another future."""
        other = SimulatedStorage(seed)
        assert not self.files
        other.directories = set(self.directories)
        twins: dict[int, Inode] = {}
        for names, its_names in ((self.names, other.names), (self.durable_names, other.durable_names)):
            for name, inode in names.items():
                twin = twins.get(id(inode))
                if twin is None:
                    twin = twins[id(inode)] = Inode(bytes(inode.disk))
                    twin.cache = bytearray(inode.cache)
                    twin.dirty = {block: list(versions) for block, versions in inode.dirty.items()}
                its_names[name] = twin
        other.changes = [(old, new, twins.get(id(inode), inode)) for old, new, inode in self.changes]
        other.process = self.process
        return other

    # The seam.

    def call(self, kind: str) -> str | None:
        """Count a call. The fault that a write or a sync shall have; other calls fail here, before they do anything."""
        if self.dead:
            raise Killed
        number = self.calls
        self.calls += 1
        if number != self.fault_at:
            return None
        if self.fault == "enospc" and kind not in TAKES_SPACE:
            self.fault_at += 1  # this call needs no space, so the next one it is
            return None
        if self.fault == "kill":
            self.dead = True
        if kind in ("pwrite", "sync"):
            return self.fault
        raise self.failure()

    def failure(self) -> BaseException:
        if self.fault == "kill":
            return Killed()
        number = errno.ENOSPC if self.fault == "enospc" else errno.EIO
        return OSError(number, errno.errorcode[number])

    def make_dir(self, path: str) -> None:
        self.call("make_dir")
        self.directories.add(path)

    def list(self, path: str) -> list[str]:
        self.call("list")
        if path not in self.directories:
            raise FileNotFoundError(errno.ENOENT, path)
        return [name[len(path) + 1 :] for name in self.names if name.rpartition("/")[0] == path]

    def create(self, path: str) -> int:
        self.call("create")
        if path in self.names:
            raise FileExistsError(errno.EEXIST, path)
        inode = Inode()
        self.change("", path, inode)
        return self.opened(inode, write=True)

    def open(self, path: str, *, write: bool = False) -> int:
        self.call("open")
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, path)
        return self.opened(self.names[path], write=write)

    def opened(self, inode: Inode, *, write: bool) -> int:
        self.next_file += 1
        self.files[self.next_file] = (inode, write)
        return self.next_file

    def close(self, file: int) -> None:
        self.call("close")
        del self.files[file]
        self.locked.pop(file, None)

    def size(self, file: int) -> int:
        self.call("size")
        return len(self.files[file][0].cache)

    def pread(self, file: int, count: int, offset: int) -> bytes:
        self.call("pread")
        return bytes(self.files[file][0].cache[offset : offset + count])

    def pread_into(self, file: int, room: memoryview, offset: int) -> int:
        data = self.pread(file, len(room), offset)
        room[: len(data)] = data
        return len(data)

    def pwrite(self, file: int, data: Bytes, offset: int) -> None:
        fault = self.call("pwrite")
        inode, writable = self.files[file]
        assert writable
        self.changed += 1
        inode.write(data if fault is None else data[: self.chance.randint(0, len(data))], offset)
        if fault is not None:
            raise self.failure()

    def reserve(self, file: int, size: int) -> bool:
        self.call("reserve")
        self.changed += 1
        resize(self.files[file][0].cache, size)
        return True

    def truncate(self, file: int, size: int) -> None:
        self.call("truncate")
        self.changed += 1
        resize(self.files[file][0].cache, size)

    def sync(self, file: int) -> None:
        fault = self.call("sync")
        inode, _ = self.files[file]
        if fault is None:
            inode.sync()
            return
        for block in list(inode.dirty):
            if self.chance.random() < 0.5:
                inode.flush(block)
                if fault == "kill":
                    del inode.dirty[block]
        if fault != "kill":
            inode.dirty.clear()
        raise self.failure()

    def sync_dir(self, path: str) -> None:
        self.call("sync_dir")
        for old, new, inode in self.changes:
            rename(self.durable_names, old, new, inode)
        self.changes.clear()

    def rename(self, old: str, new: str) -> None:
        self.call("rename")
        self.change(old, new, self.names[old])

    def unlink(self, path: str) -> None:
        self.call("unlink")
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, path)
        self.change(path, "", self.names[path])

    def change(self, old: str, new: str, inode: Inode) -> None:
        self.changed += 1
        rename(self.names, old, new, inode)
        self.changes.append((old, new, inode))

    def lock(self, path: str) -> tuple[int, bool]:
        self.call("lock")
        if path not in self.names:
            self.change("", path, Inode())
        inode = self.names[path]
        if inode in self.locked.values():
            raise ShardLocked(path, int(inode.cache))
        left_behind = len(inode.cache) > 0
        resize(inode.cache, 0)
        inode.write(b"%d\n" % self.process, 0)
        file = self.opened(inode, write=True)
        self.locked[file] = inode
        return file, left_behind

    def unlock(self, file: int) -> None:
        self.call("unlock")
        resize(self.files[file][0].cache, 0)
        del self.files[file]
        del self.locked[file]

    def pid(self) -> int:
        return self.process

    def now(self) -> int:
        return self.calls

    def random(self, count: int) -> bytes:
        return self.chance.randbytes(count)


def rename(names: dict[str, Inode], old: str, new: str, inode: Inode) -> None:
    """From one name to another; "" is no name."""
    if old and names.get(old) is inode:
        del names[old]
    elif old and new:
        return  # the creation that this follows did not reach the disk
    if new:
        names[new] = inode
