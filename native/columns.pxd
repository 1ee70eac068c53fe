from libc.stdint cimport int32_t, uint64_t

from thoth.native.facts cimport Reader
from thoth.native.questions cimport Question
from thoth.native.scan cimport Scan
from thoth.native.sweep cimport Sweep
from thoth.native.table cimport Column, Walk

cdef class Asked(Column):
    cdef object ask
    cdef Reader reader       # the same, where it is one

cdef class Sought(Column):
    cdef int reader
    cdef int32_t number
    cdef Scan scan
    cdef Together together   # None: it is sought by itself

cdef class Together:
    cdef Sweep sweep         # of ASCII; None: there is none
    cdef object match        # of an RE2 set: bytes -> the places of the patterns found; None: each by itself
    cdef list columns        # [P] Sought
    cdef int slow
    cdef bint sought(self, Walk walk, str text) except -1
    cdef int write(self, Walk walk, const uint64_t *bits) except -1

cdef class Tested(Column):
    cdef int reader, right_reader, each
    cdef bint negated
    cdef Question question
    cdef object right
