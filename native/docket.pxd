cimport cython

cdef class Made:
    cdef readonly str id
    cdef readonly bint refused
    cdef public int had

@cython.final
cdef class Docket:
    cdef readonly dict open                   # call -> its decisions that let it through and have not ended, the oldest first
    cdef readonly object made                 # call -> list of Made; an OrderedDict, the one used last at the end
    cdef Py_ssize_t calls_max, each_max
    cpdef int let_through(self, tuple call, str id) except -1
    cpdef int ended(self, tuple call, str id) except -1
    cpdef int decided(self, tuple call, str id, bint refused) except -1
