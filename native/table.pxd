from libc.stdint cimport int32_t, uint8_t

from thoth.native.questions cimport Question

cdef enum:
    _HOLDS = -1
    _FAILS = -2
    _EACH_ANY = 1
    _EACH_ALL = 2

cdef struct Node:
    int32_t column
    int32_t accepted      # where to go on: a node before this one, or HOLDS, or FAILS
    int32_t refused
    uint8_t mask          # the answers that are accepted, a bit each

cdef struct Row:
    int32_t number
    int32_t start
    double until

cdef class Table:
    cdef list columns        # [C] Column
    cdef tuple readers       # [S] facts -> value
    cdef Node *nodes         # [N]
    cdef Py_ssize_t column_count, reader_count, node_count

cdef class Rows:
    cdef Row *rows           # [count]
    cdef Py_ssize_t count

cdef class Walk:
    cdef Table table
    cdef object facts
    cdef uint8_t *answers    # [C]
    cdef list values         # [S], None where not read yet
    cdef object value(self, int reader)
    cdef bint holds(self, int32_t place) except -1

cdef class Column:
    cdef int answer(self, Walk walk, int32_t column) except -1

cdef class Asked(Column):
    cdef object ask

cdef class Tested(Column):
    cdef int reader, right_reader, each
    cdef bint negated
    cdef Question question
    cdef object right
    cdef int asked(self, Walk walk, object left) except -1

cdef class Choice(Column):
    cdef int reader, first, count
    cdef list constants      # [count] tuple of values
    cdef dict texts, numbers # constant -> places, from `first`
    cdef bytearray text_default, number_default   # [count]
