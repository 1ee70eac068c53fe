"""Requests as MessagePack, read in one pass: bytes in, an object of the fields out.

Only what is plain is read here: known fields, texts in UTF-8, numbers, lists and maps whose keys are texts that stand
once. Everything else, a mistake or only rare, is somebody else's to look at, who says what it is.
"""

from cpython.dict cimport PyDict_New, PyDict_SetItem
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_FromLongLong, PyLong_FromUnsignedLongLong
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_DecodeUTF8, PyUnicode_GET_LENGTH, PyUnicode_New
from libc.math cimport isfinite
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from thoth.native.admission cimport Intake

cdef enum:
    OFTEN_BYTES_MAX = 32

cdef uint64_t HIGHS = 0x8080808080808080
cdef uint64_t ODD = 0x9E3779B97F4A7C15


cdef class Packed:
    """Reads requests for an `Intake`, into objects of its form."""

    def __cinit__(self, Intake intake not None):
        cdef Py_ssize_t field, place
        cdef bytes name
        assert 2 * intake.form.count <= NAMES_MAX
        self.intake, self.names = intake, []
        for field in range(intake.form.count):
            name = intake.form.names[field].encode("ascii")
            self.names.append(name)
            place = mixed(<const uint8_t *><const char *>name, len(name)) & (NAMES_MAX - 1)
            while self.fields[place].text != NULL:
                place = (place + 1) & (NAMES_MAX - 1)
            self.fields[place] = FieldName(<const char *>name, len(name), field)

    def __dealloc__(self):
        cdef Py_ssize_t place
        for place in range(OFTEN_MAX):
            Py_XDECREF(self.often[place])

    def read(self, bytes data not None):
        """Return an object of the fields, None where the bytes are not a plain request. Cost: one pass."""
        return self.read_in(<const uint8_t *><const char *>data, len(data))

    cdef object read_in(self, const uint8_t *data, Py_ssize_t length):
        cdef Intake intake = self.intake
        cdef Reading reading
        cdef Py_ssize_t count, size, field
        cdef uint64_t seen = 0
        cdef object made, value
        reading.at, reading.end = data, data + length
        reading.left.values, reading.left.chars = intake.bounds.values, intake.bounds.chars
        count = size_of(&reading, 0x80, 0xDE)
        if count < 0 or count > intake.form.count:
            return None
        made = intake.form.empty()
        try:
            while count:
                count -= 1
                size = text_size(&reading)
                if size < 0:
                    return None
                field = self.field_of(reading.at, size)
                if field < 0 or seen >> field & 1:
                    return None
                seen |= <uint64_t>1 << field
                reading.at += size
                value = self.value(&reading, 1)
                if value is NotImplemented:
                    return None
                if value is None:
                    continue
                if field == intake.members and type(value) is not dict:
                    return None
                intake.form.write(made, field, value)
        except UnicodeDecodeError:
            return None
        value = intake.form.read(made, intake.text)
        if reading.at != reading.end or type(value) is not str or not PyUnicode_GET_LENGTH(value):
            return None
        if intake.form.read(made, intake.members) is None:
            intake.form.write(made, intake.members, {})
        return made

    cdef Py_ssize_t field_of(self, const uint8_t *data, Py_ssize_t length) noexcept nogil:
        cdef Py_ssize_t place = mixed(data, length) & (NAMES_MAX - 1)
        while self.fields[place].text != NULL:
            if self.fields[place].length == length and memcmp(self.fields[place].text, data, length) == 0:
                return self.fields[place].field
            place = (place + 1) & (NAMES_MAX - 1)
        return -1

    cdef object value(self, Reading *reading, int depth):
        """Return the next value; NotImplemented where it is not plain, ends too early, or does not fit."""
        cdef uint8_t head
        cdef uint64_t bits = 0
        cdef uint32_t short
        cdef float single
        cdef double number
        cdef Py_ssize_t size
        reading.left.values -= 1
        if reading.at == reading.end or reading.left.values < 0:
            return NotImplemented
        head = reading.at[0]
        if head < 0x80:
            reading.at += 1
            return PyLong_FromLongLong(head)
        if head >= 0xE0:
            reading.at += 1
            return PyLong_FromLongLong(<int8_t>head)
        if 0xA0 <= head < 0xC0 or 0xD9 <= head <= 0xDB:
            size = text_size(reading)
            return NotImplemented if size < 0 else self.text(reading, size, depth == 1)
        if head < 0x90 or head == 0xDE or head == 0xDF:
            return self.members(reading, size_of(reading, 0x80, 0xDE), depth)
        if head < 0xA0 or head == 0xDC or head == 0xDD:
            return self.items(reading, size_of(reading, 0x90, 0xDC), depth)
        reading.at += 1
        if head == 0xC0:
            return None
        if head == 0xC2:
            return False
        if head == 0xC3:
            return True
        if head == 0xCA:
            if not big_endian(reading, 4, &bits):
                return NotImplemented
            short = <uint32_t>bits
            memcpy(&single, &short, 4)
            return <double>single if isfinite(single) else NotImplemented
        if head == 0xCB:
            if not big_endian(reading, 8, &bits):
                return NotImplemented
            memcpy(&number, &bits, 8)
            return number if isfinite(number) else NotImplemented
        if 0xCC <= head <= 0xCF:
            return PyLong_FromUnsignedLongLong(bits) if big_endian(reading, 1 << (head - 0xCC), &bits) else NotImplemented
        if 0xD0 <= head <= 0xD3 and big_endian(reading, 1 << (head - 0xD0), &bits):
            if head == 0xD0:
                return PyLong_FromLongLong(<int8_t>bits)
            if head == 0xD1:
                return PyLong_FromLongLong(<int16_t>bits)
            return PyLong_FromLongLong(<int32_t>bits if head == 0xD2 else <int64_t>bits)
        return NotImplemented

    cdef object members(self, Reading *reading, Py_ssize_t count, int depth):
        cdef dict made
        cdef object key, value
        cdef Py_ssize_t size, number
        if count < 0 or count > reading.left.values or depth > self.intake.bounds.depth:
            return NotImplemented
        made = PyDict_New()
        for number in range(count):
            size = text_size(reading)
            if size < 0:
                return NotImplemented
            key = self.text(reading, size, True)
            if key is NotImplemented:
                return NotImplemented
            value = self.value(reading, depth + 1)
            if value is NotImplemented:
                return NotImplemented
            PyDict_SetItem(made, key, value)
        return made if len(made) == count else NotImplemented

    cdef object items(self, Reading *reading, Py_ssize_t count, int depth):
        cdef list made
        cdef object value
        cdef Py_ssize_t number
        # Each item takes a byte at least, so that a lie about the count takes no memory.
        if count < 0 or count > reading.left.values or count > reading.end - reading.at or depth > self.intake.bounds.depth:
            return NotImplemented
        made = PyList_New(count)
        for number in range(count):
            value = self.value(reading, depth + 1)
            if value is NotImplemented:
                return NotImplemented
            Py_INCREF(value)
            PyList_SET_ITEM(made, number, value)
        return made

    cdef object text(self, Reading *reading, Py_ssize_t length, bint often):
        """Return a text whose bytes come next; short ones that come often are made once."""
        cdef const uint8_t *data = reading.at
        cdef PyObject *known
        cdef Py_ssize_t place = 0
        cdef object made
        reading.at += length
        if not is_ascii(data, length):
            made = PyUnicode_DecodeUTF8(<const char *>data, length, NULL)
            reading.left.chars -= PyUnicode_GET_LENGTH(made)
            return made if reading.left.chars >= 0 else NotImplemented
        reading.left.chars -= length
        if reading.left.chars < 0:
            return NotImplemented
        often = often and 0 < length <= OFTEN_BYTES_MAX
        if often:
            place = mixed(data, length) & (OFTEN_MAX - 1)
            known = self.often[place]
            if known != NULL and PyUnicode_GET_LENGTH(<object>known) == length:
                if memcmp(PyUnicode_1BYTE_DATA(<object>known), data, length) == 0:
                    return <object>known
        if length == 0:
            return ""
        made = PyUnicode_New(length, 127)
        memcpy(PyUnicode_1BYTE_DATA(made), data, length)
        if often:
            Py_XDECREF(self.often[place])
            Py_INCREF(made)
            self.often[place] = <PyObject *>made
        return made


