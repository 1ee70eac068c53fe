"""Which rules ever applied and which values their conditions took, and how long it took to ask them.

Asking every condition of every rule costs more than deciding, so not every call is looked at: of each tool the first
256 calls, then every 64th, and only for what has not been seen yet. How many were looked at is part of the answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any, Final

from ..contract import Decision
from ..engine.checked import CheckedPolicy, From, Rule, Test, ToolFits
from ..engine.rerun import Rerun
from ..engine.session import Session
from ..engine.wording import tests_of, word_predicate

LOOKS: Final = 256
THEN_EVERY: Final = 64
TRUE, FALSE, UNKNOWN = 1, 2, 4
BITS: Final[dict[bool | None, int]] = {True: TRUE, False: FALSE, None: UNKNOWN}


def possible(test: Test) -> int:
    """Return the values, of true and false, that a test can take: that a user never said something is never known."""
    if isinstance(test.predicate, From) and test.predicate.source == "user":
        return FALSE if test.negated else TRUE
    return TRUE | FALSE


@dataclass(slots=True)
class Watched:
    """One rule: its conditions, the values that each has taken (bits), and the time it took to ask."""

    rule: Rule
    tests: tuple[Test, ...]
    taken: list[int]
    concerned: int = 0
    applied: int = 0
    asked: int = 0
    took_ns: int = 0

    @property
    def settled(self) -> bool:
        """Say whether nothing is left to be seen."""
        return self.applied > 0 and not any(
            possible(test) & ~bits for test, bits in zip(self.tests, self.taken, strict=True)
        )


@dataclass(slots=True)
class _Tool:
    looked: int = 0
    calls: int = 0
    open: list[Watched] = field(default_factory=list)


@dataclass(slots=True)
class Coverage:
    """What the calls looked at so far have reached of a policy's rules."""

    watched: list[Watched]
    tools: dict[tuple[str, str | None], _Tool] = field(default_factory=dict)
    calls: int = 0
    looked: int = 0

    @classmethod
    def of(cls, policy: CheckedPolicy) -> "Coverage":
        """Begin with nothing reached."""
        watched = []
        for rule in policy.rules:
            tests = (*tests_of(rule.when), *tests_of(rule.unless))
            watched.append(Watched(rule, tests, [0] * len(tests)))
        return cls(watched)

    def look(self, rerun: Rerun, decision: Decision, session: Session) -> None:
        """Look at one call that has just been decided and not been told yet."""
        self.calls += 1
        request = decision.request
        if request is None:
            return
        key = (request.tool_name, request.environment)
        tool = self.tools.get(key)
        if tool is None:
            seer = rerun.evaluator.witness(request, session, decision.now, decision.risk)
            tool = self.tools[key] = _Tool()
            if len(self.tools) > 10_000:
                return  # that many names are no tools; their calls are not looked at
            for one in self.watched:
                if seer.truth(Test(ToolFits(one.rule.tools))) is not False:
                    tool.open.append(one)
                    one.concerned += 1
        tool.calls += 1
        if not tool.open or (tool.looked >= LOOKS and tool.calls % THEN_EVERY):
            return
        tool.looked += 1
        self.looked += 1
        seer = rerun.evaluator.witness(request, session, decision.now, decision.risk)
        unsettled = False
        for one in tool.open:
            began = perf_counter_ns()
            one.applied += seer.applies(one.rule)
            one.took_ns += perf_counter_ns() - began
            one.asked += 1
            for place, test in enumerate(one.tests):
                one.taken[place] |= BITS[seer.truth(test)]
            unsettled = unsettled or one.settled
        if unsettled:
            tool.open = [one for one in tool.open if not one.settled]

    def counts(self) -> list[tuple[Any, ...]]:
        """Return what was found as plain values, to be added elsewhere by `add`."""
        return [(one.concerned, one.applied, one.asked, one.took_ns, tuple(one.taken)) for one in self.watched]

    def add(self, counts: list[tuple[Any, ...]], calls: int, looked: int) -> None:
        """Take in what another replay of the same policy has found."""
        self.calls += calls
        self.looked += looked
        for one, (concerned, applied, asked, took_ns, taken) in zip(self.watched, counts, strict=True):
            one.concerned += concerned
            one.applied += applied
            one.asked += asked
            one.took_ns += took_ns
            one.taken = [mine | others for mine, others in zip(one.taken, taken, strict=True)]

    def never_taken(self) -> Iterator[tuple[Rule, str, list[str]]]:
        """Return each condition that never was true, or never false, with what it never was."""
        for one in self.watched:
            if not one.concerned:
                continue
            for test, bits in zip(one.tests, one.taken, strict=True):
                lacking = possible(test) & ~bits
                missing = [word for word, bit in (("true", TRUE), ("false", FALSE)) if lacking & bit]
                if missing:
                    yield one.rule, word_predicate(test.predicate, test.negated), missing

    def slowest(self, most: int = 10) -> list[tuple[Rule, float, int]]:
        """Return the rules whose conditions took longest to ask: rule, microseconds on average, how often asked."""
        asked = [one for one in self.watched if one.asked]
        asked.sort(key=lambda one: one.took_ns / one.asked, reverse=True)
        return [(one.rule, one.took_ns / one.asked / 1000, one.asked) for one in asked[:most]]
