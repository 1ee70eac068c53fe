"""The complete subtrees of which a Merkle tree (RFC 6962) consists, and how they grow leaf by leaf."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef extern from "sha256.h" nogil:
    int sha256_choose(int want_ni)
    void sha256_prefixed(uint8_t prefix, const uint8_t *first, size_t first_length,
                         const uint8_t *second, size_t second_length, uint8_t *digest)

sha256_choose(1)

cdef enum:
    HASH_BYTES = 32
    TAG_NODE = 0x01


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

    def extend(self, const uint8_t[::1] leaves not None, Py_ssize_t start = 0, stop = None) -> None:
        """Add leaves, 32 bytes each, end to end: those from `start` up to `stop`."""
        cdef Py_ssize_t at, end = leaves.shape[0] // HASH_BYTES if stop is None else stop
        if leaves.shape[0] % HASH_BYTES or not 0 <= start <= end <= leaves.shape[0] // HASH_BYTES:
            raise ValueError("leaves are 32 bytes each")
        with nogil:
            for at in range(start, end):
                self.grow(&leaves[at * HASH_BYTES])
