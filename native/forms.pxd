cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF

cdef enum:
    SPARES = 8                  # objects of one class that are kept to be used again

cdef extern from "Python.h":
    ctypedef struct PyTypeObject
    ctypedef PyObject *(*Alloc)(PyTypeObject *kind, Py_ssize_t count) except NULL
    ctypedef void (*Dealloc)(PyObject *one) noexcept
    ctypedef void (*Free)(void *one) noexcept
    ctypedef struct PyTypeObject:
        Alloc tp_alloc
        Dealloc tp_dealloc
        Free tp_free
        Py_ssize_t tp_basicsize, tp_dictoffset, tp_weaklistoffset
        PyTypeObject *tp_base
        unsigned long tp_flags

cdef struct Pool:
    PyTypeObject *kind
    Py_ssize_t first, count     # where the slots begin in an object, and how many there are
    int held
    PyObject *spare[SPARES]

@cython.final
cdef class Form:
    cdef readonly object kind
    cdef readonly tuple names
    cdef Py_ssize_t *offsets    # [count]
    cdef Py_ssize_t count
    cdef Pool *pool             # of objects that are used again, or NULL
    cdef PyObject *fresh(self) except NULL
    cdef object made(self, PyObject **values)
    cdef inline object read(self, object one, Py_ssize_t place):
        """Return what stands in a slot of an object of this class."""
        cdef PyObject *value = (<PyObject **>(<char *><PyObject *>one + self.offsets[place]))[0]
        assert type(one) is self.kind and value != NULL
        return <object>value
    cdef int write(self, object one, Py_ssize_t place, object value) except -1
    cdef object empty(self)
    cdef object begun(self)
    cdef int wipe(self, object one) except -1

@cython.final
cdef class Blank:
    """What most objects of a form hold, to begin with."""
    cdef Form form
    cdef tuple values
    cdef PyObject **each        # [count] in the order in which they lie in an object, NULL where there is nothing yet
    cdef PyObject **shared      # [shared_count] each of them once
    cdef Py_ssize_t *times      # [shared_count]
    cdef Py_ssize_t shared_count, first
    cdef object begun(self)


cdef inline int put(Form form, object one, Py_ssize_t place, object value) noexcept:
    """Put a value into an empty slot of an object that is being made."""
    Py_INCREF(value)
    (<PyObject **>(<char *><PyObject *>one + form.offsets[place]))[0] = <PyObject *>value
    return 0


cdef inline int say(Form form, object one, Py_ssize_t place, object value) except -1:
    """Put a value into a slot of an object that is being made, in the place of another."""
    cdef PyObject **slot = <PyObject **>(<char *><PyObject *>one + form.offsets[place])
    cdef PyObject *before = slot[0]
    Py_INCREF(value)
    slot[0] = <PyObject *>value
    Py_DECREF(<object>before)
    return 0


cdef inline PyObject *held(Form form, object one, Py_ssize_t place) noexcept:
    """Return what stands in a slot, NULL if it is empty."""
    return (<PyObject **>(<char *><PyObject *>one + form.offsets[place]))[0]
