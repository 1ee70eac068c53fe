from libc.stdint cimport uint64_t

from thoth.native.forms cimport Form
from thoth.native.spelling cimport Ink

cdef enum:
    MEMBERS_MAX = 64

cdef enum:
    always, unless, other_than, absent, asked_args

cdef struct Member:
    Py_ssize_t place      # of the slot, of `answer`
    Py_ssize_t beside     # of another slot of it, for `other_than` and `asked_args`
    int when

cdef class Results:
    cdef Form answer, request
    cdef Member members[MEMBERS_MAX]
    cdef Py_ssize_t count, asked_place
    cdef list keys        # of bytes: each member's name in MessagePack
    cdef list defaults
    cdef Ink ink          # for `spelled`
    cdef int frame(self, Ink ink, object answer, uint64_t id) except -1     # 1: not spelled here

cdef int put_head(Ink ink, int kind, uint64_t id) except -1
cdef int put_packed(Ink ink, object value, int depth) except -1             # 1: not spelled here
