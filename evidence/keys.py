"""Signing keys in files: Ed25519, PEM (PKCS8), readable by their owner alone.

A key is made once and never overwritten: a log signed with a lost key can still be verified, but never be continued.
`cryptography` is loaded when a key is made or read.
"""

import os
import stat
from pathlib import Path

from ..contract import OperationError
from .merkle import ProofError
from .note import SigningKey, VerifierKey, check_key_name

KEY_FILE_BYTES_MAX = 4096
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class KeyFileError(OperationError):
    """A key file that cannot be made or used as it is; the message says what to do."""


def make_key(path: str | Path, name: str) -> SigningKey:
    """Make a key and its file, which nobody else can read, not even for a moment. The file does not hold the name.

    Raises:
        KeyFileError: where something is there already, or the file cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    check_key_name(name)
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = Path(path)
    try:
        # The mode is the widest the file ever has: a umask only narrows it, and fchmod mends too narrow a one.
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise KeyFileError(f"`{path}` exists already, and a key is never overwritten; choose another path") from None
    except OSError as error:
        raise KeyFileError(f"the signing key `{path}` cannot be made: {error.strerror}") from None
    try:
        with os.fdopen(file, "wb") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(pem)
            out.flush()
            os.fsync(out.fileno())
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise KeyFileError(f"the signing key `{path}` cannot be written: {error.strerror}") from None
    return SigningKey(name, private)


def read_key(path: str | Path, name: str) -> SigningKey:
    """The key in this file, under this name: the origin of the log it signs.

    Raises:
        KeyFileError: where the file is missing, open to others, or holds something else.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(_read_private_file(Path(path)), password=None)
    except TypeError:  # cryptography's way to say that there is a password
        raise KeyFileError(
            f"the signing key `{path}` is encrypted; decrypt it with `openssl pkey -in {path} -out ...` and keep the"
            " file to yourself (mode 600)"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(
            f"`{path}` holds no private key in PEM (PKCS8); is it the public half, or another file?"
        ) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(f"`{path}` holds a key of another kind ({type(private).__name__}); an Ed25519 key is needed")
    return SigningKey(name, private)


def _read_private_file(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_without_waiting) as key:
            # Asked of the open file, not of the path: what is checked is what is read.
            status = os.fstat(key.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileError(f"the signing key `{path}` is not a file")
            if status.st_mode & OTHERS:
                raise KeyFileError(
                    f"the signing key `{path}` is open to others (mode {stat.S_IMODE(status.st_mode):o}); write"
                    f" `chmod 600 {path}`, and make a new key if someone may have read it"
                )
            return key.read(KEY_FILE_BYTES_MAX)
    except FileNotFoundError:
        raise KeyFileError(
            f"the signing key `{path}` does not exist; make one, or put back the one of this log"
        ) from None
    except OSError as error:
        raise KeyFileError(f"the signing key `{path}` cannot be read: {error.strerror}") from None


def _without_waiting(path: str, flags: int) -> int:
    """A named pipe would otherwise wait for a writer, for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def public_pem(key: VerifierKey) -> str:
    """The public half as PEM (SubjectPublicKeyInfo), for tools that know no verifier keys. The name is not in it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public = Ed25519PublicKey.from_public_bytes(key.public)
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def read_public(text: str, name: str | None = None) -> VerifierKey:
    """A public key from its text: the verifier key `name+hash+base64`, or PEM, which needs the name beside it.

    Raises:
        ProofError: where it is neither, or the name is missing or another one.
    """
    text = text.strip()
    if not text.startswith("-----BEGIN"):
        key = VerifierKey.parse(text)
        if name not in (None, key.name):
            raise ProofError(f"the verifier key is of `{key.name}`, not of `{name}`")
        return key
    if name is None:
        raise ProofError("a public key in PEM does not say its name; give the log's origin with it")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        public = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ProofError(
            f"the public key of `{name}` is not PEM that can be read; a private key is not a public one"
        ) from None
    if not isinstance(public, Ed25519PublicKey):
        raise ProofError(f"the public key of `{name}` is of another kind ({type(public).__name__}), not Ed25519")
    return VerifierKey(name, public.public_bytes_raw())
