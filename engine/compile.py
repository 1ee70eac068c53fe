"""From a checked policy to the decision table: columns are distinct tests, rows are rules, each tool has its rows.

Three values are settled here. A rule that permits is laid out to accept proof alone, any other to
accept doubt, an excuse the other way round; what is left at run time is a chain of yes and no.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from .binding import Declarations
from .call import Knowledge
from .changes import Plan
from .collecting import not_collecting
from .columns import Columns
from .flat import BUCKET, ROW, Flat
from .forms import ACCOUNTS, COUNTER, RESERVATION
from .pivots import Chain, Pivoting

PROOF: Final = 0
DOUBT: Final = MASK_DOUBT
NOTHING: Final[frozenset[int]] = frozenset()
NOBODY: Final = ("", -math.inf, 0, STRICTNESS[Effect.BLOCK], False, False, 0, None, None)


Laid: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Buckets of rows that add risk, and of all others."""


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
        return _Layout(policy).lay_out()


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


class _Layout:
    def __init__(self, policy: c.CheckedPolicy) -> None:
        self.policy = policy
        self.knowledge = Knowledge(policy)
        self.declarations = Declarations(policy.tools, policy.lenient)
        self.flat = Flat()
        self.columns = Columns(self.knowledge, self.flat)
        self._node_of: dict[tuple[int, int, int, int], int] = {}

    def lay_out(self) -> DecisionTable:
        policy = self.policy
        rules = self.rules = sorted(policy.rules, key=lambda rule: rule.id)
        self.pivoting = Pivoting(self.columns, rules, [alike(rule) for rule in rules])
        known, unknown = self.buckets(rules)
        results = self.results(policy.result_rules)
        rows = [row_of(rule, self.columns) for rule in rules]
        self.columns.join_patterns()
        self.columns.prepare()
        return table_of(
            policy,
            self.columns,
            self.declarations,
            memoryview(Pages(self.flat.build())),
            Placement(known, unknown, results),
            rows,
            [laid_out(row) for row in rows],
        )

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
            place = self._node_of[node] = len(self.flat.nodes)
            self.flat.nodes.append((column, accepted, refused, mask))
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
        risk: list[int] = []
        others: list[int] = []
        for number in numbers:
            (risk if self.rules[number].effect == "risk" else others).append(number)
        return (
            (self.pivoting.lay_out(risk, chain),) if risk else (),
            (self.pivoting.lay_out(others, chain),) if others else (),
        )

    def results(self, rules: tuple[c.ResultRule, ...]) -> int:
        """Lay out the rules about results, which are all looked at; return their bucket."""
        first = len(self.flat.rows)
        for number, rule in enumerate(rules):
            start = self.guarded(rule, self.chain(rule)[0])
            self.flat.rows.append(ROW.pack(number, start, start, 0))
        self.flat.buckets.append(BUCKET.pack(first, len(rules), *self.flat.run(range(first, first + len(rules))), 0, 0))
        return len(self.flat.buckets) - 1


def joined(one: Laid, other: Laid) -> Laid:
    return one[0] + other[0], one[1] + other[1]


def alike(rule: c.Rule) -> object:
    """Return all that an answer takes from a rule but its id; None for one that has to be found by itself."""
    if rule.effect in ("risk", "limit", Effect.MODIFY) or rule.trial or rule.until is not None or rule.tell:
        return None
    return rule.effect, rule.ask, rule.within_s, rule.retry_after_s, rule.controls, rule.code
