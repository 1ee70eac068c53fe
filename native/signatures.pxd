from cpython.object cimport PyObject

from thoth.native.values cimport Kind

cdef struct Param:
    PyObject *name
    PyObject *kind
    bint optional

cdef class Signature:
    cdef readonly tuple params     # (name, Kind, optional), in the order of the declaration
    cdef readonly bint more, lenient
    cdef Param *each               # [count]
    cdef Py_ssize_t count
    cdef bint fits(self, dict args) except -1
