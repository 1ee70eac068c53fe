"""A policy's text compiled again and again: what has not changed since the last time is neither read nor checked again.

A text is items, and an item means what it means wherever it stands: reading it depends on nothing outside it, checking
a rule on the rule and on what all rules stand on: settings, names, tools, modules, labels. So rules and tests are kept
by their text. Those between the first and the last line that differ are read, and everything that concerns rules as
a whole (ids, duplicates, the digest) is done anew from what is kept of each. Anything else that differs, and any
mistake, sends the whole text down the plain path: `grammar.parse`, `check`, `compile`. The answer is the plain path's
in every case; only the table is laid out differently, see `compile.Layout`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final, TypeAlias

from ..grammar import Message, read_policy
from ..grammar import syntax as s
from ..grammar.chunks import Chunk, chunks
from ..grammar.messages import Mistake
from ..grammar.parse import lines_of, read_item
from . import checked as c
from .check import Checked, Find, Ground, grounded, in_order, never
from .checking import examples, rules
from .checking.report import Report
from .collecting import not_collecting
from .compile import DecisionTable, Layout
from .digest import digest, with_id, zones_of

Baseline: TypeAlias = Mapping[tuple[str, str], frozenset[str]]
Key: TypeAlias = tuple[str, tuple[tuple[str, int, int], ...]]
NO_LABELS: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Piece:
    """One item as it was read, and the line on which it stood then. `made` are the rules in it.

    `key` is its text and, where they are part of what is kept, the comments above it. `ground` tells that other rules
    depend on it: as long as such pieces stay what they are, the others can be read by themselves.
    """

    key: Key
    line: int
    ground: bool
    made: tuple[rules.Made, ...]
    zones: frozenset[str]
    labels: frozenset[str]
    test: s.TestItem | None
    warnings: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A piece where it stands in a text: the number of its first line, and that of its last."""

    piece: Piece
    line: int
    last: int

    @property
    def down(self) -> int:
        """By how many lines it stands further down than where it was read."""
        return self.line - self.piece.line


