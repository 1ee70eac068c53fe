"""What each condition of a decision came to, and the value that it saw: for explanations and coverage.

Explaining asks the table that decided; the reference's reading serves the reference, and tells what value
a condition looked at.
"""

from datetime import UTC, datetime
from typing import Any

from ..contract import Effect, Request
from ..native.names import nfc
from ..native.table import Walk
from . import reference_conditions, reference_facts
from .call import Call
from .checked import (
    AllOf,
    CheckedPolicy,
    Condition,
    Has,
    InHours,
    InIntent,
    InScope,
    Listing,
    Rule,
    Test,
    ToolFits,
)
from .compile import DecisionTable
from .reference_binding import bind
from .reference_values import ABSENT, UNKNOWN, Named, Range, Truth, Word, all_of, any_of
from .session import Session
from .toolsets import ToolSet


class Witness:
    """What each condition of a decision came to: asks the decision's facts once more."""

    def __init__(self, policy: CheckedPolicy, request: Request, session: Session | None, now: float, risk: int) -> None:
        """Bind the request as the decision did."""
        self.facts = reference_facts.Facts(policy, request, bind(policy, request), session, now, risk)

    def truth(self, test: Test) -> Truth:
        """Return what a test came to."""
        return reference_conditions.holds(test, self.facts)

    def holds(self, condition: Condition) -> Truth:
        """Return what a condition came to, in Kleene's three values."""
        if isinstance(condition, Test):
            return self.truth(condition)
        parts = [self.holds(part) for part in condition.parts]
        return all_of(parts) if isinstance(condition, AllOf) else any_of(parts)

    def applies(self, rule: Rule) -> bool:
        """Return whether a rule applies: an allow needs proof, anything else only doubt, an excuse proof."""
        when = all_of([self.truth(Test(ToolFits(rule.tools))), self.holds(rule.when)])
        unless = self.holds(rule.unless)
        if rule.effect is Effect.ALLOW:
            return when is True and unless is False
        return when is not False and unless is not True

    def shown(self, test: Test) -> str:
        """Return the value that a test saw, as JSON or as a word where there is none."""
        match test.predicate:
            case ToolFits() | InScope() | InIntent():
                return show(self.facts.request.tool_name)
            case Has(argument):
                return show(self.facts.argument(argument.steps))
            case InHours():
                return datetime.fromtimestamp(self.facts.now, UTC).strftime("%a %Y-%m-%d %H:%M UTC")
        left: Any = test.predicate.left
        if isinstance(left, Listing):
            return self._listing(left.name)
        return show(reference_conditions.read(left, self.facts))

    def _listing(self, name: str) -> str:
        session, tool = self.facts.session, self.facts.bound.tool
        if name == "class":
            return "unknown" if tool is None else ", ".join(sorted(tool.classes)) or "none"
        if session is None:
            return "unknown"
        perhaps = [f"{label} (perhaps)" for label in sorted(session.uncertain_labels())]
        return ", ".join([*sorted(session.labels), *perhaps]) or ("none" if session.begun else "unknown")


class TableWitness(Witness):
    """The same from the table: a test comes to what its column answers, as it did when the call was decided."""

    def __init__(self, table: DecisionTable, request: Request, session: Session | None, now: float, risk: int) -> None:
        """Bind the request as the decision did."""
        super().__init__(table.policy, request, session, now, risk)
        name = nfc(request.tool_name)
        binding = table.declarations.bind(name, request.environment, request.tool_args)
        self.call = Call(table.knowledge, request, name, binding, session, now)
        self.call.risk = risk
        self.table, self.walk = table, Walk(table.table, self.call)

    def truth(self, test: Test) -> Truth:
        """Return what a test came to; whether a tool fits is asked of the call, for the table has it in its index."""
        place = self.table.columns.place_of(test)
        if place is not None:
            return self.walk.truth(*place)
        assert isinstance(test.predicate, ToolFits), test
        declared = self.call.declared
        return ToolSet(test.predicate.tools).fits(self.call.name, None if declared is None else declared.tool.classes)


def show(value: Any) -> str:
    """Return a value as a person would read it, cut to 80 characters."""
    text = _show(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _show(value: Any) -> str:
    if value is ABSENT:
        return "not carried"
    if value is UNKNOWN:
        return "unknown"
    if isinstance(value, list):
        return f"[{', '.join(_show(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{len(value)} members}}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Range):
        low, high = _show(value.low), _show(value.high)
        return low if value.low == value.high else f"between {low} and {high}"
    if isinstance(value, Named | Word):
        value = value.text
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if value == float("inf"):
        return "any number"
    return f"{float(value):g}" if getattr(value, "denominator", 1) != 1 else f"{int(value)}"
