from thoth.native.scan cimport Scan

cdef class Question:
    cdef int of(self, object left, object right) except -1

cdef class Comparison(Question):
    cdef bint swapped, turned, equality

cdef class Membership(Question):
    cdef tuple values
    cdef frozenset texts, numbers
    cdef frozenset emails, hosts     # None until an address, or a host, is asked about
    cdef bint only_texts, only_numbers
    cdef frozenset named(self, int kind)

cdef class Likeness(Question):
    cdef tuple globs, emails, hosts
    cdef Py_ssize_t scan_chars

cdef class Finding(Question):
    cdef Scan scan
    cdef Py_ssize_t scan_chars

cdef class Affixed(Question):
    cdef bint ends

cdef class Containment(Question):
    cdef Py_ssize_t scan_chars

cdef class Below(Question):
    cdef tuple folders, inside
    cdef object folder               # asked last, and
    cdef str base                    # what relative paths start from then

cdef class Inside(Question):
    cdef tuple networks
