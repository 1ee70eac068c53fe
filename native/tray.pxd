from libc.stdint cimport int64_t, uint8_t, uint64_t

from thoth.native.spelling cimport Ink

cdef class SealKey:
    cdef readonly str name
    cdef readonly bytes bound        # what a box is bound to besides its key, before its id
    cdef public object encrypt       # (nonce, data, bound) -> sealed
    cdef bytes spelled               # the key's name as it ends the member of a record

# A commitment that is to be made: SHA256 over a text that begins with a salt, which is still to be drawn.
cdef struct Promise:
    Py_ssize_t digits_at         # in `bodies`: where its 64 digits go
    Py_ssize_t text_at, text_bytes   # in `texts`
    Py_ssize_t salt_at           # in `boxes`: where the salt is kept; -1 where it is not

cdef enum:
    SALT_BYTES = 16
    ID_BYTES = 16
    NONCE_BYTES = 12
    DIGEST_DIGITS = 64
    ID_DIGITS = 32

cdef class Promises:
    cdef Promise *all            # [count]
    cdef Py_ssize_t count, room
    cdef int put(self, Py_ssize_t digits_at, Py_ssize_t text_at, Py_ssize_t text_bytes, Py_ssize_t salt_at) except -1

cdef class Half:
    cdef Ink bodies, boxes
    cdef Ink texts                   # what promises are made of
    cdef Promises promises           # those of commitments, and of boxes: these have a text of no bytes
    cdef uint8_t[32] seed            # what chance is drawn from to keep them
    cdef Py_ssize_t *ends            # [count] where each body ends in `bodies`
    cdef Py_ssize_t *box_ends        # [box_count] where each box ends in `boxes`
    cdef readonly Py_ssize_t count, box_count
    cdef Py_ssize_t room, box_room
    cdef list keys                   # [box_count] SealKey
    cdef readonly int64_t first_us, last_us
    cdef readonly uint64_t first_ticket
    cdef void keep_promises(self) noexcept nogil
    cdef int note_body(self, int64_t at_us) except -1
    cdef int note_box(self, SealKey key) except -1

cdef class Tray:
    cdef Half open, spare
    cdef object random
    cdef bytes chance
    cdef Py_ssize_t chance_used
    cdef readonly int64_t newest_us
    cdef readonly uint64_t tickets
    cdef Py_ssize_t count_max
    cdef int64_t late_us
    cdef public int64_t day_ends_us  # until then `keys` are right
    cdef public dict keys            # tenant and user -> SealKey
    cdef public bint ready           # nothing is in the way of the next record
    cdef uint64_t note(self, int64_t at_us) except 0
    cdef const uint8_t *chances(self, Py_ssize_t count) except NULL
