"""The decisions of those who come with a key, by call: their events name no decision, or one of these.

A call is (who asked, session, tool). What was let through and has not ended is kept until it has; of all decisions the
last few of each of the calls that were asked for last. A call of which session and tool have very long names is not kept:
no bound would see how large it is.
"""

from collections import OrderedDict

from cpython.dict cimport PyDict_GetItemWithError, PyDict_SetItem
from cpython.object cimport PyObject

cdef enum:
    CALL_CHARS_MAX = 1024


cdef class Made:
    """A decision. `had` holds a bit for each kind of event that was about it."""

    def __init__(self, str id not None, bint refused):
        self.id, self.refused = id, refused


cdef class Docket:
    """At most `each_max` decisions of each of `calls_max` calls, and whatever is under way."""

    def __init__(self, Py_ssize_t calls_max, Py_ssize_t each_max):
        self.open, self.made = {}, OrderedDict()
        self.calls_max, self.each_max = calls_max, each_max

    cpdef int let_through(self, tuple call, str id) except -1:
        """Note a call that is under way from now on."""
        cdef PyObject *found = PyDict_GetItemWithError(self.open, call)
        cdef dict ids
        if not kept(call):
            return 0
        if found == NULL:
            ids = self.open[call] = {}
        else:
            ids = <dict>found
        PyDict_SetItem(ids, id, None)
        return 0

    cpdef int ended(self, tuple call, str id) except -1:
        """Forget a call that is under way no more."""
        cdef dict ids = self.open.get(call)
        if ids is not None:
            ids.pop(id, None)
            if not ids:
                del self.open[call]
        return 0

    cpdef int decided(self, tuple call, str id, bint refused) except -1:
        """Note a decision, whatever it says."""
        cdef PyObject *found = PyDict_GetItemWithError(<dict>self.made, call)
        cdef list several
        if not kept(call):
            return 0
        if found == NULL:
            self.made[call] = [Made(id, refused)]
            if len(<dict>self.made) > self.calls_max:
                self.made.popitem(last=False)
            return 0
        several = <list>found
        several.append(Made(id, refused))
        if len(several) > self.each_max:
            del several[0]
        self.made.move_to_end(call)
        return 0


cdef bint kept(tuple call) except -1:
    """Say whether a call is one that is kept."""
    cdef object session = call[1], tool = call[2]
    return len(<str?>session) + len(<str?>tool) <= CALL_CHARS_MAX
