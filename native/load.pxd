cdef class Load:
    cdef object clock, soon
    cdef bint own_clock                     # `clock` is time.monotonic, and is read without asking Python
    cdef double turn_began, turn_ended
    cdef readonly double now                # as last read
    cdef public double crowded_since, longest, wait_s, patience_s
    cdef double read(self) except? -1
    cdef bint arrived(self) except -1
