"""What one client was answered lately, by the ids of its questions, which count upwards.

A ring of the last few: the oldest is forgotten when there is no room, where answers are large, or after a while. What is older than anything
that was forgotten may have been answered, and nobody knows how.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from thoth.native.sha256 cimport sha256_begin, sha256_choose, sha256_end, sha256_run, sha256_take

cdef enum:
    ROOM_FIRST = 16

sha256_choose(1)


cdef int digest_into(const uint8_t *data, Py_ssize_t length, uint8_t *digest) except -1:
    cdef sha256_run run
    sha256_begin(&run)
    sha256_take(&run, data, length)
    sha256_end(&run, digest)
    return 0


def digest_of(bytes payload not None) -> bytes:
    """Return what tells one question from another: its SHA-256."""
    cdef uint8_t digest[DIGEST_BYTES]
    digest_into(<const uint8_t *>PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), digest)
    return PyBytes_FromStringAndSize(<char *>digest, DIGEST_BYTES)


@cython.no_gc
cdef class Replies:
    """Answers to the last `most` questions, `most` a power of two, of at most so many bytes, or the last one alone.

    `newest` is the highest id that ever came.
    """

    def __cinit__(self, Py_ssize_t most, Py_ssize_t bytes_max):
        if most < ROOM_FIRST or most & (most - 1):
            raise ValueError("a ring has a power of two as its room, and at least 16")
        self.most, self.bytes_max = most, bytes_max

    def __dealloc__(self):
        while self.count:
            self.drop()
        PyMem_Free(self.ring)

    def __len__(self):
        return self.count

    def note(self, uint64_t id):
        """Say that a question of this id came."""
        self.newest = max(self.newest, id)

    def keep(self, uint64_t id, bytes digest not None, bytes answer not None, double at):
        """Remember an answer."""
        if PyBytes_GET_SIZE(digest) != DIGEST_BYTES:
            raise ValueError("a digest has 32 bytes")
        self.add(id, <const uint8_t *>PyBytes_AS_STRING(digest), answer, at)

    def find(self, uint64_t id):
        """Return the digest of a question and its answer, or None. Cost: a look at each that is remembered."""
        cdef Py_ssize_t place = self.count
        cdef Reply *one
        while place:
            place -= 1
            one = self.ring + ((self.first + place) & (self.room - 1))
            if one.id == id:
                return PyBytes_FromStringAndSize(<char *>one.digest, DIGEST_BYTES), <bytes>one.answer
        return None

    def forget(self, double until):
        """Forget what was answered at a time or before."""
        while self.count and self.ring[self.first].at <= until:
            self.drop()

    cdef int add(self, uint64_t id, const uint8_t *digest, bytes answer, double at) except -1:
        cdef Reply *one
        self.kept_bytes += PyBytes_GET_SIZE(answer)
        while self.count and self.kept_bytes > self.bytes_max:
            self.drop()
        if self.count == self.room:
            if self.room == self.most:
                self.drop()
            else:
                self.grow()
        one = self.ring + ((self.first + self.count) & (self.room - 1))
        one.id, one.at, one.answer = id, at, <PyObject *>answer
        memcpy(one.digest, digest, DIGEST_BYTES)
        Py_INCREF(answer)
        self.count += 1
        self.newest = max(self.newest, id)
        return 0

    cdef int drop(self) except -1:
        """Forget the oldest."""
        cdef Reply *oldest = self.ring + self.first
        self.forgotten = max(self.forgotten, oldest.id)
        self.first = (self.first + 1) & (self.room - 1)
        self.count -= 1
        self.kept_bytes -= PyBytes_GET_SIZE(<object>oldest.answer)
        Py_DECREF(<object>oldest.answer)
        return 0

    cdef int grow(self) except -1:
        cdef Py_ssize_t room = 2 * self.room if self.room else ROOM_FIRST, place
        cdef Reply *ring = <Reply *>PyMem_Malloc(room * sizeof(Reply))
        if ring == NULL:
            raise MemoryError
        for place in range(self.count):
            ring[place] = self.ring[(self.first + place) & (self.room - 1)]
        PyMem_Free(self.ring)
        self.ring, self.room, self.first = ring, room, 0
        return 0
