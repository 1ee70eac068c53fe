"""Two implementations, one log: what Go's sumdb accepted of ours, and what it made itself.

`vectors/ours.json` was written by tests/interop/cases.py and accepted by the Go program beside it, `vectors/go.json`
was written by that program. `make interop` makes both anew and runs these tests on them too.
"""

import json
import os
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from thoth.evidence.checkpoint import open_checkpoint
from thoth.evidence.merkle import ProofError, check_consistency, check_inclusion, leaf_hash
from thoth.evidence.note import VerifierKey
from thoth.evidence.receipt import receipt_from_tlog_proof, verify_receipt, verify_tlog_proof

PINNED = Path(__file__).parent / "vectors"
FOLDERS = [PINNED, *(Path(folder) for folder in [os.environ.get("VECTORS")] if folder)]
CASES = [
    pytest.param(vector, id=f"{folder.name}-{name}-{vector['size']}")
    for folder in FOLDERS
    for name in ("ours", "go")
    for vector in json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
]


def hashes(texts: list[str]) -> list[bytes]:
    return [b64decode(text) for text in texts]


@pytest.mark.parametrize("vector", CASES)
def test_what_go_made_or_accepted_verifies(vector: dict[str, Any]) -> None:
    key, size, root = VerifierKey.parse(vector["key"]), vector["size"], b64decode(vector["root"])
    checkpoint = open_checkpoint(vector["checkpoint"].encode(), key)
    assert (checkpoint.size, checkpoint.root) == (size, root)
    for each in vector["inclusion"]:
        check_inclusion(leaf_hash(each["body"].encode()), each["index"], size, hashes(each["proof"]), root)
    for each in vector["consistency"]:
        check_consistency(each["old"], b64decode(each["old_root"]), size, root, hashes(each["proof"]))
    for text, each in zip(vector["tlog_proofs"], vector["inclusion"], strict=bool(vector["tlog_proofs"])):
        body = each["body"].encode()
        assert verify_tlog_proof(text.encode(), body, key) == (each["index"], checkpoint)
        verify_receipt(receipt_from_tlog_proof(text.encode(), body), body, key)


@pytest.mark.parametrize("vector", CASES)
def test_what_go_made_or_accepted_is_refused_with_a_bit_flipped(vector: dict[str, Any]) -> None:
    """Every bit of the checkpoint; of each proof, a bit in every hash."""
    key, size, root = VerifierKey.parse(vector["key"]), vector["size"], b64decode(vector["root"])
    note = vector["checkpoint"].encode()
    for at in range(len(note) * 8):
        with pytest.raises(ProofError):
            open_checkpoint(flipped(note, at), key)
    for each in vector["inclusion"]:
        leaf, proof = leaf_hash(each["body"].encode()), hashes(each["proof"])
        for at in range(len(proof)):
            with pytest.raises(ProofError):
                check_inclusion(
                    leaf, each["index"], size, [*proof[:at], flipped(proof[at], at), *proof[at + 1 :]], root
                )
    for each in vector["consistency"]:
        old, proof = b64decode(each["old_root"]), hashes(each["proof"])
        for at in range(len(proof)):
            with pytest.raises(ProofError):
                check_consistency(each["old"], old, size, root, [*proof[:at], flipped(proof[at], at), *proof[at + 1 :]])


def flipped(raw: bytes, bit: int) -> bytes:
    return raw[: bit // 8] + bytes([raw[bit // 8] ^ 1 << bit % 8]) + raw[bit // 8 + 1 :]


def test_what_go_accepted_is_still_what_we_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "interop"))
    monkeypatch.delitem(sys.modules, "cases", raising=False)
    import cases  # type: ignore[import-not-found, unused-ignore]

    assert json.loads((PINNED / "ours.json").read_text(encoding="utf-8")) == cases.vectors()
