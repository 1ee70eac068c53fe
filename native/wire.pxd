from libc.stdint cimport uint8_t

from thoth.native.admission cimport Intake
from thoth.native.packed cimport Packed

cdef struct Seen:
    Py_ssize_t members, colons # of all objects; in all texts

cdef class Wire:
    cdef Intake intake
    cdef Packed packed
    cdef object json, msgpack
    cdef object read_in(self, object data)
    cdef object members_of(self, object data, const uint8_t *text, Py_ssize_t length)
    cdef object read_json(self, object data, const uint8_t *text, Py_ssize_t length)
    cdef object read_msgpack(self, object data, const uint8_t *bytes, Py_ssize_t length)
