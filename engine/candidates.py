"""Calls that two policies may decide differently: made of the constants and conditions of both, not of chance alone.

For each rule there are calls that reach it, one for each way in which its conditions can be true, and neighbours of
each: one test turned, one value taken away, the other end of a range, one call more or less in the past. Behind them
come calls that mix what all rules ask about, drawn by a generator with a fixed seed. The same two policies give the
same calls in the same order.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from ..contract import Effect, Json, Mode
from ..contract.attributes import WIRE
from . import checked as c
from .implication import ways_of
from .patches import Patches
from .placing import Patch, as_number, at, changeable, drop_argument, misses, set_argument, with_field
from .samples import matching, values
from .situation import Judge, Past, Situation
from .toolsets import ToolSet
from .wording import tests_of

TOOLS_MAX: Final = 8
WAYS_MAX: Final = 8
DRAWN_AT_ONCE_MAX: Final = 4
CALMED_MAX: Final = 1_000
"""How often other rules are made quiet: it asks every rule, and takes longer than deciding."""
ODD: Final[tuple[Json, ...]] = (
    7.5,
    7,
    "7",
    "7.5",
    "true",
    True,
    "",
    "null",
    None,
    "a text",
    ["a text"],
    {},
    "/a",
    "a@example.com",
)
"""Values of other types than an argument may have."""


class Candidates(Patches):
    """The situations that two policies suggest."""

    def __init__(self, old: c.CheckedPolicy, new: c.CheckedPolicy) -> None:
        """Take the policies."""
        super().__init__(old, new)
        self.calmed = 0
        self.rules = list(dict.fromkeys([*old.rules, *new.rules]))

    def of(self, rules: Iterable[c.Rule | c.ResultRule]) -> Iterator[Situation]:
        """Return plain calls of each tool, calls of other shapes, and those that reach some rules, with neighbours."""
        for tool in self.tools:
            for base in self.bases(tool):
                yield from self._opened(base, None)
        old, new = self.policies
        for tool in self.tools:
            if old.lenient != new.lenient or old.tools.get(tool) != new.tools.get(tool):
                yield from self._shapes(tool)
        yield from _in_turn([self.reaching(rule) for rule in rules])

    def _shapes(self, tool: str) -> Iterator[Situation]:
        """Return calls of a tool with arguments of other types, without one, and with one too many."""
        for base in self.bases(tool):
            for opened in self._opened(base, None):
                yield set_argument(opened, ("one_too_many",), 1)
                for name in dict.fromkeys(param.name for one in self.declared(tool) for param in one.params):
                    yield drop_argument(opened, (name,))
                    yield from (set_argument(opened, (name,), value) for value in ODD)

    def drawn(self, seed: int = 0) -> Iterator[Situation]:
        """Return situations in which a few patches of any rules meet, without end."""
        chance = random.Random(seed)
        pool = [patch for rule in self.rules for patch in self._patches(rule)] + list(self._settings())
        bases = [base for tool in self.tools for base in self.bases(tool)]
        while bases:
            situation = chance.choice(bases)
            for _ in range(chance.randint(1, DRAWN_AT_ONCE_MAX)):
                if pool:
                    situation = chance.choice(pool)(situation)
            yield situation

    # ------------------------------------------------------------ one rule

    def reaching(self, rule: c.Rule | c.ResultRule) -> Iterator[Situation]:
        """Return situations that a rule applies to, and their neighbours."""
        if isinstance(rule, c.ResultRule):
            yield from self._after_result(rule)
            return
        asked = _arguments_of(rule)

        def lacking(tool: str) -> int:
            return len(asked - {param.name for one in self.declared(tool) for param in one.params})

        tools = sorted(self._varied(self.fitting_tools(rule.tools)), key=lacking)[:TOOLS_MAX]
        bases = [base for tool in tools for base in self.bases(tool)[:4]]
        yield from _in_turn([self._from(base, rule) for base in bases])

    def _from(self, base: Situation, rule: c.Rule) -> Iterator[Situation]:
        for opened in self._opened(base, rule):
            yield from self._around(opened, rule)

    def _varied(self, tools: list[str]) -> list[str]:
        """Return tools with one of each set of classes first, then a second of each: other rules tell them apart."""
        met: Counter[frozenset[str] | None] = Counter()
        turns = {}
        for tool in tools:
            classes = next((one.classes for one in self.declared(tool)), None)
            turns[tool] = met[classes]
            met[classes] += 1
        return sorted(tools, key=turns.__getitem__)

    def _opened(self, base: Situation, rule: c.Rule | None) -> Iterator[Situation]:
        """Return a base as each `allow` rule lets it through, then as it is."""
        seen = set[str]()
        for policy in self.policies:
            for other in policy.rules:
                if other.effect is not Effect.ALLOW or other is rule or repr(other.when) in seen:
                    continue
                fits = ToolSet(other.tools)
                classes = next((tool.classes for tool in self.declared(base.tool)), None)
                if fits.fits(base.tool, classes) is False or len(seen) >= DRAWN_AT_ONCE_MAX:
                    continue
                seen.add(repr(other.when))
                for way in islice(ways_of(other.when) or [], 2):
                    yield self.all_true(base, way, policy)
        yield base

    def _around(self, base: Situation, rule: c.Rule) -> Iterator[Situation]:
        for way in (ways_of(rule.when) or [list(tests_of(rule.when))])[:WAYS_MAX]:
            reached = self.all_true(base, way, None)
            quiet = self.quietened(reached, rule)
            yield from (reached, quiet)
            yield from self._neighbours(reached, rule, way, calm=True)
            if quiet is not reached:
                yield from self._neighbours(quiet, rule, way)

    def _neighbours(
        self, reached: Situation, rule: c.Rule, way: list[c.Test], calm: bool = False
    ) -> Iterator[Situation]:
        """Return a situation that a rule applies to, and what is next to it; `calm`: also with other rules quiet."""
        yield from self._limited(reached, rule)
        for test in sorted([*way, *tests_of(rule.unless)], key=_is_of_caller):
            for patch in self.patches(test):
                patched = patch(reached)
                yield patched
                yield from islice(self._limited(patched, rule), 1, 2)
                if calm:
                    yield from self._calm(patched, rule)
        for excuse in (ways_of(rule.unless) or [])[:WAYS_MAX]:
            yield self.all_true(reached, excuse, None)
        for patch in self._moments(rule):
            yield patch(reached)
        for change in rule.changes:
            for value in changeable(change):
                yield set_argument(reached, change.path, value)
        yield replace(reached, session=False)

    def _calm(self, situation: Situation, rule: c.Rule) -> Iterator[Situation]:
        """Return a situation to which a rule applies with the other rules quiet, as long as the search has time."""
        knowing = [judge for judge in self.judges if rule in judge.policy.rules]
        if self.calmed < CALMED_MAX and any(judge.applies(rule, situation) for judge in knowing):
            self.calmed += 1
            yield self.quietened(situation, rule)

    def quietened(self, situation: Situation, rule: c.Rule) -> Situation:
        """Return a situation to which a rule applies and other restrictions do not, as far as that can be had.

        A stricter rule that applies as well would hide what this one does.
        """
        for judge in self.judges:
            witness = judge.witness(situation)
            for other in judge.policy.rules:
                if other.id == rule.id or other.effect in (Effect.ALLOW, "risk", "limit") or witness is None:
                    continue
                if witness.applies(other):
                    situation = self._without(situation, judge, other, rule)
                    witness = judge.witness(situation)
        return situation

    def _without(self, situation: Situation, judge: Judge, other: c.Rule, rule: c.Rule) -> Situation:
        for test in (*tests_of(other.unless), *tests_of(other.when)):
            for patch in self.patches(test):
                patched = patch(situation)
                if not judge.applies(other, patched) and any(
                    one.applies(rule, patched) for one in self.judges if rule in one.policy.rules
                ):
                    return patched
        return situation

    def _limited(self, situation: Situation, rule: c.Rule) -> Iterator[Situation]:
        """Return a situation before, at and beyond a limit."""
        yield situation
        limit = rule.limit
        if limit is None:
            return
        same = Past(situation.tool, situation.args, "done")
        who = situation
        for name in ("agent", "user", "tenant"):
            if limit.by == name and WIRE[name][0] not in who.fields:
                who = who.with_field(WIRE[name][0], "someone")
        if isinstance(limit.by, c.Argument):
            who = set_argument(who, limit.by.steps, "someone@example.com") if misses(who, limit.by.steps) else who
        if limit.of is None:
            for calls in {int(limit.amount), max(0, int(limit.amount) - 1)}:
                if calls <= 200:
                    yield replace(who, past=(*who.past, *[replace(same, args=who.args)] * calls))
            return
        for value in (limit.amount, limit.amount + 1, limit.amount - 1, limit.amount / 2):
            asked = set_argument(who, limit.of.steps, as_number(value))
            yield asked
            yield replace(asked, past=(*asked.past, Past(asked.tool, asked.args, "done")))

    def _after_result(self, rule: c.ResultRule) -> Iterator[Situation]:
        """Return calls after a result that a rule is about: of what asks for its label first, then of every tool."""
        texts = [text for test in tests_of(rule.when) for text in values(test.predicate) if isinstance(text, str)]
        texts += list(matching(rule.pattern)) if rule.pattern is not None else []
        pasts = []
        for tool in self.fitting_tools(rule.tools)[:3]:
            for base in self.bases(tool)[:1]:
                pasts += [Past(tool, base.args, text) for text in dict.fromkeys([*texts, "nothing", None])]
        readers = [one for one in self.rules if rule.action == "label" and _asks_for_label(one, rule.label)]
        yield from _in_turn([self._in_place_of_label(reader, rule, pasts) for reader in readers])
        for past in pasts:
            for other in self.tools:
                for base in self.bases(other)[:1]:
                    for opened in islice(self._opened(base, None), 2):
                        yield replace(opened, past=(past,))

    def _in_place_of_label(self, reader: c.Rule, rule: c.ResultRule, pasts: list[Past]) -> Iterator[Situation]:
        """Return calls that a rule about a label applies to, with that label brought by one of some results alone."""

        def after_each(base: Situation) -> Iterator[Situation]:
            for opened in self._opened(base, reader):
                for way in (ways_of(reader.when) or [])[:WAYS_MAX]:
                    rest = [test for test in way if not _is_label(test, rule.label)]
                    reached = self.all_true(opened, rest, None)
                    # The call's own tool first: it is declared where the call is made.
                    own = (
                        [replace(past, tool=base.tool, args=base.args) for past in pasts] if base.tool in meant else []
                    )
                    for past in [*own, *pasts]:
                        after = replace(reached, past=(*reached.past, past))
                        yield after
                        yield from self._calm(after, reader)

        meant = set(self.fitting_tools(rule.tools))
        tools = self._varied(self.fitting_tools(reader.tools))[:TOOLS_MAX]
        yield from _in_turn([after_each(base) for tool in tools for base in self.bases(tool)[:2]])

    # ------------------------------------------------------------ patches of rules

    def _patches(self, rule: c.Rule | c.ResultRule) -> Iterator[Patch]:
        for test in (*tests_of(rule.when), *tests_of(rule.unless)):
            yield from self.patches(test)
        if isinstance(rule, c.Rule):
            yield from self._moments(rule)

    def _moments(self, rule: c.Rule) -> Iterator[Patch]:
        for moment in (rule.until, rule.trial_until):
            if moment is not None:
                yield at(moment - 60)
                yield at(moment + 60)

    def _settings(self) -> Iterator[Patch]:
        """Return what no rule asks about: modes, and fields that nobody sent."""
        for mode in Mode:
            yield with_field("enforcement_mode", mode.value)
        for field in ("agent_id", "user_id", "tenant_id", "environment"):
            yield with_field(field, None)
            yield with_field(field, "someone")
        yield from self.scoped()
        yield lambda s: replace(s, session=False)


def _is_label(test: c.Test, label: str) -> bool:
    predicate = test.predicate
    return (
        isinstance(predicate, c.Contains)
        and predicate.left == c.Listing("session.labels")
        and predicate.right == c.Constant(label)
    )


def _asks_for_label(rule: c.Rule, label: str) -> bool:
    return any(_is_label(test, label) for test in (*tests_of(rule.when), *tests_of(rule.unless)))


def _is_of_caller(test: c.Test) -> bool:
    """Say whether a test asks about something else than arguments: who calls, and where, makes fewer differences."""
    return not isinstance(getattr(test.predicate, "left", None), c.Argument | c.Keys)


def _arguments_of(rule: c.Rule) -> set[str]:
    """Return the arguments that a rule's tests begin with."""
    lefts = [getattr(test.predicate, "left", None) for test in (*tests_of(rule.when), *tests_of(rule.unless))]
    return {str(left.steps[0]) for left in lefts if isinstance(left, c.Argument)}


def _in_turn(generators: list[Iterator[Situation]]) -> Iterator[Situation]:
    """Return one situation of each generator, then another of each, so that none waits for the others to end."""
    while generators:
        left = []
        for generator in generators:
            situation = next(generator, None)
            if situation is not None:
                left.append(generator)
                yield situation
        generators = left
