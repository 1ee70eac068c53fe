"""A signed receipt: one record, where it is in the log, and the proof that the log's checkpoint stands for it.

Whoever has the record, the receipt and the log's public key checks it with nobody's help. As JSON it is complete and
says what it is; as C2SP tlog-proof it is the text that other tools read. Neither holds the record itself.
"""

import base64
from collections.abc import Sequence
from typing import Literal

import msgspec

from .checkpoint import Checkpoint, open_checkpoint, peek_checkpoint, read_decimal
from .merkle import HASH_SIZE, HashReader, Node, ProofError, check_inclusion, inclusion_proof, leaf_hash
from .note import VerifierKey, unbase64

RECEIPT_BYTES_MAX = 1_100_000
TLOG_PROOF = "c2sp.org/tlog-proof@v1"


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A receipt as it travels. Hashes are lower-case hexadecimal; the checkpoint is the whole signed note."""

    receipt: Literal["thoth/receipt@v1"]
    hash: str
    chain_index: int
    tree_size: int
    proof: tuple[str, ...]
    checkpoint: str

    @property
    def hashes(self) -> list[bytes]:
        return [_unhex(text, f"hash {at} of the proof") for at, text in enumerate(self.proof)]

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes | str) -> "Receipt":
        """Raises:
        ProofError: where it is not a receipt; what is wrong, and where in it.
        """
        if len(text) > RECEIPT_BYTES_MAX:
            raise ProofError(f"the receipt has {len(text)} bytes; more than {RECEIPT_BYTES_MAX} are not read")
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise ProofError(f"this is not a receipt: {error}") from None

    def to_tlog_proof(self) -> bytes:
        """The same as C2SP tlog-proof. It leaves out the record's hash, which the record has."""
        return format_tlog_proof(self.chain_index, self.hashes, self.checkpoint.encode())


def make_receipt(index: int, checkpoint: bytes, key: VerifierKey, reader: HashReader) -> Receipt:
    """A receipt for the record at this index, under a signed checkpoint, from hashes of its tree.

    It is verified before it is given out, so that a reader that gives wrong hashes is found here.

    Raises:
        ProofError: where the checkpoint does not cover the record, or the hashes do not lead to its root.
    """
    opened = open_checkpoint(checkpoint, key)
    proof = inclusion_proof(index, opened.size, reader)
    (leaf,) = reader.read_hashes([Node(0, index)])
    check_inclusion(leaf, index, opened.size, proof, opened.root)
    return Receipt(
        receipt="thoth/receipt@v1",
        hash=leaf.hex(),
        chain_index=index,
        tree_size=opened.size,
        proof=tuple(digest.hex() for digest in proof),
        checkpoint=checkpoint.decode(),
    )


def verify_receipt(receipt: Receipt | bytes | str, body: bytes, key: VerifierKey) -> Checkpoint:
    """The checkpoint under which exactly these bytes are in the log, at the receipt's index.

    Raises:
        ProofError: naming what does not fit: receipt, record, signature, log or proof.
    """
    if not isinstance(receipt, Receipt):
        receipt = Receipt.from_json(receipt)
    leaf = leaf_hash(body)
    if _unhex(receipt.hash, "hash of the record") != leaf:
        raise ProofError(f"the receipt is for another record: its hash is {receipt.hash}, and this one's {leaf.hex()}")
    try:
        note = receipt.checkpoint.encode()
    except UnicodeEncodeError:
        raise ProofError("the checkpoint in the receipt is not UTF-8") from None
    checkpoint = open_checkpoint(note, key)
    if receipt.tree_size != checkpoint.size:
        raise ProofError(f"the receipt says tree size {receipt.tree_size}, and its checkpoint {checkpoint.size}")
    check_inclusion(leaf, receipt.chain_index, checkpoint.size, receipt.hashes, checkpoint.root)
    return checkpoint


class TlogProof(msgspec.Struct, frozen=True):
    """A C2SP tlog-proof, read and not verified. Nobody vouches for `extra`."""

    index: int
    proof: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None


def format_tlog_proof(index: int, proof: Sequence[bytes], checkpoint: bytes, extra: bytes | None = None) -> bytes:
    lines = [TLOG_PROOF]
    if extra is not None:
        lines.append(f"extra {_base64(extra)}")
    lines += [f"index {index}", *(_base64(digest) for digest in proof), "", ""]
    return "\n".join(lines).encode() + checkpoint


def parse_tlog_proof(text: bytes) -> TlogProof:
    """The parts of a tlog-proof.

    Raises:
        ProofError: where it is not one.
    """
    if len(text) > RECEIPT_BYTES_MAX:
        raise ProofError(f"the proof has {len(text)} bytes; more than {RECEIPT_BYTES_MAX} are not read")
    head, blank, checkpoint = text.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise ProofError("the proof is not ASCII above its checkpoint") from None
    if first != TLOG_PROOF:
        raise ProofError(f"the first line is not `{TLOG_PROOF}`: `{first[:100]}`")
    if not blank:
        raise ProofError("the proof has no blank line with a checkpoint below it")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = unbase64(lines.pop(0).removeprefix("extra "), "extra data")
    if not lines or not lines[0].startswith("index "):
        raise ProofError("the proof has no line `index <number>` after its first lines")
    index = read_decimal(lines.pop(0).removeprefix("index "), "index")
    hashes = tuple(unbase64(line, f"hash {at} of the proof") for at, line in enumerate(lines))
    return TlogProof(index, hashes, checkpoint, extra)


def verify_tlog_proof(text: bytes, body: bytes, key: VerifierKey) -> tuple[int, Checkpoint]:
    """The index at which exactly these bytes are in the log, and the checkpoint under which they are.

    Raises:
        ProofError: naming what does not fit.
    """
    parsed = parse_tlog_proof(text)
    checkpoint = open_checkpoint(parsed.checkpoint, key)
    check_inclusion(leaf_hash(body), parsed.index, checkpoint.size, parsed.proof, checkpoint.root)
    return parsed.index, checkpoint


def receipt_from_tlog_proof(text: bytes, body: bytes) -> Receipt:
    """A tlog-proof and its record as a receipt, unverified; extra data is left out."""
    parsed = parse_tlog_proof(text)
    return Receipt(
        receipt="thoth/receipt@v1",
        hash=leaf_hash(body).hex(),
        chain_index=parsed.index,
        tree_size=peek_checkpoint(parsed.checkpoint).size,
        proof=tuple(digest.hex() for digest in parsed.proof),
        checkpoint=parsed.checkpoint.decode(),
    )


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _unhex(text: str, what: str) -> bytes:
    """A hash from its one spelling: 64 lower-case hexadecimal digits."""
    if len(text) != 2 * HASH_SIZE or set(text) - set("0123456789abcdef"):
        raise ProofError(f"the {what} is not {2 * HASH_SIZE} lower-case hexadecimal digits: `{text}`")
    return bytes.fromhex(text)
