from thoth.native.entry cimport Entry
from thoth.native.forms cimport Form

cdef class Forms:
    cdef Form call, decision, session, past, kind

cdef class Passage:
    cdef Forms forms
    cdef Entry entry
    cdef object table, allow, block, completed, remember, allow_text, block_text
    cdef dict kinds
    cdef Py_ssize_t calls_max
    cdef bint plain(self, object call, object decision, object means, object effect) except -1
    cdef int take_in(self, object session, object id, Form of, object means, object ts, object whole) except -1
