from libc.stdint cimport uint8_t, uint64_t

cdef class Peaks:
    cdef readonly uint64_t size
    cdef uint8_t hashes[64][32]      # one for each bit set in the size, from the highest down
    cdef int count
    cdef void grow(self, const uint8_t *leaf) noexcept nogil
    cdef void grow_by_block(self, const uint8_t *leaves) noexcept nogil
    cdef void grow_by(self, const uint8_t *leaves, Py_ssize_t count) noexcept nogil
