from cpython.object cimport PyObject
from libc.stdint cimport uint8_t

from thoth.native.admission cimport Intake, Left

cdef enum:
    NAMES_MAX = 64           # places in the table of field names
    OFTEN_MAX = 512          # texts that come again and again

cdef struct FieldName:
    const char *text         # NULL: nothing
    Py_ssize_t length, field

cdef struct Reading:
    const uint8_t *at
    const uint8_t *end
    Left left

cdef class Packed:
    cdef Intake intake
    cdef list names                     # of bytes, alive as long as `fields` points into them
    cdef FieldName fields[NAMES_MAX]    # open addressing by a hash of the bytes
    cdef PyObject *often[OFTEN_MAX]     # by a hash of the bytes; ASCII texts, NULL: nothing
    cdef object read_in(self, const uint8_t *data, Py_ssize_t length)
    cdef object value(self, Reading *reading, int depth)
    cdef object members(self, Reading *reading, Py_ssize_t count, int depth)
    cdef object items(self, Reading *reading, Py_ssize_t count, int depth)
    cdef object text(self, Reading *reading, Py_ssize_t length, bint often)
    cdef Py_ssize_t field_of(self, const uint8_t *data, Py_ssize_t length) noexcept nogil
