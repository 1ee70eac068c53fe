"""The values that no record holds, sealed beside the log: one box a record, one key per tenant, subject and day.

Whoever destroys a key has destroyed what it sealed; no record changes by it. A key is a file of 32 random bytes,
`keys/<tenant and subject, hashed>/<day>.key`; a box is AES-256-GCM in `boxes/<day>/`. `erased` grows by a byte with
every erasure, which tells the writers of other processes to look for their keys again. Back up boxes as you like, and
keys never, or an erasure does not reach the copy. `cryptography` is loaded when a box is sealed or opened.
"""

import contextlib
import hashlib
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from typing import Final

from ..native.tray import Half, SealKey
from .canonical import SALT_BYTES, canonical, commitment
from .errors import EvidenceError, ShardLocked, explain
from .shard import Boxes
from .storage import Bytes, Storage

KEY_BYTES: Final = 32
KEYS_CACHED: Final = 16_384
MAKING_TRIES: Final = 1_000
FRAME: Final = struct.Struct("<4sI16s12s")  # magic, length of the ciphertext, box id, nonce
MAGIC: Final = b"\x9eTV1"
ERASED: Final = "erased"
MAKING: Final = "making"

Secrets = Mapping[str, tuple[bytes, bytes]]  # path: salt, spelling of the value


class Erased(EvidenceError):
    """The key of a box is gone: its values cannot be read by anyone."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"the key `{key}` does not exist any more, so what it sealed is gone; a `redaction` record says whether it"
            " was erased"
        )


class DoesNotFit(EvidenceError):
    """A value that is not the one in the record."""


def subject_folder(tenant: str, subject: str) -> str:
    """The folder of a subject's keys."""
    return hashlib.sha256(canonical([tenant, subject])).hexdigest()[:32]


def spell_box(secrets: Secrets, chance: bytes) -> bytes:
    """What a box holds before it is sealed, behind its id and nonce, which are the 28 bytes of `chance`."""
    parts = [chance]
    for path, (salt, value) in secrets.items():
        name = path.encode("utf-8", "replace")
        parts += [struct.pack("<H", len(name)), name, salt, struct.pack("<I", len(value)), value]
    return b"".join(parts)


def read_box(text: bytes) -> dict[str, tuple[bytes, bytes]]:
    """What was in a box: by path, salt and spelling."""
    found, at = {}, 0
    while at < len(text):
        (length,) = struct.unpack_from("<H", text, at)
        path, at = text[at + 2 : at + 2 + length], at + 2 + length
        salt, (size,) = text[at : at + 16], struct.unpack_from("<I", text, at + 16)
        found[path.decode()] = (salt, text[at + 20 : at + 20 + size])
        at += 20 + size
    return found