cdef uint64_t mixed(const uint8_t *data, Py_ssize_t length) noexcept nogil:
    """Return a hash of some bytes that picks a place; what lies there is compared."""
    cdef uint64_t hash = <uint64_t>length * ODD, word
    while length >= 8:
        memcpy(&word, data, 8)
        hash = (hash ^ word) * ODD
        hash ^= hash >> 29
        data += 8
        length -= 8
    word = 0
    memcpy(&word, data, length)
    hash = (hash ^ word) * ODD
    return hash >> 40


cdef bint is_ascii(const uint8_t *data, Py_ssize_t length) noexcept nogil:
    cdef uint64_t word, all = 0
    while length >= 8:
        memcpy(&word, data, 8)
        all |= word
        data += 8
        length -= 8
    word = 0
    memcpy(&word, data, length)
    return (all | word) & HIGHS == 0


cdef bint big_endian(Reading *reading, int size, uint64_t *number) noexcept nogil:
    """Read a number of so many bytes; say whether it was there."""
    cdef uint64_t found = 0
    cdef int place
    if reading.end - reading.at < size:
        return False
    for place in range(size):
        found = found << 8 | reading.at[place]
    reading.at += size
    number[0] = found
    return True


cdef Py_ssize_t size_of(Reading *reading, int small, int larger) noexcept nogil:
    """Read the head of a map or list; return how many it holds, -1 where there is no such head."""
    cdef uint64_t size = 0
    cdef int head
    if reading.at == reading.end:
        return -1
    head = reading.at[0]
    reading.at += 1
    if head & 0xF0 == small:
        return head & 0x0F
    if head != larger and head != larger + 1:
        return -1
    return <Py_ssize_t>size if big_endian(reading, 2 << (head - larger), &size) else -1


cdef Py_ssize_t text_size(Reading *reading) noexcept nogil:
    """Read the head of a text; return its length in bytes, which are all there; -1 where it is no text."""
    cdef uint64_t size = 0
    cdef int head
    if reading.at == reading.end:
        return -1
    head = reading.at[0]
    reading.at += 1
    if head & 0xE0 == 0xA0:
        size = head & 0x1F
    elif not 0xD9 <= head <= 0xDB or not big_endian(reading, 1 << (head - 0xD9), &size):
        return -1
    return <Py_ssize_t>size if size <= <uint64_t>(reading.end - reading.at) else -1
