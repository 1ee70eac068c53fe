"""What the process counts of itself: plain integers on the loop, told when somebody asks.

`unrecorded` are answers whose record did not become durable; they were given out as BLOCK, and the number stays 0 in
health.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..contract import Decision
from ..native.tally import Tally

LATENCY_S: Final = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25)


class Counts:
    """Counters of one process."""

    __slots__ = (
        "_by_effect", "connections", "frame_errors", "internal", "overridden", "reloads", "reloads_failed", "resent",
        "slow_readers", "tally",
    )  # fmt: skip

    def __init__(self) -> None:
        self.tally = Tally(LATENCY_S)
        """What is counted without the interpreter: decisions that lanes and posts gave out themselves, and more."""
        self._by_effect: dict[str, int] = {"ALLOW": 0, "MODIFY": 0, "STEP_UP": 0, "DEFER": 0, "BLOCK": 0}
        self.connections = 0
        self.frame_errors = 0
        self.internal = 0
        self.overridden = 0
        self.reloads = 0
        self.reloads_failed = 0
        self.resent = 0
        self.slow_readers = 0

    @property
    def by_effect(self) -> dict[str, int]:
        """Decisions by effect."""
        found = self._by_effect.copy()
        found["ALLOW"] += self.tally.allowed
        found["BLOCK"] += self.tally.blocked + self.tally.shed_by_lanes
        return found

    @property
    def http_requests(self) -> int:
        """Requests over HTTP."""
        return self.tally.http_requests

    @property
    def shed(self) -> int:
        """Questions that were refused because there was too much to do."""
        return self.tally.shed

    @property
    def unrecorded(self) -> int:
        """Answers whose record did not become durable."""
        return self.tally.unrecorded

    @property
    def latency(self) -> list[int]:
        """How many answers took at most as long as each bound says, and no other; the last took longer."""
        return self.tally.latency

    @property
    def latency_s(self) -> float:
        """How long all of them took."""
        return self.tally.latency_s

    def values(self) -> dict[str, Any]:
        """Return everything that was counted, by name."""
        return {name: getattr(self, name) for name in NAMES}

    def decided(self, decision: Decision) -> None:
        """Count a decision by its effect."""
        self._by_effect[decision.effect._value_] += 1  # hashing a member of an enumeration takes Python
        if decision.reason_code == "evidence_unavailable":
            self.tally.unrecorded += 1


NAMES: Final = (
    "by_effect", "connections", "frame_errors", "http_requests", "internal", "latency", "latency_s", "overridden",
    "reloads", "reloads_failed", "resent", "shed", "slow_readers", "unrecorded",
)  # fmt: skip


class Sum:
    """What several have counted, under the names that each has it."""

    by_effect: dict[str, int]
    latency: list[int]
    latency_s: float
    internal: int

    def __init__(self, several: Iterable[Mapping[str, Any]]) -> None:
        total = Counts().values()
        for values in several:
            for name, more in values.items():
                held = total[name]
                if isinstance(held, dict):
                    total[name] = {key: count + more.get(key, 0) for key, count in held.items()}
                elif isinstance(held, list):
                    total[name] = [one + two for one, two in zip(held, more, strict=True)]
                else:
                    total[name] = held + more
        for name, value in total.items():
            setattr(self, name, value)
