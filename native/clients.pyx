"""The questions of one client that are remembered, by id: those under way, and the answers to others."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

cdef object GONE = object()


@cython.freelist(256)
cdef class Kept:
    """One question that is under way. `lane` is where its answer is to go: where the client asked last.

    One that a lane has answered, so that only the disk is waited for, has both as bytes in `question` and `answer`: a
    decision is many objects, and hundreds wait together.
    """

    @property
    def digest(self) -> bytes:
        """What tells the question from another."""
        return PyBytes_FromStringAndSize(<char *>self.told, DIGEST_BYTES)

    def give(self, decision, token):
        """Send the decision that was waited for, where the client is now."""
        self.lane.connection.give(self, decision, token)


cdef class Client:
    """A client; it keeps as many answers as its `Replies` do."""

    def __init__(self, double now, Py_ssize_t answers_max, Py_ssize_t answers_bytes_max):
        self.waiting, self.replies, self.seen_at = {}, Replies(answers_max, answers_bytes_max), now

    def begin(self, uint64_t id, bytes digest not None, lane) -> Kept:
        """Remember a question that is under way."""
        if PyBytes_GET_SIZE(digest) != DIGEST_BYTES:
            raise ValueError("a digest has 32 bytes")
        return self.begun(id, <const uint8_t *>PyBytes_AS_STRING(digest), lane)

    def answered(self, Kept kept not None, bytes answer not None, double now) -> None:
        """Remember the answer to a question, if it is still under way."""
        self.settled(kept, answer, now)

    cdef Kept begun(self, uint64_t id, const uint8_t *digest, object lane):
        cdef Kept kept = Kept.__new__(Kept)
        kept.id, kept.client, kept.lane = id, self, lane
        memcpy(kept.told, digest, DIGEST_BYTES)
        self.waiting[id] = kept
        self.replies.newest = max(self.replies.newest, id)
        return kept

    cdef int settled(self, Kept kept, bytes answer, double now) except -1:
        if self.waiting.pop(kept.id, GONE) is not GONE:
            self.replies.add(kept.id, kept.told, answer, now)
        return 0
