from thoth.native.table cimport Pivot

cdef class Matching(Pivot):
    cdef tuple runs        # by form of the value: what it equals -> run
    cdef tuple defaults    # by form of the value: the run where it equals nothing
    cdef bytes every

cdef class Beginning(Pivot):
    cdef tuple lengths
    cdef dict runs         # a beginning -> run
    cdef bytes every
    cdef Py_ssize_t scan_chars

cdef class Bounded(Pivot):
    cdef list bounds       # rising, one for each place of the run
    cdef bytes run, every
    cdef bint above
