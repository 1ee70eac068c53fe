"""From a checked policy to the decision table: columns are distinct tests, rows are rules, each tool has its rows.

Three values are settled here. A rule that permits is laid out to accept proof alone, any other to
accept doubt, an excuse the other way round; what is left at run time is a chain of yes and no.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ..contract import Effect
from ..native.answer import Answers
from ..native.limits import Limit
from ..native.names import nfc
from ..native.table import FAILS, HOLDS, MASK_DOUBT, MASK_NO, MASK_YES, Rows, Table
from . import checked as c
from .answers import Bucket, Posture, Row, answers_of, asks_for, postures
from .binding import Declarations
from .call import Knowledge
from .changes import Plan
from .collecting import not_collecting
from .columns import Columns
from .forms import COUNTER, RESERVATION
from .pivots import Pivoting

PROOF: Final = 0
DOUBT: Final = MASK_DOUBT


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
    rows: tuple[Row, ...]
    buckets: dict[tuple[str, int], Bucket]
    unknown: Bucket
    result_rows: Rows
    postures: dict[str | None, Posture]
    columns: Columns
    answers: Answers

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


class _Layout:
    def __init__(self, policy: c.CheckedPolicy) -> None:
        self.policy = policy
        self.knowledge = Knowledge(policy)
        self.declarations = Declarations(policy.tools, policy.lenient)
        self.columns = Columns(self.knowledge)
        self.nodes: list[tuple[int, int, int, int]] = []
        self._node_of: dict[tuple[int, int, int, int], int] = {}

    def lay_out(self) -> DecisionTable:
        policy = self.policy
        rules = sorted(policy.rules, key=lambda rule: rule.id)
        self.pivoting = Pivoting(self.columns, rules)
        starts = [self.chain(rule) for rule in rules]
        somewhere = [self.guarded(rule, start) for rule, start in zip(rules, starts, strict=True)]
        results = [self.guarded(rule, self.chain(rule)) for rule in policy.result_rules]
        columns, places = self.columns.lay_out()
        nodes = [(places[column], *rest) for column, *rest in self.nodes]
        table = Table(columns, tuple(self.columns.readers), nodes)  # type: ignore[arg-type]
        known, unknown = self.buckets(table, rules, starts, somewhere)
        rows = tuple(Row(rule, asks_for(rule), self.plan(rule), self.limit(rule)) for rule in rules)
        said = postures(policy.mode)
        return DecisionTable(
            policy=policy,
            knowledge=self.knowledge,
            declarations=self.declarations,
            table=table,
            rows=rows,
            buckets=known,
            unknown=unknown,
            result_rows=Rows(table, [(number, start, math.inf) for number, start in enumerate(results)]),
            postures=said,
            columns=self.columns,
            answers=answers_of(policy, self.knowledge, self.declarations, table, rows, known, unknown, said),
        )

    # ------------------------------------------------------------ rows

    def chain(self, rule: c.Rule | c.ResultRule) -> int:
        """Lay out what a rule asks beside its tools; return where it begins."""
        if isinstance(rule, c.Rule) and rule.effect == Effect.ALLOW:
            excuse = self.condition(rule.unless, DOUBT, FAILS, HOLDS)
            return self.condition(rule.when, PROOF, excuse, FAILS)
        excuse = self.condition(rule.unless, PROOF, FAILS, HOLDS)
        return self.condition(rule.when, DOUBT, excuse, FAILS)

    def condition(self, condition: c.Condition, doubt: int, accepted: int, refused: int) -> int:
        """Lay out a condition, last part first, for it has to know where to go on; the cheap parts are asked first."""
        match condition:
            case c.Test():
                column, opposite = self.columns.number(condition)
                return self.node(column, doubt | (MASK_NO if opposite else MASK_YES), accepted, refused)
            case c.AllOf(parts):
                place = accepted
                for part in sorted(parts, key=self.cost, reverse=True):
                    place = self.condition(part, doubt, place, refused)
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
            place = self._node_of[node] = len(self.nodes)
            self.nodes.append(node)
        return place

    def plan(self, rule: c.Rule) -> Plan | None:
        if rule.effect != Effect.MODIFY:
            return None
        scans = ((one, None if one.pattern is None else self.columns.scan(one.pattern)) for one in rule.changes)
        return Plan(rule.id, scans)

    def limit(self, rule: c.Rule) -> Limit | None:
        if rule.limit is None:
            return None
        by, of = rule.limit.by, rule.limit.of
        key = None if by == "session" else self.columns.read_term(c.Attribute(by) if isinstance(by, str) else by)
        amount = None if of is None else self.columns.read_term(of)
        spelled = isinstance(by, c.Argument)
        return Limit(RESERVATION, COUNTER, rule.id, key, amount, spelled, rule.limit.amount, rule.limit.window_s)

    # ------------------------------------------------------------ tools

    def buckets(
        self, table: Table, rules: list[c.Rule], starts: list[int], somewhere: list[int]
    ) -> tuple[dict[tuple[str, int], Bucket], Bucket]:
        """Return the rows of each tool that the policy knows, and those of all others."""
        every: list[int] = []
        by_name: dict[str, list[int]] = {}
        patterned: dict[tuple[c.ToolPattern, ...], list[int]] = {}
        for number, rule in enumerate(rules):
            tools = self.columns.toolset(rule.tools)
            if starts[number] == FAILS:
                continue
            if tools.any:
                every.append(number)
                continue
            for name in tools.names:
                by_name.setdefault(name, []).append(number)
            if tools.globs or tools.classes:
                patterned.setdefault(rule.tools, []).append(number)
        common = self.bucket(table, rules, starts, every)
        known: dict[tuple[str, int], Bucket] = {}
        for name, number, classes in self.tools(by_name):
            own = dict.fromkeys(by_name.get(name, ()))
            for patterns, numbers in patterned.items():
                fits = self.columns.toolset(patterns).fits(name, classes)
                if fits is not False:
                    own.update((n, None) for n in numbers if fits or rules[n].effect != Effect.ALLOW)
            known[name, number] = joined(common, self.bucket(table, rules, starts, list(own)))
        others = [number for numbers in patterned.values() for number in numbers]
        return known, joined(common, self.bucket(table, rules, somewhere, others))

    def tools(self, named: Iterable[str]) -> Iterable[tuple[str, int, frozenset[str] | None]]:
        """Return name, declaration and classes of each tool that the policy knows; it may be used without one, too."""
        for name in {*map(nfc, self.policy.tools), *named}:
            if name not in self.declarations.general or name in self.declarations.special:
                yield name, -1, None
        for declared in self.declarations.every:
            yield declared.tool.name, declared.number, declared.tool.classes

    def bucket(self, table: Table, rules: list[c.Rule], starts: list[int], numbers: list[int]) -> Bucket:
        risk: list[tuple[int, int, float]] = []
        others: list[tuple[int, int, float]] = []
        for number in numbers:
            rule = rules[number]
            row = (number, starts[number], math.inf if rule.until is None else rule.until)
            (risk if rule.effect == "risk" else others).append(row)
        return Bucket(
            (self.pivoting.lay_out(table, risk),) if risk else (),
            (self.pivoting.lay_out(table, others),) if others else (),
        )


def joined(one: Bucket, other: Bucket) -> Bucket:
    return Bucket(one.risk + other.risk, one.rules + other.rules)
