"""The folder of a log: what lies where in it, who signs it, and which shards it has.

log.json            the origin (the log's name for ever), where the signing key is, the size of a segment
log.pub             the public half, for the auditor
signing.pem         the signing key, unless it is kept elsewhere
shards/<name>/      one writer's records, with the newest signed `checkpoint`
root/               a log of the shards' checkpoints, with its own `checkpoint`
vault/              what no record holds
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from .errors import EvidenceError, NoLog, explain
from .keys import KeyFileError, make_key, read_key, read_public
from .merkle import ProofError
from .note import SigningKey, VerifierKey, check_key_name
from .storage import FileStorage, Storage

SETTINGS: Final = "log.json"
PUBLIC: Final = "log.pub"
KEY: Final = "signing.pem"
ROOT: Final = "root"
SEGMENT_BYTES: Final = 64 << 20
ROOT_SEGMENT_BYTES: Final = 1 << 20
PAGE: Final = 4096


class Exists(EvidenceError):
    """There is a log already where one was to be made."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What `log.json` holds."""

    format: int = 1
    origin: str
    key: str = KEY
    segment_bytes: int = SEGMENT_BYTES
    created_us: int = 0


@dataclass(frozen=True, slots=True)
class LogFolder:
    """A log that is there: its folder and its settings."""

    directory: str
    settings: Settings

    @property
    def origin(self) -> str:
        return self.settings.origin

    @property
    def key_path(self) -> str:
        """Where the signing key is; a relative path begins at the folder."""
        return str(Path(self.directory, self.settings.key))

    def shard_path(self, shard: str) -> str:
        return f"{self.directory}/shards/{shard}"

    def shard_origin(self, shard: str) -> str:
        """The name of a shard's own tree, in its checkpoints and receipts."""
        return f"{self.origin}/{shard}"

    def shards(self, storage: Storage) -> list[str]:
        """The names of all shards, in order."""
        try:
            return sorted(name for name in storage.list(f"{self.directory}/shards") if not name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise explain(error, self.directory, "read") from error

    def signing_key(self, shard: str | None = None) -> SigningKey:
        """The key under the name of a shard, or of the root log.

        Raises:
            KeyFileError: it is missing, or open to others.
        """
        return read_key(self.key_path, self.origin if shard is None else self.shard_origin(shard))

    def public_key(self) -> VerifierKey:
        """The public half that lies in the folder; who can change the log can change it too."""
        try:
            key = read_public(Path(self.directory, PUBLIC).read_text("utf-8"), self.origin)
        except (OSError, ProofError, UnicodeDecodeError) as error:
            raise KeyFileError(
                f"the public key `{self.directory}/{PUBLIC}` cannot be read ({error}); put it back, or say `--key`"
            ) from None
        return key


def need_cryptography() -> None:
    """Return if signatures can be made and checked here.

    Raises:
        EvidenceError: what to install.
    """
    if importlib.util.find_spec("cryptography") is None:
        raise EvidenceError(
            "signatures and sealed values need `cryptography`; install it with `pip install cryptography`"
        )


def verifier_of(key: VerifierKey, shard: str) -> VerifierKey:
    """The same public key under a shard's name."""
    return VerifierKey(f"{key.name}/{shard}", key.public)


def open_folder(directory: str | os.PathLike[str], storage: Storage | None = None) -> LogFolder:
    """The log in this folder.

    Raises:
        NoLog: there is none; the message says how one is made.
        EvidenceError: it cannot be read.
    """
    storage = storage or FileStorage()
    directory = os.fspath(directory)
    path = f"{directory}/{SETTINGS}"
    try:
        file = storage.open(path)
        try:
            text = storage.pread(file, 1 << 16, 0)
        finally:
            storage.close(file)
    except (FileNotFoundError, NotADirectoryError):
        raise NoLog(directory) from None
    except OSError as error:
        raise explain(error, path, "read") from error
    try:
        settings = msgspec.json.decode(text, type=Settings)
        check_key_name(settings.origin)
    except (msgspec.DecodeError, ProofError) as error:
        raise EvidenceError(f"`{path}` is not as it was written ({error}); put it back from a copy") from None
    if settings.format != 1:
        raise EvidenceError(f"`{path}` is of format {settings.format}; this version reads format 1")
    return LogFolder(directory, settings)


def make_folder(
    directory: str | os.PathLike[str],
    *,
    origin: str | None = None,
    key: str | os.PathLike[str] | None = None,
    segment_bytes: int = SEGMENT_BYTES,
    storage: Storage | None = None,
) -> tuple[LogFolder, VerifierKey]:
    """Make a log: its folder, its signing key and its settings; nothing that is there is touched.

    `origin` names the log for ever; unsaid, a random name. `key` says where the signing key is to lie.

    Raises:
        Exists: there is a log already.
        KeyFileError: the key cannot be made.
    """
    need_cryptography()
    storage = storage or FileStorage()
    directory = os.fspath(directory)
    path = f"{directory}/{SETTINGS}"
    if segment_bytes % PAGE or segment_bytes < 16 * PAGE:
        raise EvidenceError(f"a segment has a multiple of {PAGE} bytes, at least {16 * PAGE}, not {segment_bytes}")
    try:
        storage.make_dir(directory)
        if SETTINGS in storage.list(directory):
            raise Exists(f"`{directory}` holds an evidence log already, and it stays as it is; name another folder")
        storage.make_dir(f"{directory}/shards")
    except OSError as error:
        raise explain(error, directory, "make") from error
    name = origin or f"thoth.evidence/{storage.random(8).hex()}"
    check_key_name(name)
    key_path = os.fspath(key) if key is not None else KEY
    settings = Settings(
        origin=name,
        key=key_path if key is None else str(Path(key_path).resolve()),
        segment_bytes=segment_bytes,
        created_us=storage.now() // 1000,
    )
    folder = LogFolder(directory, settings)
    public = make_key(folder.key_path, name).verifier()
    try:
        _write(storage, f"{directory}/{PUBLIC}", f"{public}\n".encode())
        # Last: a folder without it is no log yet.
        _write(storage, path, msgspec.json.format(msgspec.json.encode(settings), indent=2) + b"\n")
        storage.sync_dir(directory)
    except OSError as error:
        raise explain(error, directory, "write") from error
    return folder, public


def _write(storage: Storage, path: str, data: bytes) -> None:
    file = storage.create(path)
    try:
        storage.pwrite(file, data, 0)
        storage.sync(file)
    finally:
        storage.close(file)
