cdef class Scan:
    cdef readonly object compiled
    cdef object search
    cdef bint detector
    cdef str check
    cdef int found(self, str text) except -1
    cdef list places(self, str text, bint first)
