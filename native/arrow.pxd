from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from thoth.native.batch cimport Batching

cdef extern from "arrow.h":
    cdef struct ArrowSchema:
        const char *format
        const char *name
        int64_t n_children
        ArrowSchema **children
        ArrowSchema *dictionary
        void (*release)(ArrowSchema *)
    cdef struct ArrowArray:
        int64_t length
        int64_t null_count
        int64_t offset
        int64_t n_buffers
        int64_t n_children
        const void **buffers
        ArrowArray **children
        ArrowArray *dictionary
        void (*release)(ArrowArray *)
    cdef struct ArrowArrayStream:
        int (*get_schema)(ArrowArrayStream *, ArrowSchema *)
        int (*get_next)(ArrowArrayStream *, ArrowArray *)
        const char *(*get_last_error)(ArrowArrayStream *)
        void (*release)(ArrowArrayStream *)

cdef enum:
    KNOWN = 256                # texts that one column keeps

cdef class Source:
    cdef object field          # of the request
    cdef object member         # of the object in that field, or None
    cdef str name
    cdef Py_ssize_t place      # of the field
    cdef PyObject *known[KNOWN]
    cdef list words            # of a dictionary, by index; None where not read yet
    cdef object text(self, const char *data, Py_ssize_t length)
    cdef object value(self, ArrowSchema *schema, ArrowArray *array, int64_t at)
    cdef object plain(self, ArrowSchema *schema, ArrowArray *array, int64_t at)

cdef class Arrow:
    cdef Batching batching
    cdef object path_of, fault
    cdef list sources
    cdef dict objects          # a field's place -> the object in it, filled anew for each row
    cdef int lay_out(self, ArrowSchema *schema) except -1
    cdef int take_batch(self, ArrowSchema *schema, ArrowArray *array) except -1
    cdef int take_row(self, ArrowSchema *schema, ArrowArray *array, int64_t row) except -1
