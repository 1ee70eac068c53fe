"""From a checked policy to the decision table: columns are distinct tests, rows are rules, each tool has its rows.

Three values are settled here. A rule that permits is laid out to accept proof alone, any other to
accept doubt, an excuse the other way round; what is left at run time is a chain of yes and no.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter, is_
from typing import Any, Final, TypeAlias

from ..contract import STRICTNESS, Effect
from ..native.answer import Answers
from ..native.arena import FAILS, HOLDS, Arena
from ..native.limits import Limit
from ..native.names import nfc
from ..native.pages import Pages
from ..native.table import MASK_DOUBT, MASK_NO, MASK_YES, Rows, Table
from . import checked as c
from .answers import Bucket, Posture, Row, answers_of, asks_for, laid_out, postures
from .answers import Laid as Answering
from .binding import Declarations
from .call import Knowledge
from .changes import Plan
from .collecting import not_collecting
from .columns import Columns
from .flat import BUCKET, Flat
from .forms import ACCOUNTS, COUNTER, RESERVATION
from .pivots import Chain, Pivoting

PROOF: Final = 0
DOUBT: Final = MASK_DOUBT
NOTHING: Final[frozenset[int]] = frozenset()
NOBODY: Final = ("", -math.inf, 0, STRICTNESS[Effect.BLOCK], False, False, 0, None, None)


Laid: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Buckets of rows that add risk, and of all others."""


ROWS_SPARE: Final = 1024
LAID_ALIKE: Final = tuple(
    field.name for field in fields(c.CheckedPolicy) if field.name not in ("rules", "result_rules", "tests", "digest")
)
_parts: Final = attrgetter(*(field.name for field in fields(c.Rule) if field.name not in ("source", "at", "id")))


def same(one: c.Rule, other: c.Rule) -> bool:
    """Say whether two rules of one id are made of the same parts, wherever they stand."""
    return one is other or all(map(is_, _parts(one), _parts(other)))


@dataclass(frozen=True, slots=True)
class Placement:
    """Which buckets of the arena hold whose rows: by a tool's name and declaration, of all other tools, of results."""

    known: dict[tuple[str, int], Laid]
    unknown: Laid
    results: int


@dataclass(frozen=True, slots=True)
class DecisionTable:
    """A policy laid out for deciding. `rows` are sorted by rule id, so that a row's number orders explanations.

    `buckets` maps a tool's name in NFC and its declaration's number (-1: none) to its rows; of names
    that the policy does not know `unknown` holds the rows. `postures` maps what a request says. `columns` finds the
    column of a test, for explaining.
    """

    policy: c.CheckedPolicy
    knowledge: Knowledge
    declarations: Declarations
    table: Table
    rows: Sequence[Row]
    buckets: dict[tuple[str, int], Bucket]
    unknown: Bucket
    result_rows: Rows
    postures: dict[str | None, Posture]
    columns: Columns
    answers: Answers
    placement: Placement

    def bucket(self, name: str, declaration: int) -> Bucket:
        """Return the rows of a tool."""
        return self.buckets.get((name, declaration), self.unknown)

    def posture(self, said: object) -> Posture:
        """Return the posture for the mode that a request asks for; without one it counts as block."""
        found = self.postures.get(said) if isinstance(said, str) else None
        return self.postures[None] if found is None else found


def compile(policy: c.CheckedPolicy) -> DecisionTable:
    """Lay out a checked policy as C columns (distinct tests) by R rows (rules).

    Cost: one pass over the rules, and for each tool that the policy knows one look at every distinct
    glob or class; about 50 µs a rule.
    """
    with not_collecting():
        return Layout(policy).lay_out(policy)


