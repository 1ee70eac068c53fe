"""The complete subtrees of which a Merkle tree (RFC 6962) consists, and how they grow leaf by leaf."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from thoth.native.sha256 cimport sha256_choose, sha256_prefixed, sha256_two_nodes

sha256_choose(1)

cdef enum:
    HASH_BYTES = 32
    TAG_NODE = 0x01
    BLOCK_LEVEL = 6
    BLOCK = 64                # leaves that are taken in one go


cdef class Peaks:
    """Grows by leaf hashes; cost of one: one node hash on average."""

    def __init__(self, size: int = 0, hashes=()):
        if len(hashes) != int(size).bit_count() or not 0 <= size < 2**63:
            raise ValueError("one hash for each bit set in the size")
        self.size, self.count = size, 0
        for one in hashes:
            if len(one) != HASH_BYTES:
                raise ValueError("a hash has 32 bytes")
            memcpy(self.hashes[self.count], <const uint8_t *><bytes>one, HASH_BYTES)
            self.count += 1

    @property
    def all(self) -> list:
        """The hashes, from the largest subtree to the smallest."""
        return [PyBytes_FromStringAndSize(<char *>self.hashes[at], HASH_BYTES) for at in range(self.count)]

    cdef void grow(self, const uint8_t *leaf) noexcept nogil:
        cdef uint64_t size = self.size
        memcpy(self.hashes[self.count], leaf, HASH_BYTES)
        while size & 1:
            self.count -= 1
            sha256_prefixed(TAG_NODE, self.hashes[self.count], HASH_BYTES, self.hashes[self.count + 1], HASH_BYTES,
                            self.hashes[self.count])
            size >>= 1
        self.count += 1
        self.size += 1

    cdef void grow_by_block(self, const uint8_t *leaves) noexcept nogil:
        """Add BLOCK leaves to a whole number of blocks; the nodes of a level are hashed two at a time."""
        cdef uint8_t nodes[32][HASH_BYTES]   # half a block
        cdef const uint8_t *below = leaves
        cdef Py_ssize_t width = BLOCK // 2, at
        cdef uint64_t size = self.size >> BLOCK_LEVEL
        while width > 1:
            # Node `at` is written where nothing is read any more: what it is of lies at 2 * at and behind it.
            for at in range(0, width, 2):
                sha256_two_nodes(TAG_NODE, below + 2 * at * HASH_BYTES, nodes[at],
                                 below + 2 * (at + 1) * HASH_BYTES, nodes[at + 1])
            below = nodes[0]
            width >>= 1
        sha256_prefixed(TAG_NODE, below, 2 * HASH_BYTES, NULL, 0, self.hashes[self.count])
        while size & 1:
            self.count -= 1
            sha256_prefixed(TAG_NODE, self.hashes[self.count], HASH_BYTES, self.hashes[self.count + 1], HASH_BYTES,
                            self.hashes[self.count])
            size >>= 1
        self.count += 1
        self.size += BLOCK

    def extend(self, const uint8_t[::1] leaves not None, Py_ssize_t start = 0, stop = None) -> None:
        """Add leaves, 32 bytes each, end to end: those from `start` up to `stop`."""
        cdef Py_ssize_t end = leaves.shape[0] // HASH_BYTES if stop is None else stop
        if leaves.shape[0] % HASH_BYTES or not 0 <= start <= end <= leaves.shape[0] // HASH_BYTES:
            raise ValueError("leaves are 32 bytes each")
        with nogil:
            self.grow_by(&leaves[start * HASH_BYTES] if start < end else NULL, end - start)

    cdef void grow_by(self, const uint8_t *leaves, Py_ssize_t count) noexcept nogil:
        """Add so many leaves, 32 bytes each."""
        while count:
            if self.size % BLOCK == 0 and count >= BLOCK:
                self.grow_by_block(leaves)
                leaves += BLOCK * HASH_BYTES
                count -= BLOCK
            else:
                self.grow(leaves)
                leaves += HASH_BYTES
                count -= 1
