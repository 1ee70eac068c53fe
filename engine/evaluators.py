"""The two evaluators behind one face: the table, which answers, and the reference, which says what it means."""

from typing import Any, Final, Protocol

from ..contract import Approval, Decision, Fault, Request, admit
from ..native.names import nfc
from ..native.scan import Scan
from . import compile as table
from . import decide as pdp
from . import reference, reference_facts
from .checked import (
    CheckedPolicy,
    Pattern,
    ResultRule,
    Tool,
)
from .columns import scan_of
from .ledger import Ledger
from .reference_binding import Bound, declaration
from .reference_values import spans
from .session import Session
from .toolsets import ToolSet
from .witness import TableWitness, Witness


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

    def witness(self, request: Request, session: Session | None, now: float, risk: int) -> Witness: ...


class Reference:
    """The reference evaluator."""

    def __init__(self, policy: CheckedPolicy) -> None:
        """Take the policy as it is; nothing is laid out."""
        self.policy = policy
        self.windows = windows_of(policy)

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

    def witness(self, request: Request, session: Session | None, now: float, risk: int) -> Witness:
        """Return who says what each condition came to."""
        return Witness(self.policy, request, session, now, risk)


class Native:
    """The decision table."""

    def __init__(self, policy: CheckedPolicy) -> None:
        """Lay the policy out."""
        self.take(table.compile(policy))
        self.windows = windows_of(policy)

    @classmethod
    def over(cls, laid_out: table.DecisionTable, windows: dict[str, int] | None = None) -> "Native":
        """Return the evaluator of a table that is laid out already; who has its limits' windows hands them in."""
        native = cls.__new__(cls)
        native.take(laid_out)
        native.windows = windows_of(laid_out.policy) if windows is None else windows
        return native

    def take(self, laid_out: table.DecisionTable) -> None:
        policy = laid_out.policy
        self.table = laid_out
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

    def witness(self, request: Request, session: Session | None, now: float, risk: int) -> Witness:
        """Return who says what each condition came to."""
        return TableWitness(self.table, request, session, now, risk)


def windows_of(policy: CheckedPolicy) -> dict[str, int]:
    """Return for how many seconds back each limit counts, by rule id."""
    return {rule.id: rule.limit.window_s for rule in policy.rules if rule.limit is not None}


EVALUATORS: Final[dict[str, type[Any]]] = {"reference": Reference, "native": Native}
