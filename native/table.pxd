from libc.stdint cimport int32_t, uint8_t, uint32_t

from thoth.native.facts cimport Facts
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
    double until
    int32_t number
    int32_t start
    int32_t column        # of the first node, where refusing it ends the row; else -1
    uint8_t mask

cdef class Table:
    cdef list columns        # [C] Column
    cdef tuple readers       # [S] Reader
    cdef Node *nodes         # [N]
    cdef Py_ssize_t column_count, reader_count, node_count
    cdef list walks          # used before, to be used again
    cdef Walk begin(self, Facts facts)
    cdef int end(self, Walk walk) except -1

cdef class Rows:
    cdef Row *rows           # [count]
    cdef Py_ssize_t count
    cdef bytes rest          # places of the rows under no pivot; None: there are no pivots
    cdef tuple pivots

cdef class Pivot:
    cdef int reader
    cdef int gather(self, Walk walk, Rows rows, double now, object value) except -1

cdef class Walk:
    cdef Table table
    cdef Facts facts
    cdef uint32_t *answers   # [C] stamp | answer; with any other stamp it is not asked yet
    cdef uint32_t stamp
    cdef list values         # [S], None where not read yet
    cdef int32_t *read       # [S] the readers that were, `read_count` of them
    cdef int32_t *found      # numbers of rows that hold
    cdef Py_ssize_t read_count, found_count, found_room
    cdef object value(self, int reader)
    cdef bint holds(self, int32_t place) except -1
    cdef int put(self, int32_t number) except -1
    cdef int look(self, const Row *row, double now) except -1
    cdef int look_along(self, Rows rows, bytes places, Py_ssize_t first, Py_ssize_t last, double now) except -1
    cdef int gather(self, Rows rows, double now) except -1

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
    cdef int other(self, object value, int place) except -1
