"""When there is too much to do: how long a turn of the loop has been going on, and whether to shed.

A frame that is reached late in a turn has waited at least since the turn began. Where that is more than 5 ms in every
turn for 100 ms, with no pause between the turns, what waited longer than 5 ms is refused: BLOCK `overloaded`, recorded,
and cheaper than deciding.
"""

import time

from libc.stdint cimport uint64_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

WAIT_S = 0.005
PATIENCE_S = 0.1
OVERLOADED, TOO_MUCH = "overloaded", "the server has too much to do"


cdef class Load:
    """Times the turns of one loop."""

    def __init__(self, clock, soon):
        """`soon` runs a function when this turn is over."""
        self.clock, self.soon, self.own_clock = clock, soon, clock is time.monotonic
        self.wait_s, self.patience_s = WAIT_S, PATIENCE_S

    def arrive(self) -> bool:
        """Say whether what is reached now has to be refused."""
        return self.arrived(NULL, 0)

    def arrive_in(self, size_t reader, uint64_t read) -> bool:
        """As `arrive`, of the read of this number by somebody whom the loop lets read once in a turn."""
        return self.arrived(<const void *>reader, read)

    cdef double read(self) except? -1:
        cdef timespec moment
        if self.own_clock:
            clock_gettime(CLOCK_MONOTONIC, &moment)
            self.now = moment.tv_sec + moment.tv_nsec * 1e-9
        else:
            self.now = self.clock()
        return self.now

    cdef bint arrived(self, const void *reader, uint64_t read) except -1:
        """As `arrive`, of a frame in the read of this number by somebody whom the loop lets read once in a turn.

        While nobody else has come, the turn is seen to have ended when the same one reads again: asking the loop to
        say so costs another turn.
        """
        cdef double before = self.now, now = self.read(), waited
        if self.turn_began and not self.told and reader == self.reader and reader != NULL and read != self.reading:
            self.ended(before)
        if not self.turn_began:
            self.turn_began = now
            if now - self.turn_ended > self.wait_s:
                self.crowded_since = 0.0  # there was nothing to do in between
            self.reader, self.reading = reader, read
            if reader == NULL:
                self.be_told()
            return False
        waited = now - self.turn_began
        if not self.told and (reader != self.reader or waited > self.wait_s):
            self.be_told()
        if waited <= self.wait_s:
            return False
        return self.crowded_since != 0 and now - self.crowded_since >= self.patience_s

    cdef int be_told(self) except -1:
        self.told = True
        self.soon(self._end_turn)
        return 0

    def _end_turn(self):
        self.told = False
        self.ended(self.read())

    cdef int ended(self, double now) except -1:
        cdef double turn = now - self.turn_began
        self.longest = max(self.longest, turn)
        if turn <= self.wait_s:
            self.crowded_since = 0.0
        elif not self.crowded_since:
            self.crowded_since = self.turn_began
        self.turn_began, self.turn_ended = 0.0, now
        return 0