def table_of(
    policy: c.CheckedPolicy,
    columns: Columns,
    declarations: Declarations,
    arena: bytes | memoryview,
    placement: Placement,
    rows: Sequence[Row],
    laid: list[Any],
) -> DecisionTable:
    """Return a table over an arena; `laid` are the rows as answers take them.

    Raises:
        ArenaError: what is wrong with the arena.
    """
    readers = tuple(columns.readers)
    # A row's number may be that of a rule about results, so there is a row, which blocks, for each of those as well.
    laid = laid + [NOBODY] * (len(policy.result_rules) - len(rows))
    checked = Arena(arena, len(readers), max(len(rows), len(policy.result_rules)))
    table = Table(checked, readers, columns.make, columns.knowledge.scan_chars)
    made: dict[int, Rows] = {}

    def rows_of(numbers: tuple[int, ...]) -> tuple[Rows, ...]:
        return tuple([made.setdefault(number, Rows(table, number)) for number in numbers])

    buckets = {name: Bucket(rows_of(risk), rows_of(others)) for name, (risk, others) in placement.known.items()}
    unknown = Bucket(*map(rows_of, placement.unknown))
    said = postures(policy.mode)
    return DecisionTable(
        policy=policy,
        knowledge=columns.knowledge,
        declarations=declarations,
        table=table,
        rows=rows,
        buckets=buckets,
        unknown=unknown,
        result_rows=Rows(table, placement.results),
        postures=said,
        columns=columns,
        answers=answers_of(policy, columns.knowledge, declarations, table, laid, buckets, unknown, said),
        placement=placement,
    )


def row_of(rule: c.Rule, columns: Columns) -> Row:
    """Return a rule as a row."""
    plan = limit = None
    if rule.effect == Effect.MODIFY:
        scans = ((one, None if one.pattern is None else columns.scan(one.pattern)) for one in rule.changes)
        plan = Plan(rule.id, scans)
    if rule.limit is not None:
        by, of = rule.limit.by, rule.limit.of
        key = None if by == "session" else columns.read_term(c.Attribute(by) if isinstance(by, str) else by)
        amount = None if of is None else columns.read_term(of)
        spelled = isinstance(by, c.Argument)
        most, window_s = rule.limit.amount, rule.limit.window_s
        limit = Limit(ACCOUNTS, RESERVATION, COUNTER, rule.id, key, amount, spelled, most, window_s)
    return Row(rule, asks_for(rule), plan, limit)


