"""Copies of plain JSON values, taken in one pass; whatever is not plain is somebody else's to look at.

Only exact dicts, lists, tuples, texts, numbers, booleans and None are plain here: none of them runs code of its own
while it is read. The copy shares no mutable value with what it was made from.
"""

from cpython.dict cimport PyDict_Copy, PyDict_Next, PyDict_SetItem
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE, PyList_GetSlice
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ
from libc.math cimport isfinite

from thoth.native.forms cimport Form, held, put
from thoth.native.texts cimport text_hash, text_same

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object number, int *beyond) except? -1

cdef class Bounds:
    """How much one reading may take in: levels of nesting, bits of an integer, values, characters of text."""

    def __init__(self, int depth, int bits, Py_ssize_t values, Py_ssize_t chars):
        self.depth, self.bits, self.values, self.chars = depth, bits, values, chars


cdef bint unicode_text(Left *left, object text) noexcept:
    """Say whether a text is Unicode, without lone surrogates, and fits."""
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text), place
    cdef int kind
    cdef void *data
    cdef Py_UCS4 c
    left.chars -= length
    if left.chars < 0:
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


cdef class Intake:
    """Takes plain dicts, and objects of one class, in as new objects of that class, field by field.

    One field is a text that must be there and not be empty, another an object, empty where it is missing.
    """

    def __cinit__(self, Form form not None, Bounds bounds not None, str text not None, str members not None):
        cdef Py_ssize_t field, place
        assert 2 * form.count <= PLACES
        self.form, self.bounds = form, bounds
        self.text, self.members = form.place(text), form.place(members)
        for field in range(form.count):
            place = text_hash(form.names[field]) & (PLACES - 1)
            while self.named[place].name != NULL:
                place = (place + 1) & (PLACES - 1)
            self.named[place] = Named(<PyObject *>form.names[field], field)

    def read(self, given):
        """Return an object of copies of the fields, None in those left out; None where one is not plain.

        Cost: one pass over the fields.
        """
        return self.read_in(given)

    cdef object read_in(self, object given):
        cdef object made
        if type(given) is not dict and type(given) is not self.form.kind:
            return None
        made = self.form.begun()
        try:
            if type(given) is dict:
                return made if self.take(<dict>given, made) and self.finished(made) else None
            return made if self.take_all(given, made) and self.finished(made) else None
        except Exception:  # a key that compares in a way of its own
            return None

    cdef bint finished(self, object made) except -1:
        """Fill what was left out; say whether what must be there is."""
        cdef Form form = self.form
        cdef PyObject *found = held(form, made, self.text)
        cdef Py_ssize_t field
        if found == NULL or type(<object>found) is not str or not PyUnicode_GET_LENGTH(<object>found):
            return False
        found = held(form, made, self.members)
        if found == NULL:
            put(form, made, self.members, {})
        elif type(<object>found) is not dict:
            return False
        for field in range(form.count):
            if held(form, made, field) == NULL:
                put(form, made, field, None)
        return True

    cdef bint take(self, dict given, object made) except -1:
        """Copy the fields of a dict; say whether all are plain."""
        cdef Left left = Left(self.bounds.values, self.bounds.chars)
        cdef PyObject *key
        cdef PyObject *value
        cdef Py_ssize_t at = 0, place
        if len(given) > 2 * self.form.count:
            for place in range(self.form.count):
                if not self.take_one(&left, made, place, given.get(self.form.names[place])):
                    return False
            return True
        while PyDict_Next(given, &at, &key, &value):
            if type(<object>key) is not str:
                return False  # it may yet equal the name of a field
            place = text_hash(<object>key) & (PLACES - 1)
            while self.named[place].name != NULL:
                if text_same(<object>self.named[place].name, <object>key):
                    if not self.take_one(&left, made, self.named[place].field, <object>value):
                        return False
                    break
                place = (place + 1) & (PLACES - 1)
        return True

    cdef bint take_all(self, object given, object made) except -1:
        """Copy the fields of an object; say whether all are plain."""
        cdef Left left = Left(self.bounds.values, self.bounds.chars)
        cdef Py_ssize_t field
        for field in range(self.form.count):
            if not self.take_one(&left, made, field, self.form.read(given, field)):
                return False
        return True

    cdef bint take_one(self, Left *left, object made, Py_ssize_t field, object value) except -1:
        cdef object copy
        if value is None:
            return True
        if type(value) is str:
            left.values -= 1
            if left.values < 0 or not unicode_text(left, value):
                return False
            put(self.form, made, field, value)
            return True
        copy = self.plain(left, value, 1)
        if copy is NotImplemented:
            return False
        put(self.form, made, field, copy)
        return True

    cdef bint plain_one(self, Left *left, object value) except -1:
        """Say whether a value is plain and holds no other; it is counted if so."""
        cdef int beyond = 0
        if type(value) is str:
            if not unicode_text(left, value):
                return False
        elif value is None or type(value) is bool:
            pass
        elif type(value) is int:
            PyLong_AsLongLongAndOverflow(value, &beyond)
            if beyond and value.bit_length() > self.bounds.bits:
                return False
        elif type(value) is not float or not isfinite(<double>value):
            return False
        left.values -= 1
        return left.values >= 0

    cdef object plain(self, Left *left, object value, int depth):
        """Return a copy of a value; NotImplemented where it is not plain or does not fit."""
        cdef PyObject *key
        cdef PyObject *member
        cdef Py_ssize_t at = 0, place
        cdef dict members
        cdef list items
        cdef object copy
        if type(value) is not dict and type(value) is not list and type(value) is not tuple:
            return value if self.plain_one(left, value) else NotImplemented
        left.values -= 1
        if depth > self.bounds.depth or len(value) > left.values:
            return NotImplemented
        if type(value) is dict:
            # The copy is looked at, not the original: only what hashes and compares plainly can lie in either.
            members = PyDict_Copy(value)
            while PyDict_Next(members, &at, &key, &member):
                if type(<object>key) is not str or not unicode_text(left, <object>key):
                    return NotImplemented
                if self.plain_one(left, <object>member):
                    continue
                copy = self.plain(left, <object>member, depth + 1)
                if copy is NotImplemented:
                    return NotImplemented
                PyDict_SetItem(members, <object>key, copy)  # the key is there: nothing moves
            return members
        items = PyList_GetSlice(value, 0, PyList_GET_SIZE(value)) if type(value) is list else list(value)
        for place in range(PyList_GET_SIZE(items)):
            if self.plain_one(left, items[place]):
                continue
            copy = self.plain(left, items[place], depth + 1)
            if copy is NotImplemented:
                return NotImplemented
            items[place] = copy
        return items

    cdef object adopt(self, dict given):
        """Return an object of the fields of a dict that nobody else holds; None where one is not plain."""
        cdef object made = self.form.empty()
        return made if self.borrow(given, made) else None

    cdef bint borrow(self, dict given, object scratch) except -1:
        """Put the fields of a dict, not copied, into an object of the class; say whether all are plain.

        For as long as the object is used, nobody may change what it was given.
        """
        cdef Left left = Left(self.bounds.values, self.bounds.chars)
        cdef PyObject *key
        cdef PyObject *value
        cdef Py_ssize_t at = 0, place, members = 0, text = 0
        if len(given) > 2 * self.form.count:
            return False
        while PyDict_Next(given, &at, &key, &value):
            if type(<object>key) is not str:
                return False
            place = text_hash(<object>key) & (PLACES - 1)
            while self.named[place].name != NULL:
                if text_same(<object>self.named[place].name, <object>key):
                    break
                place = (place + 1) & (PLACES - 1)
            if self.named[place].name == NULL or value == <PyObject *>None:
                continue
            if not self.sound(&left, <object>value, 1):
                return False
            if self.named[place].field == self.members:
                if type(<object>value) is not dict:
                    return False
                members = 1
            elif self.named[place].field == self.text:
                if type(<object>value) is not str or not PyUnicode_GET_LENGTH(<object>value):
                    return False
                text = 1
            self.form.write(scratch, self.named[place].field, <object>value)
        if text and not members:
            self.form.write(scratch, self.members, {})
        return text

    cdef bint sound(self, Left *left, object value, int depth) except -1:
        """Say whether a value is plain."""
        cdef PyObject *key
        cdef PyObject *member
        cdef Py_ssize_t at = 0
        if self.plain_one(left, value):
            return True
        if type(value) is not dict and type(value) is not list:
            return False
        left.values -= 1
        if depth > self.bounds.depth or len(value) > left.values:
            return False
        if type(value) is dict:
            while PyDict_Next(value, &at, &key, &member):
                if type(<object>key) is not str or not unicode_text(left, <object>key):
                    return False
                if not self.sound(left, <object>member, depth + 1):
                    return False
            return True
        for member_of in <list>value:
            if not self.sound(left, member_of, depth + 1):
                return False
        return True
