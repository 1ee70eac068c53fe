# Answers to a test; UNASKED is no answer yet. A set of answers is a mask, `1 << answer` each.
cdef enum:
    NO = 0
    YES = 1
    DOUBT = 2
    AWAY = 3
    UNASKED = 4

# Codes of kinds, by how they read and what they take.
cdef enum:
    ANY = 0
    LIST = 1
    ID = 2
    EMAIL = 3
    HOST = 4
    STRING = 5
    INT = 6
    NUMBER = 7
    BOOLEAN = 8
    ENUM = 9
    RECORD = 10
    OTHER = 11

cdef object absent, unknown, any_kind

cdef class Named:
    cdef readonly int kind
    cdef readonly str text

cdef class Word:
    cdef readonly str text
    cdef readonly tuple order
    cdef readonly Py_ssize_t rank

cdef class Range:
    cdef readonly object low
    cdef readonly object high

cdef class Kind:
    cdef readonly str name
    cdef readonly int code
    cdef readonly Kind items
    cdef readonly frozenset values

cdef bint is_mark(str text) noexcept
cdef object read_value(object value, Kind kind)
cdef object read_argument(dict args, dict kinds, frozenset optional, tuple steps)
cdef bint fits(Kind kind, object value) except -1
cdef bint fits_exactly(dict args, tuple params, bint more, bint lenient) except -1
cdef object text_of(object value)
cdef bint is_number(object value) noexcept
cdef int equals(object left, object right) except -1
cdef int is_less(object left, object right) except -1
