from cpython.object cimport PyObject

cdef class Form:
    cdef readonly object kind
    cdef readonly tuple names
    cdef Py_ssize_t *offsets    # [count]
    cdef Py_ssize_t count
    cdef object made(self, PyObject **values)
    cdef object read(self, object one, Py_ssize_t place)
    cdef int write(self, object one, Py_ssize_t place, object value) except -1
    cdef object empty(self)
    cdef int wipe(self, object one) except -1
