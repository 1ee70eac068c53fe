"""Counters that outlive a session: what limits have spent, the ladder's violations, approvals used up.

One owner each. An owner that cannot answer returns None, and the evaluators close: a limit gives its
`else`, the ladder BLOCK, an approval does not count. No clock: every time is handed in.
"""

from bisect import bisect_right
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from ..contract import Reservation, Violation

KEYS_MAX: Final = 100_000
VIOLATIONS_MAX: Final = 1_000
PRUNED_AT_ONCE: Final = 64


@dataclass(slots=True)
class Account:
    """What one limit has spent for one key: times in rising order, and the running sum behind each.

    A sum over any window is one subtraction. `before` is the running sum of what was pruned.
    """

    times: list[float] = field(default_factory=list)
    sums: list[Fraction | int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    before: Fraction | int = 0

    def since(self, moment: float) -> Fraction | int:
        place = bisect_right(self.times, moment)
        return 0 if place == len(self.times) else self.sums[-1] - self._sum_before(place)

    def amount_of(self, name: str, moment: float) -> Fraction | int:
        return sum(
            self.sums[place] - self._sum_before(place)
            for place, (at, by) in enumerate(zip(self.times, self.names, strict=True))
            if by == name and at > moment
        )

    def add(self, at: float, amount: Fraction | int, name: str) -> None:
        if self.times and at < self.times[-1]:
            at = self.times[-1]  # a clock that went backwards: the amount leaves the window later, never earlier
        self.times.append(at)
        self.sums.append((self.sums[-1] if self.sums else self.before) + amount)
        self.names.append(name)

    def prune(self, moment: float) -> None:
        place = bisect_right(self.times, moment)
        if place > PRUNED_AT_ONCE and place * 2 > len(self.times):
            self.before = self.sums[place - 1]
            del self.times[:place], self.sums[:place], self.names[:place]

    def remove(self, name: str) -> None:
        kept = [
            (at, self.sums[place] - self._sum_before(place), by)
            for place, (at, by) in enumerate(zip(self.times, self.names, strict=True))
            if by != name
        ]
        self.times, self.sums, self.names, self.before = [], [], [], 0
        for at, amount, by in kept:
            self.add(at, amount, by)

    def _sum_before(self, place: int) -> Fraction | int:
        return self.sums[place - 1] if place else self.before


@dataclass(slots=True)
class Ledger:
    """The counters of one owner. Bounded: what is dropped is answered with None, not with zero."""

    spent: OrderedDict[tuple[str, str], Account] = field(default_factory=OrderedDict)
    violations: OrderedDict[tuple[str, str, str], deque[tuple[float, str]]] = field(default_factory=OrderedDict)
    used: set[str] = field(default_factory=set)
    lost_until: float = float("-inf")

    def total(self, limit: str, key: str, since: float, leave_out: str = "") -> Fraction | int | None:
        """Return what a limit has spent for a key after `since`, but for what `leave_out` took; None if not held.

        Cost: a binary search; with `leave_out` a look at every amount that is held.
        """
        account = self.spent.get((limit, key))
        if account is None:
            return None if self.lost_until > since else 0
        total = account.since(since)
        return total - account.amount_of(leave_out, since) if leave_out else total

    def reserve(self, reservation: Reservation, at: float, by: str, window_s: int) -> None:
        """Take an amount from a limit in the name of the decision `by`, and forget what left the window."""
        key = (reservation.limit, reservation.key)
        account = self.spent.setdefault(key, Account())
        account.prune(at - window_s)
        amount = reservation.amount
        account.add(at, amount.numerator if amount.denominator == 1 else amount, by)
        self.spent.move_to_end(key)
        if len(self.spent) > KEYS_MAX:
            _, dropped = self.spent.popitem(last=False)
            if dropped.times:
                self.lost_until = max(self.lost_until, dropped.times[-1])

    def give_back(self, reservation: Reservation, by: str) -> None:
        """Return what the decision `by` took from one limit."""
        account = self.spent.get((reservation.limit, reservation.key))
        if account is not None:
            account.remove(by)

    def violated(self, principal: tuple[str, str, str], since: float) -> list[tuple[float, str]] | None:
        """Return the violations of a principal after `since`, oldest first, as (time, call); None if not held."""
        held = self.violations.get(principal)
        if held is None:
            return None if self.lost_until > since else []
        return [violation for violation in held if violation[0] > since]

    def violate(self, violation: Violation, at: float, same_s: int) -> None:
        """Count a soft violation; the same call again within `same_s` seconds is the same one."""
        held = self.violations.setdefault(violation.principal, deque(maxlen=VIOLATIONS_MAX))
        if not any(call == violation.call and at - when <= same_s for when, call in held):
            held.append((at, violation.call))
        self.violations.move_to_end(violation.principal)
        if len(self.violations) > KEYS_MAX:
            _, dropped = self.violations.popitem(last=False)
            if dropped:
                self.lost_until = max(self.lost_until, dropped[-1][0])

    def is_used(self, approval: str) -> bool | None:
        """Say whether an approval was used up; None where that is not known."""
        return approval in self.used

    def use(self, approval: str) -> None:
        """Use an approval up."""
        self.used.add(approval)
