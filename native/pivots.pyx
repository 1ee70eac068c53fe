"""Which rows one value lets through: those whose constant it equals, begins with, or lies beyond.

A pivot only leaves out rows that cannot hold, and never decides that one does. For a value that it cannot tell anything
about, one that is unknown above all, it looks at every row.
"""

from bisect import bisect_left, bisect_right

from libc.stdint cimport int32_t

from thoth.native.table cimport Pivot, Rows, Walk
from thoth.native.values cimport EMAIL, HOST, ID, Named, absent, is_number

cdef enum:
    TEXT_FORM = 0
    NUMBER_FORM = 1
    ID_FORM = 2
    EMAIL_FORM = 3
    HOST_FORM = 4
    FORMS = 5

FORM_TEXT, FORM_NUMBER, FORM_ID, FORM_EMAIL, FORM_HOST, FORM_COUNT = (
    TEXT_FORM, NUMBER_FORM, ID_FORM, EMAIL_FORM, HOST_FORM, FORMS,
)
cdef object _bisect_left = bisect_left
cdef object _bisect_right = bisect_right


cdef int look_at(Walk walk, Rows rows, bytes run, double now) except -1:
    return walk.look_along(rows, run, 0, len(run) // sizeof(int32_t), now)


cdef class Matching(Pivot):
    """Rows that ask for a value equal to a constant, or to one of some."""

    def __init__(self, int reader, tuple runs not None, tuple defaults not None, bytes every not None):
        """Take for each form of a value what it equals and the run then, and the run where it equals nothing."""
        assert len(runs) == len(defaults) == FORMS
        self.reader, self.runs, self.defaults, self.every = reader, runs, defaults, every

    cdef int gather(self, Walk walk, Rows rows, double now, object value) except -1:
        cdef int form
        cdef object run
        if value is absent:
            return 0
        if type(value) is str:
            form = TEXT_FORM
        elif is_number(value):
            form = NUMBER_FORM
        elif type(value) is Named:
            form = ID_FORM
            if (<Named>value).kind != ID:
                form = EMAIL_FORM if (<Named>value).kind == EMAIL else HOST_FORM
            value = (<Named>value).text
        else:
            return look_at(walk, rows, self.every, now)
        run = (<dict>self.runs[form]).get(value)
        return look_at(walk, rows, self.defaults[form] if run is None else <bytes>run, now)


cdef class Beginning(Pivot):
    """Rows that ask for a text with a certain beginning."""

    def __init__(self, int reader, dict runs not None, bytes every not None, Py_ssize_t scan_chars):
        self.reader, self.runs, self.every, self.scan_chars = reader, runs, every, scan_chars
        self.lengths = tuple(sorted({len(beginning) for beginning in runs}))

    cdef int gather(self, Walk walk, Rows rows, double now, object value) except -1:
        cdef Py_ssize_t length
        cdef object run
        if value is absent:
            return 0
        if type(value) is not str or len(<str>value) > self.scan_chars:
            return look_at(walk, rows, self.every, now)
        for length in self.lengths:
            if length > len(<str>value):
                break
            run = self.runs.get((<str>value)[:length])
            if run is not None:
                look_at(walk, rows, <bytes>run, now)
        return 0


cdef class Bounded(Pivot):
    """Rows that ask for a number above a bound (`above`), or below one."""

    def __init__(self, int reader, list bounds not None, bytes run not None, bytes every not None, bint above):
        assert len(bounds) * sizeof(int32_t) == len(run)
        self.reader, self.bounds, self.run, self.every, self.above = reader, bounds, run, every, above

    cdef int gather(self, Walk walk, Rows rows, double now, object value) except -1:
        if value is absent:
            return 0
        if not is_number(value):
            return look_at(walk, rows, self.every, now)
        if self.above:
            return walk.look_along(rows, self.run, 0, _bisect_right(self.bounds, value), now)
        return walk.look_along(rows, self.run, _bisect_left(self.bounds, value), len(self.bounds), now)
