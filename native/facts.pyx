"""What is known about one call, and the readers that read a value from it: a value, ABSENT or UNKNOWN.

A reader that no class here describes is a function of the facts.
"""

from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

from thoth.native.forms cimport Form
from thoth.native.names cimport normal
from thoth.native.values cimport ANY, EMAIL, HOST, ID, Kind, absent, is_mark, read_argument, unknown


cdef class Facts:
    """The request, the arguments as tests read them with what is declared of each, the session, the time."""


cdef class Reader:
    """Reads one value."""

    cdef object value(self, Facts facts):
        raise NotImplementedError

    def __call__(self, Facts facts not None):
        return self.value(facts)


cdef class Function(Reader):
    """What a function of the facts returns."""

    def __init__(self, function):
        self.function = function

    cdef object value(self, Facts facts):
        return self.function(facts)


cdef class TextField(Reader):
    """A field of the request that is a text, in NFC; anything else, the empty text too, is UNKNOWN."""

    def __init__(self, Form form not None, str name not None):
        self.form, self.place = form, form.place(name)

    cdef object value(self, Facts facts):
        cdef object value = self.form.read(facts.request, self.place)
        return normal(<str>value) if type(value) is str and <str>value else unknown


cdef class Folder(Reader):
    """A text in an object of the request, from which relative paths start; empty where there is none."""

    def __init__(self, Form form not None, str name not None, str member not None):
        self.form, self.place, self.member = form, form.place(name), member

    cdef object value(self, Facts facts):
        cdef object value = self.form.read(facts.request, self.place)
        if type(value) is dict:
            value = (<dict>value).get(self.member)
            if type(value) is str:
                return value
        return ""


cdef class ArgumentPath(Reader):
    """One path into the arguments."""

    def __init__(self, tuple steps not None):
        self.steps = steps
        self.single = steps[0] if len(steps) == 1 else None

    cdef object value(self, Facts facts):
        cdef PyObject *found
        cdef PyObject *value
        cdef int code
        if not facts.readable:
            return unknown
        if self.single is not None:
            found = PyDict_GetItemWithError(facts.read, self.single)
            if found == NULL:
                return absent
            if type(<object>found) is str or type(<object>found) is int or type(<object>found) is float:
                value = PyDict_GetItemWithError(facts.kinds, self.single)
                code = ANY if value == NULL else (<Kind>value).code
                if type(<object>found) is not str:
                    if code != ID:
                        return <object>found  # a number is read as it stands
                elif code != ID and code != EMAIL and code != HOST and not is_mark(<str>found):
                    return normal(<str>found)
        return read_argument(facts.read, facts.kinds, facts.optional, self.steps)
