from thoth.native.forms cimport Form

cdef class Facts:
    cdef public object knowledge, request, name, declared, session, result, now, risk
    cdef public dict read, kinds
    cdef public frozenset optional
    cdef public bint readable
    cdef object place, stance       # where it is answered, and how strictly

cdef class Reader:
    cdef object value(self, Facts facts)

cdef class Function(Reader):
    cdef object function

cdef class TextField(Reader):
    cdef Form form
    cdef Py_ssize_t place

cdef class Folder(Reader):
    cdef Form form
    cdef Py_ssize_t place
    cdef str member

cdef class ArgumentPath(Reader):
    cdef tuple steps
    cdef str single            # the only step, or None
