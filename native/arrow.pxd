cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from thoth.native.batch cimport Batching
from thoth.native.cells cimport ArrowArray, ArrowArrayStream, ArrowSchema, Cells

cdef enum:
    GIL_ROWS_MIN = 200         # for fewer it is not worth letting go of the interpreter
    KNOWN = 256                # texts that one column keeps

@cython.final
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

@cython.final
cdef class Arrow:
    cdef Batching batching
    cdef object path_of, fault
    cdef list sources
    cdef tuple paths           # of the columns
    cdef Cells cells           # None: rows are made into Python's values
    cdef dict objects          # a field's place -> the object in it, filled anew for each row
    cdef int lay_out(self, ArrowSchema *schema) except -1
    cdef int take_table(self, table) except -1
    cdef int take_up(self) except -1
    cdef int lay_down(self) except -1
    cdef int take_batch(self, ArrowSchema *schema, ArrowArray *array) except -1
    cdef int take_cells(self, ArrowSchema *schema, ArrowArray *array) except -1
    cdef int take_row(self, ArrowSchema *schema, ArrowArray *array, int64_t row) except -1
