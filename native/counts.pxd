from libc.stdint cimport int64_t, uint8_t

from thoth.native.facts cimport Facts, Reader
from thoth.native.forms cimport Form

cdef struct Entry:
    double at
    int64_t index              # of the call, from the session's first
    int64_t sure, most         # how many up to here count surely, and how many may
    uint8_t counts, fits       # this one: 0 not, 1 perhaps, 2 surely; and if its ending is the one that is counted

cdef class Tally:
    cdef object calls          # the session's list
    cdef int64_t base          # how many calls it had before the first of the list
    cdef int64_t version, length
    cdef Entry *entries        # [room], those from `start` to `count` are held
    cdef Py_ssize_t start, count, room
    cdef bint rising
    cdef list open             # calls whose ending is awaited, and in `places` where they stand
    cdef list places
    cdef int add(self, double at, int64_t index, uint8_t counts, uint8_t fits) except -1
    cdef int clear(self) except -1
    cdef int compact(self) except -1
    cdef int summed(self, Py_ssize_t place) except -1

cdef class Sessions:
    cdef Form session, call

cdef class Counted(Reader):
    cdef Sessions forms
    cdef double window_s       # infinity: all calls
    cdef object fit, completed # the ending of those that completed, and whether it is what counts
    cdef dict known
    cdef bint ending
    cdef int64_t fitting(self, object tool, object classes) except -1
    cdef int follow(self, Tally tally, object session) except -1
    cdef int take(self, Tally tally, object call, int64_t index) except -1

cdef class Pending(Tally):
    cdef set labels

cdef class Labelled(Reader):
    cdef Sessions forms
    cdef str label
    cdef set pending(self, object session)
