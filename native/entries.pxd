from cpython.object cimport PyObject

cdef extern from "entries.h":
    ctypedef struct Entered:
        PyObject *key            # a text, hashed already
        PyObject *value          # borrowed; NULL: the entry is free
    Entered *dict_entries(object dict, Py_ssize_t *count) noexcept
