"""Receipts: one record, one proof, one signed root; nothing else passes."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.evidence.checkpoint import Checkpoint
from thoth.evidence.merkle import HashTree, ProofError, inclusion_proof, leaf_hash, tree_root
from thoth.evidence.note import SigningKey, add_signatures, sign_note
from thoth.evidence.receipt import (
    Receipt,
    format_tlog_proof,
    make_receipt,
    parse_tlog_proof,
    receipt_from_tlog_proof,
    verify_receipt,
    verify_tlog_proof,
)
from thoth.evidence.tiles import TileReader, export_tiles


def signing_key(name: str, seed: int) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return SigningKey(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


KEY = signing_key("example.com/thoth/0", 1)
VERIFIER = KEY.verifier()
BODIES = [b'{"decision":"ALLOW","seq":%d}' % at for at in range(300)]
TREE = HashTree(map(leaf_hash, BODIES))


def checkpoint(size: int) -> bytes:
    return sign_note(Checkpoint(KEY.name, size, tree_root(size, TREE)).text, [KEY])


def receipt(index: int, size: int) -> Receipt:
    return make_receipt(index, checkpoint(size), VERIFIER, TREE)


def test_every_record_gets_a_receipt_that_verifies() -> None:
    for size in (1, 2, 3, 7, 8, 255, 256, 257, 300):
        note = checkpoint(size)
        for index in range(size):
            made = make_receipt(index, note, VERIFIER, TREE)
            assert verify_receipt(made, BODIES[index], VERIFIER).size == size
            assert verify_receipt(made.to_json(), BODIES[index], VERIFIER).origin == KEY.name
            assert verify_tlog_proof(made.to_tlog_proof(), BODIES[index], VERIFIER)[0] == index
            assert receipt_from_tlog_proof(made.to_tlog_proof(), BODIES[index]) == made


def test_receipts_are_made_from_tiles() -> None:
    files: dict[str, bytes] = {}
    size, root = export_tiles(BODIES, files.__setitem__)
    assert make_receipt(7, checkpoint(size), VERIFIER, TileReader(files.__getitem__, size, root)) == receipt(7, size)


def test_a_receipt_says_where_it_is_from() -> None:
    assert msgspec.json.decode(receipt(1, 2).to_json()) == {
        "receipt": "thoth/receipt@v1",
        "hash": leaf_hash(BODIES[1]).hex(),
        "chain_index": 1,
        "tree_size": 2,
        "proof": [leaf_hash(BODIES[0]).hex()],
        "checkpoint": checkpoint(2).decode(),
    }


def test_a_receipt_survives_other_json_writers() -> None:
    """Keys in another order, spaces, every character escaped: the same receipt."""
    fields = msgspec.json.decode(receipt(3, 7).to_json())
    text = msgspec.json.format(msgspec.json.encode(dict(reversed(fields.items()))), indent=4)
    text = text.replace("—".encode(), b"\\u2014")
    verify_receipt(text, BODIES[3], VERIFIER)


@pytest.mark.parametrize(("index", "size"), [(0, 1), (2, 3), (3, 7)])
def test_any_flipped_bit_of_a_receipt_or_its_record_is_refused(index: int, size: int) -> None:
    for form, verify in ((receipt(index, size).to_json(), verify_receipt), (tlog(index, size), verify_tlog_proof)):
        body = BODIES[index]
        verify(form, body, VERIFIER)
        for forged in flips(form):
            with pytest.raises(ProofError):
                verify(forged, body, VERIFIER)
        for forged in flips(body):
            with pytest.raises(ProofError):
                verify(form, forged, VERIFIER)


def tlog(index: int, size: int) -> bytes:
    return receipt(index, size).to_tlog_proof()


def flips(raw: bytes) -> list[bytes]:
    return [raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :] for at in range(len(raw)) for bit in range(8)]


@given(st.data())
def test_a_receipt_is_for_one_record_one_place_and_one_tree(data: st.DataObject) -> None:
    """Any field taken from another receipt of the same log is refused."""
    size, other_size = (data.draw(st.integers(1, 300)) for _ in range(2))
    mine = receipt(data.draw(st.integers(0, size - 1)), size)
    other = receipt(data.draw(st.integers(0, other_size - 1)), other_size)
    field = data.draw(st.sampled_from(["hash", "chain_index", "tree_size", "proof", "checkpoint"]))
    mixed = msgspec.structs.replace(mine, **{field: getattr(other, field)})
    body = BODIES[mine.chain_index]
    if mixed == mine:
        verify_receipt(mixed, body, VERIFIER)
    else:
        with pytest.raises(ProofError):
            verify_receipt(mixed, body, VERIFIER)


def test_a_receipt_of_another_record_log_or_key_is_refused() -> None:
    made = receipt(3, 7)
    with pytest.raises(ProofError, match="the receipt is for another record"):
        verify_receipt(made, BODIES[4], VERIFIER)
    with pytest.raises(ProofError, match="none of the known keys"):
        verify_receipt(made, BODIES[3], signing_key(KEY.name, 2).verifier())
    with pytest.raises(ProofError, match="none of the known keys"):
        verify_receipt(made, BODIES[3], signing_key("example.com/thoth/1", 1).verifier())
    with pytest.raises(ProofError, match="says tree size 8, and its checkpoint 7"):
        verify_receipt(msgspec.structs.replace(made, tree_size=8), BODIES[3], VERIFIER)


def test_a_witness_can_sign_below() -> None:
    witnessed = add_signatures(checkpoint(7), [signing_key("witness.example", 9)])
    verify_receipt(make_receipt(3, witnessed, VERIFIER, TREE), BODIES[3], VERIFIER)


def test_no_receipt_is_made_that_does_not_verify() -> None:
    with pytest.raises(ProofError, match="the index of the leaf is 7"):
        make_receipt(7, checkpoint(7), VERIFIER, TREE)
    with pytest.raises(ProofError, match="leads from leaf 3 to another root"):
        make_receipt(3, checkpoint(7), VERIFIER, HashTree(leaf_hash(b"other") for _ in range(7)))
    with pytest.raises(ProofError, match="none of the known keys"):
        make_receipt(3, checkpoint(7), signing_key("other", 1).verifier(), TREE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is not a receipt"),
        ("[]", "Expected `object`, got `array`"),
        ("{}", "missing required field `receipt`"),
        ('{"receipt":"thoth/receipt@v2"}', "Invalid enum value 'thoth/receipt@v2'"),
        (b"\xff", "this is not a receipt"),
        (receipt(3, 7).to_json().replace(b'"chain_index":3', b'"chain_index":3.0'), "Expected `int`"),
        (receipt(3, 7).to_json().replace(b'"chain_index":3', b'"chain_index":true'), "Expected `int`"),
        (receipt(3, 7).to_json().replace(b'"chain_index":3', b'"chain_index":-1'), "index of the leaf is -1"),
        (receipt(3, 7).to_json().replace(b'"chain_index"', b'"more":1,"chain_index"'), "unknown field `more`"),
        (receipt(3, 7).to_json() + b"x", "this is not a receipt"),
        (b" " * 2_000_000, "2000000 bytes"),
    ],
)
def test_what_is_no_receipt_is_refused(text: bytes | str, message: str) -> None:
    with pytest.raises(ProofError, match=message):
        verify_receipt(text, BODIES[3], VERIFIER)


def test_hashes_have_one_spelling() -> None:
    made = receipt(3, 7)
    for hash_ in (made.hash.upper(), made.hash[:-2], made.hash + "00", f" {made.hash[1:]}", "é" * 64):
        with pytest.raises(ProofError, match="the hash of the record is not 64 lower-case hexadecimal digits"):
            verify_receipt(msgspec.structs.replace(made, hash=hash_), BODIES[3], VERIFIER)
        proof = (made.proof[0], hash_, made.proof[2])
        with pytest.raises(ProofError, match="hash 1 of the proof is not 64 lower-case"):
            verify_receipt(msgspec.structs.replace(made, proof=proof), BODIES[3], VERIFIER)


# C2SP tlog-proof


def test_a_tlog_proof_looks_like_the_specification() -> None:
    proof = inclusion_proof(1, 3, TREE)
    assert format_tlog_proof(1, proof, checkpoint(3), b"extra").decode() == (
        "c2sp.org/tlog-proof@v1\n"
        "extra ZXh0cmE=\n"
        "index 1\n"
        + "".join(f"{base64.b64encode(digest).decode()}\n" for digest in proof)
        + "\n"
        + checkpoint(3).decode()
    )
    parsed = parse_tlog_proof(format_tlog_proof(1, proof, checkpoint(3), b"extra"))
    assert (parsed.index, list(parsed.proof), parsed.checkpoint, parsed.extra) == (1, proof, checkpoint(3), b"extra")


def test_a_tree_of_one_record_needs_no_hashes() -> None:
    assert tlog(0, 1) == b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + checkpoint(1)
    assert parse_tlog_proof(tlog(0, 1)).extra is None


GOOD = tlog(3, 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "first line is not"),
        (GOOD.replace(b"@v1", b"@v2"), "first line is not"),
        (GOOD.replace(b"index 3", b"index 03"), "not a plain decimal"),
        (GOOD.replace(b"index 3", b"index  3"), "not a plain decimal"),
        (GOOD.replace(b"index 3\n", b""), "no line `index <number>`"),
        (GOOD.replace(b"index 3", b"extra ====\nindex 3"), "extra data is not base64"),
        (GOOD.replace(b"index 3", b"extra\nindex 3"), "no line `index"),
        (GOOD.replace(b"index 3", b"index 3\nQQ=="), "has 3 hashes, and this one has 4"),
        (GOOD.replace(b"=\n\n", b"=\n", 1), "no blank line|not ASCII|not base64"),
        (b"c2sp.org/tlog-proof@v1\nindex 0", "no blank line"),
        (GOOD.replace(b"\n", b"\r\n"), "not ASCII above"),
        (GOOD.replace(b"v1\n", b"v1\r\n"), "first line is not"),
        (GOOD[:-1], "cut off"),
        (GOOD + b"\n", "has none"),
        (b"\xe2\x80\x94" + GOOD, "not ASCII"),
        (b"a" * 2_000_000, "2000000 bytes"),
    ],
)
def test_what_is_no_tlog_proof_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(ProofError, match=message):
        verify_tlog_proof(text, BODIES[3], VERIFIER)
