"""What is known about one call, and the readers that read a value from it: a value, ABSENT or UNKNOWN.

A reader that no class here describes is a function of the facts.
"""

from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF

from sys import intern

from thoth.native.forms cimport Form
from thoth.native.names cimport normal
from thoth.native.values cimport ANY, EMAIL, HOST, ID, Kind, absent, is_mark, read_argument, read_value, unknown


cdef class Facts:
    """The request, the arguments as tests read them with what is declared of each, the session, the time."""

    def __dealloc__(self):
        self.let_go()

    cdef int hold(self) noexcept:
        """Hold the arguments themselves, for `read` is somebody else's."""
        cdef int place
        if self.fitted.known and not self.holding:
            self.holding = True
            for place in range(self.fitted.count):
                Py_INCREF(<object>self.fitted.values[place])
        return 0

    cdef int let_go(self) noexcept:
        """Forget where the arguments lie."""
        cdef int place
        self.fitted.known = False
        if self.holding:
            self.holding = False
            for place in range(self.fitted.count):
                Py_DECREF(<object>self.fitted.values[place])
        return 0


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
        self.single = intern(steps[0]) if len(steps) == 1 and type(steps[0]) is str else None

    cdef object value(self, Facts facts):
        cdef PyObject *found = NULL
        cdef PyObject *value
        cdef int code, place
        if not facts.readable:
            return unknown
        if self.single is not None:
            if facts.fitted.known:
                for place in range(facts.fitted.count):
                    if facts.params[place].name == <PyObject *>self.single:
                        found = facts.fitted.values[place]
                        code = facts.params[place].code
                        if code != ID:
                            if type(<object>found) is str:
                                if code != EMAIL and code != HOST and not is_mark(<str>found):
                                    return normal(<str>found)
                            elif type(<object>found) is int or type(<object>found) is float:
                                return <object>found
                        return read_value(<object>found, <Kind>facts.params[place].kind)
                return absent  # each argument is a parameter's, and this is none of them
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
