"""The Merkle tree of RFC 6962: hashes of leaves and nodes, roots, and the two proofs an auditor asks for.

Pure: no disk and no keys. Proofs are made from a `HashReader`, which holds or fetches the hashes of complete subtrees,
and checked from nothing but their arguments. A check raises a `ProofError` that names what does not fit; it never
returns False. Making and checking are written apart, one by ranges and one by the bits of the index, so that a mistake
in one shows in the other.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from ..contract import OperationError
from ..native.peaks import Peaks

HASH_SIZE = 32
SIZE_MAX = 2**63 - 1
EMPTY_ROOT = hashlib.sha256().digest()  # the root of no leaves, RFC 6962 section 2.1


class ProofError(OperationError):
    """What was shown does not prove what was claimed; nothing in it may be relied upon."""


class Node(NamedTuple):
    """A complete subtree: the `2**level` leaves from `position << level` on. A leaf is a node of level 0."""

    level: int
    position: int


class HashReader(Protocol):
    """Where the hashes of complete subtrees come from: memory, tiles, or a log's own file."""

    def read_hashes(self, nodes: Sequence[Node]) -> Sequence[bytes]:
        """One hash per node, in the order asked for."""
        ...


def leaf_hash(body: bytes) -> bytes:
    return hashlib.sha256(b"\0" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class Frontier:
    """The roots of the complete subtrees a tree consists of: all it takes to append and to know the root.

    Memory: one hash per bit set in the size. Cost of an append: one node hash on average.
    """

    __slots__ = ("peaks",)

    def __init__(self) -> None:
        self.peaks = Peaks()

    @property
    def size(self) -> int:
        return self.peaks.size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """One hash per bit set in the size, from the highest bit down."""
        return tuple(self.peaks.all)

    def append(self, leaf: bytes) -> None:
        """Add the leaf with this hash (`leaf_hash(body)`)."""
        assert len(leaf) == HASH_SIZE
        self.peaks.extend(leaf)

    def extend(self, leaves: bytes, start: int = 0, stop: int | None = None) -> None:
        """Add leaves whose hashes stand end to end: those from number `start` up to `stop`."""
        self.peaks.extend(leaves, start, stop)

    def root(self) -> bytes:
        return root_of_subtrees(self.peaks.all)

    def snapshot(self) -> bytes:
        """The whole state as bytes, for `restore`: eight of size, little endian, then the hashes."""
        return self.size.to_bytes(8, "little") + b"".join(self.peaks.all)

    @classmethod
    def restore(cls, snapshot: bytes) -> "Frontier":
        """The frontier a snapshot was taken of.

        Raises:
            ProofError: where the length does not fit the size. Whether the hashes are the right ones, the root tells.
        """
        size = int.from_bytes(snapshot[:8], "little")
        if len(snapshot) != 8 + HASH_SIZE * size.bit_count() or size > SIZE_MAX:
            raise ProofError(f"a frontier of size {size} does not fit into {len(snapshot)} bytes")
        frontier = cls()
        hashes = [snapshot[at : at + HASH_SIZE] for at in range(8, len(snapshot), HASH_SIZE)]
        frontier.peaks = Peaks(size, hashes)
        return frontier


class HashTree:
    """A `HashReader` that keeps every node in memory: for small trees, and for tests."""

    __slots__ = ("_levels",)

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaves:
            self.append(leaf)

    @property
    def size(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        digest = leaf
        for level in self._levels:
            level.append(digest)
            if len(level) & 1:
                return
            digest = node_hash(level[-2], level[-1])
        self._levels.append([digest])

    def read_hashes(self, nodes: Sequence[Node]) -> list[bytes]:
        return [self._levels[level][position] for level, position in nodes]


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes, in flat memory."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def root_of_subtrees(hashes: Sequence[bytes]) -> bytes:
    """The root over a row of complete subtrees, largest first, by their hashes."""
    if not hashes:
        return EMPTY_ROOT
    *rest, digest = hashes
    for left in reversed(rest):
        digest = node_hash(left, digest)
    return digest


# Making proofs. A range that RFC 6962 hashes on the way starts at a multiple of a power of two no smaller than itself,
# so it is a row of complete subtrees, each half as large as the one before or smaller.


def range_nodes(begin: int, end: int) -> list[Node]:
    """The complete subtrees that the leaves `begin` to `end` consist of, largest first."""
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        assert begin % (1 << level) == 0, "not a range that a proof asks for"
        nodes.append(Node(level, begin >> level))
        begin += 1 << level
    return nodes


def tree_root(size: int, reader: HashReader) -> bytes:
    """The root of the first `size` leaves."""
    _bounds("tree size", size, SIZE_MAX)
    return _range_hashes([(0, size)], reader)[0]


def inclusion_proof(index: int, size: int, reader: HashReader) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of `size` leaves, the leaf's sibling first (RFC 6962 2.1.1).

    Raises:
        ProofError: where there is no such leaf in a tree of that size.
    """
    _leaf_exists(index, size)
    ranges, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    return _range_hashes(ranges[::-1], reader)


def consistency_proof(old_size: int, new_size: int, reader: HashReader) -> list[bytes]:
    """The hashes that lead from the root of `old_size` leaves to the root of `new_size` (RFC 6962 2.1.2).

    Empty where the sizes are equal, and for an old size of 0: every tree continues the empty one.

    Raises:
        ProofError: where the old size is larger than the new one.
    """
    _bounds("new tree size", new_size, SIZE_MAX)
    _bounds("old tree size", old_size, new_size)
    if old_size in (0, new_size):
        return []
    ranges, begin, end = [], 0, new_size
    while old_size != end:
        middle = begin + _split(end - begin)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    if begin:  # otherwise what remains is the old tree itself, whose root the verifier has
        ranges.append((begin, end))
    return _range_hashes(ranges[::-1], reader)


def _split(width: int) -> int:
    """The largest power of two smaller than the width."""
    return 1 << ((width - 1).bit_length() - 1)


def _range_hashes(ranges: Sequence[tuple[int, int]], reader: HashReader) -> list[bytes]:
    """The hash of each range, all read in one go, so that a reader can fetch together what it has to fetch."""
    rows = [range_nodes(begin, end) for begin, end in ranges]
    hashes = iter(reader.read_hashes([node for row in rows for node in row]))
    return [root_of_subtrees([next(hashes) for _ in row]) for row in rows]


# Checking proofs. In a proof from leaf to root, as long as the path is not on the right edge of the tree, a bit of the
# index says on which side the sibling is; above that, where the edge has gaps, every sibling is on the left.


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return if the proof shows that the leaf with this hash is leaf `index` of the tree with this size and root.

    Raises:
        ProofError: naming what does not fit.
    """
    _leaf_exists(index, size)
    _hashes([leaf], "leaf hash")
    _hashes([root], "root")
    inner, border = _path(index, size)
    _length(proof, inner + border, f"inclusion of leaf {index} in a tree of size {size}")
    digest = _along(leaf, proof[:inner], index)
    digest = _along_edge(digest, proof[inner:])
    if digest != root:
        raise ProofError(
            f"the proof leads from leaf {index} to another root ({digest.hex()}) than that of the tree ({root.hex()})"
        )


def check_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return if the proof shows that the new tree begins with all the leaves of the old one, in the same order.

    Raises:
        ProofError: naming what does not fit; which of the two roots, above all.
    """
    _bounds("new tree size", new_size, SIZE_MAX)
    _bounds("old tree size", old_size, new_size)
    _hashes([old_root], "old root")
    _hashes([new_root], "new root")
    claim = f"consistency of size {old_size} with size {new_size}"
    for size, root, which in ((old_size, old_root, "old"), (new_size, new_root, "new")):
        if size == 0 and root != EMPTY_ROOT:
            raise ProofError(f"the {which} tree is empty, but its root is not that of an empty tree: {root.hex()}")
    if old_size in (0, new_size):
        _length(proof, 0, claim)
        if old_size == new_size and old_root != new_root:
            raise ProofError(f"two trees of size {old_size} have different roots: {old_root.hex()}, {new_root.hex()}")
        return

    # The largest complete subtree at the old tree's right edge: where the two ways to the roots part.
    level = (old_size & -old_size).bit_length() - 1
    index = (old_size - 1) >> level
    inner, border = _path(old_size - 1, new_size)
    inner -= level
    if old_size == 1 << level:  # it is the whole old tree, and left out of the proof
        _length(proof, inner + border, claim)
        seed, path = old_root, proof
    else:
        _length(proof, 1 + inner + border, claim)
        seed, path = proof[0], proof[1:]
    old = _along_edge(seed, [sibling for at, sibling in enumerate(path[:inner]) if index >> at & 1])
    old = _along_edge(old, path[inner:])
    if old != old_root:
        raise ProofError(f"the proof does not lead to the old root {old_root.hex()} (size {old_size})")
    new = _along_edge(_along(seed, path[:inner], index), path[inner:])
    if new != new_root:
        raise ProofError(
            f"the proof does not lead from the old root {old_root.hex()} (size {old_size}) to the new root"
            f" {new_root.hex()} (size {new_size})"
        )


def _path(index: int, size: int) -> tuple[int, int]:
    """How many hashes a proof has below the tree's right edge, and how many along it."""
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


def _along(digest: bytes, siblings: Sequence[bytes], index: int) -> bytes:
    for level, sibling in enumerate(siblings):
        digest = node_hash(sibling, digest) if index >> level & 1 else node_hash(digest, sibling)
    return digest


def _along_edge(digest: bytes, siblings: Sequence[bytes]) -> bytes:
    for sibling in siblings:
        digest = node_hash(sibling, digest)
    return digest


def _bounds(what: str, value: int, highest: int) -> None:
    if type(value) is not int:
        raise ProofError(f"the {what} is not an integer: `{value!r}`")
    if not 0 <= value <= highest:
        raise ProofError(f"the {what} is {value}, which is not between 0 and {highest}")


def _leaf_exists(index: int, size: int) -> None:
    _bounds("tree size", size, SIZE_MAX)
    if size == 0:
        raise ProofError(f"there is no leaf {index} in a tree of size 0")
    _bounds("index of the leaf", index, size - 1)


def _length(proof: Sequence[bytes], expected: int, claim: str) -> None:
    if len(proof) != expected:
        raise ProofError(f"a proof of the {claim} has {expected} hashes, and this one has {len(proof)}")
    _hashes(proof, "proof")


def _hashes(hashes: Sequence[bytes], what: str) -> None:
    for at, digest in enumerate(hashes):
        if type(digest) is not bytes or len(digest) != HASH_SIZE:
            where = f"hash {at} of the {what}" if what == "proof" else f"the {what}"
            raise ProofError(f"{where} is not {HASH_SIZE} bytes: `{digest!r}`")
