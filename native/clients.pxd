cimport cython
from libc.stdint cimport uint8_t, uint64_t

from thoth.native.replies cimport DIGEST_BYTES, Replies

cdef class Kept:
    cdef readonly uint64_t id
    cdef uint8_t[DIGEST_BYTES] told     # from another question: its digest
    cdef readonly Client client
    cdef public object lane             # where its answer is to go
    cdef readonly bytes question, answer    # of one that is answered, and waits for the disk; else None

cdef class Client:
    cdef readonly dict waiting          # id -> Kept
    cdef readonly Replies replies
    cdef public Py_ssize_t connections
    cdef public double seen_at
    cdef Kept begun(self, uint64_t id, const uint8_t *digest, object lane)
    cdef int settled(self, Kept kept, bytes answer, double now) except -1
