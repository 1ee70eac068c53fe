"""The calls that wait for their approvers, each under every decision that held it.

Not locked: whoever asks holds the engine's lock.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from ..contract import Answer, Decision

HELD_MAX: Final = 10_000
NAMES_MAX: Final = 64
"""Under so many decisions is one call held at most; it is known under the first, and under the last ones."""


@dataclass(slots=True)
class Held:
    """A call that waits for its approvers: the decision that first held it, in whose name it reserved, the answers so
    far, and under which decisions it is held; one more each time that an approval was not enough."""

    decision: Decision
    answers: list[Answer]
    names: dict[str, None] = field(default_factory=dict)


class HeldCalls:
    """The calls that wait, in the order in which they came."""

    __slots__ = ("_by_decision", "_waiting")

    def __init__(self) -> None:
        self._by_decision: dict[str, Held] = {}
        self._waiting: OrderedDict[str, Held] = OrderedDict()

    def __len__(self) -> int:
        """Return under how many decisions calls are held."""
        return len(self._by_decision)

    def find(self, decision_id: str) -> Held | None:
        """Return the call that a decision held, or one of its later ones."""
        return self._by_decision.get(decision_id)

    def add(self, decision_id: str, held: Held) -> Held | None:
        """Hold a call under the id of one more decision; return the oldest call where that made too many of them."""
        self._by_decision[decision_id] = held
        held.names[decision_id] = None
        if len(held.names) > NAMES_MAX:
            _, oldest_name, *_ = held.names
            del self._by_decision[oldest_name], held.names[oldest_name]
        self._waiting.setdefault(held.decision.id, held)
        return self.remove(next(iter(self._waiting))) if len(self._waiting) > HELD_MAX else None

    def remove(self, decision_id: str) -> Held | None:
        """End a hold under all its names; return it, None where there is none."""
        held = self._by_decision.get(decision_id)
        if held is not None:
            for name in held.names:
                del self._by_decision[name]
            del self._waiting[held.decision.id]
        return held
