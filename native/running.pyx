"""What is kept of calls under way, by the ids of their decisions: a table in which neighbours lie beside each other.

Ids are a prefix and a number that counts. A hash would throw 100,000 of them all over the memory; so 16 that come one
after another lie side by side, where the processor has them at hand. A hash throws these sixteens about: side by side
they would make one long row, and whoever takes one out has to look at the rest of its row. Ids of other prefixes, which
few calls have, lie in a dict.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_GET_LENGTH
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp

from thoth.native.texts cimport text_is_ascii

cdef enum:
    ROOM_FIRST = 64
    DIGITS_MAX = 18

cdef uint64_t ODD = <uint64_t>0x9E3779B97F4A7C15


cdef inline uint64_t home_of(uint64_t number, uint64_t mask) noexcept nogil:
    """Return the place of a number, which is its own unless another has taken it."""
    return ((number >> 4) * ODD >> 32 << 4 | number & 15) & mask


cdef class Running:
    """A mapping from ids to whatever is kept of a call. Cost of each use: a look at one place, nearly always."""

    def __cinit__(self, str prefix not None):
        self.prefix, self.others = (prefix + "-").encode(), {}
        self.slots = <Slot *>PyMem_Calloc(ROOM_FIRST, sizeof(Slot))
        if self.slots == NULL:
            raise MemoryError
        self.room, self.lowest = ROOM_FIRST, 1

    def __dealloc__(self):
        cdef Py_ssize_t place
        if self.slots != NULL:
            for place in range(self.room):
                if self.slots[place].value != NULL:
                    Py_DECREF(<object>self.slots[place].value)
        PyMem_Free(self.slots)

    def __len__(self):
        return self.count + len(self.others)

    def __contains__(self, id):
        cdef uint64_t number = self.number_of(id)
        return self.find(number) != NULL if number else id in self.others

    def __getitem__(self, id):
        cdef uint64_t number = self.number_of(id)
        cdef Slot *slot
        if not number:
            return self.others[id]
        slot = self.find(number)
        if slot == NULL:
            raise KeyError(id)
        return <object>slot.value

    def __setitem__(self, str id not None, value):
        self.put(id, value)

    def __iter__(self):
        """Return the ids, the oldest first."""
        cdef Py_ssize_t place
        numbers = sorted([self.slots[place].number for place in range(self.room) if self.slots[place].value != NULL])
        prefix = self.prefix.decode()
        return iter([*self.others, *[f"{prefix}{number}" for number in numbers]])

    def get(self, id, default=None):
        """Return what is kept under an id."""
        return self[id] if id in self else default

    def pop(self, id, *default):
        """Take out what is kept under an id."""
        if id not in self:
            if default:
                return default[0]
            raise KeyError(id)
        return self.take(id)

    def oldest(self) -> str:
        """Return the id of the oldest call; those of other prefixes are older than ours."""
        if self.others:
            return next(iter(self.others))
        if not self.count:
            raise KeyError("there is none")
        while self.find(self.lowest) == NULL:
            self.lowest += 1
        return f"{self.prefix.decode()}{self.lowest}"

    cdef uint64_t number_of(self, object id) noexcept:
        """Return the number of an id of ours, 0 of any other."""
        cdef Py_ssize_t before = PyBytes_GET_SIZE(self.prefix), length, place
        cdef const uint8_t *text
        cdef uint64_t number = 0
        if type(id) is not str or not text_is_ascii(id):
            return 0
        length = PyUnicode_GET_LENGTH(id)
        text = <const uint8_t *>PyUnicode_1BYTE_DATA(id)
        if not before < length <= before + DIGITS_MAX or text[before] == 48:
            return 0
        if memcmp(text, PyBytes_AS_STRING(self.prefix), before) != 0:
            return 0
        for place in range(before, length):
            if not 48 <= text[place] <= 57:
                return 0
            number = 10 * number + text[place] - 48
        return number

    cdef Slot *find(self, uint64_t number) noexcept:
        cdef uint64_t mask = self.room - 1, place = home_of(number, mask)
        while self.slots[place].value != NULL:
            if self.slots[place].number == number:
                return self.slots + place
            place = (place + 1) & mask
        return NULL

    cdef int put(self, object id, object value) except -1:
        cdef uint64_t number = self.number_of(id), place, mask
        cdef Slot *slot
        cdef object before
        if not number:
            self.others[id] = value
            return 0
        slot = self.find(number)
        if slot != NULL:
            before = <object>slot.value
            Py_INCREF(value)
            slot.value = <PyObject *>value
            Py_DECREF(before)
            return 0
        if 2 * (self.count + 1) > self.room:
            self.grow()
        mask = self.room - 1
        place = home_of(number, mask)
        while self.slots[place].value != NULL:
            place = (place + 1) & mask
        Py_INCREF(value)
        self.slots[place] = Slot(number, <PyObject *>value)
        self.count += 1
        self.lowest = min(self.lowest, number)
        return 0

    cdef object take(self, object id):
        """Take out what is kept under an id that is there."""
        cdef uint64_t number = self.number_of(id), mask = self.room - 1, hole, place, home
        cdef Slot *slot
        cdef object value
        if not number:
            return self.others.pop(id)
        slot = self.find(number)
        assert slot != NULL
        value = <object>slot.value
        hole = slot - self.slots
        place = (hole + 1) & mask
        while self.slots[place].value != NULL:
            # Whoever was pushed on past the hole moves back into it, so that a search that ends at a hole is right.
            home = home_of(self.slots[place].number, mask)
            if (place - home) & mask >= (place - hole) & mask:
                self.slots[hole] = self.slots[place]
                hole = place
            place = (place + 1) & mask
        self.slots[hole].value = NULL
        self.count -= 1
        Py_DECREF(value)
        return value

    cdef int grow(self) except -1:
        cdef Py_ssize_t room = 2 * self.room, place
        cdef Slot *slots = <Slot *>PyMem_Calloc(room, sizeof(Slot))
        cdef Slot *before = self.slots
        cdef uint64_t to, mask = room - 1
        if slots == NULL:
            raise MemoryError
        for place in range(self.room):
            if before[place].value != NULL:
                to = home_of(before[place].number, mask)
                while slots[to].value != NULL:
                    to = (to + 1) & mask
                slots[to] = before[place]
        self.slots, self.room = slots, room
        PyMem_Free(before)
        return 0
