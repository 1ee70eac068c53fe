"""Modifications: what a `modify` rule does to arguments, and that no two of them depend on their order.

Redactions match the value as it was received and unite, so they may meet; two other changes on
overlapping paths, of rules that some tool may both concern, are a mistake.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from ...grammar import syntax as s
from .. import checked as c
from .names import exact
from .report import File
from .terms import Rule, argument_types, written
from .texts import glob_beginning, nfc
from .tools import NUMBERS, TEXTS, Tools, describe, spell

Steps = tuple[str | int | s.Each, ...]

CLASHES_MAX: Final = 100
"""Enough to see what is wrong; comparing all pairs of a broken policy would take its square."""

_ALLOWED: Final = {
    "redact": (TEXTS, "`redact` changes texts"),
    "truncate": (TEXTS, "`truncate` shortens texts"),
    "cap": (NUMBERS, "`cap` bounds numbers"),
}


def changes(rule: Rule, item: s.RuleItem) -> tuple[c.Change, ...]:
    """Return a rule's modifications."""
    found = (_change(rule, change) for change in item.changes)
    return tuple(change for change in found if change is not None)


def _change(rule: Rule, node: s.Change) -> c.Change | None:
    file, path = rule.file, node.path
    if path.root != "args" or path.keys or not path.steps or not isinstance(path.steps[0], str):
        file.error(path.at, f"`{node.kind}` changes one argument; write its path, like `args.body`", "modify")
        return None
    types = argument_types(rule, path.steps, path.at)
    if types is None:
        return None
    if not _changeable(rule, node, types):
        return None
    if node.kind == "redact":
        if node.pattern is None or node.text is None:
            file.error(node.at, 'write `redact PATH matching PATTERN with "…"`', "modify")
            return None
        pattern = rule.names.pattern(file, node.pattern)
        return None if pattern is None else c.Change("redact", path.steps, pattern, node.text.value)
    if node.kind == "drop":
        return None if _needed(rule, path) else c.Change("drop", path.steps)
    if node.kind == "set":
        return _set(rule, node, types)
    if not isinstance(node.value, s.Number):
        file.error(node.at, f"`{node.kind}` takes a number", "modify")
        return None
    value = exact(node.value.value)
    if node.kind == "truncate" and (value < 0 or not isinstance(value, int)):
        file.error(node.value.at, "a text is truncated to a whole number of characters, 0 or more", "modify")
        return None
    return c.Change(node.kind, path.steps, value=value)


def _changeable(rule: Rule, node: s.Change, types: tuple[tuple[str, c.Type], ...]) -> bool:
    if node.kind not in _ALLOWED:
        return True
    allowed, what = _ALLOWED[node.kind]
    each = any(isinstance(step, s.Each) for step in node.path.steps)
    for who, kind in types:
        inner = kind.items or c.ANY if kind.name == "list" and (each or node.kind == "redact") else kind
        if inner.name in allowed or inner.name == "any" or (node.kind == "redact" and inner.name == "record"):
            continue
        text = spell(node.path.steps)
        instead = f"; write `{text}[*]`" if inner.name == "list" and (inner.items or c.ANY).name in allowed else ""
        rule.file.error(node.path.at, f"{who} is {describe(kind)}, and {what}{instead}", "type")
        return False
    return True


def _needed(rule: Rule, path: s.Path) -> bool:
    """Tell whether a named tool cannot do without the argument, after saying so."""
    if len(path.steps) > 1:
        return False
    for pattern in rule.patterns:
        if pattern.kind != "name":
            continue
        for tool in rule.tools.declared(pattern.value, rule.envs):
            if any(param.name == path.steps[0] and not param.optional for param in tool.params):
                rule.file.error(
                    path.at,
                    f"`{spell(path.steps)}` is required by {tool.name}, so dropping it would block every call;"
                    f" declare `{path.steps[0]}?`, or write `set`",
                    "modify",
                )
                return True
    return False


