from libc.stdint cimport uint8_t, uint64_t

from thoth.native.clients cimport Client, Kept
from thoth.native.desk cimport Desk
from thoth.native.forms cimport Form
from thoth.native.load cimport Load
from thoth.native.results cimport Results
from thoth.native.running cimport Running
from thoth.native.spelling cimport Ink
from thoth.native.tally cimport Tally
from thoth.native.waiting cimport Waiting

cdef class Street:
    cdef public Desk desk                   # None: every question is somebody else's
    cdef readonly str tenant                # whose all calls are; None: they say whose they are
    cdef Load load
    cdef Results results
    cdef Tally tally
    cdef Form answer
    cdef Running running
    cdef object allow, block, forget_oldest, recent
    cdef Py_ssize_t running_max, running_bytes_max, recent_each, recent_bytes_max
    cdef Py_ssize_t effect, id, asked, reason
    cdef int count_unrecorded(self, object decision) except -1
    cdef Waiting waits                      # for what answers wait; None: they are given out at once
    cdef object undurable
    cdef public Py_ssize_t in_flight        # questions that are not answered yet
    cdef int note(self, object decision, bint allowed, str asker, tuple call, bytes payload, bytes answer) except -1

cdef class Lane:
    cdef Street street
    cdef public Client client               # who asks; None before it has said who it is
    cdef readonly object connection
    cdef public Py_ssize_t in_flight        # questions that are not answered yet
    cdef bint told                          # answers were put here that waited
    cdef str asker
    cdef Ink rest                           # what came of a frame that has not come whole
    cdef Py_ssize_t wanted                  # bytes of `rest` that make a frame, or its head
    cdef bytes data                         # what is read now, if it lies in one piece
    cdef const uint8_t *text
    cdef Py_ssize_t at, end
    cdef Ink out
    cdef readonly object failed             # (code, what was wrong), once what came was no frame
    cdef uint64_t reads
    cdef readonly uint64_t count            # of frames that have come whole
    cdef readonly uint64_t id               # of the frame that is taken, or was last
    cdef object found                       # a frame that `next` is to return
    cdef object advance(self)
    cdef bint question(self, uint64_t id, bytes payload) except -1
    cdef int put_by(self) except -1
    cdef int answered(self, Kept kept) except -1
