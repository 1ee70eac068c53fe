from libc.stdint cimport int64_t

cdef bytes after_call(bytes previous, int kind, double at, str name, object classes, object labels, object pending)
cdef bytes after_end(bytes previous, int kind, int64_t number, str ending, bytes told)
cpdef bytes digest_of(str text)
