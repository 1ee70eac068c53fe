"""What a replay has counted so far: one count for each distinct kind of outcome, from which every figure is made.

A tally of one group of sessions and that of another add up to the tally of both, so groups may be replayed anywhere.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from .calls import Call

NAMES_MAX: Final = 10_000
OTHERS: Final = "…others"
EXAMPLES_MAX: Final = 3


class Outcome(NamedTuple):
    """What calls have in common that are counted together.

    `kind` is what a score counts the call as (`scores.kind_of`), "" if nothing. `hypothetical`: an earlier call of its
    session was stopped, so nobody knows whether it would have been made. `fits`: the arguments fit the declaration.
    `by` and `rules` name what decided; `was` and `was_rules` are of the other policy, or of the recording.
    """

    source: str
    suite: str
    kind: str
    tool: str
    hypothetical: bool
    fits: bool
    effect: str
    verdict: str
    by: str
    reason_code: str
    rules: tuple[str, ...]
    would_be: tuple[str, ...]
    trial: tuple[str, ...]
    was: str
    was_by: str
    was_rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One call that stands for many, and how it comes out; `place` orders examples as the recording does."""

    place: tuple[int, int]
    call: Call
    outcome: Outcome
    approvers: tuple[str, ...]
    problem: str


class Names:
    """Keeps a dimension small: names beyond the first ten thousand are counted together."""

    __slots__ = ("known", "most")

    def __init__(self, most: int = NAMES_MAX) -> None:
        """Begin with none."""
        self.known: set[str] = set()
        self.most = most

    def of(self, name: object) -> str:
        """Return the name under which something is counted."""
        if type(name) is not str:
            return ""
        if name in self.known:
            return name
        if len(self.known) >= self.most:
            return OTHERS
        name = name[:200]
        self.known.add(name)
        return name


@dataclass(slots=True)
class Tally:
    """The counts of one or more groups."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    agents: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Calls by (agent, effect)."""
    sessions: int = 0
    sessions_stopped: int = 0
    calls: int = 0
    first_ts: float = float("inf")
    last_ts: float = float("-inf")
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Step-ups by (approver, day)."""
    disturbed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Step-ups by (user, day)."""
    days: set[str] = field(default_factory=set)
    misfits: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Calls that fail their declaration, by (tool, what is wrong)."""
    examples: dict[tuple[str, str, str], list[Example]] = field(default_factory=dict)
    """Examples by (old effect, new effect, what changed it)."""

    def example(self, key: tuple[str, str, str], place: tuple[int, int]) -> list[Example] | None:
        """Return the examples to which one from this place would be added, None where enough are held."""
        held = self.examples.setdefault(key, [])
        return held if len(held) < EXAMPLES_MAX else None

    def add(self, other: "Tally") -> None:
        """Take in the counts of other groups."""
        self.outcomes.update(other.outcomes)
        self.agents.update(other.agents)
        self.sessions += other.sessions
        self.sessions_stopped += other.sessions_stopped
        self.calls += other.calls
        self.first_ts = min(self.first_ts, other.first_ts)
        self.last_ts = max(self.last_ts, other.last_ts)
        self.asked.update(other.asked)
        self.disturbed.update(other.disturbed)
        self.days |= other.days
        self.misfits.update(other.misfits)
        for key, examples in other.examples.items():
            held = [*self.examples.get(key, ()), *examples]
            self.examples[key] = sorted(held, key=lambda one: one.place)[:EXAMPLES_MAX]

    def by(self, *names: str, where: Any = None) -> Counter[Any]:
        """Return the calls counted by one or more fields of their outcomes; `where` picks outcomes."""
        found: Counter[Any] = Counter()
        for outcome, count in self.outcomes.items():
            if where is None or where(outcome):
                key = tuple(getattr(outcome, name) for name in names)
                found[key if len(names) > 1 else key[0]] += count
        return found

    def count(self, where: Any) -> int:
        """Return how many calls came out as `where` says."""
        return sum(count for outcome, count in self.outcomes.items() if where(outcome))
