"""Conditions: names resolved, types compared, `not` pushed down to the tests.

A mistake is noted and a condition that is false stands in its place.
"""

from typing import Final

from ...grammar import syntax as s
from .. import checked as c
from . import operators
from .terms import Rule, tool_patterns

DEPTH_MAX: Final = 64


def condition(rule: Rule, node: s.Condition | None, section: str) -> c.Condition:
    """Return what a rule's `when` or `unless` means; one that is not written never stands in the way."""
    if node is None:
        return c.TRUE if section == "when" else c.FALSE
    return _Reader(rule, section).read(node, flip=False, depth=0)


class _Reader:
    """One pass over the condition of one `when` or `unless`."""

    def __init__(self, rule: Rule, section: str) -> None:
        self.rule = rule
        self.section = section

    def read(self, node: s.Condition, flip: bool, depth: int) -> c.Condition:
        """Return a condition, or its opposite where `flip`."""
        if depth > DEPTH_MAX:
            self.rule.file.error(node.at, f"conditions stand more than {DEPTH_MAX} deep in each other", "limit")
            return c.FALSE
        if isinstance(node, s.Not):
            return self.read(node.part, not flip, depth + 1)
        if isinstance(node, s.And | s.Or):
            parts = [self.read(part, flip, depth + 1) for part in node.parts]
            return joined(parts, every=isinstance(node, s.And) != flip)
        if isinstance(node, s.After):
            count = c.Count("calls", tool_patterns(self.rule.file, self.rule.tools, node.tools))
            return c.Test(c.Compare(count, ">", c.Constant(0)), flip, at=self.rule.place(node.at))
        return self.test(node, flip)

    def test(self, node: s.Test, flip: bool) -> c.Condition:
        """Return one test: of itself negated as written, and turned round once more where `flip`."""
        each = node.each or ""
        if flip and each:
            each = "all" if each == "any" else "any"
        negated = node.negated != flip
        if self._names_risk(node):
            return self._risk(node, flip)
        permits = (self.section == "when") == (negated != (self.rule.effect == "allow"))
        return operators.test(self.rule, node, negated, each, permits)

    @staticmethod
    def _names_risk(node: s.Test) -> bool:
        sides = node.right if isinstance(node.right, tuple) else (node.right,)
        return any(isinstance(side, s.Path) and side.root == "risk" and not side.steps for side in (node.left, *sides))

    def _risk(self, node: s.Test, flip: bool) -> c.Condition:
        """Read the one test on `risk` that keeps law 5: points only ever tighten."""
        rule = self.rule
        operator = "<" if rule.effect == "allow" else ">="
        if rule.effect == "risk":
            rule.file.error(node.at, "a risk rule cannot read `risk`, which it adds to", "risk")
        elif rule.result:
            rule.file.error(node.at, "`risk` belongs to the call, not to its result; leave it out here", "risk")
        elif (
            self.section != "when"
            or flip
            or node.negated
            or node.each
            or node.operator != operator
            or not isinstance(node.left, s.Path)
            or not isinstance(node.right, s.Number)
        ):
            kind = "an allow rule" if rule.effect == "allow" else f"a {rule.effect} rule"
            rule.file.error(
                node.at, f"{kind} may test `risk` only as `risk {operator} N` in its `when`, never under `not`", "risk"
            )
        else:
            threshold = node.right.value
            if threshold == int(threshold) and 0 <= threshold <= 100:
                return c.Test(
                    c.Compare(c.Attribute("risk"), operator, c.Constant(int(threshold))), at=rule.place(node.at)
                )
            rule.file.error(node.right.at, "`risk` is compared with a whole number from 0 to 100", "risk")
        return c.FALSE


def joined(parts: list[c.Condition], every: bool) -> c.Condition:
    """Return the parts joined by `and` (`every`) or `or`, without needless nesting."""
    kind = c.AllOf if every else c.AnyOf
    flat: list[c.Condition] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, kind) else (part,))
    return flat[0] if len(flat) == 1 else kind(tuple(flat))
