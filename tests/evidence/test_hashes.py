"""Hashes of subtrees, most of them made again from 256 leaves, are those of the whole tree."""

import hashlib

import pytest

from thoth.evidence.hashes import SubtreeHashes
from thoth.evidence.merkle import (
    HashTree,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    tree_root,
)

LEAVES = [hashlib.sha256(b"%d" % number).digest() for number in range(1_100)]


def grown(size: int, piece: int) -> tuple[SubtreeHashes, list[tuple[int, int]]]:
    asked: list[tuple[int, int]] = []

    def leaves_of(begin: int, end: int) -> bytes:
        asked.append((begin, end))
        return b"".join(LEAVES[begin:end])

    tree = SubtreeHashes(leaves_of)
    for at in range(0, size, piece):
        tree.extend(b"".join(LEAVES[at : min(size, at + piece)]))
    assert tree.size == size
    return tree, asked


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 700, 1_024, 1_100])
@pytest.mark.parametrize("piece", [1, 100, 2_000])
def test_proofs_are_those_of_the_whole_tree(size: int, piece: int) -> None:
    tree, asked = grown(size, piece)
    whole = HashTree(LEAVES[:size])
    root = tree_root(size, whole)
    for index in {0, size // 3, size // 2, size - 1}:
        asked.clear()
        proof = inclusion_proof(index, size, tree)
        assert proof == inclusion_proof(index, size, whole)
        check_inclusion(LEAVES[index], index, size, proof, root)
        assert len(asked) <= 2, "one group of 256 leaves, and that of the size"
    for old in {1, size // 2 or 1, size - 1 or 1}:
        proof = consistency_proof(old, size, tree)
        check_consistency(old, tree_root(old, whole), size, root, proof)
