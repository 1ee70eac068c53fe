"""Notes and checkpoints: what was signed by whom, and a signer that never contradicts itself."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from thoth.evidence.checkpoint import (
    Checkpoint,
    CheckpointFile,
    Signer,
    SignerRefusal,
    open_checkpoint,
    peek_checkpoint,
)
from thoth.evidence.merkle import EMPTY_ROOT, ProofError, leaf_hash
from thoth.evidence.note import SigningKey, VerifierKey, add_signatures, open_note, sign_note, split_note

ROOT = leaf_hash(b"root")


def signing_key(name: str = "example.com/thoth/0", seed: int = 1) -> SigningKey:
    """A key that everybody can know."""
    return SigningKey(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


KEY = signing_key()
WITNESS = signing_key("witness.example", 2)
STRANGER = signing_key("stranger.example", 3)


# The note and the key in the documentation of golang.org/x/mod/sumdb/note.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    GO_TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()


def test_the_note_in_the_documentation_of_go_is_opened() -> None:
    key = VerifierKey.parse(GO_KEY)
    assert str(key) == GO_KEY
    opened = open_note(GO_NOTE, [key])
    assert opened.text == GO_TEXT
    assert opened.keys == (key,)


def test_a_note_is_opened_with_the_key_that_signed_it() -> None:
    note = sign_note("a text\n\nwith a blank line\n", [KEY])
    opened = open_note(note, [KEY.verifier()])
    assert opened.text == "a text\n\nwith a blank line\n"
    assert opened.unknown == ()


def test_signatures_of_unknown_keys_are_ignored() -> None:
    note = add_signatures(sign_note("text\n", [KEY, STRANGER]), [WITNESS])
    opened = open_note(note, [WITNESS.verifier(), KEY.verifier()])
    assert opened.keys == (KEY.verifier(), WITNESS.verifier())
    assert [signature.name for signature in opened.unknown] == ["stranger.example"]
    # Of another type, such as a timestamped cosignature (0x04): not 64 bytes, and not ours to read.
    other = base64.b64encode(b"\4abc" + bytes(72)).decode()
    assert open_note(note + f"— example.com/thoth/0 {other}\n".encode(), [KEY.verifier()]).keys == (KEY.verifier(),)


def test_a_note_that_no_known_key_signed_is_refused() -> None:
    with pytest.raises(
        ProofError, match=r"none of the known keys \(`witness.example` .* signed by `example.com/thoth/0`"
    ):
        open_note(sign_note("text\n", [KEY]), [WITNESS.verifier()])
    with pytest.raises(ProofError, match="none given"):
        open_note(sign_note("text\n", [KEY]), [])
    with pytest.raises(ProofError, match="none of the known keys"):  # the same name, another key
        open_note(sign_note("text\n", [KEY]), [signing_key(seed=9).verifier()])


def test_one_wrong_signature_of_a_known_key_condemns_the_note() -> None:
    note = sign_note("text\n", [KEY, WITNESS])
    wrong = sign_note("another text\n", [WITNESS]).decode().split("\n")[-2]
    lines = note.decode().split("\n")
    forged = "\n".join([*lines[:-2], wrong, ""]).encode()
    with pytest.raises(ProofError, match=r"the signature of `witness.example` .* is not a signature of this text"):
        open_note(forged, [KEY.verifier(), WITNESS.verifier()])
    assert open_note(forged, [KEY.verifier()]).text == "text\n"
    with pytest.raises(ProofError, match="is not a signature"):  # also beside a right one of the same key
        open_note(note + wrong.encode() + b"\n", [KEY.verifier(), WITNESS.verifier()])


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (b"", "no blank line"),
        (b"text\n", "no blank line"),
        (b"text\n\n", "has none"),
        (b"text\n\n\n", "has none"),
        (b"text\n\nsigned\n", "not a signature line"),
        (GO_NOTE[:-1], "may have been cut off"),
        (GO_NOTE + b"\n", "has none"),
        (GO_NOTE + b"x", "cut off"),
        (GO_NOTE.replace("—".encode(), b"-"), "not a signature line"),
        (GO_NOTE.replace(b" x08go", b"  x08go"), "not base64"),
        (GO_NOTE.replace(b"AM=", b"AN="), "not base64 as it is written"),
        (GO_NOTE.replace(b"AM=", b"AM"), "not base64"),
        (GO_NOTE.replace(b"x08go/", b"x08go_"), "not base64"),
        (GO_NOTE.replace(b"x08go/Z", b"x08go/\rZ"), "U\\+000D"),
        (GO_NOTE.replace(b"cryptography", b"crypto\tgraphy"), "U\\+0009"),
        (GO_NOTE.replace(b"cryptography", b"crypto\xffgraphy"), "not UTF-8 at byte 19"),
        (GO_NOTE.replace(b"PeterNeumann", b"Peter+Neumann"), "U\\+002B"),
        (GO_NOTE.replace(b"PeterNeumann", "Peter\u00a0Neumann".encode()), "U\\+00A0"),
        (GO_NOTE.replace(b"PeterNeumann", b""), "name of a key is empty"),
        ("text\n\n— name AAAA\n".encode(), "too short"),
        ("text\n\n— name\n".encode(), "not a signature line"),
        (GO_NOTE + GO_NOTE.split(b"\n\n")[1] * 100, "101 signatures"),
        (b"a" * 1_000_001, "1000001 bytes"),
    ],
)
def test_what_is_no_note_is_refused(note: bytes, message: str) -> None:
    with pytest.raises(ProofError, match=message):
        open_note(note, [VerifierKey.parse(GO_KEY)])


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "\ud800\n"])
def test_what_can_be_no_note_is_not_signed(text: str) -> None:
    with pytest.raises(ProofError):
        sign_note(text, [KEY])


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: f"a\n\n— {text}\n".encode(errors="replace")))
def test_any_bytes_are_a_note_or_refused(note: bytes) -> None:
    try:
        text, signatures = split_note(note)
    except ProofError:
        return
    assert f"{text}\n{''.join(signature.line() for signature in signatures)}".encode() == note


@given(st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32) | st.just("\n"), max_size=200))
def test_any_text_that_can_be_signed_comes_back(text: str) -> None:
    assert open_note(sign_note(f"{text}\n", [KEY]), [KEY.verifier()]).text == f"{text}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "looks like `name\\+hash\\+base64`"),
        ("name", "looks like"),
        ("name+c74f20a3", "looks like"),
        (GO_KEY.replace("c74f", "C74F"), "copy it again"),
        (GO_KEY.replace("Peter", "Pete"), "copy it again"),
        (GO_KEY[:-4], "has 32 bytes"),
        (GO_KEY.replace("TW", "TX"), "copy it again"),
        (GO_KEY.replace("+AR", "+BR"), "its type is 05"),
        ("name+00000000+", "type is missing"),
        ("+00000000+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "name of a key is empty"),
        ("a b+00000000+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "U\\+0020"),
        (GO_KEY + "\n", "not base64"),
        (GO_KEY + "é", "not base64"),
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str, message: str) -> None:
    with pytest.raises(ProofError, match=message):
        VerifierKey.parse(text)


def test_a_signing_key_does_not_show_itself() -> None:
    assert repr(KEY) == str(KEY) == "SigningKey('example.com/thoth/0')"


# Checkpoints


def test_a_checkpoint_is_three_lines_and_its_signature() -> None:
    note = sign_note(Checkpoint("example.com/thoth/0", 0, EMPTY_ROOT).text, [KEY])
    assert note.decode().split("\n")[:4] == [
        "example.com/thoth/0",
        "0",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "",
    ]
    assert open_checkpoint(note, KEY.verifier()) == peek_checkpoint(note) == Checkpoint(KEY.name, 0, EMPTY_ROOT)


def test_extension_lines_are_kept() -> None:
    checkpoint = Checkpoint(KEY.name, 7, ROOT, ("time 1", "mode sync"))
    assert open_checkpoint(sign_note(checkpoint.text, [KEY]), KEY.verifier()) == checkpoint


def test_a_checkpoint_of_another_log_is_refused() -> None:
    with pytest.raises(ProofError, match=r"is of the log `example.com/other`, and the key is of `example.com/thoth/0`"):
        open_checkpoint(sign_note(Checkpoint("example.com/other", 7, ROOT).text, [KEY]), KEY.verifier())


def test_a_witness_alone_does_not_make_a_checkpoint() -> None:
    text = Checkpoint(KEY.name, 7, ROOT).text
    both = sign_note(text, [KEY, WITNESS])
    assert open_checkpoint(both, KEY.verifier(), others=(WITNESS.verifier(),)).size == 7
    with pytest.raises(ProofError, match="not signed by its log"):
        open_checkpoint(sign_note(text, [WITNESS]), KEY.verifier(), others=(WITNESS.verifier(),))


ROOT_LINE = base64.b64encode(ROOT).decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least three lines"),
        ("origin\n7\n", "at least three lines"),
        (f"origin\n7\n{ROOT_LINE}", "at least three lines"),
        (f"origin\n7\n{ROOT_LINE}\nmore", "at least three lines"),
        (f"\n7\n{ROOT_LINE}\n", "line of a checkpoint is empty"),
        (f"origin\n7\n{ROOT_LINE}\n\n", "line of a checkpoint is empty"),
        (f"origin\n7\n{ROOT_LINE}\n\nmore\n", "line of a checkpoint is empty"),
        (f"origin\n07\n{ROOT_LINE}\n", "not a plain decimal"),
        (f"origin\n+7\n{ROOT_LINE}\n", "not a plain decimal"),
        (f"origin\n-7\n{ROOT_LINE}\n", "not a plain decimal"),
        (f"origin\n7 \n{ROOT_LINE}\n", "not a plain decimal"),
        (f"origin\n7_0\n{ROOT_LINE}\n", "not a plain decimal"),
        (f"origin\n٧\n{ROOT_LINE}\n", "not a plain decimal"),
        (f"origin\n\n{ROOT_LINE}\n", "not a plain decimal"),
        (f"origin\n9223372036854775808\n{ROOT_LINE}\n", "not between 0 and"),
        (f"origin\n{'9' * 5000}\n{ROOT_LINE}\n", "too large"),
        (f"origin\n7\n{ROOT_LINE[:-4]}\n", "has 30 bytes"),
        (f"origin\n7\n{ROOT_LINE[:-1]}\n", "not base64"),
        (f"origin\n0\n{ROOT_LINE}\n", "root of the empty tree"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str, message: str) -> None:
    with pytest.raises(ProofError, match=message):
        Checkpoint.parse(text)


def test_any_flipped_bit_of_a_checkpoint_is_refused() -> None:
    note = sign_note(Checkpoint(KEY.name, 1_234_567, ROOT, ("an extension",)).text, [KEY])
    for at in range(len(note)):
        for bit in range(8):
            flipped = bytearray(note)
            flipped[at] ^= 1 << bit
            with pytest.raises(ProofError):
                open_checkpoint(bytes(flipped), KEY.verifier())


def test_a_checkpoint_cut_anywhere_is_refused() -> None:
    note = sign_note(Checkpoint(KEY.name, 1_234_567, ROOT).text, [KEY])
    for length in range(len(note)):
        with pytest.raises(ProofError):
            open_checkpoint(note[:length], KEY.verifier())


# The signer


class Kept:
    """A place for the last checkpoint that can fail."""

    def __init__(self) -> None:
        self.note: bytes | None = None
        self.error: OSError | None = None

    def read(self) -> bytes | None:
        return self.note

    def replace(self, note: bytes) -> None:
        if self.error:
            raise self.error
        self.note = note


def test_a_signer_goes_forward_only() -> None:
    kept = Kept()
    signer = Signer(KEY, kept)
    signer.sign(0, EMPTY_ROOT)
    signer.sign(7, ROOT)
    signer.sign(7, ROOT, ("again",))
    for signer_ in (signer, Signer(KEY, kept)):  # also after a restart
        with pytest.raises(SignerRefusal, match="has signed size 7 and is asked to sign size 6: records are gone"):
            signer_.sign(6, ROOT)
        with pytest.raises(SignerRefusal, match="records are not what they were"):
            signer_.sign(7, leaf_hash(b"another"))
        assert signer_.last == Checkpoint(KEY.name, 7, ROOT, ("again",))
    assert open_checkpoint(signer.sign(8, ROOT), KEY.verifier()).size == 8


def test_a_checkpoint_is_kept_before_it_is_given_out() -> None:
    kept = Kept()
    assert Signer(KEY, kept).sign(7, ROOT) == kept.note


def test_a_signer_that_could_not_keep_a_checkpoint_signs_no_more() -> None:
    kept = Kept()
    signer = Signer(KEY, kept)
    signer.sign(7, ROOT)
    kept.error = OSError(5, "input/output error")
    with pytest.raises(OSError, match="input/output"):
        signer.sign(8, ROOT)
    kept.error = None
    with pytest.raises(SignerRefusal, match="restart it"):
        signer.sign(9, ROOT)
    assert Signer(KEY, kept).sign(8, ROOT) == kept.note


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"garbage",
        sign_note(Checkpoint(KEY.name, 7, ROOT).text, [KEY])[:-1],
        sign_note(Checkpoint(STRANGER.name, 7, ROOT).text, [STRANGER]),
        sign_note(Checkpoint("another", 7, ROOT).text, [KEY]),
    ],
)
def test_a_signer_does_not_begin_from_what_it_cannot_believe(note: bytes) -> None:
    kept = Kept()
    kept.note = note
    with pytest.raises(SignerRefusal, match=r"the last checkpoint of `example.com/thoth/0` cannot be believed"):
        Signer(KEY, kept)


class PowerCut(Exception):
    pass


class Disk:
    """Files of one folder, what of them is durable, and a power cut or an error before the nth change."""

    def __init__(self, cut_at: int | None = None, error: Exception | None = None) -> None:
        self.contents: list[bytes] = []  # by file number, as written
        self.synced: list[bytes] = []  # by file number, as it is surely found after a power cut
        self.names: dict[str, int] = {}
        self.synced_names: dict[str, int] = {}
        self.calls = 0
        self.cut_at = cut_at
        self.error = error or PowerCut()

    def after_power_cut(self) -> "list[Disk]":
        """Every folder that may be found: each unsynced change of a name or a content was kept, or not."""
        found = []
        for names in (self.names, self.synced_names):
            for contents in (self.contents, self.synced, [content[: len(content) // 2] for content in self.contents]):
                disk = Disk()
                disk.names, disk.synced_names = dict(names), dict(names)
                torn = [
                    synced if synced == content else candidate
                    for candidate, synced, content in zip(contents, self.synced, self.contents, strict=True)
                ]
                disk.contents, disk.synced = list(torn), list(torn)
                found.append(disk)
        return found

    def step(self) -> None:
        if self.calls == self.cut_at:
            raise self.error
        self.calls += 1

    def create(self, path: str) -> int:
        self.step()
        if path in self.names:
            raise FileExistsError(path)
        self.names[path] = len(self.contents)
        self.contents.append(b"")
        self.synced.append(b"")
        return self.names[path]

    def open(self, path: str, *, write: bool = False) -> int:
        if path not in self.names:
            raise FileNotFoundError(path)
        return self.names[path]

    def close(self, file: int) -> None:
        pass

    def size(self, file: int) -> int:
        return len(self.contents[file])

    def pread(self, file: int, count: int, offset: int) -> bytes:
        return self.contents[file][offset : offset + count]

    def pwrite(self, file: int, data: bytes, offset: int) -> None:
        self.step()
        content = self.contents[file]
        self.contents[file] = content[:offset].ljust(offset, b"\0") + data + content[offset + len(data) :]

    def sync(self, file: int) -> None:
        self.step()
        self.synced[file] = self.contents[file]

    def sync_dir(self, path: str) -> None:
        self.step()
        assert path == "shard"
        self.synced_names = dict(self.names)

    def rename(self, old: str, new: str) -> None:
        self.step()
        self.names[new] = self.names.pop(old)

    def unlink(self, path: str) -> None:
        self.step()
        if path not in self.names:
            raise FileNotFoundError(path)
        del self.names[path]


PATH = "shard/signed"


def test_the_last_checkpoint_lives_in_a_file() -> None:
    disk = Disk()
    assert CheckpointFile(PATH, disk).read() is None
    first = Signer(KEY, CheckpointFile(PATH, disk)).sign(7, ROOT)
    assert CheckpointFile(PATH, disk).read() == first
    disk.create(f"{PATH}.new")  # left by a crash
    second = Signer(KEY, CheckpointFile(PATH, disk)).sign(8, ROOT)
    assert CheckpointFile(PATH, disk).read() == second
    assert set(disk.names) == {PATH}


@pytest.mark.parametrize("error", [PowerCut(), OSError(5, "input/output error")])
def test_wherever_the_power_fails_no_checkpoint_that_was_given_out_is_forgotten(error: Exception) -> None:
    """Cut before every change; then, on each folder that may be found, a signer goes on."""
    cut_at, finished = 0, False
    while not finished:
        disk = Disk(cut_at, error)
        given: list[bytes] = []
        try:
            signer = Signer(KEY, CheckpointFile(PATH, disk))
            for size in (7, 8, 9):
                given.append(signer.sign(size, ROOT))
            finished = True
        except (PowerCut, OSError):
            pass
        for found in disk.after_power_cut():
            signer = Signer(KEY, CheckpointFile(PATH, found))
            last = open_checkpoint(given[-1], KEY.verifier()).size if given else 0
            assert (signer.last.size if signer.last else 0) in (last, max(last + 1, 7))
            if given:
                with pytest.raises(SignerRefusal):
                    signer.sign(last - 1, ROOT)
            signed = signer.sign(10, ROOT)
            assert CheckpointFile(PATH, found).read() == signed
        cut_at += 1
    assert cut_at > 15
