"""Counters that outlive a session: what limits have spent, the ladder's violations, approvals used up.

One owner each. An owner that cannot answer returns None, and the evaluators close: a limit gives its
`else`, the ladder BLOCK, an approval does not count. No clock: every time is handed in.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from ..contract import Reservation, Violation

KEYS_MAX: Final = 100_000
VIOLATIONS_MAX: Final = 1_000


@dataclass(slots=True)
class _Spent:
    at: float
    amount: Fraction
    by: str


@dataclass(slots=True)
class Ledger:
    """The counters of one owner. Bounded: what is dropped is answered with None, not with zero."""

    spent: OrderedDict[tuple[str, str], deque[_Spent]] = field(default_factory=OrderedDict)
    violations: OrderedDict[tuple[str, str, str], deque[tuple[float, str]]] = field(default_factory=OrderedDict)
    used: set[str] = field(default_factory=set)
    lost_until: float = float("-inf")

    def total(self, limit: str, key: str, since: float, leave_out: str = "") -> Fraction | None:
        """Return what a limit has spent for a key after `since`, but for what `leave_out` took; None if not held."""
        entries = self.spent.get((limit, key))
        if entries is None:
            return None if self.lost_until > since else Fraction(0)
        return sum((e.amount for e in entries if e.at > since and (not leave_out or e.by != leave_out)), Fraction(0))

    def reserve(self, reservation: Reservation, at: float, by: str, window_s: int) -> None:
        """Take an amount from a limit in the name of the decision `by`, and forget what left the window."""
        key = (reservation.limit, reservation.key)
        entries = self.spent.setdefault(key, deque())
        while entries and entries[0].at <= at - window_s:
            entries.popleft()
        entries.append(_Spent(at, reservation.amount, by))
        self.spent.move_to_end(key)
        if len(self.spent) > KEYS_MAX:
            _, dropped = self.spent.popitem(last=False)
            if dropped:
                self.lost_until = max(self.lost_until, dropped[-1].at)

    def give_back(self, reservation: Reservation, by: str) -> None:
        """Return what the decision `by` took from one limit."""
        entries = self.spent.get((reservation.limit, reservation.key))
        if entries is not None:
            kept = [entry for entry in entries if entry.by != by]
            entries.clear()
            entries.extend(kept)

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
