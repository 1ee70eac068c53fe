from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

cdef struct Slot:
    uint64_t number
    PyObject *value              # NULL: nothing

cdef class Running:
    cdef bytes prefix            # with the dash behind it
    cdef Slot *slots             # [room], a power of two; a number has its place, or the next free one
    cdef Py_ssize_t room, count
    cdef uint64_t lowest         # no number is below
    cdef dict others             # ids that are not ours
    cdef uint64_t number_of(self, object id) noexcept
    cdef Slot *find(self, uint64_t number) noexcept
    cdef int put(self, object id, object value) except -1
    cdef object take(self, object id)
    cdef int grow(self) except -1
