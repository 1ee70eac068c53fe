"""Objects of a class with slots, made and read slot by slot: as `__init__` would, without the words.

A slot's place in the object is what its descriptor says (PyMemberDescrObject). Frozen classes are filled like any other,
for nobody has seen the object yet.
"""

from types import MemberDescriptorType

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF


cdef extern from "Python.h":
    ctypedef struct PyMemberDef:
        Py_ssize_t offset
        int type
    ctypedef struct PyMemberDescrObject:
        PyMemberDef *d_member
    ctypedef PyObject *(*Alloc)(PyObject *kind, Py_ssize_t count) except NULL
    ctypedef struct PyTypeObject:
        Alloc tp_alloc

cdef extern from "structmember.h":
    enum:
        T_OBJECT_EX

cdef type _member = MemberDescriptorType


cdef class Form:
    """The slots of one class, by place: `names` says which slot is meant by each."""

    def __cinit__(self, kind, tuple names not None):
        cdef Py_ssize_t place
        cdef PyMemberDef *member
        assert isinstance(kind, type)
        self.kind, self.names, self.count = kind, names, len(names)
        self.offsets = <Py_ssize_t *>PyMem_Calloc(max(1, self.count), sizeof(Py_ssize_t))
        if self.offsets == NULL:
            raise MemoryError
        for place in range(self.count):
            slot = getattr(kind, names[place])
            assert type(slot) is _member
            member = (<PyMemberDescrObject *>slot).d_member
            assert member.type == T_OBJECT_EX
            self.offsets[place] = member.offset

    def __dealloc__(self):
        PyMem_Free(self.offsets)

    def place(self, str name not None) -> int:
        """Return the place of a slot."""
        return self.names.index(name)

    def fill(self, tuple values not None):
        """Return a new object with a value in each slot."""
        cdef Py_ssize_t place
        cdef PyObject *made
        assert len(values) == self.count
        made = (<PyTypeObject *>self.kind).tp_alloc(<PyObject *>self.kind, 0)
        for place in range(self.count):
            Py_INCREF(values[place])
            (<PyObject **>(<char *>made + self.offsets[place]))[0] = <PyObject *>values[place]
        return taken(made)

    cdef object made(self, PyObject **values):
        """Return a new object with a value in each slot; the references become the object's own."""
        cdef Py_ssize_t place
        cdef PyObject *made = (<PyTypeObject *>self.kind).tp_alloc(<PyObject *>self.kind, 0)
        for place in range(self.count):
            (<PyObject **>(<char *>made + self.offsets[place]))[0] = values[place]
        return taken(made)

    cdef object read(self, object one, Py_ssize_t place):
        """Return what stands in a slot of an object of this class."""
        cdef PyObject *value = (<PyObject **>(<char *><PyObject *>one + self.offsets[place]))[0]
        assert type(one) is self.kind and value != NULL
        return <object>value

    cdef int write(self, object one, Py_ssize_t place, object value) except -1:
        """Put a value into a slot of an object of this class, frozen or not: it is for those who made it."""
        cdef PyObject **slot = <PyObject **>(<char *><PyObject *>one + self.offsets[place])
        cdef PyObject *before = slot[0]
        assert type(one) is self.kind
        Py_INCREF(value)
        slot[0] = <PyObject *>value
        Py_XDECREF(before)
        return 0

    cdef object begun(self):
        """Return a new object whose slots are empty: each has to be filled before anybody else sees it."""
        return taken((<PyTypeObject *>self.kind).tp_alloc(<PyObject *>self.kind, 0))

    cdef object empty(self):
        """Return a new object with None in each slot."""
        cdef PyObject *made = (<PyTypeObject *>self.kind).tp_alloc(<PyObject *>self.kind, 0)
        cdef Py_ssize_t place
        for place in range(self.count):
            Py_INCREF(None)
            (<PyObject **>(<char *>made + self.offsets[place]))[0] = <PyObject *>None
        return taken(made)

    cdef int wipe(self, object one) except -1:
        """Put None into each slot of an object that nobody else holds."""
        cdef PyObject **slot
        cdef PyObject *before
        cdef Py_ssize_t place
        assert type(one) is self.kind
        for place in range(self.count):
            slot = <PyObject **>(<char *><PyObject *>one + self.offsets[place])
            if slot[0] != <PyObject *>None:
                before = slot[0]
                Py_INCREF(None)
                slot[0] = <PyObject *>None
                Py_XDECREF(before)
        return 0


cdef object taken(PyObject *made):
    """Return a new object, of which one reference is counted already."""
    cdef object one = <object>made
    Py_DECREF(one)
    return one
