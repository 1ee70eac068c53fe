cimport cython
from libc.stdint cimport int32_t, uint8_t, uint16_t

from thoth.native.answer cimport Answers, Verdict
from thoth.native.entry cimport Entry

@cython.final
cdef class Batch:
    cdef readonly tuple effects_named, by_named, rule_ids
    cdef readonly list reasons_named
    cdef readonly dict rules_more          # place -> how many rules more than are shown
    cdef dict reason_of
    cdef uint8_t *effect                   # [n]
    cdef uint8_t *decider                  # [n]
    cdef uint16_t *reason                  # [n]
    cdef int32_t *ends                     # [n] where the rules of each end
    cdef int32_t *numbers                  # [ends[n - 1]]
    cdef Py_ssize_t count, room, filled, numbers_room
    cdef Py_ssize_t placed(self, Py_ssize_t place) except -1
    cdef int reserve(self, Py_ssize_t count) except -1
    cdef int reserve_rules(self, Py_ssize_t count) except -1
    cdef int reason_place(self, object code) except -1

@cython.final
cdef class Batching:
    cdef Entry entry
    cdef object table
    cdef Answers answers
    cdef object scratch                    # a request that is filled anew for each call
    cdef double now
    cdef object moment
    cdef Batch batch
    cdef uint8_t deciders[4]               # of the answers, by their places in `by_named`
    cdef bint fit(self, object request, Py_ssize_t text, Py_ssize_t members) except -1
    cdef int add(self, object given) except -1
    cdef int add_taken(self) except -1
    cdef int note(self, const Verdict *verdict) except -1
    cdef int add_in_full(self, object given) except -1
    cdef int forget(self) except -1
