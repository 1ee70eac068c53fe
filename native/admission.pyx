"""Copies of plain JSON values, taken in one pass; whatever is not plain is somebody else's to look at.

Only exact dicts, lists, tuples, texts, numbers, booleans and None are plain here: none of them runs code of its own
while it is read. The copy shares no mutable value with what it was made from.
"""

from cpython.dict cimport PyDict_Copy, PyDict_Next, PyDict_SetItem
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE, PyList_GetSlice
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ
from libc.math cimport isfinite

from thoth.native.entries cimport Entered, dict_entries
from thoth.native.forms cimport Form, held, say
from thoth.native.texts cimport int_is_short, text_hash, text_hashed, text_same

cdef class Bounds:
    """How much one reading may take in: levels of nesting, bits of an integer, values, characters of text."""

    def __init__(self, int depth, int bits, Py_ssize_t values, Py_ssize_t chars):
        self.depth, self.bits, self.values, self.chars = depth, bits, values, chars


cdef bint whole(object text) noexcept:
    """Say whether a text holds no lone surrogates."""
    cdef Py_ssize_t place
    cdef int kind = PyUnicode_KIND(text)
    cdef void *data = PyUnicode_DATA(text)
    cdef Py_UCS4 c
    for place in range(PyUnicode_GET_LENGTH(text)):
        c = PyUnicode_READ(kind, data, place)
        if 0xD800 <= c <= 0xDFFF:
            return False
    return True


cdef inline bint unicode_text(Left *left, object text) noexcept:
    """Say whether a text is Unicode, without lone surrogates, and fits."""
    left.chars -= PyUnicode_GET_LENGTH(text)
    return left.chars >= 0 and (PyUnicode_KIND(text) == 1 or whole(text))


cdef inline bint plain_text(Left *left, object text) noexcept:
    """Say whether a text that is a value is Unicode and fits."""
    left.values -= 1
    return left.values >= 0 and unicode_text(left, text)


