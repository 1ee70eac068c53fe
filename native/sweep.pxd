from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    PATTERNS = 256
    WORDS = 4                # of 64 bits, one for each pattern

cdef class Sweep:
    cdef readonly bint made
    cdef int count
    cdef uint32_t start, plain, shift
    cdef uint8_t classes[128]
    cdef uint16_t *following # [S << shift] the next state by class
    cdef uint64_t *finds     # [S - plain, WORDS] what is found on coming to a state
    cdef uint64_t *ends      # [S, WORDS] what is found where a text ends in it
    cdef void run(self, const uint8_t *text, Py_ssize_t size, uint64_t *bits) noexcept nogil
    cdef void note(self, const uint64_t *more, uint64_t *bits) noexcept nogil