def _set(rule: Rule, node: s.Change, types: tuple[tuple[str, c.Type], ...]) -> c.Change | None:
    each = any(isinstance(step, s.Each) for step in node.path.steps)
    kinds = [(who, (kind.items or c.ANY) if each and kind.name == "list" else kind) for who, kind in types]
    value: str | bool | int | Decimal
    if isinstance(node.value, s.Text | s.Boolean):
        value = node.value.value
    elif isinstance(node.value, s.Number):
        value = exact(node.value.value)
    elif isinstance(node.value, s.Name) and any(node.value.value in kind.values for _, kind in kinds):
        value = nfc(node.value.value)
    else:
        what = (
            f"unknown name `{node.value.value}`; texts"
            if isinstance(node.value, s.Name)
            else "`set` writes a text, a number, `true` or `false`; texts"
        )
        rule.file.error(node.at, f"{what} are written in double quotes", "modify")
        return None
    for who, kind in kinds:
        if kind.name == "any" or _holds(kind, value):
            continue
        words = f"; write one of {', '.join(kind.values)}" if kind.name == "enum" else ""
        rule.file.error(node.at, f"{who} is {describe(kind)} and cannot be {written(value)}{words}", "type")
        return None
    return c.Change("set", node.path.steps, value=value)


def _holds(kind: c.Type, value: object) -> bool:
    if kind.name == "enum":
        return value in kind.values
    if kind.name in TEXTS:
        return isinstance(value, str)
    if kind.name == "boolean":
        return isinstance(value, bool)
    if kind.name == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    return kind.name == "number" and not isinstance(value, bool | str)


# ---------------------------------------------------------------- order


@dataclass(frozen=True)
class _Placed:
    rule: c.Rule
    place: int
    file: File
    at: s.Span

    @property
    def path(self) -> Steps:
        return self.rule.changes[self.place].path


class _Shelf:
    """The changes of one argument by the plain beginning of each tool pattern.

    Two patterns share a tool only where one's plain beginning begins the other's, so that a policy
    with many tools does not compare all pairs.
    """

    def __init__(self) -> None:
        self.beginnings: list[str] = []
        self.changes: dict[str, list[tuple[c.ToolPattern, _Placed]]] = {}

    def near(self, beginning: str) -> Iterator[tuple[c.ToolPattern, _Placed]]:
        """Return the changes whose patterns may share a tool with one of this beginning."""
        for length in range(len(beginning)):
            yield from self.changes.get(beginning[:length], ())
        for found in self.beginnings[bisect_left(self.beginnings, beginning) :]:
            if not found.startswith(beginning):
                break
            yield from self.changes[found]

    def put(self, beginning: str, pattern: c.ToolPattern, change: _Placed) -> None:
        """Add a change."""
        if beginning not in self.changes:
            insort(self.beginnings, beginning)
            self.changes[beginning] = []
        self.changes[beginning].append((pattern, change))


def check_order(rules: list[tuple[c.Rule, File, tuple[s.Span, ...]]], tools: Tools) -> None:
    """Say where two changes that are not redactions may meet. `rules` come with the places of their changes."""
    shelves: dict[str | int | s.Each, _Shelf] = {}
    clashes: dict[tuple[str, int, str, int], tuple[_Placed, _Placed]] = {}

    def meet(one: _Placed, other: _Placed) -> None:
        if _overlap(one.path, other.path):
            clashes.setdefault((one.rule.id, one.place, other.rule.id, other.place), (one, other))

    for rule, file, places in rules:
        if len(clashes) >= CLASHES_MAX:
            break
        own = [
            _Placed(rule, place, file, places[place])
            for place, change in enumerate(rule.changes)
            if change.kind != "redact"
        ]
        for i, one in enumerate(own):
            for other in own[:i]:
                meet(one, other)
        for pattern in rule.tools if own else ():
            beginning = _beginning(pattern)
            for one in own:
                for other_pattern, other in shelves.setdefault(one.path[0], _Shelf()).near(beginning):
                    if other.rule is not rule and tools.overlap(pattern, other_pattern):
                        meet(one, other)
        for pattern in rule.tools:
            for one in own:
                shelves[one.path[0]].put(_beginning(pattern), pattern, one)
    for later, earlier in clashes.values():
        with_whom = "this rule" if later.rule is earlier.rule else f"`{earlier.rule.id}`"
        later.file.error(
            later.at,
            f"`{spell(later.path)}` is also changed by {with_whom} at {earlier.file.place(earlier.at, later.file)},"
            " and the order of two changes must not matter; keep one of them",
            "order",
        )


def _beginning(pattern: c.ToolPattern) -> str:
    """Return the characters with which every tool begins that a pattern fits."""
    if pattern.kind == "name":
        return pattern.value
    return glob_beginning(pattern.value) if pattern.kind == "glob" else ""


def _overlap(one: Steps, other: Steps) -> bool:
    """Tell whether one path may lie on or in the other; `[*]` meets every index."""
    for a, b in zip(one, other, strict=False):
        if isinstance(a, str) != isinstance(b, str):
            return False
        if a != b and not isinstance(a, s.Each) and not isinstance(b, s.Each):
            return False
    return True
