"""What a tool's arguments must fit, and whether some do as they stand.

Callers tend to send arguments in the order in which they are declared, so each is held against the parameter whose turn
it is; only from the first that is not is there a look-up for each.
"""

from cpython.dict cimport PyDict_Next
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject

from thoth.native.texts cimport text_hash, text_same
from thoth.native.values cimport ANY, EMAIL, HOST, INT, STRING, Kind, fits, fits_exactly


cdef class Signature:
    """Parameters as (name, kind, optional), whether others may come, and whether texts may stand for values."""

    def __cinit__(self, tuple params not None, bint more, bint lenient):
        cdef Py_ssize_t place
        self.params, self.more, self.lenient, self.count = params, more, lenient, len(params)
        self.each = <Param *>PyMem_Calloc(max(1, self.count), sizeof(Param))
        if self.each == NULL:
            raise MemoryError
        for place in range(self.count):
            name, kind, optional = params[place]
            assert type(name) is str and isinstance(kind, Kind)
            text_hash(name)
            self.each[place] = Param(<PyObject *>name, <PyObject *>kind, optional)

    def __dealloc__(self):
        PyMem_Free(self.each)

    def fit(self, dict args not None) -> bool:
        """Say whether arguments fit as they stand, with nothing to be left out or read loosely.

        False is no verdict: the slow way says what is wrong, if anything.
        """
        return self.fits(args)

    cdef bint fits(self, dict args) except -1:
        cdef PyObject *name
        cdef PyObject *value
        cdef Py_ssize_t at = 0, place = 0
        cdef Param *param
        while PyDict_Next(args, &at, &name, &value):
            if place == self.count or type(<object>name) is not str \
                    or not text_same(<object>name, <object>self.each[place].name):
                return fits_exactly(args, self.params, self.more, self.lenient)
            param = self.each + place
            if param.optional and (value == <PyObject *>None or (self.lenient and type(<object>value) is str)):
                return False
            if not suits(<Kind>param.kind, <object>value):
                return False
            place += 1
        return place == self.count or fits_exactly(args, self.params, self.more, self.lenient)


cdef inline bint suits(Kind kind, object value) except -1:
    """As `fits`; the most common kinds without a call."""
    cdef int code = kind.code
    if code == ANY:
        return True
    if code == STRING or code == EMAIL or code == HOST:
        return type(value) is str
    if code == INT and type(value) is int:
        return True
    return fits(kind, value)
