cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from thoth.native.answer cimport Answers, Verdict
from thoth.native.arena cimport Bucket
from thoth.native.batch cimport Batch
from thoth.native.slots cimport Slot
from thoth.native.table cimport Walk

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
    COLUMNS_MAX = 96
    BUCKETS_MAX = 16
    STANCES_MAX = 16

# What a stretch of rows stops for.
cdef enum:
    ALL_DONE = 0
    WANTS_PLAN = 1           # of the tool of this row
    WANTS_PYTHON = 2         # this row is decided elsewhere
    WANTS_ROOM = 3           # for its rules, or they have a code of their own, or are many

cdef struct Column:
    const uint8_t *valid     # bits; NULL: all are there
    const uint8_t *around    # of the struct that it stands in
    int64_t offset, around_offset, length
    const void *data         # numbers, bits or indices
    const void *ends         # of texts and lists
    uint8_t form             # a letter, as Arrow has it; 0: read elsewhere
    Column *inner            # of a list its items, of a dictionary its words

cdef struct Plan:            # how the arguments of one tool are read
    bint here                # they can be read here
    Py_ssize_t risk_count, rule_count
    const Bucket *risk[BUCKETS_MAX]
    const Bucket *rules[BUCKETS_MAX]
    uint8_t code[COLUMNS_MAX]        # of each column that is an argument
    uint8_t item_code[COLUMNS_MAX]
    bint wanted[COLUMNS_MAX]         # the argument has to be there
    bint strict[COLUMNS_MAX]         # it is optional, where texts may stand for values
    bint barred[COLUMNS_MAX]         # the tool has no such argument

cdef struct Source:          # of a slot
    int reader, column       # column -1: nothing comes from here
    bint argument

cdef struct Said:
    const char *text
    Py_ssize_t size
    int32_t soft
    bint observing, laddered

@cython.final
cdef class Cells:
    cdef Answers answers     # None while nobody uses these cells, for it keeps them
    cdef Walk walk
    cdef double now
    cdef Py_ssize_t chars_max
    cdef list words          # the memory of `stances`
    cdef list names          # of the columns that are arguments, None of others
    cdef Column columns[COLUMNS_MAX]
    cdef Slot cells[COLUMNS_MAX]
    cdef int column_count, tool, said, scope
    cdef list inner          # the memory of inner columns
    cdef bint args[COLUMNS_MAX]
    cdef Source *sources
    cdef Py_ssize_t source_count
    cdef Plan **plans        # [plan_count] by place in `answers.known`; the last one is of all others
    cdef uint64_t plan_count
    cdef Said stances[STANCES_MAX]  # the first one where nothing else is said
    cdef int stance_count
    cdef Verdict verdict
    cdef uint8_t *deciders   # of whoever makes the batch
    cdef bint begin(self, list paths) except -1
    cdef int lay_out(self, Column *column, ArrowSchema *schema, ArrowArray *array, int64_t offset, bint lists) except -1
    cdef Column *inner_column(self) except NULL
    cdef uint64_t planned(self) noexcept nogil
    cdef bint open(self, ArrowSchema *schema, ArrowArray *array) except -1
    cdef int plan(self) except -1
    cdef int64_t run(self, Walk walk, Batch batch, int64_t first, int64_t last, int *want) noexcept nogil
    cdef int decide(self, Walk walk, int64_t row) noexcept nogil
    cdef int weigh(self, Walk walk, const Plan *plan, const Said *said) noexcept nogil
    cdef int note(self, Batch batch) noexcept nogil
    cdef int close(self) except -1
