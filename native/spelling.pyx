"""JSON values in their one spelling (RFC 8785), written into flat memory.

Bytes are spelled as texts of hexadecimal digits. What is rare is not spelled here: `put_value` returns 1, and what it wrote by then is to be taken back. These are numbers
with an exponent, keys that are not ASCII, texts that UTF-8 cannot hold, and whatever is no plain JSON value.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcpy, strlen

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size)
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1
    char *PyOS_double_to_string(double value, char code, int precision, int flags, int *kind) except NULL
    void PyErr_Clear()

cdef extern from "digits.h" nogil:
    void put_digits(uint8_t *to, const uint8_t *data, size_t length)

cdef extern from *:
    """
    #define ONES 0x0101010101010101ULL
    #define HIGHS 0x8080808080808080ULL
    """
    const uint64_t ONES, HIGHS

cdef enum:
    DEPTH_MAX = 200
    BEGINS_WITH = 4096

cdef uint8_t plain[256]        # bytes of a text that stand for themselves
cdef char *hexadecimal = b"0123456789abcdef"
cdef int byte_value
for byte_value in range(256):
    plain[byte_value] = byte_value >= 0x20 and byte_value != 0x22 and byte_value != 0x5C


@cython.final
cdef class Ink:
    """Bytes that grow at their end. A writer that gives up sets `used` back to where it began."""

    def __cinit__(self):
        self.data = <uint8_t *>PyMem_Malloc(BEGINS_WITH)
        if self.data == NULL:
            raise MemoryError
        self.room = BEGINS_WITH

    def __dealloc__(self):
        PyMem_Free(self.data)

    cdef int grow(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t room = self.room
        cdef uint8_t *grown
        while room < self.used + more:
            room *= 2
        grown = <uint8_t *>PyMem_Realloc(self.data, room)
        if grown == NULL:
            raise MemoryError
        self.data, self.room = grown, room
        return 0

    cdef int put_hex(self, const uint8_t *data, Py_ssize_t length) except -1:
        self.reserve(2 * length)
        put_digits(self.data + self.used, data, length)
        self.used += 2 * length
        return 0

    cdef int put_number(self, int64_t number) except -1:
        cdef uint8_t digits[20]
        cdef Py_ssize_t at = 20
        cdef bint below = number < 0
        cdef unsigned long long left = <unsigned long long>number
        if below:
            left = 0 - left
        while True:
            at -= 1
            digits[at] = 48 + left % 10
            left //= 10
            if left == 0:
                break
        if below:
            self.put(b"-", 1)
        return self.put(digits + at, 20 - at)

    cdef int put_quoted(self, const uint8_t *data, Py_ssize_t length) except -1:
        """Write UTF-8 as a JSON string."""
        cdef Py_ssize_t at = 0, begin
        cdef uint64_t word
        cdef uint8_t byte
        cdef uint8_t *to
        self.reserve(6 * length + 2 if length < 64 else length + 2)
        self.data[self.used] = 0x22
        self.used += 1
        while at < length:
            begin = at
            while length - at >= 8:
                # Eight bytes at once: none below 0x20, no quote, no backslash (the haszero trick of Bit Twiddling Hacks).
                memcpy(&word, data + at, 8)
                if ((word - 0x2020202020202020ULL) & ~word
                        | ((word ^ 0x2222222222222222ULL) - ONES) & ~(word ^ 0x2222222222222222ULL)
                        | ((word ^ 0x5C5C5C5C5C5C5C5CULL) - ONES) & ~(word ^ 0x5C5C5C5C5C5C5C5CULL)) & HIGHS:
                    break
                at += 8
            while at < length and plain[data[at]]:
                at += 1
            self.put(data + begin, at - begin)
            if at == length:
                break
            byte = data[at]
            at += 1
            self.reserve(6)
            to = self.data + self.used
            to[0] = 0x5C
            if byte == 0x22 or byte == 0x5C:
                to[1] = byte
            elif byte == 8:
                to[1] = <uint8_t>b"b"
            elif byte == 9:
                to[1] = <uint8_t>b"t"
            elif byte == 10:
                to[1] = <uint8_t>b"n"
            elif byte == 12:
                to[1] = <uint8_t>b"f"
            elif byte == 13:
                to[1] = <uint8_t>b"r"
            else:
                memcpy(to + 1, b"u00", 3)
                to[4], to[5] = hexadecimal[byte >> 4], hexadecimal[byte & 15]
                self.used += 4
            self.used += 2
        return self.put(b"\"", 1)

    cdef int put_text(self, object text) except -1:
        cdef Py_ssize_t length = 0
        cdef const char *data = PyUnicode_AsUTF8AndSize(text, &length)
        if data == NULL:
            PyErr_Clear()
            return 1
        return self.put_quoted(<const uint8_t *>data, length)

    cdef int put_value(self, object value, int depth) except -1:
        cdef int overflow = 0
        cdef long long number
        cdef Py_ssize_t at
        cdef list keys
        cdef bint in_order = True
        cdef object before = None
        if value is None:
            return self.put(b"null", 4)
        if value is True:
            return self.put(b"true", 4)
        if value is False:
            return self.put(b"false", 5)
        if type(value) is str:
            return self.put_text(value)
        if type(value) is int:
            number = PyLong_AsLongLongAndOverflow(value, &overflow)
            if overflow:
                digits = str(value).encode()
                return self.put(<char *><bytes>digits, len(digits))
            return self.put_number(number)
        if type(value) is float:
            return put_double(self, value)
        if type(value) is bytes:
            self.put(b"\"", 1)
            self.put_hex(<const uint8_t *>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
            return self.put(b"\"", 1)
        if depth >= DEPTH_MAX:
            return 1
        if type(value) is list or type(value) is tuple:
            self.put(b"[", 1)
            at = 0
            for item in value:
                if at:
                    self.put(b",", 1)
                if self.put_value(item, depth + 1):
                    return 1
                at += 1
            return self.put(b"]", 1)
        if type(value) is not dict:
            return 1
        for key in <dict>value:
            if type(key) is not str or not PyUnicode_IS_COMPACT_ASCII(key):
                return 1
            if before is not None and <str>before >= <str>key:
                in_order = False
            before = key
        keys = list(<dict>value)
        if not in_order:
            keys.sort()
        self.put(b"{", 1)
        at = 0
        for key in keys:
            if at:
                self.put(b",", 1)
            self.put_text(key)
            self.put(b":", 1)
            if self.put_value((<dict>value)[key], depth + 1):
                return 1
            at += 1
        return self.put(b"}", 1)


cdef int put_double(Ink ink, double value) except -1:
    """Write a double whose shortest digits are written without exponent by Python and by ECMAScript alike."""
    cdef char *digits
    cdef size_t length
    cdef int result = 1
    if value == 0:
        return ink.put(b"0", 1)
    if value != value or value - value != 0:
        return 1
    digits = PyOS_double_to_string(value, b"r", 0, 0, NULL)
    try:
        length = strlen(digits)
        if memchr(digits, b"e", length) == NULL:
            result = ink.put(digits, length)
    finally:
        PyMem_Free(digits)
    return result


def spelled(value):
    """Return a value in its one spelling, or None where it is not spelled here."""
    cdef Ink ink = Ink()
    if ink.put_value(value, 0):
        return None
    return PyBytes_FromStringAndSize(<char *>ink.data, ink.used)
