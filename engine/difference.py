"""Calls that two policies decide differently, each confirmed by both evaluators, grouped by what makes the difference.

A search, not a proof: what is found is certain, what is not found may still be there.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest
from typing import Any, Final

from ..contract import Decision, Effect
from . import checked as c
from .candidates import Candidates
from .digest import canonical
from .situation import Judge, Situation

TRIES: Final = 20_000
TOOLS: Final = "the tools"
SEVERAL: Final = "several changes together"
PARTS: Final = {
    TOOLS: ("tools",),
    "the agents": ("agents",),
    "the intents": ("intents",),
    "the default": ("default",),
    "the mode": ("mode", "ladder", "approvers"),
    "the settings": ("lenient", "bounds", "data_order"),
}
"""What else than a rule may make a difference: the fields of a checked policy, in words."""
REVERTED_MAX: Final = 200
SHRINKS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Witness:
    """A situation and what each policy decides in it."""

    situation: Situation
    old: Decision
    new: Decision


@dataclass(frozen=True, slots=True)
class Group:
    """What makes a difference, and witnesses of it, the plainest first. `change` is added, removed, changed or ""."""

    name: str
    change: str
    witnesses: tuple[Witness, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What a search has found. `tried` counts situations, `unconfirmed` those on which evaluators differ.

    `unseen` are rules that stand in one policy only, or differ, and of which no witness was found.
    """

    groups: tuple[Group, ...]
    tried: int
    unconfirmed: int
    changed: dict[str, str]
    unseen: tuple[str, ...]


def difference(old: c.CheckedPolicy, new: c.CheckedPolicy, *, tries: int = TRIES, kept: int = 3) -> Difference:
    """Return what a search over `tries` situations finds, with up to `kept` witnesses for each cause."""
    changed = changes(old, new)
    search = _Search(old, new, changed)
    found: dict[str, dict[tuple[Effect, Effect], list[Situation]]] = {}
    counts: Counter[str] = Counter()
    tried = unconfirmed = 0
    for situation in _unlike(islice(_candidates(old, new, changed, tries), tries * 4), tries):
        tried += 1
        left, right = search.old.decide(situation), search.new.decide(situation)
        if outcome(left) == outcome(right):
            continue
        if not search.confirmed(situation, left, right):
            unconfirmed += 1
            continue
        cause = search.cause(situation, left, right)
        counts[cause] += 1
        kinds = found.setdefault(cause, {}).setdefault((left.effect, right.effect), [])
        if len(kinds) < kept:
            kinds.append(situation)
    groups = []
    for cause, kinds_of in found.items():
        shrunk = {one.key(): one for one in (search.shrunk(one, cause) for one in _mixed(kinds_of.values(), kept))}
        witnesses = tuple(Witness(one, search.old.decide(one), search.new.decide(one)) for one in shrunk.values())
        groups.append(Group(cause, changed.get(cause, ""), witnesses, counts[cause]))
    unseen = tuple(name for name in changed if name not in found)
    return Difference(tuple(groups), tried, unconfirmed, changed, unseen)


def _mixed(kinds: Iterable[list[Situation]], most: int) -> list[Situation]:
    """Return one situation of each kind, then a second of each, so many at most."""
    rounds = zip_longest(*kinds)
    return [one for turn in rounds for one in turn if one is not None][:most]


def outcome(decision: Decision) -> Any:
    """Return what two decisions must have in common: what is enforced, on what, and who is asked; not by which rule."""
    return (
        decision.effect,
        decision.verdict,
        repr(decision.args) if decision.modified else "",
        frozenset((ask.approvers, ask.quorum) for ask in decision.asks),
        decision.hold_s,
        decision.retry_after_s,
    )


def changes(old: c.CheckedPolicy, new: c.CheckedPolicy) -> dict[str, str]:
    """Return the rules that stand in one policy only, or differ: by id, added, removed or changed."""
    before, after = ({rule.id: canonical(rule) for rule in _rules(policy)} for policy in (old, new))
    found = {}
    for id in dict.fromkeys([*before, *after]):
        if before.get(id) != after.get(id):
            found[id] = "added" if id not in before else "removed" if id not in after else "changed"
    return found


def _rules(policy: c.CheckedPolicy) -> list[c.Rule | c.ResultRule]:
    return [*policy.rules, *policy.result_rules]


