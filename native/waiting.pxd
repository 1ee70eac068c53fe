cdef class Waiting:
    cdef list all
    cdef object first
    cdef int add_one(self, object one) except -1
