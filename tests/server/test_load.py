"""Too much to do: what is refused, and what is not."""

from collections.abc import Callable

from thoth.server.load import Load

from .live import Clock


class Turns:
    """A loop of one's own: turns that take as long as a test says."""

    def __init__(self) -> None:
        self.clock = Clock(100.0)
        self.ends: list[Callable[[], None]] = []
        self.load = Load(self.clock, self.ends.append)

    def turn(self, *waits: float, pause: float = 0.0) -> list[bool]:
        """One turn in which requests are reached after so many seconds each; whether each was refused."""
        refused = []
        for wait in waits:
            self.clock.now += wait
            refused.append(self.load.arrive())
        self.ends.pop()()
        self.clock.now += pause
        return refused


def test_nothing_is_refused_while_turns_are_short() -> None:
    turns = Turns()
    assert not any(any(turns.turn(0, 0.002, 0.002)) for _ in range(1_000))


def test_one_long_turn_refuses_nothing() -> None:
    assert not any(Turns().turn(0, 0.05, 0.05))


def test_after_a_hundred_milliseconds_of_long_turns_those_that_waited_longest_are_refused() -> None:
    turns = Turns()
    told = [turns.turn(0, 0.004, 0.004, 0.004) for _ in range(20)]
    assert not any(any(refused) for refused in told[:8])
    assert told[-1] == [False, False, True, True]


def test_a_short_turn_ends_the_refusing() -> None:
    turns = Turns()
    for _ in range(20):
        turns.turn(0, 0.01)
    turns.turn(0, 0.001)
    assert turns.turn(0, 0.01) == [False, False]


def test_long_turns_with_pauses_between_them_are_no_crowd() -> None:
    turns = Turns()
    assert not any(any(turns.turn(0, 0.01, pause=1.0)) for _ in range(100))
