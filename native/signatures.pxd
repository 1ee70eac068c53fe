cimport cython
from cpython.object cimport PyObject

from thoth.native.values cimport Kind

cdef enum:
    FITTED_MAX = 16

cdef struct Param:
    PyObject *name                 # the one text of these letters (sys.intern)
    PyObject *kind
    int code                       # of the kind
    bint optional

cdef struct Fitted:
    bint known                     # each argument is a parameter's, in order, and this is all of them
    int count
    PyObject *values[FITTED_MAX]   # borrowed from the arguments

@cython.final
cdef class Signature:
    cdef readonly tuple params     # (name, Kind, optional), in the order of the declaration
    cdef readonly bint more, lenient
    cdef Param *each               # [count]
    cdef Py_ssize_t count
    cdef bint fits(self, dict args, Fitted *fitted) except -1
    cdef bint fits_in_turn(self, dict args) except -1
