"""Answers spelled as frames of MessagePack, slot by slot, in one pass over an object.

Who makes a `Results` says which slot is which member, and when a member is left out. What is rare is not spelled here:
then `frame` returns 1, and what it wrote by then is to be taken back.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from thoth.native.forms cimport Form
from thoth.native.spelling cimport Ink

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    long long PyLong_AsLongLongAndOverflow(object number, int *beyond) except? -1

cdef enum:
    VERSION = 1
    RESULT = 5
    HEAD_BYTES = 16
    DEPTH_MAX = 8
    PAYLOAD_BYTES_MAX = 1 << 20

ALWAYS, UNLESS, OTHER_THAN, ABSENT, ASKED_ARGS = always, unless, other_than, absent, asked_args


cdef class Results:
    """Spells objects of the form `answer`; `asked` is their slot with the request, of the form `request`.

    Each member is (name, when, slot, other slot or "", default). ALWAYS: it is always there. UNLESS: but where the slot
    holds the very default. OTHER_THAN: but where both slots hold the same object. ABSENT: not spelled here where the
    slot holds another object. ASKED_ARGS: not spelled here where the slot holds other arguments than the request does.
    """

    def __init__(self, Form answer not None, Form request not None, list members not None, str asked, str args):
        cdef Py_ssize_t number
        assert len(members) <= MEMBERS_MAX
        self.answer, self.request, self.count, self.keys, self.defaults = answer, request, len(members), [], []
        self.ink = Ink()
        self.asked_place = answer.place(asked)
        for number, (name, when, slot, beside, default) in enumerate(members):
            key = name.encode("ascii")
            assert len(key) < 32
            self.keys.append(bytes([0xA0 | len(key)]) + key)
            self.defaults.append(default)
            self.members[number].when = when
            self.members[number].place = answer.place(slot)
            self.members[number].beside = request.place(args) if when == asked_args else answer.place(beside or slot)

    def spelled(self, answer, uint64_t id):
        """Return a result frame, or None where somebody else has to spell it."""
        self.ink.used = 0
        if self.frame(self.ink, answer, id):
            return None
        return PyBytes_FromStringAndSize(<char *>self.ink.data, self.ink.used)

    cdef int frame(self, Ink ink, object answer, uint64_t id) except -1:
        cdef Py_ssize_t number, begin = ink.used, count = 0
        cdef object value, request
        cdef Member *member
        cdef uint8_t *head
        put_head(ink, RESULT, id)
        ink.put(b"\xde\0\0", 3)  # the count is written last; msgspec spells a map that leaves members out so, too
        for number in range(self.count):
            member = self.members + number
            value = self.answer.read(answer, member.place)
            if member.when == asked_args:
                request = self.answer.read(answer, self.asked_place)
                if request is None or self.request.read(request, member.beside) is not value:
                    if value is not None:
                        return 1
                continue
            if member.when == absent:
                if value is not <object>(<PyObject *>self.defaults[number]):
                    return 1
                continue
            if member.when == unless:
                if value is self.defaults[number]:
                    continue
            elif member.when == other_than and value is self.answer.read(answer, member.beside):
                continue
            ink.put(PyBytes_AS_STRING(<bytes>self.keys[number]), PyBytes_GET_SIZE(<bytes>self.keys[number]))
            if put_packed(ink, value, 0):
                return 1
            count += 1
        head = ink.data + begin
        big_endian(head + HEAD_BYTES + 1, count, 2)
        if ink.used - begin - HEAD_BYTES > PAYLOAD_BYTES_MAX:
            return 1
        big_endian(head, ink.used - begin - HEAD_BYTES, 4)
        return 0


cdef int big_endian(uint8_t *to, uint64_t number, int size) noexcept:
    cdef int place
    for place in range(size):
        to[place] = <uint8_t>(number >> (8 * (size - 1 - place)))
    return 0


cdef int put_head(Ink ink, int kind, uint64_t id) except -1:
    """Begin a frame; its length, the first four bytes, is still to be written."""
    cdef uint8_t head[HEAD_BYTES]
    big_endian(head, 0, 4)
    head[4], head[5], head[6], head[7] = VERSION, <uint8_t>kind, 0, 0
    big_endian(head + 8, id, 8)
    return ink.put(head, HEAD_BYTES)


cdef int put_packed(Ink ink, object value, int depth) except -1:
    """Write a value as MessagePack does, each in its shortest form."""
    cdef Py_ssize_t length = 0
    cdef const char *text
    cdef double number
    cdef uint64_t bits
    cdef int64_t whole
    cdef int beyond = 0
    if isinstance(value, str):
        text = PyUnicode_AsUTF8AndSize(value, &length)
        put_size(ink, length, 32, 0xA0, 0xD9)
        return ink.put(text, length)
    if value is None:
        return ink.put(b"\xc0", 1)
    if type(value) is float:
        number = value
        memcpy(&bits, &number, 8)
        return put_tagged(ink, 0xCB, bits, 8)
    if type(value) is bool:
        return ink.put(b"\xc3" if value else b"\xc2", 1)
    if type(value) is int:
        whole = PyLong_AsLongLongAndOverflow(value, &beyond)
        if beyond or whole < 0:
            return 1
        if whole < 128:
            return put_tagged(ink, <uint8_t>whole, 0, 0)
        if whole < 256:
            return put_tagged(ink, 0xCC, whole, 1)
        if whole < 65536:
            return put_tagged(ink, 0xCD, whole, 2)
        return put_tagged(ink, 0xCE, whole, 4) if whole < 0x100000000 else put_tagged(ink, 0xCF, whole, 8)
    if type(value) is tuple and depth < DEPTH_MAX:
        if len(<tuple>value) >= 65536:
            return 1
        put_size(ink, len(<tuple>value), 16, 0x90, 0xDB)
        for item in <tuple>value:
            if put_packed(ink, item, depth + 1):
                return 1
        return 0
    return 1


cdef int put_size(Ink ink, Py_ssize_t size, Py_ssize_t small, int tag, int larger) except -1:
    """Write the head of a text or list: short ones in one byte, others with 1, 2 or 4 bytes of size; lists never 1."""
    if size < small:
        return put_tagged(ink, <uint8_t>(tag | size), 0, 0)
    if size < 256 and larger == 0xD9:
        return put_tagged(ink, 0xD9, size, 1)
    if size < 65536:
        return put_tagged(ink, larger + 1, size, 2)
    return put_tagged(ink, larger + 2, size, 4)


cdef int put_tagged(Ink ink, int tag, uint64_t number, int size) except -1:
    cdef uint8_t bytes[9]
    bytes[0] = <uint8_t>tag
    big_endian(bytes + 1, number, size)
    return ink.put(bytes, 1 + size)
