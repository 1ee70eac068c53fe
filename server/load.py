"""When there is too much to do: how long a turn of the loop has been going on, and whether to shed.

A frame that is reached late in a turn has waited at least since the turn began. Where that is more than 5 ms in every
turn for 100 ms, with no pause between the turns, what waited longer than 5 ms is refused: BLOCK `overloaded`, recorded,
and much cheaper than deciding.
"""

from collections.abc import Callable
from typing import Final

WAIT_S: Final = 0.005
PATIENCE_S: Final = 0.1


class Load:
    """Times the turns of one loop."""

    __slots__ = ("_clock", "_soon", "_turn_began", "_turn_ended", "crowded_since", "longest", "patience_s", "wait_s")

    def __init__(self, clock: Callable[[], float], soon: Callable[..., object]) -> None:
        """`soon` runs a function when this turn is over."""
        self._clock, self._soon = clock, soon
        self._turn_began = self._turn_ended = 0.0
        self.crowded_since = 0.0
        self.longest = 0.0
        self.wait_s, self.patience_s = WAIT_S, PATIENCE_S

    def arrive(self) -> bool:
        """Say whether what is reached now has to be refused."""
        now = self._clock()
        if not self._turn_began:
            self._turn_began = now
            if now - self._turn_ended > self.wait_s:
                self.crowded_since = 0.0  # there was nothing to do in between
            self._soon(self._end_turn)
            return False
        waited = now - self._turn_began
        if waited <= self.wait_s:
            return False
        return bool(self.crowded_since) and now - self.crowded_since >= self.patience_s

    def _end_turn(self) -> None:
        now = self._clock()
        turn = now - self._turn_began
        self.longest = max(self.longest, turn)
        if turn <= self.wait_s:
            self.crowded_since = 0.0
        elif not self.crowded_since:
            self.crowded_since = self._turn_began
        self._turn_began, self._turn_ended = 0.0, now
