cimport cython
from cpython.object cimport PyObject

from thoth.native.forms cimport Form

cdef enum:
    PLACES = 64              # of a table of names; at least twice as many as there are

cdef struct Left:
    Py_ssize_t values, chars # that one reading may yet take in

cdef struct Named:
    PyObject *name
    Py_ssize_t field

@cython.final
cdef class Bounds:
    cdef int depth, bits
    cdef Py_ssize_t values, chars

@cython.final
cdef class Intake:
    cdef Form form
    cdef Bounds bounds
    cdef Named named[PLACES] # open addressing by a name's hash; name NULL: nothing
    cdef Py_ssize_t text, members
    cdef object read_in(self, object given)
    cdef bint finished(self, object made) except -1
    cdef bint take(self, dict given, object made) except -1
    cdef bint take_asking(self, dict given, object made) except -1
    cdef bint take_all(self, object given, object made) except -1
    cdef bint take_one(self, Left *left, object made, Py_ssize_t field, object value) except -1
    cdef object plain(self, Left *left, object value, int depth)
    cdef object plain_members(self, Left *left, dict members, int depth)
    cdef bint plain_one(self, Left *left, object value) except -1
    cdef object adopt(self, dict given)
    cdef bint borrow(self, dict given, object scratch) except -1
    cdef bint sound(self, Left *left, object value, int depth) except -1