def _candidates(old: c.CheckedPolicy, new: c.CheckedPolicy, changed: dict[str, str], tries: int) -> Iterator[Situation]:
    """Return situations: around the rules that differ, around all others, then drawn ones."""
    candidates = Candidates(old, new)
    every: list[c.Rule | c.ResultRule] = [*candidates.rules, *old.result_rules, *new.result_rules]
    first = [rule for rule in every if rule.id in changed]
    rest = [rule for rule in every if rule.id not in changed]
    return chain(islice(candidates.of(first), tries // 2), islice(candidates.of(rest), tries // 4), candidates.drawn())


def _unlike(situations: Iterable[Situation], most: int) -> Iterator[Situation]:
    """Return each situation once, so many at most."""
    seen = set[str]()
    for situation in situations:
        key = situation.key()
        if key not in seen:
            seen.add(key)
            yield situation
            if len(seen) >= most:
                return


def _with_rule(old: c.CheckedPolicy, new: c.CheckedPolicy, id: str) -> c.CheckedPolicy:
    """Return the new policy with one rule as it was in the old one, or without it where the old one has none."""

    def with_old(before: tuple[Any, ...], after: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*(rule for rule in after if rule.id != id), *(rule for rule in before if rule.id == id))

    rules, results = with_old(old.rules, new.rules), with_old(old.result_rules, new.result_rules)
    return replace(new, rules=rules, result_rules=results)


class _Search:
    """Two policies, each under both evaluators."""

    def __init__(self, old: c.CheckedPolicy, new: c.CheckedPolicy, changed: dict[str, str]) -> None:
        self.old, self.new = Judge(old), Judge(new)
        self._plain = Judge(old, "reference"), Judge(new, "reference")
        ids = [*changed][:REVERTED_MAX]
        self._reverted = {id: Judge(_with_rule(old, new, id)) for id in ids}
        for name, fields in PARTS.items():
            other = {field: getattr(old, field) for field in fields}
            if any(getattr(new, field) != kept for field, kept in other.items()):
                self._reverted[name] = Judge(replace(new, **other))

    def confirmed(self, situation: Situation, old: Decision, new: Decision) -> bool:
        """Say whether the reference decides a situation as the table did, under both policies."""
        return all(
            outcome(judge.decide(situation)) == outcome(decision)
            for judge, decision in zip(self._plain, (old, new), strict=True)
        )

    def differs(self, situation: Situation) -> bool:
        """Say whether a situation is a witness."""
        left, right = self.old.decide(situation), self.new.decide(situation)
        return outcome(left) != outcome(right) and self.confirmed(situation, left, right)

    def cause(self, situation: Situation, old: Decision, new: Decision) -> str:
        """Return what makes the difference: the one change without which there is none.

        It is the id of a rule, or words for a change of something else. Where no single change is enough, that is said.
        """
        near = {*old.rules, *new.rules}
        for id in sorted(self._reverted, key=lambda id: id not in near):
            if outcome(self._reverted[id].decide(situation)) == outcome(old):
                return f"the declaration of {situation.tool}" if id == TOOLS else id
        return SEVERAL

    def shrunk(self, situation: Situation, cause: str) -> Situation:
        """Return a plainer witness of the same cause and effects: whatever can be left out is."""
        left, right = self.old.decide(situation), self.new.decide(situation)
        wanted = (left.effect, right.effect)
        for _ in range(SHRINKS_MAX):
            for plainer in _plainer(situation):
                one, other = self.old.decide(plainer), self.new.decide(plainer)
                if (one.effect, other.effect) != wanted or outcome(one) == outcome(other):
                    continue
                if self.confirmed(plainer, one, other) and self.cause(plainer, one, other) == cause:
                    situation = plainer
                    break
            else:
                break
        return situation


def _plainer(situation: Situation) -> Iterator[Situation]:
    """Return the situation with one thing less."""
    plain = Situation(situation.tool)
    for name, value in situation.fields.items():
        if name not in plain.fields:
            yield situation.with_field(name, None)
        elif value != plain.fields[name]:
            yield situation.with_field(name, plain.fields[name])
    for name in plain.fields:
        if name not in situation.fields:
            yield situation.with_field(name, plain.fields[name])
    if situation.past:
        yield replace(situation, past=())
        yield replace(situation, past=situation.past[1:])
        yield replace(situation, past=situation.past[:-1])
    if situation.said:
        yield replace(situation, said=situation.said[1:])
    if situation.baseline:
        yield replace(situation, baseline=())
        yield replace(situation, baseline=situation.baseline[1:])
    for name in situation.args:
        yield replace(situation, args={key: kept for key, kept in situation.args.items() if key != name})
    if situation.blocks:
        yield replace(situation, blocks=0)
    if situation.age_s:
        yield replace(situation, age_s=0)
    if not situation.session:
        yield replace(situation, session=True)
    if situation.now != plain.now:
        yield replace(situation, now=plain.now)
