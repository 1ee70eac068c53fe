"""RFC 6962 trees: known roots, every proof of small trees, many of large ones, and nothing else accepted."""

import os
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.evidence.merkle import (
    EMPTY_ROOT,
    SIZE_MAX,
    Frontier,
    HashTree,
    Node,
    ProofError,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    range_nodes,
    root_of,
    tree_root,
)

# The inputs and roots that implementations of RFC 6962 share (certificate-transparency, trillian).
RFC_BODIES = [
    bytes.fromhex(text)
    for text in ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
]
RFC_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LARGE = [65_535, 65_536, 65_537]
WIDE = os.environ.get("HYPOTHESIS_PROFILE") == "wide"

LEAVES = [leaf_hash(b"%d" % at) for at in range(65_537)]
TREE = HashTree(LEAVES)
ROOTS = {size: tree_root(size, TREE) for size in [*range(301), *LARGE]}


def test_roots_are_those_of_the_rfc() -> None:
    leaves = [leaf_hash(body) for body in RFC_BODIES]
    for size, root in enumerate(RFC_ROOTS):
        assert root_of(leaves[:size]).hex() == root
        assert tree_root(size, HashTree(leaves)).hex() == root
    assert EMPTY_ROOT.hex() == RFC_ROOTS[0]


@pytest.mark.parametrize(
    ("index", "size", "proof"),
    [  # RFC 6962 section 2.1.3, by the names of its figure
        (0, 7, "b h l"),
        (3, 7, "c g l"),
        (4, 7, "f j k"),
        (6, 7, "i k"),
    ],
)
def test_inclusion_proofs_are_those_of_the_rfc(index: int, size: int, proof: str) -> None:
    assert inclusion_proof(index, size, figure_tree()) == [FIGURE[name] for name in proof.split()]


@pytest.mark.parametrize(("old", "new", "proof"), [(3, 7, "c d g l"), (4, 7, "l"), (6, 7, "i j k")])
def test_consistency_proofs_are_those_of_the_rfc(old: int, new: int, proof: str) -> None:
    assert consistency_proof(old, new, figure_tree()) == [FIGURE[name] for name in proof.split()]


def figure_tree() -> HashTree:
    """The tree of seven leaves in the figure of RFC 6962 section 2.1.3."""
    return HashTree([FIGURE[name] for name in "abcdefj"])


def _figure() -> dict[str, bytes]:
    named = {name: leaf_hash(name.encode()) for name in "abcdefj"}
    # The figure's leaves are a b c d e f j; its proofs name them a b c d e f j and the nodes g h i k l.
    named["g"] = node_hash(named["a"], named["b"])
    named["h"] = node_hash(named["c"], named["d"])
    named["i"] = node_hash(named["e"], named["f"])
    named["k"] = node_hash(named["g"], named["h"])
    named["l"] = node_hash(named["i"], named["j"])
    return named


FIGURE = _figure()


