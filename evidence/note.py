"""Signed notes (C2SP signed-note): a text, a blank line, and a signature line for each key that signed it.

A note's text counts for nothing until a key we know has signed it. Signatures of keys we do not know are ignored; a
wrong signature of a key we know condemns the note. Base64 is read in its one canonical spelling, so that no two
different files are the same note. Keys are Ed25519; `cryptography` is loaded when one is used.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .merkle import ProofError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NOTE_BYTES_MAX = 1_000_000
SIGNATURES_MAX = 100
ED25519 = b"\x01"  # the signature type, first byte of a key in its text form
KEY_BYTES = 32
KEY_ID_BYTES = 4
DASH = "\N{EM DASH} "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half of a key, with its name. As text: `name+hash+base64`, the form Go and the log tools share."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.public) != KEY_BYTES:
            raise ProofError(
                f"an Ed25519 public key has {KEY_BYTES} bytes, and that of `{self.name}` {len(self.public)}"
            )

    @property
    def key_id(self) -> bytes:
        """Four bytes that say which key to try; not a fingerprint, for others can make one that collides."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """The key whose text form this is.

        Raises:
            ProofError: where it has another form or type, or its hash is not that of its name and key.
        """
        name, first, rest = text.partition("+")
        key_id, second, encoded = rest.partition("+")
        if not (first and second):
            raise ProofError(f"`{text}` is not a verifier key; it looks like `name+hash+base64`")
        key = unbase64(encoded, "verifier key")
        if key[:1] != ED25519:
            raise ProofError(
                f"the verifier key of `{name}` is not an Ed25519 key: its type is {key[:1].hex() or 'missing'}"
            )
        verifier = cls(name, key[1:])
        if key_id != verifier.key_id.hex():
            raise ProofError(
                f"the verifier key of `{name}` does not fit together: it says hash `{key_id}`, but name and key have"
                f" `{verifier.key_id.hex()}`; copy it again, whole"
            )
        return verifier

    def verify(self, message: bytes, signature: bytes) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise ProofError(
                f"the signature of `{self.name}` ({self.key_id.hex()}) is not a signature of this text"
            ) from None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private half of a key, with its name. Its own text shows neither."""

    name: str
    private: "Ed25519PrivateKey"

    def __post_init__(self) -> None:
        check_key_name(self.name)

    def __repr__(self) -> str:
        return f"SigningKey({self.name!r})"

    def verifier(self) -> VerifierKey:
        return VerifierKey(self.name, self.private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line, read but not verified."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        return f"{DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class OpenNote:
    """A note's text, ending in a newline, and the keys that signed it; who else may have signed it is not known."""

    text: str
    keys: tuple[VerifierKey, ...]
    unknown: tuple[Signature, ...]


def sign_note(text: str, keys: Sequence[SigningKey]) -> bytes:
    """The text as a note with one signature for each key, in their order."""
    assert keys, "a note has at least one signature"
    _check_text(text)
    return f"{text}\n{_sign(text, keys)}".encode()


def add_signatures(note: bytes, keys: Sequence[SigningKey]) -> bytes:
    """The same note with further signatures at its end. What is signed already stays, byte for byte."""
    text, _ = split_note(note)
    return note + _sign(text, keys).encode()


def _sign(text: str, keys: Sequence[SigningKey]) -> str:
    lines = [Signature(key.name, key.verifier().key_id, key.sign(text.encode())).line() for key in keys]
    return "".join(lines)


def open_note(note: bytes, keys: Iterable[VerifierKey]) -> OpenNote:
    """The text of a note that at least one of these keys has signed.

    Raises:
        ProofError: where the note is malformed, none of the keys signed it, or a signature of one of them is wrong.
    """
    text, signatures = split_note(note)
    known = {(key.name, key.key_id): key for key in keys}
    verified: dict[VerifierKey, None] = {}
    unknown = []
    for signature in signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            unknown.append(signature)
        else:
            key.verify(text.encode(), signature.signature)
            verified[key] = None
    if not verified:
        signers = ", ".join(f"`{signature.name}` ({signature.key_id.hex()})" for signature in unknown)
        wanted = ", ".join(f"`{name}` ({key_id.hex()})" for name, key_id in known)
        raise ProofError(
            f"none of the known keys ({wanted or 'none given'}) signed the note; it is signed by {signers}"
        )
    return OpenNote(text, tuple(verified), tuple(unknown))


def split_note(note: bytes) -> tuple[str, list[Signature]]:
    """A note's text and its signature lines, unverified: to look up who might have signed it, never to believe it.

    Raises:
        ProofError: where it is not a note.
    """
    if len(note) > NOTE_BYTES_MAX:
        raise ProofError(f"the note has {len(note)} bytes; more than {NOTE_BYTES_MAX} are not read")
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise ProofError(f"the note is not UTF-8 at byte {error.start}") from None
    text, blank, block = whole.rpartition("\n\n")
    if not blank:
        raise ProofError("the note has no blank line between its text and its signatures")
    text += "\n"
    _check_text(text)
    if not block.endswith("\n"):
        raise ProofError("the note ends within a signature line, or has none; it may have been cut off")
    lines = block[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise ProofError(f"the note has {len(lines)} signatures; more than {SIGNATURES_MAX} are not read")
    return text, [_signature(line) for line in lines]


def _signature(line: str) -> Signature:
    _check_controls(line)
    name, space, encoded = line.removeprefix(DASH).partition(" ")
    if not line.startswith(DASH) or not space:
        raise ProofError(f"`{line}` is not a signature line; it looks like `— name base64`")
    check_key_name(name)
    both = unbase64(encoded, "signature")
    if len(both) <= KEY_ID_BYTES:
        raise ProofError(f"the signature of `{name}` is too short to be one")
    return Signature(name, both[:KEY_ID_BYTES], both[KEY_ID_BYTES:])


def _check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise ProofError("the text of a note ends in a newline, and this one does not")
    _check_controls(text.replace("\n", ""))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ProofError("the text of a note is UTF-8, and this one has half a character (a lone surrogate)") from None


def _check_controls(text: str) -> None:
    for char in text:
        if char < " ":
            raise ProofError(
                f"a note has no control characters besides the newline, and this one has U+{ord(char):04X}"
            )


def check_key_name(name: str) -> None:
    """Return if a key may be called so: not empty, no spaces of any kind, no plus, no control characters."""
    if not name:
        raise ProofError("the name of a key is empty")
    for char in name:
        if char.isspace() or char < " " or char == "+" or "\ud800" <= char <= "\udfff":
            raise ProofError(
                f"the name of a key has no U+{ord(char):04X} in it: `{name!r}`; write `example.com/log` or so"
            )


def unbase64(text: str, what: str) -> bytes:
    """The bytes that standard base64 spells so, with padding, and in no other way.

    Python and Go both read `QR==` as they do `QQ==`; two spellings of one signature would be two notes.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProofError(f"the {what} is not base64: `{text}`") from None
    if base64.b64encode(raw).decode() != text:
        raise ProofError(f"the {what} is not base64 as it is written by everyone: `{text}`")
    return raw
