"""What a process counts on the way of nearly every call: effects, requests, and how long answers took."""


cdef class Tally:
    """Counters, and a histogram of latencies with upper bounds in seconds."""

    def __init__(self, tuple bounds not None):
        cdef int place
        assert len(bounds) <= BOUNDS_MAX
        self.bound_count = len(bounds)
        for place in range(self.bound_count):
            self.bounds[place] = bounds[place]

    cpdef int took(self, double seconds) except -1:
        """Count how long an answer took."""
        cdef int place = 0
        while place < self.bound_count and seconds > self.bounds[place]:
            place += 1
        self.counts[place] += 1
        self.latency_s += seconds
        return 0

    @property
    def latency(self) -> list:
        """How many answers took at most so long as each bound says, and no other; the last took longer."""
        return [self.counts[place] for place in range(self.bound_count + 1)]
