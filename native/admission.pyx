"""Copies of plain JSON values, taken in one pass; whatever is not plain is somebody else's to look at.

Only exact dicts, lists, tuples, texts, numbers, booleans and None are plain here: none of them runs code of its own
while it is read. The copy shares no mutable value with what it was made from.
"""

from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ
from libc.math cimport isfinite


cdef extern from "Python.h":
    int PyObject_GenericSetAttr(object o, object name, object value) except -1


cdef class Bounds:
    """How much one reading may take in: levels of nesting, bits of an integer, values, characters of text."""

    def __init__(self, int depth, int bits, Py_ssize_t values, Py_ssize_t chars):
        self.depth, self.bits, self.values, self.chars = depth, bits, values, chars


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


def read_plain_fields(given, tuple names not None, Bounds bounds not None) -> dict | None:
    """Return copies of some fields of a dict, those left out that are missing or None; None where one is not plain.

    Cost: one pass over the fields named.
    """
    cdef Reading reading
    cdef dict fields
    cdef object value
    if type(given) is not dict:
        return None
    reading = Reading(bounds)
    fields = {}
    try:
        for name in names:
            value = (<dict>given).get(name)
            if value is not None:
                value = reading.plain(value, 1)
                if value is NotImplemented:
                    return None
                fields[name] = value
    except RuntimeError:  # somebody changed it meanwhile
        return None
    return fields


def fill(type kind not None, tuple names not None, tuple values not None):
    """Return a new object of a class with slots, its fields set past any `__setattr__` of its own."""
    cdef Py_ssize_t place
    cdef object made = kind.__new__(kind)
    assert len(names) == len(values)
    for place in range(len(names)):
        PyObject_GenericSetAttr(made, names[place], values[place])
    return made
