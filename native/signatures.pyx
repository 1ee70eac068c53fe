"""What a tool's arguments must fit, and whether some do as they stand.

Callers tend to send arguments in the order in which they are declared, so each is held against the parameter whose turn
it is; only from the first that is not is there a look-up for each.
"""

from cpython.dict cimport PyDict_Next
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject

from sys import intern

from thoth.native.entries cimport Entered, dict_entries
from thoth.native.texts cimport text_hash, text_same
from thoth.native.values cimport ANY, BOOLEAN, EMAIL, HOST, ID, INT, LIST, NUMBER, STRING, Kind, fits, fits_exactly


cdef class Signature:
    """Parameters as (name, kind, optional), whether others may come, and whether texts may stand for values."""

    def __cinit__(self, tuple params not None, bint more, bint lenient):
        cdef Py_ssize_t place
        self.params = tuple([(intern(name), kind, optional) for name, kind, optional in params])
        self.more, self.lenient, self.count = more, lenient, len(params)
        self.each = <Param *>PyMem_Calloc(max(1, self.count), sizeof(Param))
        if self.each == NULL:
            raise MemoryError
        for place in range(self.count):
            name, kind, optional = self.params[place]
            assert type(name) is str and isinstance(kind, Kind)
            text_hash(name)
            self.each[place] = Param(<PyObject *>name, <PyObject *>kind, (<Kind>kind).code, optional)

    def __dealloc__(self):
        PyMem_Free(self.each)

    def fit(self, dict args not None) -> bool:
        """Say whether arguments fit as they stand, with nothing to be left out or read loosely.

        False is no verdict: the slow way says what is wrong, if anything.
        """
        cdef Fitted fitted
        return self.fits(args, &fitted)

    cdef bint fits(self, dict args, Fitted *fitted) except -1:
        """Say whether arguments fit, and where each lies if they are in the order of the parameters."""
        cdef Py_ssize_t count = 0, place = 0, at
        cdef Entered *entries = dict_entries(args, &count)
        cdef Param *param = self.each
        cdef PyObject *key
        cdef PyObject *name
        cdef PyObject *kind
        cdef PyObject *value
        fitted.known = False
        if entries == NULL or self.count > FITTED_MAX:
            return self.fits_in_turn(args)
        # Nothing here takes memory that the collector counts, so nothing moves meanwhile.
        for at in range(count):
            key, value = entries[at].key, entries[at].value
            if value == NULL:
                continue
            if place == self.count:
                return fits_exactly(args, self.params, self.more, self.lenient)
            name, kind = param.name, param.kind
            if not text_same(<object>key, <object>name):
                return fits_exactly(args, self.params, self.more, self.lenient)
            if param.optional and (value == <PyObject *>None or (self.lenient and type(<object>value) is str)):
                return False
            if not (type(<object>value) is str if param.code == STRING else suits(param.code, <Kind>kind, <object>value)):
                return False
            fitted.values[place] = value
            param += 1
            place += 1
        if place < self.count:
            return fits_exactly(args, self.params, self.more, self.lenient)
        fitted.known, fitted.count = True, <int>place
        return True

    cdef bint fits_in_turn(self, dict args) except -1:
        """As `fits`, of a dict whose entries have to be asked for."""
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
            if not suits(param.code, <Kind>param.kind, <object>value):
                return False
            place += 1
        return place == self.count or fits_exactly(args, self.params, self.more, self.lenient)


cdef bint suits(int code, Kind kind, object value) except -1:
    """As `fits`; the most common kinds without a call."""
    cdef Py_ssize_t place
    if code == STRING or code == ANY or code == EMAIL or code == HOST:
        return code == ANY or type(value) is str
    if code == NUMBER:
        return type(value) is int or type(value) is float
    if code == INT and type(value) is int:
        return True
    if code == BOOLEAN:
        return type(value) is bool
    if code == ID:
        return type(value) is str or type(value) is int
    if code == LIST:
        if type(value) is not list:
            return False
        kind = kind.items
        code = kind.code
        for place in range(PyList_GET_SIZE(value)):
            if not suits(code, kind, <object>PyList_GET_ITEM(value, place)):
                return False
        return True
    return fits(kind, value)
