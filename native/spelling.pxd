cimport cython
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

@cython.final
cdef class Ink:
    cdef uint8_t *data
    cdef readonly Py_ssize_t used
    cdef Py_ssize_t room
    cdef int grow(self, Py_ssize_t more) except -1
    cdef inline int reserve(self, Py_ssize_t more) except -1:
        return self.grow(more) if self.used + more > self.room else 0
    cdef inline int put(self, const void *data, Py_ssize_t length) except -1:
        if self.used + length > self.room:
            self.grow(length)
        memcpy(self.data + self.used, data, length)
        self.used += length
        return 0
    cdef int put_hex(self, const uint8_t *data, Py_ssize_t length) except -1
    cdef int put_number(self, int64_t number) except -1
    cdef int put_quoted(self, const uint8_t *data, Py_ssize_t length) except -1
    cdef int put_text(self, object text) except -1              # 1: not a text that UTF-8 holds
    cdef int put_value(self, object value, int depth) except -1  # 1: not spelled here
