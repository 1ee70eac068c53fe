from libc.stdint cimport int32_t, uint8_t, uint32_t

from thoth.native.arena cimport Arena, Bucket, Family, Pivot, Row, Sections
from thoth.native.facts cimport Facts, Reader
from thoth.native.slots cimport Probe, Slot
from thoth.native.values cimport Kind

cdef enum:
    ANSWER_COUNT = 4         # a stamp is a multiple of this, an answer less

# What a search stops for.
cdef enum:
    DONE = 0
    WANTS_SLOT = 1           # the reader `wanted` has to read
    WANTS_ANSWER = 2         # only Python can answer column `wanted`
    WANTS_MEMORY = 3

cdef enum:
    MORE_MIN = 16            # so many numbers of one family are told; of the rest, how many

cdef struct Run:
    uint32_t first, count    # places of rows, or rows themselves
    uint32_t at              # how far the search has come
    uint8_t sure             # the pivot's own test holds for all of them
    uint8_t direct

cdef struct More:
    int32_t number           # the first of the family's rules that hold
    int32_t count            # how many hold beside the sixteen that are told

cdef class Table:
    cdef readonly Arena arena
    cdef object make
    cdef tuple readers       # [S] Reader
    cdef list columns        # [C] Column, made when it is first asked
    cdef uint8_t *places     # [S] where its value lies, 0: only the reader knows
    cdef Py_ssize_t reader_count, scan_chars
    cdef Walk spare          # used before, to be used again
    cdef Walk begin(self, Facts facts)
    cdef int end(self, Walk walk) except -1
    cdef Column column(self, int32_t number)

cdef class Rows:
    cdef const Bucket *bucket
    cdef Arena arena

cdef class Walk:
    cdef Table table
    cdef Arena arena
    cdef const Sections *sections
    cdef Py_ssize_t scan_chars
    cdef Facts facts
    cdef uint32_t *answers   # [C] stamp | answer; with any other stamp it is not asked yet
    cdef uint32_t stamp
    cdef list values         # [S], None where not read yet, or taken in from where it lies
    cdef int32_t *read       # [S] the readers of which something is known, `read_count` of them
    cdef Slot *slots         # [S]
    cdef uint8_t *filled     # [S]
    cdef Slot *items         # of lists
    cdef int32_t *found      # numbers of rules that hold
    cdef More *more          # what `found` leaves out
    cdef Run *runs
    cdef Py_ssize_t read_count, found_count, found_room, more_count, more_room, run_count, run_room, item_count, item_room
    cdef const Row *row      # where the search stands: a row, a node of it
    cdef int32_t node_at, wanted
    cdef double now
    cdef bint counting
    cdef object value(self, int reader)
    cdef int fill(self, int reader) except -1
    cdef bint fill_in_place(self, Slot *slot, int reader) except -1
    cdef bint fill_argument(self, Slot *slot, object value, Kind kind) except -1
    cdef int serve(self, int want) except -1
    cdef bint make_room(self, void **room, Py_ssize_t *size, Py_ssize_t needed, size_t each) noexcept nogil
    cdef bint push_run(self, uint32_t first, uint32_t count, bint sure, bint direct) noexcept nogil
    cdef bint push(self, int32_t number) noexcept nogil
    cdef int look_up(self, const Pivot *pivots, uint32_t count) noexcept nogil
    cdef int look_up_one(self, const Pivot *pivot, Probe *probes, uint32_t *count) noexcept nogil
    cdef int settle(self, Probe *probes, uint32_t count) noexcept nogil
    cdef int search(self) noexcept nogil
    cdef int take(self, int32_t number) noexcept nogil
    cdef int take_span(self, const Family *family, const Slot *slot) noexcept nogil
    cdef int put(self, int32_t number) except -1
    cdef int open(self, const Bucket *bucket, double now, bint counting) noexcept nogil
    cdef int renew(self) noexcept nogil
    cdef int find(self, Rows rows, double now, bint counting) except -1
    cdef int gather(self, Rows rows, double now) except -1
    cdef int survey(self, Rows rows, double now) except -1

cdef class Column:
    cdef int answer(self, Walk walk) except -1
