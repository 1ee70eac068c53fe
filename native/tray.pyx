"""Where records wait to be written: bodies end to end, and beside them the values that are to be sealed.

One thread puts records in while another takes out what is there. Putting in and taking out are each one call that keeps
the interpreter's lock, so no other lock is needed; what was taken out belongs to who took it.

What is random in a record, and what is hashed with it, is filled in when it is taken out: by then nobody waits for it.

    box, before it is sealed:  id, 16 bytes | nonce, 12 bytes | for each value:
                               u16 length | path | salt, 16 bytes | u32 length | the value's one spelling
    box, on disk:              9e "TV1" | u32 length of what is sealed | id | nonce | sealed
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from thoth.native.sha256 cimport sha256_choose, sha256_many, sha256_message

cdef extern from "digits.h" nogil:
    void put_digits(uint8_t *to, const uint8_t *data, size_t length)

sha256_choose(1)

cdef enum:
    BOX_HEAD_BYTES = 36
    TOGETHER = 64             # promises that are kept in one go
    SEED_BYTES = 32
    CHANCE_BYTES = 8192
    TAKEN_AT_ONCE = 256
    KEPT_BYTES_MAX = 1 << 24

cdef enum:
    waits, first, late

WAITS, FIRST, LATE = waits, first, late
cdef uint8_t[4] magic = [0x9E, 0x54, 0x56, 0x31]


cdef class SealKey:
    """A key of the vault: its name, and what it seals with."""

    def __init__(self, str name not None, bytes bound not None, encrypt):
        self.name, self.bound, self.encrypt = name, bound, encrypt
        self.spelled = b'","key":"' + name.encode("ascii") + b'"}'


cdef class Promises:
    """What is still to be filled in."""

    def __dealloc__(self):
        PyMem_Free(self.all)

    cdef int put(self, Py_ssize_t digits_at, Py_ssize_t text_at, Py_ssize_t text_bytes, Py_ssize_t salt_at) except -1:
        cdef Promise *grown
        if self.count == self.room:
            grown = <Promise *>PyMem_Realloc(self.all, (2 * self.room + 64) * sizeof(Promise))
            if grown == NULL:
                raise MemoryError
            self.all, self.room = grown, 2 * self.room + 64
        grown = self.all + self.count
        grown.digits_at, grown.text_at, grown.text_bytes, grown.salt_at = digits_at, text_at, text_bytes, salt_at
        self.count += 1
        return 0


cdef class Half:
    """Records that were taken out of a tray, in order."""

    def __cinit__(self):
        self.bodies, self.boxes, self.texts, self.keys, self.promises = Ink(), Ink(), Ink(), [], Promises()

    def __dealloc__(self):
        PyMem_Free(self.ends)
        PyMem_Free(self.box_ends)

    cdef void keep_promises(self) noexcept nogil:
        """Draw salts, and ids and nonces of boxes, and make the commitments; where that is done, nothing.

        Chance is SHA256(seed, number): who does not know the seed, which is random and never written, can tell none
        from another. Cost: a hash for what is drawn, one for what is committed to, two at a time.
        """
        cdef uint8_t asked[TOGETHER][SEED_BYTES + 8]
        cdef uint8_t drawn[TOGETHER][32]
        cdef sha256_message messages[TOGETHER]
        cdef Promise *promise
        cdef Py_ssize_t begin = 0, count, at, made
        cdef uint64_t number
        while begin < self.promises.count:
            count = min(<Py_ssize_t>TOGETHER, self.promises.count - begin)
            for at in range(count):
                number = begin + at
                memcpy(asked[at], self.seed, SEED_BYTES)
                memcpy(asked[at] + SEED_BYTES, &number, 8)
                messages[at].data, messages[at].length, messages[at].digest = asked[at], SEED_BYTES + 8, drawn[at]
            sha256_many(-1, messages, count, NULL)
            made = 0
            for at in range(count):
                promise = self.promises.all + begin + at
                if promise.text_bytes == 0:
                    memcpy(self.boxes.data + promise.salt_at, drawn[at], ID_BYTES + NONCE_BYTES)
                    put_digits(self.bodies.data + promise.digits_at, drawn[at], ID_BYTES)
                    continue
                memcpy(self.texts.data + promise.text_at, drawn[at], SALT_BYTES)
                if promise.salt_at >= 0:
                    memcpy(self.boxes.data + promise.salt_at, drawn[at], SALT_BYTES)
                messages[made].data, messages[made].length = self.texts.data + promise.text_at, promise.text_bytes
                messages[made].digest = drawn[at]
                made += 1
            sha256_many(-1, messages, made, NULL)
            for at in range(count):
                promise = self.promises.all + begin + at
                if promise.text_bytes:
                    put_digits(self.bodies.data + promise.digits_at, drawn[at], 32)
            begin += count
        self.promises.count = self.texts.used = 0

    cdef int note_body(self, int64_t at_us) except -1:
        """Say that a body ends here."""
        cdef Py_ssize_t *grown
        if self.count == self.room:
            grown = <Py_ssize_t *>PyMem_Realloc(self.ends, (2 * self.room + 64) * sizeof(Py_ssize_t))
            if grown == NULL:
                raise MemoryError
            self.ends, self.room = grown, 2 * self.room + 64
        if self.count == 0:
            self.first_us = at_us
        self.last_us = at_us
        self.ends[self.count] = self.bodies.used
        self.count += 1
        return 0

    cdef int note_box(self, SealKey key) except -1:
        """Say that a box ends here, to be sealed with this key."""
        cdef Py_ssize_t *grown
        if self.box_count == self.box_room:
            grown = <Py_ssize_t *>PyMem_Realloc(self.box_ends, (2 * self.box_room + 64) * sizeof(Py_ssize_t))
            if grown == NULL:
                raise MemoryError
            self.box_ends, self.box_room = grown, 2 * self.box_room + 64
        self.box_ends[self.box_count] = self.boxes.used
        self.box_count += 1
        self.keys.append(key)
        return 0

    @property
    def byte_count(self) -> int:
        """Bytes of all bodies."""
        return self.bodies.used

    def body(self, Py_ssize_t number) -> bytes:
        """Return one body."""
        if not 0 <= number < self.count:
            raise IndexError(number)
        self.keep_promises()
        cdef Py_ssize_t begin = self.ends[number - 1] if number else 0
        return PyBytes_FromStringAndSize(<char *>self.bodies.data + begin, self.ends[number] - begin)

    def body_bytes(self, Py_ssize_t number) -> int:
        """Return the length of one body."""
        if not 0 <= number < self.count:
            raise IndexError(number)
        return self.ends[number] - (self.ends[number - 1] if number else 0)

    def keys_used(self) -> set:
        """Return the keys that boxes are to be sealed with."""
        return set(self.keys)

    def sealed(self) -> bytearray:
        """Return all boxes as they are to be written. Cost: one call of a cipher for each."""
        cdef bytearray frames = bytearray()
        cdef Py_ssize_t number, begin = 0, end, used = 0, length
        cdef const uint8_t *box
        cdef SealKey key
        cdef bytes sealed, nonce, plain, bound
        cdef uint32_t size
        cdef uint8_t *to
        self.keep_promises()
        for number in range(self.box_count):
            key, end = <SealKey>self.keys[number], self.box_ends[number]
            box = self.boxes.data + begin
            nonce = PyBytes_FromStringAndSize(<const char *>box + ID_BYTES, NONCE_BYTES)
            plain = PyBytes_FromStringAndSize(<const char *>box + ID_BYTES + NONCE_BYTES, end - begin - ID_BYTES - NONCE_BYTES)
            bound = PyBytes_FromStringAndSize(NULL, PyBytes_GET_SIZE(key.bound) + ID_BYTES)
            memcpy(PyBytes_AS_STRING(bound), PyBytes_AS_STRING(key.bound), PyBytes_GET_SIZE(key.bound))
            memcpy(PyBytes_AS_STRING(bound) + PyBytes_GET_SIZE(key.bound), box, ID_BYTES)
            sealed = key.encrypt(nonce, plain, bound)
            length = BOX_HEAD_BYTES + PyBytes_GET_SIZE(sealed)
            if number == 0:
                PyByteArray_Resize(frames, length * self.box_count + 4096)
            elif used + length > len(frames):
                PyByteArray_Resize(frames, 2 * len(frames) + length)
            to = <uint8_t *>PyByteArray_AS_STRING(frames) + used
            size = <uint32_t>PyBytes_GET_SIZE(sealed)
            memcpy(to, magic, 4)
            memcpy(to + 4, &size, 4)
            memcpy(to + 8, box, ID_BYTES + NONCE_BYTES)
            memcpy(to + BOX_HEAD_BYTES, PyBytes_AS_STRING(sealed), size)
            used += length
            begin = end
        PyByteArray_Resize(frames, used)
        return frames


cdef class Tray:
    """Takes records in. `random` gives so many random bytes.

    Each record gets a ticket, counted from 1. Whoever put one in is told what to do about it, in the two lowest bits
    of what is returned: FIRST, it is the first that waits; LATE, more than `count_max` wait, or one for more than
    `late_us`; else WAITS. The ticket stands above.
    """

    def __init__(self, random, Py_ssize_t count_max, int64_t late_us):
        self.open, self.random, self.chance = Half(), random, b""
        self.count_max, self.late_us = count_max, late_us
        self.keys = {}

    @property
    def count(self) -> int:
        """Records that wait."""
        return self.open.count

    @property
    def first_us(self) -> int:
        """The time of the oldest one that waits."""
        return self.open.first_us

    cdef const uint8_t *chances(self, Py_ssize_t count) except NULL:
        """Return so many random bytes, never the same ones twice; valid until the next call."""
        cdef const uint8_t *found
        assert count <= TAKEN_AT_ONCE
        if self.chance_used + count > PyBytes_GET_SIZE(self.chance):
            self.chance = self.random(CHANCE_BYTES)
            if PyBytes_GET_SIZE(self.chance) != CHANCE_BYTES:
                raise ValueError("there is no more chance")
            self.chance_used = 0
        found = <const uint8_t *>PyBytes_AS_STRING(self.chance) + self.chance_used
        self.chance_used += count
        return found

    def begin(self, int64_t newest_us) -> None:
        """No record is older than this."""
        self.newest_us = max(self.newest_us, newest_us)

    cdef uint64_t note(self, int64_t at_us) except 0:
        """Count the record whose body was just put into the open half."""
        cdef Half half = self.open
        half.note_body(at_us)
        self.newest_us = at_us
        self.tickets += 1
        if half.count == 1:
            half.first_ticket = self.tickets
            return self.tickets << 2 | first
        if half.count > self.count_max or at_us - half.first_us > self.late_us:
            return self.tickets << 2 | late
        return self.tickets << 2 | waits

    def put(self, bytes body not None, SealKey key, bytes box, int64_t at_us) -> int:
        """Take in a record of a time that somebody else has drafted, with its box before it is sealed.

        0: a newer record came meanwhile, and nothing was taken in.
        """
        if at_us < self.newest_us:
            return 0
        self.open.bodies.put(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
        if key is not None:
            self.open.boxes.put(PyBytes_AS_STRING(box), PyBytes_GET_SIZE(box))
            self.open.note_box(key)
        return self.note(at_us)

    def take(self) -> Half:
        """Take out everything that waits."""
        cdef Half taken
        cdef uint8_t[SEED_BYTES] seed
        if self.open.promises.count:
            memcpy(seed, self.chances(SEED_BYTES), SEED_BYTES)   # first, for asking for more lets others in
            memcpy(self.open.seed, seed, SEED_BYTES)
        taken = self.open
        self.open = Half() if self.spare is None else self.spare
        self.spare = None
        return taken

    def give_back(self, Half half not None) -> None:
        """Say that what was taken out is done with: its memory is used again."""
        half.bodies.used = half.boxes.used = half.texts.used = half.count = half.box_count = half.promises.count = 0
        half.keys.clear()
        if max(half.bodies.room, half.boxes.room, half.texts.room) <= KEPT_BYTES_MAX:
            self.spare = half
