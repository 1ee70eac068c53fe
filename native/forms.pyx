"""Objects of a class with slots, made and read slot by slot: as `__init__` would, without the words.

A slot's place in the object is what its descriptor says (PyMemberDescrObject). Frozen classes are filled like any other,
for nobody has seen the object yet.

Of a class that `reuse` was asked for, the last few objects that went are kept, empty, and are used again in the place of
new memory, as CPython does with floats and lists.
"""

from types import MemberDescriptorType

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from libc.string cimport memcpy, memset

from thoth.native.texts cimport refs_add


cdef extern from "Python.h":
    ctypedef struct PyMemberDef:
        Py_ssize_t offset
        int type
    ctypedef struct PyMemberDescrObject:
        PyMemberDef *d_member
    unsigned long Py_TPFLAGS_HEAPTYPE, Py_TPFLAGS_HAVE_GC
    PyTypeObject *Py_TYPE(PyObject *one)
    void PyObject_GC_UnTrack(void *one)
    void PyObject_GC_Track(void *one)
    PyObject *PyObject_Init(PyObject *one, PyTypeObject *kind)

cdef extern from "structmember.h":
    enum:
        T_OBJECT_EX

cdef enum:
    POOLS = 8

cdef type _member = MemberDescriptorType
cdef Pool pools[POOLS]
cdef int pool_count = 0


cdef Pool *pool_of(PyTypeObject *kind) noexcept:
    """Return the pool of a class, or of the one that it was made of."""
    cdef int one
    while kind != NULL:
        for one in range(pool_count):
            if pools[one].kind == kind:
                return pools + one
        kind = kind.tp_base
    return NULL


cdef void gone(PyObject *one) noexcept:
    """Take an object that nobody holds any more: let go of what it held, and keep it, or give its memory back.

    A class made of this one comes here last, when its own slots are empty (subtype_dealloc).
    """
    cdef PyTypeObject *kind = Py_TYPE(one)
    cdef Pool *pool = pool_of(kind)
    cdef PyObject **slots = <PyObject **>(<char *>one + pool.first)
    cdef Py_ssize_t place
    PyObject_GC_UnTrack(one)
    for place in range(pool.count):
        Py_XDECREF(slots[place])
    # What went meanwhile may have come here as well.
    if kind == pool.kind and pool.held < SPARES:
        pool.spare[pool.held] = one
        pool.held += 1
    else:
        kind.tp_free(one)
    Py_DECREF(<object>kind)


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
        self.pool = pool_of(<PyTypeObject *>kind)
        if self.pool != NULL and self.pool.kind != <PyTypeObject *>kind:
            self.pool = NULL

    def __dealloc__(self):
        PyMem_Free(self.offsets)

    def place(self, str name not None) -> int:
        """Return the place of a slot."""
        return self.names.index(name)

    def reuse(self) -> bool:
        """Keep the last few objects of the class that go, to be used again; say whether that can be done.

        The class has these slots and nothing else in its objects, and no finalizer.
        """
        global pool_count
        cdef PyTypeObject *kind = <PyTypeObject *>self.kind
        cdef Py_ssize_t first = kind.tp_basicsize - self.count * sizeof(PyObject *)
        if self.pool != NULL:
            return True
        if pool_count == POOLS or hasattr(self.kind, "__del__") or kind.tp_dictoffset or kind.tp_weaklistoffset:
            return False
        if kind.tp_flags & (Py_TPFLAGS_HEAPTYPE | Py_TPFLAGS_HAVE_GC) != Py_TPFLAGS_HEAPTYPE | Py_TPFLAGS_HAVE_GC:
            return False
        if self.count == 0 or first < <Py_ssize_t>sizeof(PyObject):
            return False
        if sorted([self.offsets[place] for place in range(self.count)]) != list(
                range(first, kind.tp_basicsize, sizeof(PyObject *))):
            return False
        Py_INCREF(self.kind)  # the pool's own
        self.pool = pools + pool_count
        self.pool.kind, self.pool.first, self.pool.count, self.pool.held = kind, first, self.count, 0
        pool_count += 1
        kind.tp_dealloc = gone
        return True

    cdef PyObject *fresh(self) except NULL:
        """Return a new object; what its slots hold is rubbish, and all have to be filled, with NULL at least, at once."""
        cdef PyObject *one
        if self.pool == NULL or self.pool.held == 0:
            return (<PyTypeObject *>self.kind).tp_alloc(<PyTypeObject *>self.kind, 0)
        self.pool.held -= 1
        one = PyObject_Init(self.pool.spare[self.pool.held], self.pool.kind)
        PyObject_GC_Track(one)
        return one

    def fill(self, tuple values not None):
        """Return a new object with a value in each slot."""
        cdef Py_ssize_t place
        cdef PyObject *made
        assert len(values) == self.count
        made = self.fresh()
        for place in range(self.count):
            Py_INCREF(values[place])
            (<PyObject **>(<char *>made + self.offsets[place]))[0] = <PyObject *>values[place]
        return taken(made)

    cdef object made(self, PyObject **values):
        """Return a new object with a value in each slot; the references become the object's own."""
        cdef Py_ssize_t place
        cdef PyObject *made = self.fresh()
        for place in range(self.count):
            (<PyObject **>(<char *>made + self.offsets[place]))[0] = values[place]
        return taken(made)

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
        cdef PyObject *made = self.fresh()
        cdef Py_ssize_t place
        for place in range(self.count):
            (<PyObject **>(<char *>made + self.offsets[place]))[0] = NULL
        return taken(made)

    cdef object empty(self):
        """Return a new object with None in each slot."""
        cdef PyObject *made = self.fresh()
        cdef Py_ssize_t place
        for place in range(self.count):
            (<PyObject **>(<char *>made + self.offsets[place]))[0] = <PyObject *>None
        refs_add(None, self.count)
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