@dataclass(frozen=True, slots=True)
class Named:
    """A rule as the policy has it: what it was made of, by how many lines that moved, and its spelling."""

    made: rules.Made
    down: int
    rule: c.Rule | c.ResultRule
    spelled: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a text that was compiled. `elsewhere` are warnings about other files, `modules` their rules."""

    lines: list[str]
    placed: list[Placed]
    ground: Ground
    elsewhere: tuple[Message, ...]
    modules: tuple[rules.Made, ...]
    fixed_labels: frozenset[str]
    used: dict[tuple[str, str], s.Policy | None]
    baseline: Baseline | None
    policy: c.CheckedPolicy
    named: dict[str, Named]


class Compiler:
    """Compiles one policy as it changes. For one thread; the policies and tables that it returns are for any."""

    def __init__(self) -> None:
        """Keep nothing yet: the first text is read as a whole."""
        self._kept: Kept | None = None
        self._layout: Layout | None = None
        self._trees: dict[str, s.Policy] = {}
        self.read = 0
        """How many items of the last text were read, all of them where it was not read piece by piece."""

    def check(
        self,
        text: str,
        source: str = "policy.thoth",
        find: Find = never,
        *,
        baseline: Baseline | None = None,
        mistakes: Sequence[Message] = (),
    ) -> Checked:
        """Return what a root policy's text and the modules that it uses mean, as `check` does of what was parsed.

        A module counts as unchanged where `find` returns the very tree that it returned the last time.
        `mistakes` is the list that `find` adds to.

        Raises:
            PolicyError: with every mistake of all files; what was kept stays.
        """
        with not_collecting():
            again = None if self._kept is None else self._again(self._kept, text, source, find, baseline, mistakes)
            return self._anew(text, source, find, baseline, mistakes) if again is None else again

    def module(self, text: str, source: str) -> tuple[s.Policy, tuple[Message, ...]]:
        """Return what can be read of a module and its mistakes, as `read_policy` does: the same tree for the same text.

        Raises:
            PolicyError: the text cannot be read at all.
        """
        tree = self._trees.get(source)
        if tree is not None and tree.text == text:
            return tree, ()
        tree, mistakes = read_policy(text, source)
        if not mistakes:
            self._trees[source] = tree
        return tree, mistakes

    def compile(self, policy: c.CheckedPolicy) -> DecisionTable:
        """Return the table of a policy; what was laid out for the one before stays where it lies."""
        with not_collecting():
            if self._layout is None or not self._layout.fits(policy):
                self._layout = Layout(policy)
            layout, self._layout = self._layout, None  # one that failed half-way is nothing to go on with
            table = layout.lay_out(policy)
            self._layout = layout
            return table

    # ------------------------------------------------------------ as a whole

    def _anew(
        self, text: str, source: str, find: Find, baseline: Baseline | None, mistakes: Sequence[Message]
    ) -> Checked:
        root, found = read_policy(text, source)
        used: dict[tuple[str, str], s.Policy | None] = {}

        def noted(name: str, using: str) -> s.Policy | None:
            used[name, using] = find(name, using)
            return used[name, using]

        self.read = len(root.items)
        report = Report()
        ground = grounded(root, noted, report)
        written = list(ground.written())
        made = rules.read(written, ground.names, ground.tools, ground.said.approvers)
        together = rules.together(made, ground.tools)
        tests = tuple(item for item in root.items if isinstance(item, s.TestItem))
        examples.check_tests(ground.first, tests, ground.tools, together.known, ground.said.data_order)
        policy = ground.policy(together, tests, baseline, [*found, *mistakes])
        policy = replace(policy, digest=digest(policy))
        warnings = in_order(report.warnings)
        if not _odd_lines(text) and not report.exhausted:
            self._kept = self._keep(text, root, ground, made, used, baseline, policy)
        return Checked(policy, warnings)

    def _keep(
        self,
        text: str,
        root: s.Policy,
        ground: Ground,
        made: list[rules.Made],
        used: dict[tuple[str, str], s.Policy | None],
        baseline: Baseline | None,
        policy: c.CheckedPolicy,
    ) -> Kept:
        lines = lines_of(text, root.source)
        modules = tuple(one for one in made if one.file is not ground.first)
        upcoming = iter(made[len(modules) :])
        placed = []
        for chunk, item in zip(chunks(lines), root.items, strict=False):  # behind the last item there may be comments
            rules_in = [inner for inner, _ in _inner(item) if isinstance(inner, s.RuleItem | s.ResultRuleItem)]
            placed.append(_placed(chunk, item, tuple([next(upcoming) for _ in rules_in])))
        placed, elsewhere = _shared_out(placed, ground.report.warnings, root.source)
        by_id: dict[str, c.Rule | c.ResultRule] = {rule.id: rule for rule in policy.rules}
        by_id.update((rule.id, rule) for rule in policy.result_rules)
        named = {id: Named(made[i], 0, by_id[id], with_id(made[i].content, id)) for i, id, _ in rules.one_each(made)[0]}
        labels = NO_LABELS.union(*(one.piece.labels for one in placed if not one.piece.ground))
        ground.first.take(s.Policy((), (), root.source, text))
        return Kept(
            lines, placed, ground, elsewhere, modules, ground.names.labels - labels, used, baseline, policy, named
        )

    # ------------------------------------------------------------ piece by piece

    def _again(
        self, kept: Kept, text: str, source: str, find: Find, baseline: Baseline | None, mistakes: Sequence[Message]
    ) -> Checked | None:
        """Return what a text means by what is kept; None where it has to be read as a whole."""
        ground, report = kept.ground, kept.ground.report
        if source != ground.first.source or baseline != kept.baseline or _odd_lines(text):
            return None
        if any(find(*asked) is not found for asked, found in kept.used.items()) or mistakes:
            return None
        lines = lines_of(text, source)
        report.forget()
        ground.first.take(s.Policy((), (), source, text))
        self.read = 0
        try:
            placed = self._divided(kept, lines)
        except Mistake:
            return None
        if placed is None or _grounds(placed) != _grounds(kept.placed):
            return None
        if kept.fixed_labels.union(*(one.piece.labels for one in placed)) != ground.names.labels:
            return None
        made = list(kept.modules)
        downs = [0] * len(made)
        for place in placed:
            made += place.piece.made
            downs += [place.down] * len(place.piece.made)
        if len(made) > rules.RULES_MAX:
            return None
        one_each, known = rules.one_each(made)
        named = _named(kept.named, made, downs, one_each)
        if any(_changes_anew(one, kept.named.get(id)) for id, one in named.items()):
            rules.check_order(made, one_each, ground.tools)
        tests = tuple([_moved(one.piece.test, one.down) for one in placed if one.piece.test is not None])
        examples.check_tests(ground.first, tests, ground.tools, known, ground.said.data_order)
        if report.errors or report.exhausted:
            return None
        found = [one.rule for one in named.values()]
        policy = replace(
            kept.policy,
            rules=tuple([rule for rule in found if isinstance(rule, c.Rule)]),
            result_rules=tuple([rule for rule in found if isinstance(rule, c.ResultRule)]),
            tests=tests,
            digest="",
        )
        spelled: dict[str, list[str]] = {"rules": [], "result_rules": []}
        for one in named.values():
            spelled["rules" if isinstance(one.rule, c.Rule) else "result_rules"].append(one.spelled)
        zones = zones_of(*(one.rule for one in kept.modules)).union(*(one.piece.zones for one in placed))
        policy = replace(policy, digest=digest(policy, spelled, zones))
        self._kept = replace(kept, lines=lines, placed=placed, policy=policy, named=named)
        return Checked(policy, in_order([*kept.elsewhere, *_warnings(placed), *report.warnings]))

    def _divided(self, kept: Kept, lines: list[str]) -> list[Placed] | None:
        """Return a text's pieces, of which those are read that were not there; None where one is wrong or is ground.

        Raises:
            Mistake: an item cannot be read.
        """
        same_first, same_last = _alike(kept.lines, lines)
        first = bisect_right(kept.placed, same_first, key=lambda one: one.line) - 1
        if first < 0:
            first = 0
        placed = kept.placed[:first]
        down = len(lines) - len(kept.lines)
        known = {one.piece.key: one.piece for one in kept.placed}
        for chunk in chunks(lines, placed[-1].last if placed else 0):
            if not chunk.lines:
                break  # comments at the end
            piece = known.get(_key(chunk)) or self._read(kept.ground, chunk)
            if piece is None:
                return None
            placed.append(Placed(piece, chunk.line, _last(chunk)))
            # Where an item began before on a line that is among the last ones, all is as it was from there on.
            if chunk.line > len(lines) - same_last:
                before = bisect_left(kept.placed, chunk.line - down, key=lambda one: one.line)
                if before < len(kept.placed) and kept.placed[before].line == chunk.line - down:
                    rest = kept.placed[before + 1 :]
                    if down:
                        rest = [Placed(one.piece, one.line + down, one.last + down) for one in rest]
                    placed += rest
                    break
        return placed

    def _read(self, ground: Ground, chunk: Chunk) -> Piece | None:
        """Return a piece that was not there before; None where something is wrong with it, or it is ground."""
        self.read += 1
        item = read_item(chunk)
        said = ground.said
        made = tuple(
            [
                rules.make(ground.first, inner, group, ground.names, ground.tools, said.approvers)
                for inner, group in _inner(item)
                if isinstance(inner, s.RuleItem | s.ResultRuleItem)
            ]
        )
        piece = _placed(chunk, item, made).piece
        warnings = tuple(ground.report.warnings)
        if ground.report.errors or piece.ground:
            return None
        ground.report.forget()
        return replace(piece, warnings=warnings)


# ---------------------------------------------------------------- pieces


def _inner(item: s.Item) -> list[tuple[s.Item, s.ForItem | None]]:
    """Return the items in a group, each with it, or the one that an item is."""
    return [(inner, item) for inner in item.items] if isinstance(item, s.ForItem) else [(item, None)]


def _key(chunk: Chunk) -> Key:
    above: tuple[tuple[str, int, int], ...] = ()
    if chunk.word == "test":
        above = tuple(
            (one.text, one.at.line - chunk.line, one.at.column) for one in chunk.comments if one.at.line < chunk.line
        )
    return "\n".join(chunk.lines), above


def _last(chunk: Chunk) -> int:
    return chunk.line + len(chunk.lines) - 1


def _placed(chunk: Chunk, item: s.Item, made: tuple[rules.Made, ...]) -> Placed:
    test = item if isinstance(item, s.TestItem) else None
    ground = test is None and len(made) < len(_inner(item))
    labels = NO_LABELS.union(
        *((one.rule.label,) for one in made if isinstance(one.rule, c.ResultRule) and one.rule.label)
    )
    zones = frozenset(zones_of(*(one.rule for one in made)))
    return Placed(Piece(_key(chunk), chunk.line, ground, made, zones, labels, test), chunk.line, _last(chunk))


def _shared_out(
    placed: list[Placed], warnings: Iterable[Message], source: str
) -> tuple[list[Placed], tuple[Message, ...]]:
    """Return the pieces with the warnings about them, but for tests, which are checked each time; and the others."""
    told: dict[int, list[Message]] = {}
    elsewhere = []
    for one in warnings:
        place = bisect_right(placed, one.at.line, key=lambda piece: piece.line) - 1
        if one.source != source or place < 0:
            elsewhere.append(one)
        elif placed[place].piece.test is None:
            told.setdefault(place, []).append(one)
    for number, found in told.items():
        piece = replace(placed[number].piece, warnings=tuple(found))
        placed[number] = Placed(piece, placed[number].line, placed[number].last)
    return placed, tuple(elsewhere)


def _grounds(placed: list[Placed]) -> list[Key]:
    return [one.piece.key for one in placed if one.piece.ground]


def _warnings(placed: list[Placed]) -> Iterator[Message]:
    for one in placed:
        for message in one.piece.warnings:
            yield replace(message, at=_further_down(message.at, one.down))


# ---------------------------------------------------------------- rules


def _named(
    before: Mapping[str, Named], made: list[rules.Made], downs: list[int], one_each: list[tuple[int, str, bool]]
) -> dict[str, Named]:
    """Return the rules under their ids, those that neither changed nor moved as they were."""
    found: dict[str, Named] = {}
    for i, id, written in one_each:
        one, down, old = made[i], downs[i], before.get(id)
        if old is None or old.made is not one or old.rule.named != written:
            rule = _named_rule(one.rule, id, written, down)
            old = Named(one, down, rule, with_id(one.content, id))
        elif old.down != down:
            old = Named(one, down, _named_rule(one.rule, id, written, down), old.spelled)
        found[id] = old
    return found


def _named_rule(rule: c.Rule | c.ResultRule, id: str, written: bool, down: int) -> c.Rule | c.ResultRule:
    return replace(rule, id=id, named=written, at=_further_down(rule.at, down))


def _changes_anew(one: Named, old: Named | None) -> bool:
    """Say whether a rule that changes arguments was not there before: it may meet others."""
    return (old is None or old.made is not one.made) and isinstance(one.rule, c.Rule) and bool(one.rule.changes)


# ---------------------------------------------------------------- lines


def _odd_lines(text: str) -> bool:
    """Say whether lines end in a way of which places in messages know nothing."""
    return "\r" in text and "\r" in text.replace("\r\n", "")


def _alike(before: list[str], lines: list[str]) -> tuple[int, int]:
    """Return how many first lines of two texts are alike, and how many last ones behind these."""
    most = min(len(before), len(lines))
    first = next((n for n in range(most) if before[n] != lines[n]), most)
    last = next((n for n in range(most - first) if before[-1 - n] != lines[-1 - n]), most - first)
    return first, last


def _further_down(at: s.Span, down: int) -> s.Span:
    return s.Span(at.line + down, at.column, at.end_line + down, at.end_column) if down else at


def _moved(node: Any, down: int) -> Any:
    """Return a node of the syntax tree as it is read when it stands further down."""
    if not down:
        return node
    if isinstance(node, s.Span):
        return node if node == s.NOWHERE else _further_down(node, down)
    if isinstance(node, tuple):
        return tuple([_moved(one, down) for one in node])
    if is_dataclass(node) and not isinstance(node, type) and fields(node):
        return replace(node, **{field.name: _moved(getattr(node, field.name), down) for field in fields(node)})
    return node
