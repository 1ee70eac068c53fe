"""Hashes of a shard's complete subtrees, of which a proof takes a few: those of 256 leaves and more are kept.

The smaller ones are made again from the 256 leaves they are of, which are read from the shard when a proof asks. So a
proof costs one such read however long the log is, and memory grows by less than a byte for each record.
"""

from collections.abc import Callable, Sequence
from typing import Final

from .merkle import HASH_SIZE, Frontier, HashTree, Node

LEVEL: Final = 8
LEAVES: Final = 1 << LEVEL


class SubtreeHashes:
    """A `HashReader` that grows with its shard. `leaves_of(begin, end)` reads leaf hashes, end to end."""

    def __init__(self, leaves_of: Callable[[int, int], bytes]) -> None:
        """Begin with no leaves."""
        self._leaves_of = leaves_of
        self._kept = HashTree()
        self._newest = bytearray()  # leaves behind the last 256 that are complete
        self._read: tuple[int, bytes] = (-1, b"")

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._kept.size * LEAVES + len(self._newest) // HASH_SIZE

    def extend(self, leaves: bytes) -> None:
        """Add leaf hashes, end to end. Cost: one node hash for each."""
        newest = self._newest
        newest += leaves
        whole = len(newest) // (HASH_SIZE * LEAVES) * HASH_SIZE * LEAVES
        for at in range(0, whole, HASH_SIZE * LEAVES):
            frontier = Frontier()
            frontier.extend(bytes(newest[at : at + HASH_SIZE * LEAVES]))
            self._kept.append(frontier.root())
        del newest[:whole]

    def read_hashes(self, nodes: Sequence[Node]) -> list[bytes]:
        """One hash per node, in the order asked for."""
        return [self._hash(node) for node in nodes]

    def _hash(self, node: Node) -> bytes:
        if node.level >= LEVEL:
            return self._kept.read_hashes([Node(node.level - LEVEL, node.position)])[0]
        begin = node.position << node.level
        group = begin // LEAVES
        if group == self._kept.size:
            leaves = bytes(self._newest)
        else:
            if self._read[0] != group:
                self._read = (group, self._leaves_of(group * LEAVES, (group + 1) * LEAVES))
            leaves = self._read[1]
        at = HASH_SIZE * (begin % LEAVES)
        frontier = Frontier()
        frontier.extend(leaves[at : at + (HASH_SIZE << node.level)])
        assert frontier.size == 1 << node.level, "the subtree is complete"
        return frontier.root()
