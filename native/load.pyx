"""When there is too much to do: how long a turn of the loop has been going on, and whether to shed.

A frame that is reached late in a turn has waited at least since the turn began. Where that is more than 5 ms in every
turn for 100 ms, with no pause between the turns, what waited longer than 5 ms is refused: BLOCK `overloaded`, recorded,
and much cheaper than deciding.
"""

import time

from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

WAIT_S = 0.005
PATIENCE_S = 0.1


cdef class Load:
    """Times the turns of one loop."""

    def __init__(self, clock, soon):
        """`soon` runs a function when this turn is over."""
        self.clock, self.soon, self.own_clock = clock, soon, clock is time.monotonic
        self.wait_s, self.patience_s = WAIT_S, PATIENCE_S

    def arrive(self) -> bool:
        """Say whether what is reached now has to be refused."""
        return self.arrived()

    cdef double read(self) except? -1:
        cdef timespec moment
        if self.own_clock:
            clock_gettime(CLOCK_MONOTONIC, &moment)
            self.now = moment.tv_sec + moment.tv_nsec * 1e-9
        else:
            self.now = self.clock()
        return self.now

    cdef bint arrived(self) except -1:
        cdef double now = self.read(), waited
        if not self.turn_began:
            self.turn_began = now
            if now - self.turn_ended > self.wait_s:
                self.crowded_since = 0.0  # there was nothing to do in between
            self.soon(self._end_turn)
            return False
        waited = now - self.turn_began
        if waited <= self.wait_s:
            return False
        return self.crowded_since != 0 and now - self.crowded_since >= self.patience_s

    def _end_turn(self):
        cdef double now = self.read(), turn = now - self.turn_began
        self.longest = max(self.longest, turn)
        if turn <= self.wait_s:
            self.crowded_since = 0.0
        elif not self.crowded_since:
            self.crowded_since = self.turn_began
        self.turn_began, self.turn_ended = 0.0, now
