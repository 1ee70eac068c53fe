from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    _HOLDS = -1
    _FAILS = -2

# What a value is to the machine. A boolean, a word of an order, a number beyond 64 bits: OTHER, which Python answers.
cdef enum:
    TEXT = 1
    INTEGER = 2          # also of a double without a fraction
    DOUBLE = 3
    ID_TEXT = 4
    EMAIL_TEXT = 5
    HOST_TEXT = 6
    ITEMS = 7
    OTHER = 8
    AWAY_VALUE = 9
    UNKNOWN_VALUE = 10

# What a test asks; ASK is what only Python can answer.
cdef enum:
    ASK = 0
    EQUAL_TEXT = 1
    EQUAL_NUMBER = 2
    AMONG_TEXT = 3       # its constants are entries
    GREATER = 4
    AT_LEAST = 5
    LESS = 6
    AT_MOST = 7
    STARTS = 8
    ENDS = 9
    LIKE = 10
    UNDER = 11
    FIND = 12
    OP_COUNT = 13
    EACH_ONE = 1
    ALL_OF_EACH = 2

# Forms of globs, and sides of a cut.
cdef enum:
    EXACT = 0
    AROUND = 1           # a beginning, a star, an end; either may be empty
    GENERAL = 2
    FROM_HERE = 0        # a number has passed the cut from its constant on
    BEYOND = 1           # only beyond it

cdef enum:
    BY_TEXT = 0
    BY_NUMBER = 1
    BY_BEGINNING = 2
    BY_FOLDER = 3
    BY_SPAN = 4
    BY_HASHED_BEGINNING = 5  # of few lengths: each is looked up as a text
    BY_HASHED_FOLDER = 6     # without the slash behind it
    BY_COUNT = 7

cdef enum:
    LENGTHS_MAX = 4          # of hashed beginnings
    KIND_BITS = 4            # of a form, beside the size of a text

cdef enum:
    ONE_ROW = 0x80000000     # a run of one row is the row's place

cdef struct Constant:
    int64_t value        # an integer, the bits of a double, or where a text begins
    uint32_t size        # of a text, bytes
    uint16_t split       # of a glob with one star, the bytes before it
    uint8_t form
    uint8_t shape

cdef struct Test:
    uint32_t first       # its constants; of AMONG_TEXT its entries; of FIND its automaton
    uint32_t count
    int32_t reader
    uint8_t op
    uint8_t each
    uint8_t negated
    uint8_t together     # of FIND: in a long text it is sought together with others

cdef struct Node:
    int32_t column
    int32_t accepted     # where to go on: a node before this one, or HOLDS, or FAILS
    int32_t refused
    Test test            # the column's, at hand
    uint8_t mask         # the answers that are accepted, a bit each
    uint8_t alone        # no other node looks at the column: its answer need not be written down
    uint8_t spare[2]

cdef struct Row:
    int32_t number       # of the rule; -1 - n is family n
    int32_t start        # its first node, or HOLDS or FAILS
    int32_t skip         # the same where its pivot has let it through
    uint32_t until       # place of the time until when it holds; 0 is for ever

cdef struct Bucket:
    uint32_t row_first, row_count
    uint32_t rest_first, rest_count      # places of rows that every call looks at
    uint32_t pivot_first, pivot_count

cdef struct Pivot:
    int32_t reader
    uint32_t first, count                # entries, beginnings, or the one tree
    uint32_t every_first, every_count    # places of all its rows
    uint8_t kind
    uint8_t forms                        # bits of the forms that its entries are in
    uint8_t length_count, spare
    uint16_t lengths[LENGTHS_MAX]        # of hashed beginnings, bytes, rising

cdef struct Entry:                       # of a table of 2^n entries with open addressing, at most half full
    uint32_t hash
    uint32_t at                          # where the text begins, or the place of a constant that is a number
    uint32_t kind                        # size of the text, and its form in the last bits; 0 is empty
    uint32_t run                         # ONE_ROW and its place, or where in the places a count stands before them

cdef struct Beginning:                   # sorted by text
    uint64_t key                         # its first eight bytes, big-endian
    uint32_t constant
    int32_t parent                       # the longest other one that this one begins with, or -1
    uint32_t first, count                # places of rows

cdef struct Tree:                        # of spans between cuts; segment i of n + 1 lies behind i cuts
    uint32_t cut_first, cut_count
    uint32_t segment_first               # 2 * (n + 1) of them, as a binary tree from place 1 on
    uint32_t spare

cdef struct Segment:
    uint32_t first, count                # places of rows, or numbers, whose span covers all of it

cdef struct Family:                      # rules that ask the same beside one span, each on its own
    int32_t reader
    uint32_t tree                        # its segments hold numbers, rising
    uint32_t all_first, all_count        # all numbers, rising
    uint32_t row_first, row_count        # the rules as rows, for values that only Python can compare
    uint32_t doubtful                    # 1: a value that cannot be compared lets all of them through
    uint32_t spare

cdef struct Automaton:                   # at `first` of the texts: class of each of 128 bytes, next states, ends
    uint32_t first
    uint16_t states, classes             # state 0 is stuck, state 1 has found
    uint16_t start, spare

cdef struct Sections:
    const uint8_t *texts
    const Constant *constants
    const Test *tests
    const Node *nodes
    const Row *rows
    const uint32_t *places
    const Entry *entries
    const Beginning *beginnings
    const Pivot *pivots
    const Bucket *buckets
    const Tree *trees
    const Segment *segments
    const Family *families
    const double *untils
    const Automaton *automata
    Py_ssize_t text_count, constant_count, test_count, node_count, row_count, place_count, entry_count
    Py_ssize_t beginning_count, pivot_count, bucket_count, tree_count, segment_count, family_count
    Py_ssize_t until_count, automaton_count

cdef class Arena:
    cdef object source
    cdef Sections sections
    cdef readonly Py_ssize_t byte_count
