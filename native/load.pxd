from libc.stdint cimport uint64_t

cdef class Load:
    cdef object clock, soon
    cdef bint own_clock                     # `clock` is time.monotonic, and is read without asking Python
    cdef double turn_began, turn_ended
    cdef const void *reader                 # who began this turn
    cdef uint64_t reading                   # the number of its read
    cdef bint told                          # the loop will say when this turn is over
    cdef readonly double now                # as last read
    cdef public double crowded_since, longest, wait_s, patience_s
    cdef double read(self) except? -1
    cdef bint arrived(self, const void *reader, uint64_t read) except -1
    cdef int be_told(self) except -1
    cdef int ended(self, double now) except -1
