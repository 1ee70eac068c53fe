from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

cdef class Form:
    cdef readonly object kind
    cdef readonly tuple names
    cdef Py_ssize_t *offsets    # [count]
    cdef Py_ssize_t count
    cdef object made(self, PyObject **values)
    cdef object read(self, object one, Py_ssize_t place)
    cdef int write(self, object one, Py_ssize_t place, object value) except -1
    cdef object empty(self)
    cdef object begun(self)
    cdef int wipe(self, object one) except -1


cdef inline int put(Form form, object one, Py_ssize_t place, object value) noexcept:
    """Put a value into an empty slot of an object that is being made."""
    Py_INCREF(value)
    (<PyObject **>(<char *><PyObject *>one + form.offsets[place]))[0] = <PyObject *>value
    return 0


cdef inline PyObject *held(Form form, object one, Py_ssize_t place) noexcept:
    """Return what stands in a slot, NULL if it is empty."""
    return (<PyObject **>(<char *><PyObject *>one + form.offsets[place]))[0]