cdef class Blank:
    """What most objects of a form hold, to begin with; the places of `own` are left empty, each has its own there."""

    def __cinit__(self, Form form not None, tuple values not None, tuple own not None):
        cdef Py_ssize_t place, one
        assert len(values) == form.count
        self.form, self.values = form, values
        self.first = min([form.offsets[place] for place in range(form.count)])
        self.each = <PyObject **>PyMem_Calloc(form.count, sizeof(PyObject *))
        self.shared = <PyObject **>PyMem_Calloc(form.count, sizeof(PyObject *))
        self.times = <Py_ssize_t *>PyMem_Calloc(form.count, sizeof(Py_ssize_t))
        if self.each == NULL or self.shared == NULL or self.times == NULL:
            raise MemoryError
        for place in range(form.count):
            one = (form.offsets[place] - self.first) // <Py_ssize_t>sizeof(PyObject *)
            assert 0 <= one < form.count  # they lie side by side
            if place in own:
                continue
            self.each[one] = <PyObject *>values[place]
            for one in range(self.shared_count + 1):
                if one == self.shared_count:
                    self.shared[one] = <PyObject *>values[place]
                    self.shared_count += 1
                if self.shared[one] == <PyObject *>values[place]:
                    self.times[one] += 1
                    break

    def __dealloc__(self):
        PyMem_Free(self.each)
        PyMem_Free(self.shared)
        PyMem_Free(self.times)

    cdef object begun(self):
        """Return a new object; what is its own has to be filled before anybody else sees it."""
        cdef PyObject *made = self.form.fresh()
        cdef Py_ssize_t one
        memcpy(<char *>made + self.first, self.each, self.form.count * sizeof(PyObject *))
        for one in range(self.shared_count):
            refs_add(<object>self.shared[one], self.times[one])
        return taken(made)


cdef object taken(PyObject *made):
    """Return a new object, of which one reference is counted already."""
    cdef object one = <object>made
    Py_DECREF(one)
    return one
