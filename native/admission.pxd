from cpython.object cimport PyObject

from thoth.native.forms cimport Form

cdef class Bounds:
    cdef int depth, bits
    cdef Py_ssize_t values, chars

cdef class Reading:
    cdef Bounds bounds
    cdef Py_ssize_t values, chars   # left
    cdef bint text(self, str text) noexcept
    cdef object plain(self, object value, int depth)

cdef class Intake:
    cdef Form form
    cdef Bounds bounds
    cdef dict places
    cdef Py_ssize_t text, members
    cdef bint take(self, dict given, PyObject **values) except -1
    cdef bint take_one(self, Reading reading, PyObject **values, Py_ssize_t place, object value) except -1
