cdef bytes after_call(bytes previous, int kind, double at, str name, object classes, object labels, object pending)
