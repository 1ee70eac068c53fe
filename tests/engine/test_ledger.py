"""What limits have spent: exact sums over any window, in time that does not grow with what is held."""

import time
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from thoth.contract import Reservation, Violation
from thoth.engine import ledger as ledgers
from thoth.engine.ledger import Ledger

MOMENTS = st.integers(0, 50)
AMOUNTS = st.fractions(0, 10, max_denominator=8)


def reserve(ledger: Ledger, amount: Fraction | int, at: float, by: str, key: str = "k", window: int = 10) -> None:
    ledger.reserve(Reservation("limit", key, Fraction(amount)), at, by, window)


@given(st.lists(st.tuples(MOMENTS, AMOUNTS), max_size=200), MOMENTS)
def test_a_sum_over_any_window_is_the_sum_of_what_lies_in_it(entries: list[tuple[int, Fraction]], since: int) -> None:
    ledger = Ledger()
    entries = sorted(entries)
    for place, (at, amount) in enumerate(entries):
        reserve(ledger, amount, at, f"d{place}", window=60)
    assert ledger.total("limit", "k", since) == sum(amount for at, amount in entries if at > since)
    left_out = sum(amount for place, (at, amount) in enumerate(entries) if at > since and place != 3)
    assert ledger.total("limit", "k", since, "d3") == left_out


@given(st.lists(st.tuples(MOMENTS, AMOUNTS), max_size=30), st.integers(0, 29))
def test_what_is_given_back_is_spent_no_more(entries: list[tuple[int, Fraction]], back: int) -> None:
    ledger = Ledger()
    for place, (at, amount) in enumerate(sorted(entries)):
        reserve(ledger, amount, at, f"d{place}", window=60)
    ledger.give_back(Reservation("limit", "k", Fraction(0)), f"d{back}")
    kept = sum(amount for place, (_, amount) in enumerate(sorted(entries)) if place != back)
    assert ledger.total("limit", "k", -1) == kept


def test_what_left_the_window_is_forgotten() -> None:
    ledger = Ledger()
    for at in range(10_000):
        reserve(ledger, 1, float(at), f"d{at}")
        assert ledger.total("limit", "k", at - 10) == min(at + 1, 10)
    assert len(ledger.spent["limit", "k"].times) < 300


def test_a_clock_that_goes_backwards_frees_nothing() -> None:
    ledger = Ledger()
    reserve(ledger, 5, 100.0, "a")
    reserve(ledger, 5, 50.0, "b")
    assert ledger.total("limit", "k", 99.0) == 10


def test_a_dropped_key_is_not_held_rather_than_empty() -> None:
    ledger = Ledger()
    for number in range(ledgers.KEYS_MAX + 1):
        reserve(ledger, 1, 100.0, "d", key=str(number))
    assert ledger.total("limit", "0", 95.0) is None
    assert ledger.total("limit", "0", 100.0) == 0
    assert ledger.total("limit", "1", 95.0) == 1


def test_the_same_call_again_is_the_same_violation() -> None:
    ledger = Ledger()
    principal = ("t", "a", "u")
    for at, call in ((0.0, "x"), (59.0, "x"), (70.0, "y"), (200.0, "x")):
        ledger.violate(Violation(principal, call), at, 60)
    assert ledger.violated(principal, -1.0) == [(0.0, "x"), (70.0, "y"), (200.0, "x")]


def test_asking_what_is_spent_does_not_take_longer_when_more_was_spent() -> None:
    few, many = Ledger(), Ledger()
    for at in range(100):
        reserve(few, 1, float(at), "d", window=1_000_000)
    for at in range(100_000):
        reserve(many, 1, float(at), "d", window=1_000_000)

    def cost(ledger: Ledger) -> float:
        best = 1.0
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(200):
                ledger.total("limit", "k", 50.0)
            best = min(best, time.perf_counter() - start)
        return best

    assert cost(many) < 20 * cost(few)