def definition(leaves: list[bytes]) -> bytes:
    """MTH as section 2.1 writes it."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(definition(leaves[:split]), definition(leaves[split:]))


def test_the_frontier_agrees_with_the_definition() -> None:
    frontier = Frontier()
    for size in range(301):
        assert frontier.size == size
        assert frontier.root() == ROOTS[size] == definition(LEAVES[:size])
        assert Frontier.restore(frontier.snapshot()).root() == frontier.root()
        frontier.append(LEAVES[size])


def test_a_restored_frontier_grows_like_the_one_it_was_taken_of() -> None:
    frontier = Frontier()
    for leaf in LEAVES[:299]:
        frontier.append(leaf)
    copy = Frontier.restore(frontier.snapshot())
    frontier.append(LEAVES[299])
    assert copy.root() == ROOTS[299]
    copy.append(LEAVES[299])
    assert copy.root() == frontier.root() == ROOTS[300]


@pytest.mark.parametrize("snapshot", [b"", b"\0" * 7, b"\0" * 9, b"\1" + b"\0" * 38, b"\3" + b"\0" * 39, b"\xff" * 8])
def test_a_cut_frontier_is_refused(snapshot: bytes) -> None:
    if snapshot == b"":
        assert Frontier.restore(Frontier().snapshot()).size == 0
    with pytest.raises(ProofError, match="does not fit"):
        Frontier.restore(snapshot)


def test_a_range_is_a_row_of_complete_subtrees() -> None:
    assert range_nodes(8, 15) == [Node(2, 2), Node(1, 6), Node(0, 14)]
    assert range_nodes(5, 5) == []


def test_every_inclusion_proof_of_trees_up_to_300_is_accepted() -> None:
    for size in range(1, 301):
        for index in range(size):
            check_inclusion(LEAVES[index], index, size, inclusion_proof(index, size, TREE), ROOTS[size])


@pytest.mark.parametrize("size", LARGE)
def test_inclusion_proofs_of_large_trees_are_accepted(size: int) -> None:
    """A sample: the first and last 600 leaves, the neighbours of multiples of 256, every 7th; `wide`: all."""
    near = {index + off for index in range(0, size, 256) for off in (-1, 0, 1)}
    sample = {*range(600), *range(size - 600, size), *near, *range(0, size, 1 if WIDE else 7)}
    for index in sorted(sample & set(range(size))):
        check_inclusion(LEAVES[index], index, size, inclusion_proof(index, size, TREE), ROOTS[size])


def test_every_consistency_proof_of_trees_up_to_130_is_accepted() -> None:
    for new in range(131):
        for old in range(new + 1):
            check_consistency(old, ROOTS[old], new, ROOTS[new], consistency_proof(old, new, TREE))


def test_consistency_proofs_of_large_trees_are_accepted() -> None:
    """A sample: 6,000 pairs of sizes up to 65,537, half of them with an end near a power of two."""
    random_ = random.Random(6962)
    near = [size for power in range(17) for size in range(max(1, 2**power - 2), 2**power + 2) if size <= 65_537]
    for at in range(6_000):
        first = random_.choice(near) if at % 2 else random_.randint(1, 65_537)
        old, new = sorted((first, random_.randint(1, 65_537)))
        proof = consistency_proof(old, new, TREE)
        check_consistency(old, tree_root(old, TREE), new, tree_root(new, TREE), proof)


def flips(raw: bytes) -> list[bytes]:
    return [raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :] for at in range(len(raw)) for bit in range(8)]


def test_any_flipped_bit_of_an_inclusion_proof_is_refused() -> None:
    """Exhaustive: every bit of leaf, root and each hash, of every proof of sizes 1 to 9."""
    for size in range(1, 10):
        for index in range(size):
            proof = inclusion_proof(index, size, TREE)
            for leaf in flips(LEAVES[index]):
                with pytest.raises(ProofError, match="another root"):
                    check_inclusion(leaf, index, size, proof, ROOTS[size])
            for root in flips(ROOTS[size]):
                with pytest.raises(ProofError, match="another root"):
                    check_inclusion(LEAVES[index], index, size, proof, root)
            for at, digest in enumerate(proof):
                for flipped in flips(digest):
                    with pytest.raises(ProofError, match="another root"):
                        check_inclusion(
                            LEAVES[index], index, size, [*proof[:at], flipped, *proof[at + 1 :]], ROOTS[size]
                        )


def test_any_flipped_bit_of_a_consistency_proof_is_refused() -> None:
    """Exhaustive: every bit of both roots and each hash, of every proof of sizes 1 to 9."""
    for new in range(1, 10):
        for old in range(1, new + 1):
            proof = consistency_proof(old, new, TREE)
            for root in flips(ROOTS[old]):
                with pytest.raises(ProofError, match=r"old root|different roots"):
                    check_consistency(old, root, new, ROOTS[new], proof)
            for root in flips(ROOTS[new]):
                with pytest.raises(ProofError, match=r"new root|different roots"):
                    check_consistency(old, ROOTS[old], new, root, proof)
            for at, digest in enumerate(proof):
                for flipped in flips(digest):
                    with pytest.raises(ProofError, match="does not lead"):
                        check_consistency(old, ROOTS[old], new, ROOTS[new], [*proof[:at], flipped, *proof[at + 1 :]])


def test_a_proof_fits_one_leaf_and_one_size_only() -> None:
    """Every proof of sizes up to 24, held against every other index and size with the same root."""
    for size in range(1, 25):
        for index in range(size):
            proof = inclusion_proof(index, size, TREE)
            for other_size in range(1, 26):
                for other in range(other_size):
                    if (other, other_size) == (index, size):
                        continue
                    if other_size == size:
                        with pytest.raises(ProofError):
                            check_inclusion(LEAVES[index], other, size, proof, ROOTS[size])
                    with pytest.raises(ProofError):
                        check_inclusion(LEAVES[index], other, other_size, proof, ROOTS[other_size])


@given(st.data())
def test_a_mangled_proof_is_refused(data: st.DataObject) -> None:
    """Hashes dropped, repeated, swapped, added or shortened: whatever is not the proof itself."""
    new = data.draw(st.integers(2, 300), "new")
    old = data.draw(st.integers(1, new - 1), "old")

    def included(proof: list[bytes]) -> None:
        check_inclusion(LEAVES[old], old, new, proof, ROOTS[new])

    def consistent(proof: list[bytes]) -> None:
        check_consistency(old, ROOTS[old], new, ROOTS[new], proof)

    for proof, check in (
        (inclusion_proof(old, new, TREE), included),
        (consistency_proof(old, new, TREE), consistent),
    ):
        check(proof)
        mangled = data.draw(st.permutations(proof), "order")
        mangled = mangled[: data.draw(st.integers(0, len(mangled)), "length")]
        mangled += data.draw(st.lists(st.sampled_from([*proof, LEAVES[0], b"", b"\0" * 31]), max_size=2), "more")
        if mangled != proof:
            with pytest.raises(ProofError):
                check(mangled)


@pytest.mark.parametrize(
    ("index", "size", "message"),
    [
        (0, 0, "there is no leaf 0 in a tree of size 0"),
        (7, 7, "the index of the leaf is 7, which is not between 0 and 6"),
        (-1, 7, "the index of the leaf is -1"),
        (0, -7, "the tree size is -7"),
        (0, SIZE_MAX + 1, "the tree size is 9223372036854775808"),
        (True, 7, "the index of the leaf is not an integer: `True`"),
        (1, 7.0, "the tree size is not an integer: `7.0`"),
        ("1", 7, "the index of the leaf is not an integer"),
    ],
)
def test_indices_and_sizes_that_cannot_be_are_named(index: int, size: int, message: str) -> None:
    with pytest.raises(ProofError) as caught:
        check_inclusion(LEAVES[0], index, size, [], ROOTS[1])
    assert message in str(caught.value)
    with pytest.raises(ProofError) as caught:
        inclusion_proof(index, size, TREE)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("leaf", "proof", "root", "message"),
    [
        (b"short", [bytes(32)] * 3, bytes(32), "the leaf hash is not 32 bytes"),
        (bytes(32), [bytes(32)] * 3, bytes(33), "the root is not 32 bytes"),
        (bytes(32), [bytes(32)] * 2, bytes(32), "has 3 hashes, and this one has 2"),
        (bytes(32), [bytes(32)] * 4, bytes(32), "has 3 hashes, and this one has 4"),
        (bytes(32), [bytes(32), bytes(31), bytes(32)], bytes(32), "hash 1 of the proof is not 32 bytes"),
        (bytes(32), [bytes(32), "a" * 32, bytes(32)], bytes(32), "hash 1 of the proof is not 32 bytes"),
        (bytearray(32), [bytes(32)] * 3, bytes(32), "the leaf hash is not 32 bytes"),
    ],
)
def test_hashes_that_are_none_are_named(leaf: bytes, proof: list[bytes], root: bytes, message: str) -> None:
    with pytest.raises(ProofError, match=message):
        check_inclusion(leaf, 0, 7, proof, root)


def test_the_empty_tree_is_the_beginning_of_every_tree() -> None:
    check_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    check_consistency(0, EMPTY_ROOT, 7, ROOTS[7], [])
    assert consistency_proof(0, 7, TREE) == consistency_proof(7, 7, TREE) == []
    for old_root, new_size, new_root, proof in (
        (ROOTS[1], 7, ROOTS[7], []),
        (EMPTY_ROOT, 0, ROOTS[1], []),
        (EMPTY_ROOT, 7, ROOTS[7], [ROOTS[7]]),
    ):
        with pytest.raises(ProofError):
            check_consistency(0, old_root, new_size, new_root, proof)


def test_a_log_cannot_shrink() -> None:
    with pytest.raises(ProofError, match="old tree size is 8, which is not between 0 and 7"):
        check_consistency(8, ROOTS[8], 7, ROOTS[7], [])
    with pytest.raises(ProofError, match="old tree size is 8"):
        consistency_proof(8, 7, TREE)


def test_a_changed_past_is_inconsistent() -> None:
    """Of two logs that differ in one old leaf, no proof of one convinces who knows the other."""
    changed = HashTree([*LEAVES[:3], leaf_hash(b"changed"), *LEAVES[4:20]])
    for old, new in pairwise(range(4, 21)):
        proof = consistency_proof(old, new, changed)
        check_consistency(old, tree_root(old, changed), new, tree_root(new, changed), proof)
        with pytest.raises(ProofError, match="old root"):
            check_consistency(old, ROOTS[old], new, tree_root(new, changed), proof)
