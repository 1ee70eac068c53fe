"""Key files: made once, readable by their owner alone, and errors that say what to do."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from thoth.evidence.keys import KeyFileError, make_key, public_pem, read_key, read_public
from thoth.evidence.merkle import ProofError
from thoth.evidence.note import VerifierKey, open_note, sign_note

ROOM = [f"thoth.evidence.{name}" for name in ("merkle", "note", "checkpoint", "tiles", "receipt", "keys")]
NAME = "example.com/thoth/0"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signing.pem"


def test_cryptography_is_loaded_only_when_a_key_is_used() -> None:
    """Hashing, exporting and proving need no keys, and run where the extra is not installed."""
    program = f"import sys, {', '.join(ROOM)}; print('cryptography' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_a_key_that_was_made_can_be_read(path: Path) -> None:
    made = make_key(path, NAME)
    read = read_key(path, NAME)
    assert read.verifier() == made.verifier()
    assert open_note(sign_note("text\n", [read]), [made.verifier()]).text == "text\n"
    assert path.read_text().startswith("-----BEGIN PRIVATE KEY-----\n")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_a_key_file_is_for_its_owner_alone_whatever_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_key(path, NAME)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_is_never_overwritten(path: Path) -> None:
    make_key(path, NAME)
    before = path.read_bytes()
    with pytest.raises(KeyFileError, match="exists already, and a key is never overwritten; choose another path"):
        make_key(path, NAME)
    assert path.read_bytes() == before


def test_a_key_is_not_made_through_a_link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere.pem"))
    with pytest.raises(KeyFileError, match="exists already"):
        make_key(path, NAME)
    assert not path.exists()


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"nowhere/signing.pem` cannot be made: No such file or directory"):
        make_key(tmp_path / "nowhere/signing.pem", NAME)


def test_a_key_that_could_not_be_written_is_not_left_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(KeyFileError, match="cannot be written: No space left on device"):
        make_key(path, NAME)
    assert not path.exists()


def test_a_missing_key_is_named(path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"signing.pem` does not exist; make one, or put back the one of this log"):
        read_key(path, NAME)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o777])
def test_a_key_that_is_open_to_others_is_not_used(path: Path, mode: int) -> None:
    make_key(path, NAME)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=rf"open to others \(mode {mode:o}\); write `chmod 600 .*signing.pem`"):
        read_key(path, NAME)
    path.chmod(0o400)
    read_key(path, NAME)


def test_a_folder_is_not_a_key(path: Path) -> None:
    path.mkdir(mode=0o700)
    with pytest.raises(KeyFileError, match="cannot be read: Is a directory"):
        read_key(path, NAME)


def test_a_pipe_is_not_a_key(path: Path) -> None:
    os.mkfifo(path, 0o600)
    with pytest.raises(KeyFileError, match="is not a file"):
        read_key(path, NAME)


@pytest.mark.parametrize("content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\n", bytes(10_000)])
def test_what_is_no_key_is_named(path: Path, content: bytes) -> None:
    write(path, content)
    with pytest.raises(KeyFileError, match="holds no private key in PEM"):
        read_key(path, NAME)


def test_the_public_half_is_no_signing_key(path: Path, tmp_path: Path) -> None:
    key = make_key(path, NAME)
    other = tmp_path / "public.pem"
    write(other, public_pem(key.verifier()).encode())
    with pytest.raises(KeyFileError, match="is it the public half"):
        read_key(other, NAME)


def test_a_key_of_another_kind_is_named(path: Path) -> None:
    write(path, pem(ec.generate_private_key(ec.SECP256R1()), serialization.NoEncryption()))
    with pytest.raises(KeyFileError, match=r"a key of another kind .* an Ed25519 key is needed"):
        read_key(path, NAME)


def test_an_encrypted_key_is_named(path: Path) -> None:
    write(path, pem(ed25519.Ed25519PrivateKey.generate(), serialization.BestAvailableEncryption(b"secret")))
    with pytest.raises(KeyFileError, match="is encrypted; decrypt it with `openssl pkey"):
        read_key(path, NAME)


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def pem(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, encryption: serialization.KeySerializationEncryption
) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def test_the_public_half_is_read_in_both_forms(path: Path) -> None:
    key = make_key(path, NAME).verifier()
    assert read_public(f"{key}\n") == read_public(str(key), NAME) == key
    assert read_public(public_pem(key), NAME) == key
    assert VerifierKey.parse(str(key)) == key


def test_a_public_key_that_does_not_fit_is_named(path: Path) -> None:
    key = make_key(path, NAME).verifier()
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    other_pem = other.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for text, name, message in (
        (public_pem(key), None, "does not say its name"),
        (str(key), "example.com/other", "is of `example.com/thoth/0`, not of `example.com/other`"),
        (path.read_text(), NAME, "a private key is not a public one"),
        (other_pem.decode(), NAME, "of another kind"),
        ("", NAME, "is not a verifier key"),
    ):
        with pytest.raises(ProofError, match=message):
            read_public(text, name)


def test_a_name_that_no_note_could_carry_is_refused_before_a_key_is_made(path: Path) -> None:
    with pytest.raises(ProofError, match=r"U\+0020"):
        make_key(path, "two words")
    assert not path.exists()
