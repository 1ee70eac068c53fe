"""Copies of plain JSON values, taken in one pass; whatever is not plain is somebody else's to look at.

Only exact dicts, lists, tuples, texts, numbers, booleans and None are plain here: none of them runs code of its own
while it is read. The copy shares no mutable value with what it was made from.
"""

from cython cimport freelist

from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ
from libc.math cimport isfinite


from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF

from thoth.native.forms cimport Form

cdef enum:
    FIELDS_MAX = 32

cdef class Bounds:
    """How much one reading may take in: levels of nesting, bits of an integer, values, characters of text."""

    def __init__(self, int depth, int bits, Py_ssize_t values, Py_ssize_t chars):
        self.depth, self.bits, self.values, self.chars = depth, bits, values, chars


@freelist(4)
cdef class Reading:
    """What is left of the bounds in one reading."""

    def __cinit__(self, Bounds bounds not None):
        self.bounds = bounds
        self.values = bounds.values
        self.chars = bounds.chars

    cdef bint text(self, str text) noexcept:
        """Say whether a text is Unicode, without lone surrogates, and fits."""
        cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text), place
        cdef int kind
        cdef void *data
        cdef Py_UCS4 c
        self.chars -= length
        if self.chars < 0:
            return False
        kind = PyUnicode_KIND(text)
        if kind == 1:
            return True
        data = PyUnicode_DATA(text)
        for place in range(length):
            c = PyUnicode_READ(kind, data, place)
            if 0xD800 <= c <= 0xDFFF:
                return False
        return True

    cdef object plain(self, object value, int depth):
        """Return a copy of a value; NotImplemented where it is not plain or does not fit."""
        cdef dict members
        cdef list items
        cdef object copy
        self.values -= 1
        if self.values < 0:
            return NotImplemented
        if type(value) is str:
            return value if self.text(<str>value) else NotImplemented
        if value is None or type(value) is bool:
            return value
        if type(value) is int:
            if not -0x7FFFFFFF < value < 0x7FFFFFFF and value.bit_length() > self.bounds.bits:
                return NotImplemented
            return value
        if type(value) is float:
            return value if isfinite(<double>value) else NotImplemented
        if depth > self.bounds.depth:
            return NotImplemented
        if type(value) is dict:
            members = {}
            for key, member in (<dict>value).items():
                if type(key) is not str or not self.text(<str>key):
                    return NotImplemented
                copy = self.plain(member, depth + 1)
                if copy is NotImplemented:
                    return NotImplemented
                members[key] = copy
            return members
        if type(value) is list or type(value) is tuple:
            items = []
            for item in value:
                copy = self.plain(item, depth + 1)
                if copy is NotImplemented:
                    return NotImplemented
                items.append(copy)
            return items
        return NotImplemented


cdef class Intake:
    """Takes plain dicts in as objects of one class, field by field.

    One field is a text that must be there and not be empty, another an object, empty where it is missing.
    """

    def __init__(self, Form form not None, Bounds bounds not None, str text not None, str members not None):
        assert form.count <= FIELDS_MAX
        self.form, self.bounds = form, bounds
        self.text, self.members = form.place(text), form.place(members)
        self.places = {name: place for place, name in enumerate(form.names)}

    def read(self, given):
        """Return an object of copies of the fields of a dict, None in those left out; None where one is not plain.

        Cost: one pass over the fields named.
        """
        cdef PyObject *values[FIELDS_MAX]
        cdef Py_ssize_t place
        cdef bint plain
        if type(given) is not dict:
            return None
        for place in range(self.form.count):
            values[place] = NULL
        try:
            plain = self.take(<dict>given, values)
        except Exception:  # somebody changed it meanwhile, or a key compares in a way of its own
            plain = False
        if plain and values[self.members] == NULL:
            values[self.members] = owned({})
        if not plain or values[self.text] == NULL or type(<object>values[self.text]) is not str \
                or not <str>values[self.text] or type(<object>values[self.members]) is not dict:
            for place in range(self.form.count):
                Py_XDECREF(values[place])
            return None
        for place in range(self.form.count):
            if values[place] == NULL:
                values[place] = owned(None)
        return self.form.made(values)

    cdef bint take(self, dict given, PyObject **values) except -1:
        """Copy the fields; say whether all are plain."""
        cdef Reading reading = Reading(self.bounds)
        cdef object found
        if len(given) > 2 * self.form.count:
            for name, found in self.places.items():
                if not self.take_one(reading, values, found, given.get(name)):
                    return False
            return True
        for key, value in given.items():
            if type(key) is not str:
                return False  # it may yet equal the name of a field
            found = self.places.get(key)
            if found is not None and not self.take_one(reading, values, found, value):
                return False
        return True

    cdef bint take_one(self, Reading reading, PyObject **values, Py_ssize_t place, object value) except -1:
        cdef object copy
        if value is None:
            return True
        copy = reading.plain(value, 1)
        if copy is NotImplemented:
            return False
        values[place] = owned(copy)
        return True


cdef PyObject *owned(object one):
    """Return a reference that is somebody else's from now on."""
    Py_INCREF(one)
    return <PyObject *>one
