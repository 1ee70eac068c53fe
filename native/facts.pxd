cimport cython
from cpython.object cimport PyObject

from thoth.native.forms cimport Form
from thoth.native.signatures cimport Fitted, Param

cdef class Facts:
    cdef public object knowledge, request, name, declared, session, result, now, risk
    cdef public dict read, kinds
    cdef public frozenset optional
    cdef public bint readable
    cdef object place, stance       # where it is answered, and how strictly
    cdef Fitted fitted              # the arguments where they lie, while `read` is not written to
    cdef Param *params              # what they were fitted to
    cdef bint holding               # references of them are ours
    cdef int hold(self) noexcept
    cdef int let_go(self) noexcept

cdef class Reader:
    cdef object value(self, Facts facts)

@cython.final
cdef class Function(Reader):
    cdef object function

@cython.final
cdef class TextField(Reader):
    cdef Form form
    cdef Py_ssize_t place

@cython.final
cdef class Folder(Reader):
    cdef Form form
    cdef Py_ssize_t place
    cdef str member

@cython.final
cdef class ArgumentPath(Reader):
    cdef tuple steps
    cdef str single            # the only step, the one text of these letters (sys.intern), or None
