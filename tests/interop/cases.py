"""Writes what the Go program reads: `python tests/interop/cases.py FOLDER`.

Exports of several sizes below FOLDER, and proofs of small trees as FOLDER/ours.json. Keys and bodies are the same every
time, so that the file Go accepted is the file that tests/evidence/vectors keeps.
"""

import json
import sys
from base64 import b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from thoth.evidence.checkpoint import Checkpoint
from thoth.evidence.merkle import HashTree, consistency_proof, inclusion_proof, leaf_hash, tree_root
from thoth.evidence.note import SigningKey, sign_note
from thoth.evidence.receipt import make_receipt
from thoth.evidence.tiles import CHECKPOINT_PATH, TileFolder, export_tiles

EXPORTS = [0, 1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 70_000]
PROVEN = [1, 2, 3, 7, 8, 13, 255, 256, 257, 300]
KEY = SigningKey("example.com/thoth/interop", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def body(index: int) -> bytes:
    return b"record %d" % index


def vectors() -> list[dict[str, object]]:
    """Of each size a checkpoint and some proofs: inclusion (also as tlog-proof) and consistency."""
    tree = HashTree(leaf_hash(body(index)) for index in range(max(PROVEN)))
    found: list[dict[str, object]] = []
    for size in PROVEN:
        root = tree_root(size, tree)
        checkpoint = sign_note(Checkpoint(KEY.name, size, root).text, [KEY])
        indices = sorted({0, 1, size // 2, size - 2, size - 1} & set(range(size)))
        sizes = sorted({1, 2, size // 2, size - 1, size} & set(range(1, size + 1)))
        found.append(
            {
                "key": str(KEY.verifier()),
                "size": size,
                "root": text(root),
                "checkpoint": checkpoint.decode(),
                "inclusion": [
                    {
                        "index": index,
                        "body": body(index).decode(),
                        "proof": [text(digest) for digest in inclusion_proof(index, size, tree)],
                    }
                    for index in indices
                ],
                "consistency": [
                    {
                        "old": old,
                        "old_root": text(tree_root(old, tree)),
                        "proof": [text(digest) for digest in consistency_proof(old, size, tree)],
                    }
                    for old in sizes
                ],
                "tlog_proofs": [
                    make_receipt(index, checkpoint, KEY.verifier(), tree).to_tlog_proof().decode() for index in indices
                ],
            }
        )
    return found


def text(digest: bytes) -> str:
    return b64encode(digest).decode()


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ours.json").write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for size in EXPORTS:
        export = folder / "exports" / str(size)
        tiles = TileFolder(export)
        _, root = export_tiles((body(index) for index in range(size)), tiles.write)
        tiles.write(CHECKPOINT_PATH, sign_note(Checkpoint(KEY.name, size, root).text, [KEY]))
        tiles.write("key", f"{KEY.verifier()}\n".encode())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
