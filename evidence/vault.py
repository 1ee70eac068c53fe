"""The values that no record holds, sealed beside the log: one box a record, one key per tenant, subject and day.

Whoever destroys a key has destroyed what it sealed; no record changes by it. A key is a file of 32 random bytes,
`keys/<tenant and subject, hashed>/<day>.key`; a box is AES-256-GCM in `boxes/<day>/`. Back up boxes as you like, and
keys never, or an erasure does not reach the copy. `cryptography` is loaded when a box is sealed or opened.
"""

import contextlib
import hashlib
import os
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from .canonical import canonical, commitment
from .errors import EvidenceError, explain
from .storage import Storage

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
KEYS_CACHED: Final = 4_096
MAKING_TRIES: Final = 100
FRAME: Final = struct.Struct("<4sI16s12s")  # magic, length of the ciphertext, box id, nonce
MAGIC: Final = b"\x9eTV1"

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


class Sealed(NamedTuple):
    """A box: where to look for it (`box`, and `key`: subject/day), and its bytes as they are to be written."""

    box: str
    key: str
    frame: bytes


def subject_folder(tenant: str, subject: str) -> str:
    """The folder of a subject's keys."""
    return hashlib.sha256(canonical([tenant, subject])).hexdigest()[:32]


class Vault:
    """Keys and boxes in a folder. Safe to use from several threads and processes; `write` has one caller at a time."""

    def __init__(self, directory: str, storage: Storage, name: str = "") -> None:
        """`name` begins the names of the files that this writer makes; a reader needs none."""
        self._directory = directory
        self._storage = storage
        self._name = name
        self._keys: OrderedDict[str, AESGCM] = OrderedDict()
        self._lock = threading.Lock()
        self._new_keys: set[str] = set()  # paths of keys that are not durable yet
        self._file: int | None = None
        self._file_day = ""
        self._offset = 0
        self._dirty = False

    # ------------------------------------------------------------ sealing

    def seal(self, tenant: str, subject: str, day: str, secrets: Secrets) -> Sealed:
        """Seal the values of one record. Nothing of the box is on disk before `write`."""
        key = f"{subject_folder(tenant, subject)}/{day}"
        text = msgspec.json.encode({path: [salt.hex(), value.decode()] for path, (salt, value) in secrets.items()})
        chance = os.urandom(28)
        box, nonce = chance[:16], chance[16:]
        sealed = self._key(key).encrypt(nonce, text, _bound(key, box))
        return Sealed(box.hex(), key, FRAME.pack(MAGIC, len(sealed), box, nonce) + sealed)

    def _key(self, key: str) -> "AESGCM":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        path = f"{self._directory}/keys/{key}.key"
        with self._lock:
            cached = self._keys.get(key)
            if cached is not None and self._exists(path):  # another process may have erased the subject
                return cached
            raw = self._read_key(path) or self._make_key(path)
            made = self._keys[key] = AESGCM(raw)
            self._keys.move_to_end(key)
            if len(self._keys) > KEYS_CACHED:
                self._keys.popitem(last=False)
            return made

    def _exists(self, path: str) -> bool:
        try:
            self._storage.close(self._storage.open(path))
        except FileNotFoundError:
            return False
        return True

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
        """The key that stands under this name afterwards, ours or that of a process that was quicker."""
        self._storage.make_dir(path.rpartition("/")[0])
        raw = self._storage.random(KEY_BYTES)
        for _ in range(MAKING_TRIES):
            try:
                file = self._storage.create(path)
            except FileExistsError:
                time.sleep(0.001)  # between another's making the file and writing it
                found = self._read_key(path)
                if found is not None:
                    return found
                continue
            try:
                self._storage.pwrite(file, raw, 0)
            finally:
                self._storage.close(file)
            self._new_keys.add(path)
            return raw
        raise EvidenceError(f"the key `{path}` is empty, a crash left it so; it sealed nothing: remove the file")

    def write(self, frames: list[bytes], day: str, *, sync: bool) -> None:
        """Write sealed boxes; with `sync` they are durable afterwards, and otherwise after `sync_now`."""
        if not frames:
            return
        if self._file is None or day != self._file_day:
            self._close_file()
            folder = f"{self._directory}/boxes/{day}"
            self._storage.make_dir(folder)
            # A file of one's own: after a crash, what is torn is at the end of a file that nobody goes on with.
            self._file = self._storage.create(f"{folder}/{self._name}-{self._storage.random(6).hex()}.box")
            self._storage.sync_dir(folder)
            self._file_day, self._offset = day, 0
        data = b"".join(frames)
        self._storage.pwrite(self._file, data, self._offset)
        self._offset += len(data)
        self._dirty = True
        if sync:
            self.sync_now()

    def sync_now(self) -> None:
        """Make keys and boxes durable."""
        with self._lock:
            paths, self._new_keys = self._new_keys, set()
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
        with self._lock:
            self._keys.clear()

    # ------------------------------------------------------------ opening and erasing

    def open(self, box: str, key: str) -> dict[str, tuple[bytes, bytes]]:
        """The values in a box: by path, salt and spelling.

        Cost: one pass over the boxes of that day.

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
        for found, nonce, sealed in self._boxes(key.rpartition("/")[2]):
            if found == wanted:
                try:
                    text = AESGCM(raw).decrypt(nonce, sealed, _bound(key, wanted))
                except InvalidTag:
                    # A subject that was erased and came again on the same day has another key now.
                    raise Erased(key) from None
                values = msgspec.json.decode(text, type=dict[str, tuple[str, str]])
                return {path: (bytes.fromhex(salt), value.encode()) for path, (salt, value) in values.items()}
        raise DoesNotFit(
            f"the box `{box}` is not in `{self._directory}/boxes`; a crash loses those of the last second, or the day"
            " was removed"
        )

    def _boxes(self, day: str) -> Iterator[tuple[bytes, bytes, bytes]]:
        folder = f"{self._directory}/boxes/{day}"
        try:
            names = self._storage.list(folder)
        except FileNotFoundError:
            return
        for name in sorted(names):
            file = self._storage.open(f"{folder}/{name}")
            try:
                offset = 0
                while len(head := self._storage.pread(file, FRAME.size, offset)) == FRAME.size:
                    magic, length, box, nonce = FRAME.unpack(head)
                    sealed = self._storage.pread(file, length, offset + FRAME.size)
                    if magic != MAGIC or len(sealed) < length:
                        break
                    yield box, nonce, sealed
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
            for name in sorted(names):
                path = f"{folder}/{name}"
                file = self._storage.open(path, write=True)
                try:
                    self._storage.pwrite(file, bytes(KEY_BYTES), 0)
                    self._storage.sync(file)
                finally:
                    self._storage.close(file)
                self._storage.unlink(path)
                if name.endswith(".key"):
                    days.append(name.removesuffix(".key"))
            self._storage.sync_dir(folder)
        except OSError as error:
            raise explain(error, folder, "erase") from error
        with self._lock:
            self._keys.clear()
        return days


def _bound(key: str, box: bytes) -> bytes:
    """What a box is bound to besides its key: moved under another name it does not open."""
    return b"thoth vault 1\0" + key.encode() + b"\0" + box


def check_value(committed: str, path: str, salt: bytes, value: bytes) -> None:
    """Return if a disclosed value, in its one spelling, is the one that a record commits to.

    Raises:
        DoesNotFit: it is not.
    """
    if commitment(salt, path, value) != committed:
        raise DoesNotFit(f"this is not the value of `{path}` in the record; it commits to {committed}")