class Vault:
    """Keys and boxes in a folder. `key` may be called from several threads; `sealed` and `write` by one at a time."""

    def __init__(self, directory: str, storage: Storage, name: str = "") -> None:
        """`name` begins the names of the files that this writer makes; a reader needs none."""
        self._directory = directory
        self._storage = storage
        self._name = name
        self._keys: dict[tuple[str, str, str], SealKey] = {}
        self._lock = threading.Lock()
        self._unsynced: set[str] = set()  # paths of keys that may not be durable yet
        self._file: int | None = None
        self._file_day = ""
        self._offset = 0
        self._dirty = False
        self._erasures: int | None = None  # the file that grows with them
        self._erasures_seen = 0
        self._looked_for: set[SealKey] | None = None  # those that were looked for again since somebody was erased
        self._index: dict[str, dict[bytes, tuple[str, int]]] = {}  # of a reader: day -> box -> file and offset

    # ------------------------------------------------------------ sealing

    def key(self, tenant: str, subject: str, day: str) -> SealKey:
        """The key that seals what is of this subject on this day; it is made where there is none."""
        found = self._keys.get((tenant, subject, day))
        if found is not None:
            return found
        name = f"{subject_folder(tenant, subject)}/{day}"
        with self._lock:
            self._watch_erasures()  # before the key is read, or one that is destroyed meanwhile would be used on
            found = SealKey(name, _bound(name, b""), self._cipher(name))
            if len(self._keys) >= KEYS_CACHED:
                self._keys.clear()
            self._keys[(tenant, subject, day)] = found
        return found

    def _cipher(self, name: str) -> Callable[[bytes, bytes, bytes], bytes]:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        path = f"{self._directory}/keys/{name}.key"
        raw = self._read_key(path) or self._make_key(path)
        self._unsynced.add(path)  # also one that is there: whoever made it may have been killed before he synced it
        return AESGCM(raw).encrypt

    def sealed(self, half: Half) -> Bytes:
        """The boxes of records that are about to be written, sealed. Nothing of them is on disk before `write`.

        A key that was destroyed since a record was drafted is made anew first: what comes after an erasure is kept.
        """
        if self._erased_meanwhile():
            with self._lock:
                self._keys.clear()
            self._looked_for = set()
        if self._looked_for is not None:
            for key in half.keys_used() - self._looked_for:
                with self._lock:
                    key.encrypt = self._cipher(key.name)
                if len(self._looked_for) >= KEYS_CACHED:
                    self._looked_for.clear()
                self._looked_for.add(key)
        return half.sealed()

    def _erased_meanwhile(self) -> bool:
        with self._lock:
            file = self._watch_erasures()
        seen, self._erasures_seen = self._erasures_seen, self._storage.size(file)
        return seen != self._erasures_seen

    def _watch_erasures(self) -> int:
        if self._erasures is None:
            self._erasures = self._erasures_file()
            self._erasures_seen = self._storage.size(self._erasures)
        return self._erasures

    def _erasures_file(self) -> int:
        path = f"{self._directory}/{ERASED}"
        try:
            return self._storage.open(path, write=True)
        except FileNotFoundError:
            self._storage.make_dir(self._directory)
            with contextlib.suppress(FileExistsError):
                return self._storage.create(path)
            return self._storage.open(path, write=True)

    def _read_key(self, path: str) -> bytes | None:
        try:
            file = self._storage.open(path)
        except FileNotFoundError:
            return None
        try:
            raw = self._storage.pread(file, KEY_BYTES, 0)
        finally:
            self._storage.close(file)
        return raw if len(raw) == KEY_BYTES and raw != bytes(KEY_BYTES) else None

    def _make_key(self, path: str) -> bytes:
        """The key that stands under this name afterwards, ours or that of a process that was quicker.

        One process makes keys at a time. So a file that holds none was left by somebody who was killed while he made a
        key or destroyed one: nothing that it sealed can be opened, and it gets its key now.
        """
        self._storage.make_dir(path.rpartition("/")[0])
        lock = self._making()
        try:
            found = self._read_key(path)
            if found is not None:
                return found
            raw = self._storage.random(KEY_BYTES)
            try:
                file = self._storage.create(path)
            except FileExistsError:
                file = self._storage.open(path, write=True)
            try:
                self._storage.pwrite(file, raw, 0)
            finally:
                self._storage.close(file)
        finally:
            self._storage.unlock(lock)
        return raw

    def _making(self) -> int:
        path = f"{self._directory}/{MAKING}"
        for _ in range(MAKING_TRIES):
            try:
                return self._storage.lock(path)[0]
            except ShardLocked:
                time.sleep(0.001)
        raise EvidenceError(f"`{path}` is locked for long by another process, which makes a key; see what holds it")

    def place(self, boxes: Bytes, day: str) -> Boxes:
        """Where boxes of a day are to be written next; `written` says that they are."""
        if self._file is None or day != self._file_day:
            self._close_file()
            folder = f"{self._directory}/boxes/{day}"
            self._storage.make_dir(folder)
            # A file of one's own: after a crash, what is torn is at the end of a file that nobody goes on with.
            self._file = self._storage.create(f"{folder}/{self._name}-{self._storage.random(6).hex()}.box")
            self._storage.sync_dir(folder)
            self._file_day, self._offset = day, 0
        return Boxes(boxes, self._file, self._offset)

    def written(self, boxes: Boxes) -> None:
        """Take note that boxes are written; they are durable after `sync_now`."""
        self._offset = boxes.offset + len(boxes.data)
        self._dirty = True

    def write(self, boxes: Boxes, *, sync: bool) -> None:
        """Write sealed boxes; with `sync` they are durable afterwards, and otherwise after `sync_now`."""
        self._storage.pwrite(boxes.file, boxes.data, boxes.offset)
        self.written(boxes)
        if sync:
            self.sync_now()

    def sync_now(self) -> None:
        """Make keys and boxes durable."""
        with self._lock:
            paths, self._unsynced = self._unsynced, set()
        for path in paths:
            with contextlib.suppress(FileNotFoundError):  # erased meanwhile
                file = self._storage.open(path, write=True)
                try:
                    self._storage.sync(file)
                finally:
                    self._storage.close(file)
                self._storage.sync_dir(path.rpartition("/")[0])
        if self._dirty and self._file is not None:
            self._storage.sync(self._file)
            self._dirty = False

    def _close_file(self) -> None:
        if self._file is not None:
            self.sync_now()
            self._storage.close(self._file)
            self._file = None

    def close(self) -> None:
        """Make everything durable and forget the keys."""
        self._close_file()
        if self._erasures is not None:
            self._storage.close(self._erasures)
            self._erasures = None
        with self._lock:
            self._keys.clear()

    # ------------------------------------------------------------ opening and erasing

    def open(self, box: str, key: str) -> dict[str, tuple[bytes, bytes]]:
        """The values in a box: by path, salt and spelling.

        Cost: the first of a day, one pass over the boxes of that day; their places are kept.

        Raises:
            Erased: the key is gone.
            DoesNotFit: the box is missing, or is not what was sealed.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        raw = self._read_key(f"{self._directory}/keys/{key}.key")
        if raw is None:
            raise Erased(key)
        wanted = bytes.fromhex(box)
        found = self._find(key.rpartition("/")[2], wanted)
        if found is None:
            raise DoesNotFit(
                f"the box `{box}` is not in `{self._directory}/boxes`; a crash loses those of the last second, or the"
                " day was removed"
            )
        nonce, sealed = found
        try:
            return read_box(AESGCM(raw).decrypt(nonce, sealed, _bound(key, wanted)))
        except InvalidTag:
            # A subject that was erased and came again on the same day has another key now.
            raise Erased(key) from None

    def _find(self, day: str, wanted: bytes) -> tuple[bytes, bytes] | None:
        """Nonce and ciphertext of a box. What was drafted at the end of a day may be written on the next."""
        for looked_in in (day, (date.fromisoformat(day) + timedelta(days=1)).isoformat()):
            places = self._index.get(looked_in)
            if places is None or wanted not in places:
                places = self._index[looked_in] = {
                    box: (path, offset) for path, offset, box, _ in self._boxes(looked_in)
                }
            if wanted in places:
                path, offset = places[wanted]
                file = self._storage.open(path)
                try:
                    _, length, _, nonce = FRAME.unpack(self._storage.pread(file, FRAME.size, offset))
                    return nonce, self._storage.pread(file, length, offset + FRAME.size)
                finally:
                    self._storage.close(file)
        return None

    def _boxes(self, day: str) -> Iterator[tuple[str, int, bytes, int]]:
        """File, offset, id and length of every box of a day that is whole."""
        folder = f"{self._directory}/boxes/{day}"
        try:
            names = self._storage.list(folder)
        except FileNotFoundError:
            return
        for path in (f"{folder}/{name}" for name in sorted(names)):
            file = self._storage.open(path)
            try:
                size, offset = self._storage.size(file), 0
                while len(head := self._storage.pread(file, FRAME.size, offset)) == FRAME.size:
                    magic, length, box, _ = FRAME.unpack(head)
                    if magic != MAGIC or offset + FRAME.size + length > size:
                        break
                    yield path, offset, box, length
                    offset += FRAME.size + length
            finally:
                self._storage.close(file)

    def erase(self, tenant: str, subject: str) -> list[str]:
        """Destroy every key of a subject and return their days. What they sealed is gone when this returns."""
        folder = f"{self._directory}/keys/{subject_folder(tenant, subject)}"
        try:
            names = self._storage.list(folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise explain(error, folder, "erase") from error
        days = []
        try:
            try:
                for name in sorted(names):
                    self._destroy(f"{folder}/{name}")
                    if name.endswith(".key"):
                        days.append(name.removesuffix(".key"))
                self._storage.sync_dir(folder)
            finally:
                self._note_erasure()  # of those that are gone already, too: nobody must seal with them
        except OSError as error:
            raise explain(error, folder, "erase") from error
        return days

    def _destroy(self, path: str) -> None:
        file = self._storage.open(path, write=True)
        try:
            self._storage.pwrite(file, bytes(KEY_BYTES), 0)
            self._storage.sync(file)
        finally:
            self._storage.close(file)
        self._storage.unlink(path)

    def _note_erasure(self) -> None:
        file = self._erasures_file()
        try:
            self._storage.pwrite(file, b"\x01", self._storage.size(file))
            self._storage.sync(file)
        finally:
            self._storage.close(file)


def _bound(key: str, box: bytes) -> bytes:
    """What a box is bound to besides its key: moved under another name it does not open."""
    return b"thoth vault 1\0" + key.encode() + b"\0" + box


def check_value(committed: str, path: str, salt: bytes, value: bytes) -> None:
    """Return if a disclosed value, in its one spelling, is the one that a record commits to.

    Raises:
        DoesNotFit: it is not.
    """
    # With a salt of another length the same bytes could be another path and another value.
    if len(salt) != SALT_BYTES or commitment(salt, path, value) != committed:
        raise DoesNotFit(f"this is not the value of `{path}` in the record; it commits to {committed}")
