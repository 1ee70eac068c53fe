from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint64_t

cdef enum:
    DIGEST_BYTES = 32

cdef struct Reply:
    uint64_t id
    double at                    # seconds, when it was given
    uint8_t digest[DIGEST_BYTES] # of the question
    PyObject *answer             # bytes

cdef class Replies:
    cdef Reply *ring             # [room], the oldest at `first`
    cdef Py_ssize_t first, count, room, most
    cdef readonly Py_ssize_t kept_bytes      # of the answers
    cdef Py_ssize_t bytes_max
    cdef readonly uint64_t newest, forgotten
    cdef int add(self, uint64_t id, const uint8_t *digest, bytes answer, double at) except -1
    cdef int drop(self) except -1
    cdef int grow(self) except -1

cdef int digest_into(const uint8_t *data, Py_ssize_t length, uint8_t *digest) except -1
