cdef enum:
    BOUNDS_MAX = 31

cdef class Tally:
    cdef public long long allowed, blocked, http_requests
    cdef public long long shed                  # questions refused because there was too much to do
    cdef public long long shed_by_lanes         # of these: BLOCK too, and not among those that are blocked
    cdef public long long unrecorded            # answers whose record did not become durable
    cdef public long long under_way_bytes       # of the questions of calls under way, and their answers
    cdef readonly double latency_s
    cdef double bounds[BOUNDS_MAX]
    cdef long long counts[BOUNDS_MAX + 1]
    cdef int bound_count
    cpdef int took(self, double seconds) except -1
