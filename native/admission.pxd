cdef class Bounds:
    cdef int depth, bits
    cdef Py_ssize_t values, chars

cdef class Reading:
    cdef Bounds bounds
    cdef Py_ssize_t values, chars   # left
    cdef bint text(self, str text) noexcept
    cdef object plain(self, object value, int depth)