class Layout:
    """A table while it is laid out, and what is kept of it for the next one.

    Sections are only added to: of another policy that differs in its rules alone, the buckets whose rules changed are
    laid out behind what is there, and the others stay where they are. What nothing leads to any more is carried along
    until it is as much again as the rest; then `fits` says no.
    """

    def __init__(self, policy: c.CheckedPolicy) -> None:
        """Take what is the same for all policies that are laid out here."""
        self.policy = policy
        self.declarations = Declarations(policy.tools, policy.lenient)
        self.flat = Flat()
        self.columns = Columns(Knowledge(policy), self.flat)
        self.pivoting = Pivoting(self.columns, alike)
        self.rules: list[c.Rule] = []
        self._node_of: dict[tuple[int, int, int, int], int] = {}
        self._kinds: list[int] = []
        self._kind_of: dict[str, tuple[c.Rule, int, int]] = {}
        self._met = 0
        self._buckets: dict[tuple[bool, tuple[int, ...]], Laid] = {}
        self._rows: dict[str, tuple[Row, Answering]] = {}
        self._rows_first = 0
        self._results = 0, 0

    def fits(self, policy: c.CheckedPolicy) -> bool:
        """Say whether a policy differs from the one before in rules and tests alone, and is worth laying out here."""
        same = all(getattr(policy, name) is getattr(self.policy, name) for name in LAID_ALIKE)
        return same and bool(policy.rules) and self.flat.row_count <= 2 * self._rows_first + ROWS_SPARE

    def lay_out(self, policy: c.CheckedPolicy) -> DecisionTable:
        """Return the table of a policy that fits."""
        self.policy = policy
        rules = sorted(policy.rules, key=lambda rule: rule.id)
        self.number(rules)
        self.pivoting.take(rules)
        known, unknown = self.buckets(rules)
        results = self.results(policy.result_rules)
        self.rows(rules)
        self.columns.join_patterns()
        self._rows_first = self._rows_first or self.flat.row_count
        columns = self.columns.fork(Knowledge(policy))
        columns.prepare()
        return table_of(
            policy,
            columns,
            self.declarations,
            memoryview(Pages(self.flat.build())),
            Placement(known, unknown, results),
            [self._rows[rule.id][0] for rule in rules],
            [self._rows[rule.id][1] for rule in rules],
        )

    # ------------------------------------------------------------ what stays

    def number(self, rules: list[c.Rule]) -> None:
        """Number the rules, and find those that are as they were: they are of the same kind as before."""
        before, self._kind_of = self._kind_of, {}
        moved = [0] * len(self.rules)
        self.rules, self._kinds = rules, []
        for number, rule in enumerate(rules):
            old = before.get(rule.id)
            if old is not None and same(old[0], rule):
                kind = old[1]
                moved[old[2]] = number
            else:
                kind = self._met = self._met + 1
            self._kinds.append(kind)
            self._kind_of[rule.id] = rule, kind, number
        self.flat.give_up(*self._results)  # they are numbered by themselves, and laid out each time
        if any(number != place for place, number in enumerate(moved)):
            self.flat.renumber(moved)

    def rows(self, rules: list[c.Rule]) -> None:
        """Make the rows of rules, but for those that are as they were."""
        before, self._rows = self._rows, {}
        for rule in rules:
            old = before.get(rule.id)
            if old is None or not same(old[0].rule, rule):
                row = row_of(rule, self.columns)
                self._rows[rule.id] = row, laid_out(row)
            elif old[0].rule is rule:
                self._rows[rule.id] = old
            else:
                self._rows[rule.id] = Row(rule, old[0].asks, old[0].plan, old[0].limit), old[1]

    # ------------------------------------------------------------ rows

    def chain(
        self, rule: c.Rule | c.ResultRule, left_out: frozenset[int] = NOTHING, ahead: tuple[c.Test, ...] = ()
    ) -> tuple[int, int]:
        """Lay out what a rule asks beside its tools and the tests left out, behind those `ahead`; return where these
        and where it begin."""
        if isinstance(rule, c.Rule) and rule.effect == Effect.ALLOW:
            doubt, excuse = PROOF, self.condition(rule.unless, DOUBT, FAILS, HOLDS)
        else:
            doubt, excuse = DOUBT, self.condition(rule.unless, PROOF, FAILS, HOLDS)
        start = skip = self.condition(rule.when, doubt, excuse, FAILS, left_out)
        for test in reversed(ahead):
            start = self.condition(test, doubt, start, FAILS)
        return start, skip

    def anywhere(self, number: int, left_out: frozenset[int], ahead: tuple[c.Test, ...]) -> tuple[int, int]:
        """Lay out a rule for a tool that it is known to fit."""
        return self.chain(self.rules[number], left_out, ahead)

    def elsewhere(self, number: int, left_out: frozenset[int], ahead: tuple[c.Test, ...]) -> tuple[int, int]:
        """Lay out a rule for tools that the policy does not name."""
        rule = self.rules[number]
        start, skip = self.chain(rule, left_out, ahead)
        return self.guarded(rule, start), self.guarded(rule, skip)

    def condition(
        self, condition: c.Condition, doubt: int, accepted: int, refused: int, left_out: frozenset[int] = NOTHING
    ) -> int:
        """Lay out a condition, last part first, for it has to know where to go on; the cheap parts are asked first."""
        match condition:
            case c.Test():
                if id(condition) in left_out:
                    return accepted
                column, opposite = self.columns.number(condition)
                return self.node(column, doubt | (MASK_NO if opposite else MASK_YES), accepted, refused)
            case c.AllOf(parts):
                place = accepted
                for part in sorted(parts, key=self.cost, reverse=True):
                    place = self.condition(part, doubt, place, refused, left_out)
                return place
            case c.AnyOf(parts):
                place = refused
                for part in sorted(parts, key=self.cost, reverse=True):
                    place = self.condition(part, doubt, accepted, place)
                return place

    def cost(self, condition: c.Condition) -> int:
        if isinstance(condition, c.Test):
            return self.columns.costs[self.columns.number(condition)[0]]
        return max(map(self.cost, condition.parts), default=0)

    def guarded(self, rule: c.Rule | c.ResultRule, start: int) -> int:
        """Put the question whether a tool that the policy does not name fits before a rule."""
        tools = self.columns.toolset(rule.tools)
        if tools.any or start == FAILS:
            return start
        column, _ = self.columns.number(c.Test(c.ToolFits(rule.tools)))
        permits = isinstance(rule, c.Rule) and rule.effect == Effect.ALLOW
        return self.node(column, MASK_YES | (PROOF if permits else DOUBT), start, FAILS)

    def node(self, column: int, mask: int, accepted: int, refused: int) -> int:
        if accepted == refused:
            return accepted
        node = (column, mask, accepted, refused)
        place = self._node_of.get(node)
        if place is None:
            place = self._node_of[node] = self.flat.node(column, accepted, refused, mask)
        return place

    # ------------------------------------------------------------ tools

    def buckets(self, rules: list[c.Rule]) -> tuple[dict[tuple[str, int], Laid], Laid]:
        """Lay out the rows of each tool that the policy knows, and those of all others; return their buckets."""
        every: list[int] = []
        by_name: dict[str, list[int]] = {}
        patterned: dict[tuple[c.ToolPattern, ...], list[int]] = {}
        for number, rule in enumerate(rules):
            tools = self.columns.toolset(rule.tools)
            if tools.any:
                every.append(number)
                continue
            for name in tools.names:
                by_name.setdefault(name, []).append(number)
            if tools.globs or tools.classes:
                patterned.setdefault(rule.tools, []).append(number)
        common = self.bucket(every, self.anywhere)
        known: dict[tuple[str, int], Laid] = {}
        alike: dict[tuple[int, ...], Laid] = {}
        for name, number, classes in self.tools(by_name):
            own = dict.fromkeys(by_name.get(name, ()))
            for patterns, numbers in patterned.items():
                fits = self.columns.toolset(patterns).fits(name, classes)
                if fits is not False:
                    own.update((n, None) for n in numbers if fits or rules[n].effect != Effect.ALLOW)
            rows = tuple(own)
            if rows not in alike:
                alike[rows] = joined(common, self.bucket(rows, self.anywhere))
            known[name, number] = alike[rows]
        others = [number for numbers in patterned.values() for number in numbers]
        return known, joined(common, self.bucket(others, self.elsewhere))

    def tools(self, named: Iterable[str]) -> Iterable[tuple[str, int, frozenset[str] | None]]:
        """Return name, declaration and classes of each tool that the policy knows; it may be used without one, too."""
        for name in {*map(nfc, self.policy.tools), *named}:
            if name not in self.declarations.general or name in self.declarations.special:
                yield name, -1, None
        for declared in self.declarations.every:
            yield declared.tool.name, declared.number, declared.tool.classes

    def bucket(self, numbers: Iterable[int], chain: Chain) -> Laid:
        """Return the buckets of some rules, as they were laid out before where the rules are as they were."""
        numbers = list(numbers)
        name = chain == self.elsewhere, tuple([self._kinds[number] for number in numbers])
        if name not in self._buckets:
            risk = [number for number in numbers if self.rules[number].effect == "risk"]
            others = [number for number in numbers if self.rules[number].effect != "risk"]
            self._buckets[name] = (
                (self.pivoting.lay_out(risk, chain),) if risk else (),
                (self.pivoting.lay_out(others, chain),) if others else (),
            )
        return self._buckets[name]

    def results(self, rules: tuple[c.ResultRule, ...]) -> int:
        """Lay out the rules about results, which are all looked at; return their bucket."""
        first = self.flat.row_count
        for number, rule in enumerate(rules):
            start = self.guarded(rule, self.chain(rule)[0])
            self.flat.row(number, start, start)
        self._results = first, self.flat.row_count
        self.flat.buckets.append(BUCKET.pack(first, len(rules), *self.flat.run(range(first, first + len(rules))), 0, 0))
        return len(self.flat.buckets) - 1


def joined(one: Laid, other: Laid) -> Laid:
    return one[0] + other[0], one[1] + other[1]


def alike(rule: c.Rule) -> object:
    """Return all that an answer takes from a rule but its id; None for one that has to be found by itself."""
    if rule.effect in ("risk", "limit", Effect.MODIFY) or rule.trial or rule.until is not None or rule.tell:
        return None
    return rule.effect, rule.ask, rule.within_s, rule.retry_after_s, rule.controls, rule.code
