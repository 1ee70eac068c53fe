"""Requests as bytes, JSON (RFC 8259) or MessagePack: decoded by others, and held against what the bytes say.

A decoder that meets a key twice keeps the last and says nothing; another program may have kept the first. So the members
that the bytes hold are counted and compared with those that came out. What differs, or cannot be read, is somebody else's
to look at.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Next
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memchr, memcpy

from thoth.native.admission cimport Intake
from thoth.native.entries cimport Entered, dict_entries
from thoth.native.packed cimport Packed
from thoth.native.texts cimport text_is_ascii

cdef enum:
    DEPTH_MAX = 64


cdef class Wire:
    """Takes requests in as bytes; `json` and `msgpack` decode them."""

    def __init__(self, Intake intake not None, json, msgpack):
        self.intake, self.json, self.msgpack, self.packed = intake, json, msgpack, Packed(intake)

    def read(self, data):
        """Return a request, or None where the bytes hold no plain one that can be read in one way only.

        Bytes that begin as a MessagePack map does are one; all others are JSON, which may also come as a text.
        """
        return self.read_in(data)

    cdef object read_in(self, object data):
        cdef const uint8_t *text
        cdef Py_ssize_t length
        if type(data) is bytes:
            text, length = <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
        elif type(data) is str and text_is_ascii(data):
            text, length = <const uint8_t *>PyUnicode_DATA(data), PyUnicode_GET_LENGTH(data)
        else:
            return None
        if length == 0:
            return None
        if 0x80 <= text[0] <= 0x8F or text[0] == 0xDE or text[0] == 0xDF:
            return self.read_msgpack(data, text, length) if type(data) is bytes else None
        return self.read_json(data, text, length)

    def read_both(self, bytes data not None):
        """Return the members of a request in JSON, and the request, which holds them too; None as `read` does."""
        cdef object value = self.members_of(data, <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        cdef object request = None if value is None else self.intake.adopt(<dict>value)
        return None if request is None else (value, request)

    cdef object read_json(self, object data, const uint8_t *text, Py_ssize_t length):
        cdef object value = self.members_of(data, text, length)
        return None if value is None else self.intake.adopt(<dict>value)

    cdef object members_of(self, object data, const uint8_t *text, Py_ssize_t length):
        """Return an object that JSON text holds, if it can be read in one way only; else None."""
        cdef Seen seen = Seen(0, 0)
        cdef object value
        try:
            value = self.json(data)
        except Exception:
            return None
        if type(value) is not dict or not count(value, &seen, 1):
            return None
        if memchr(text, 92, length) != NULL:
            if members_outside(text, length) != seen.members:
                return None
        # Without escapes a colon stands behind a key, or in a text that has come out, or in one that was dropped.
        elif colons(text, length) - seen.colons != seen.members:
            return None
        return value

    cdef object read_msgpack(self, object data, const uint8_t *bytes, Py_ssize_t length):
        cdef Seen seen = Seen(0, 0)
        cdef object value = self.packed.read_in(bytes, length)
        if value is not None:
            return value
        try:
            value = self.msgpack(data)
        except Exception:
            return None
        if type(value) is not dict or not count(value, &seen, 1) or packed_members(bytes, length) != seen.members:
            return None
        return self.intake.adopt(<dict>value)


cdef bint count(object value, Seen *seen, int depth) except -1:
    """Count the members of all objects, and the colons in all texts; say whether it is no deeper than may be."""
    cdef PyObject *key
    cdef PyObject *member
    cdef Entered *entries
    cdef Py_ssize_t at = 0, place, held = 0
    if type(value) is str:
        seen.colons += colons_in(value)
    elif type(value) is dict:
        if depth > DEPTH_MAX:
            return False
        seen.members += len(<dict>value)
        entries = dict_entries(value, &held)
        if entries == NULL:
            while PyDict_Next(value, &at, &key, &member):
                if type(<object>key) is not str:
                    return False
                seen.colons += colons_in(<object>key)
                if not count(<object>member, seen, depth + 1):
                    return False
            return True
        # Nobody else has seen the value, and nothing here takes memory.
        for place in range(held):
            member = entries[place].value
            if member == NULL:
                continue
            seen.colons += colons_in(<object>entries[place].key)
            if type(<object>member) is str:
                seen.colons += colons_in(<object>member)
            elif not count(<object>member, seen, depth + 1):
                return False
    elif type(value) is list:
        if depth > DEPTH_MAX:
            return False
        for place in range(PyList_GET_SIZE(value)):
            if not count(<object>PyList_GET_ITEM(value, place), seen, depth + 1):
                return False
    return True


cdef Py_ssize_t colons_in(object text) noexcept:
    cdef Py_ssize_t place, found = 0, length = PyUnicode_GET_LENGTH(text)
    cdef int kind = PyUnicode_KIND(text)
    cdef void *data = PyUnicode_DATA(text)
    if kind == 1:
        return few_colons(<const uint8_t *>data, length) if length < 32 else colons(<const uint8_t *>data, length)
    for place in range(length):
        found += PyUnicode_READ(kind, data, place) == u":"
    return found


cdef Py_ssize_t few_colons(const uint8_t *text, Py_ssize_t length) noexcept nogil:
    """Count them eight at a time, for what is too short for anything better."""
    cdef Py_ssize_t place = 0, found = 0
    cdef uint64_t word
    while length - place >= 8:
        memcpy(&word, text + place, 8)
        word ^= 0x3A3A3A3A3A3A3A3AULL
        # A byte's high bit stays clear where the byte is zero, exactly there (Hacker's Delight, 6-1).
        word = ~(((word & 0x7F7F7F7F7F7F7F7FULL) + 0x7F7F7F7F7F7F7F7FULL) | word | 0x7F7F7F7F7F7F7F7FULL)
        found += ((word >> 7) * 0x0101010101010101ULL) >> 56
        place += 8
    while place < length:
        found += text[place] == 58
        place += 1
    return found


cdef Py_ssize_t colons(const uint8_t *text, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t place, found = 0
    for place in range(length):
        found += text[place] == 58
    return found


cdef Py_ssize_t members_outside(const uint8_t *text, Py_ssize_t length) noexcept nogil:
    """Count the colons outside texts, in JSON that was decoded."""
    cdef Py_ssize_t place = 0, found = 0
    cdef bint inside = False
    while place < length:
        if text[place] == 34:
            inside = not inside
        elif inside:
            if text[place] == 92:
                place += 1
        elif text[place] == 58:
            found += 1
        place += 1
    return found


cdef Py_ssize_t packed_members(const uint8_t *data, Py_ssize_t length) noexcept nogil:
    """Count the members of all maps, in MessagePack that was decoded; -1 where it holds what no request does.

    How many values stand in a map or list does not matter for that: every byte belongs to some value's head or content.
    """
    cdef Py_ssize_t place = 0, found = 0, size
    cdef uint8_t head
    while place < length:
        head = data[place]
        place += 1
        if head < 0x80 or head >= 0xE0:              # a small integer
            continue
        if head < 0x90:                              # a small map
            found += head & 0x0F
            continue
        if head < 0xA0:                              # a small list
            continue
        if head < 0xC0:                              # a short text
            place += head & 0x1F
            continue
        if head == 0xC0 or head == 0xC2 or head == 0xC3:
            continue
        size = 0
        if head == 0xCA or head == 0xCE or head == 0xD2:
            place += 4
        elif head == 0xCB or head == 0xCF or head == 0xD3:
            place += 8
        elif head == 0xCC or head == 0xD0:
            place += 1
        elif head == 0xCD or head == 0xD1:
            place += 2
        elif head == 0xD9 or head == 0xDA or head == 0xDB:
            size = big_endian(data, length, &place, 1 << (head - 0xD9))
            if size < 0:
                return -1
            place += size
        elif head == 0xDC or head == 0xDD or head == 0xDE or head == 0xDF:
            size = big_endian(data, length, &place, 2 << (head & 1))
            if size < 0:
                return -1
            if head >= 0xDE:
                found += size
        else:                                        # bytes, an extension, or nothing at all
            return -1
    return found if place == length else -1


cdef Py_ssize_t big_endian(const uint8_t *data, Py_ssize_t length, Py_ssize_t *place, int size) noexcept nogil:
    cdef Py_ssize_t number = 0
    cdef int one
    if length - place[0] < size:
        return -1
    for one in range(size):
        number = number << 8 | data[place[0] + one]
    place[0] += size
    return number
