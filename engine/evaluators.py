"""The two evaluators behind one face: the table, which answers, and the reference, which says what it means."""

from datetime import UTC, datetime
from typing import Any, Final, Protocol

from ..contract import Approval, Decision, Fault, Request, admit
from ..native.names import nfc
from ..native.scan import Scan
from . import compile as table
from . import decide as pdp
from . import reference, reference_conditions, reference_facts
from .checked import (
    CheckedPolicy,
    Has,
    InHours,
    InIntent,
    InScope,
    Listing,
    Pattern,
    ResultRule,
    Rule,
    Test,
    Tool,
    ToolFits,
)
from .columns import scan_of
from .ledger import Ledger
from .reference_binding import Bound, bind, declaration
from .reference_values import ABSENT, UNKNOWN, Named, Range, Truth, Word, spans
from .session import Session
from .toolsets import ToolSet


class Evaluator(Protocol):
    """What `embed` and `explain` need of an evaluator. `windows` maps limit ids to seconds."""

    windows: dict[str, int]

    def admit(self, given: object) -> Request | Fault: ...

    def decide(
        self,
        request: Request | Fault,
        *,
        session: Session | None,
        ledger: Ledger | None,
        now: float,
        approval: Approval | None,
        id: str,
    ) -> Decision: ...

    def on_result(
        self, request: Request, args: dict[str, Any], result: str, session: Session | None, now: float
    ) -> list[ResultRule]: ...

    def tool_of(self, request: Request) -> Tool | None: ...

    def result_labels(self, request: Request) -> frozenset[str]: ...

    def spans(self, pattern: Pattern, text: str) -> list[tuple[int, int]]: ...


class Reference:
    """The reference evaluator."""

    def __init__(self, policy: CheckedPolicy) -> None:
        """Take the policy as it is; nothing is laid out."""
        self.policy = policy
        self.windows = {rule.id: rule.limit.window_s for rule in policy.rules if rule.limit is not None}

    def admit(self, given: object) -> Request | Fault:
        """Return a request of plain values, or why it is none."""
        return admit(given)

    def decide(
        self,
        request: Request | Fault,
        *,
        session: Session | None,
        ledger: Ledger | None,
        now: float,
        approval: Approval | None,
        id: str,
    ) -> Decision:
        """Decide by walking the policy."""
        return reference.decide_admitted(
            self.policy, request, session=session, ledger=ledger, now=now, approval=approval, id=id
        )

    def on_result(
        self, request: Request, args: dict[str, Any], result: str, session: Session | None, now: float
    ) -> list[ResultRule]:
        """Return the result rules that apply."""
        return reference.on_result(self.policy, request, args, result, session, now)

    def tool_of(self, request: Request) -> Tool | None:
        """Return the declaration that holds for a request."""
        return declaration(self.policy, request)[0]

    def result_labels(self, request: Request) -> frozenset[str]:
        """Return the labels that a result of this call may bring by a result rule."""
        facts = reference_facts.Facts(self.policy, request, Bound(self.tool_of(request), {}, {}), None, 0.0)
        rules = [rule for rule in self.policy.result_rules if rule.action == "label"]
        return frozenset(rule.label for rule in rules if facts.tool_fits(rule.tools) is not False)

    def spans(self, pattern: Pattern, text: str) -> list[tuple[int, int]]:
        """Return where a pattern or detector is found."""
        return spans(pattern, text)


class Native:
    """The decision table."""

    def __init__(self, policy: CheckedPolicy) -> None:
        """Lay the policy out."""
        self.table: Final = table.compile(policy)
        self.windows = {rule.id: rule.limit.window_s for rule in policy.rules if rule.limit is not None}
        self._find = self.table.declarations.find
        self._labelling = [(rule.label, ToolSet(rule.tools)) for rule in policy.result_rules if rule.action == "label"]
        self._scans: dict[Pattern, Scan] = {}

    admit = staticmethod(pdp.admitted)

    def decide(
        self,
        request: Request | Fault,
        *,
        session: Session | None,
        ledger: Ledger | None,
        now: float,
        approval: Approval | None,
        id: str,
    ) -> Decision:
        """Decide by the table."""
        return pdp.decide_admitted(
            self.table, request, session=session, ledger=ledger, now=now, approval=approval, id=id
        )

    def on_result(
        self, request: Request, args: dict[str, Any], result: str, session: Session | None, now: float
    ) -> list[ResultRule]:
        """Return the result rules that apply."""
        return pdp.on_result(self.table, request, args, result, session, now)

    def tool_of(self, request: Request) -> Tool | None:
        """Return the declaration that holds for a request."""
        declared = self._find(nfc(request.tool_name), request.environment)[0]
        return None if declared is None else declared.tool

    def result_labels(self, request: Request) -> frozenset[str]:
        """Return the labels that a result of this call may bring by a result rule."""
        if not self._labelling:
            return frozenset()
        tool, name = self.tool_of(request), nfc(request.tool_name)
        classes = None if tool is None else tool.classes
        return frozenset(label for label, tools in self._labelling if tools.fits(name, classes) is not False)

    def spans(self, pattern: Pattern, text: str) -> list[tuple[int, int]]:
        """Return where a pattern or detector is found."""
        if pattern not in self._scans:
            self._scans[pattern] = scan_of(pattern)
        return self._scans[pattern].spans(text)


class Witness:
    """What each condition of a decision came to: reads the decision's facts once more, in the reference's words."""

    def __init__(self, policy: CheckedPolicy, request: Request, session: Session | None, now: float, risk: int) -> None:
        """Bind the request as the decision did."""
        self.facts = reference_facts.Facts(policy, request, bind(policy, request), session, now, risk)

    def truth(self, test: Test) -> Truth:
        """Return what a test came to."""
        return reference_conditions.holds(test, self.facts)

    def applies(self, rule: Rule) -> bool:
        """Return whether a rule applies."""
        return reference.applies(rule, self.facts)

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


EVALUATORS: Final[dict[str, type[Any]]] = {"reference": Reference, "native": Native}