cdef inline Py_ssize_t field_in(Named *named, object key) noexcept:
    """Return the place of the field of a name that was hashed, -1 if there is none."""
    cdef Py_ssize_t place = text_hashed(key) & (PLACES - 1)
    cdef PyObject *name = named[place].name
    while name != NULL:
        if text_same(<object>name, key):
            return named[place].field
        place = (place + 1) & (PLACES - 1)
        name = named[place].name
    return -1


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
        made = self.form.empty()
        try:
            if type(given) is dict:
                return made if self.take(<dict>given, made) and self.finished(made) else None
            return made if self.take_all(given, made) and self.finished(made) else None
        except Exception:  # a key that compares in a way of its own
            return None

    cdef bint finished(self, object made) except -1:
        """Fill what was left out; say whether what must be there is."""
        cdef PyObject *found = held(self.form, made, self.text)
        if type(<object>found) is not str or not PyUnicode_GET_LENGTH(<object>found):
            return False
        found = held(self.form, made, self.members)
        if found == <PyObject *>None:
            say(self.form, made, self.members, {})
        elif type(<object>found) is not dict:
            return False
        return True

    cdef bint take(self, dict given, object made) except -1:
        """Copy the fields of a dict; say whether all are plain."""
        cdef Left left = Left(self.bounds.values, self.bounds.chars)
        cdef PyObject *key
        cdef PyObject *value
        cdef Py_ssize_t at = 0, count = 0, field
        cdef Entered *entries = dict_entries(given, &count)
        if len(given) > 2 * self.form.count:
            for field in range(self.form.count):
                if not self.take_one(&left, made, field, given.get(self.form.names[field])):
                    return False
            return True
        if entries == NULL:
            return self.take_asking(given, made)
        while at < count:
            key, value = entries[at].key, entries[at].value
            if value != NULL and value != <PyObject *>None:
                field = field_in(self.named, <object>key)
                if field >= 0:
                    if type(<object>value) is str:
                        if not plain_text(&left, <object>value):
                            return False
                        say(self.form, made, field, <object>value)
                    else:
                        if not self.take_one(&left, made, field, <object>value):
                            return False
                        # A copy takes memory, and then the collector may come, and run whatever it finds.
                        entries = dict_entries(given, &count)
                        if entries == NULL:
                            return False
            at += 1
        return True

    cdef bint take_asking(self, dict given, object made) except -1:
        """As `take`, of a dict whose entries have to be asked for."""
        cdef Left left = Left(self.bounds.values, self.bounds.chars)
        cdef PyObject *key
        cdef PyObject *value
        cdef Py_ssize_t at = 0, field
        while PyDict_Next(given, &at, &key, &value):
            if type(<object>key) is not str:
                return False  # it may yet equal the name of a field
            field = field_in(self.named, <object>key)
            if field >= 0 and not self.take_one(&left, made, field, <object>value):
                return False
        return True

    cdef bint take_all(self, object given, object made) except -1:
        """Copy the fields of an object; say whether all are plain."""
        cdef Left left = Left(self.bounds.values, self.bounds.chars)
        cdef PyObject *value
        cdef Py_ssize_t field
        for field in range(self.form.count):
            value = held(self.form, given, field)
            if value == <PyObject *>None:
                continue
            if value == NULL or not self.take_one(&left, made, field, <object>value):
                return False
        return True

    cdef bint take_one(self, Left *left, object made, Py_ssize_t field, object value) except -1:
        cdef object copy, held_on
        if value is None:
            return True
        if type(value) is str:
            if not plain_text(left, value):
                return False
            say(self.form, made, field, value)
            return True
        held_on = value  # whoever gave it may let go of it meanwhile
        copy = self.plain(left, held_on, 1)
        if copy is NotImplemented:
            return False
        say(self.form, made, field, copy)
        return True

    cdef bint plain_one(self, Left *left, object value) except -1:
        """Say whether a value is plain and holds no other; it is counted if so."""
        if type(value) is str:
            return plain_text(left, value)
        if type(value) is int:
            if not int_is_short(value) and value.bit_length() > self.bounds.bits:
                return False
        elif value is None or type(value) is bool:
            pass
        elif type(value) is not float or not isfinite(<double>value):
            return False
        left.values -= 1
        return left.values >= 0 and left.chars >= 0

    cdef object plain(self, Left *left, object value, int depth):
        """Return a copy of a value; NotImplemented where it is not plain or does not fit."""
        cdef PyObject *key
        cdef PyObject *member
        cdef Py_ssize_t place, count = 0
        cdef Entered *entries
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
            entries = dict_entries(members, &count)
            if entries == NULL:
                return self.plain_members(left, members, depth)
            for place in range(count):
                key, member = entries[place].key, entries[place].value
                if member == NULL:
                    continue
                if not unicode_text(left, <object>key):
                    return NotImplemented
                if plain_text(left, <object>member) if type(<object>member) is str else self.plain_one(left, <object>member):
                    continue
                copy = self.plain(left, <object>member, depth + 1)
                if copy is NotImplemented:
                    return NotImplemented
                PyDict_SetItem(members, <object>key, copy)  # the key is there: nothing moves
            return members
        items = PyList_GetSlice(value, 0, PyList_GET_SIZE(value)) if type(value) is list else list(value)
        for place in range(PyList_GET_SIZE(items)):
            member = PyList_GET_ITEM(items, place)
            if plain_text(left, <object>member) if type(<object>member) is str else self.plain_one(left, <object>member):
                continue
            copy = self.plain(left, <object>member, depth + 1)
            if copy is NotImplemented:
                return NotImplemented
            items[place] = copy
        return items

    cdef object plain_members(self, Left *left, dict members, int depth):
        """As `plain`, of a copy whose entries have to be asked for."""
        cdef PyObject *key
        cdef PyObject *member
        cdef Py_ssize_t at = 0
        cdef object copy
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
        cdef Py_ssize_t at, count = 0, field
        cdef bint members = False, text = False
        cdef Entered *entries = dict_entries(given, &count)
        if entries == NULL or count > 2 * self.form.count:
            return False
        for at in range(count):
            key, value = entries[at].key, entries[at].value
            if value == NULL or value == <PyObject *>None:
                continue
            field = field_in(self.named, <object>key)
            if field < 0:
                continue
            if not self.plain_one(&left, <object>value) and not self.sound(&left, <object>value, 1):
                return False
            if field == self.members:
                if type(<object>value) is not dict:
                    return False
                members = True
            elif field == self.text:
                if type(<object>value) is not str or not PyUnicode_GET_LENGTH(<object>value):
                    return False
                text = True
            say(self.form, scratch, field, <object>value)  # nothing else goes: in its place stood None
        if text and not members:
            say(self.form, scratch, self.members, {})
        return text

    cdef bint sound(self, Left *left, object value, int depth) except -1:
        """Say whether a value that is none by itself is plain. It takes no memory, so nothing moves meanwhile."""
        cdef PyObject *key
        cdef PyObject *member
        cdef Py_ssize_t place, count = 0
        cdef Entered *entries
        if type(value) is not dict and type(value) is not list:
            return False
        left.values -= 1
        if depth > self.bounds.depth or len(value) > left.values:
            return False
        if type(value) is dict:
            entries = dict_entries(value, &count)
            if entries == NULL and len(<dict>value):
                return False
            for place in range(count):
                key, member = entries[place].key, entries[place].value
                if member == NULL:
                    continue
                if not unicode_text(left, <object>key):
                    return False
                if not self.plain_one(left, <object>member) and not self.sound(left, <object>member, depth + 1):
                    return False
            return True
        for place in range(PyList_GET_SIZE(value)):
            member = PyList_GET_ITEM(value, place)
            if not self.plain_one(left, <object>member) and not self.sound(left, <object>member, depth + 1):
                return False
        return True
