"""Recorded calls decided again: the engine without its lock, its recorder and its clock, told what really happened.

What `Engine.decide`, `ran` and an ending do to a session and a ledger, `Rerun.decide` and `Rerun.happened` do too; a
test holds the two against each other. Every time is handed in. Pure.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal

from ..contract import Decision, Effect, Ending, Fault, Request
from ..native.forms import Form
from ..native.passage import Forms, Passage
from .checked import CheckedPolicy, From, ResultRule, Rule, Tool
from .decide import ENTRY, decide_admitted
from .evaluators import EVALUATORS, Evaluator, Native
from .forms import CALL
from .ledger import Ledger
from .results import pass_on
from .session import CALLS_MAX, Call, Session, Told, clean
from .wording import tests_of

ALLOW, MODIFY, STEP_UP, DEFER, BLOCK = Effect
COMPLETED, FAILED, CANCELLED = Ending.COMPLETED, Ending.FAILED, Ending.CANCELLED
NO_LABELS: Final[frozenset[str]] = frozenset()


class Kind:
    """What one tool means to a session, the same for all its calls: classes, labels, if its result is looked at."""

    __slots__ = ("atomic", "classes", "labels", "looked_at", "name", "pending", "plain", "tool")

    def __init__(self, name: str, tool: Tool | None, by_rules: frozenset[str], rules: bool) -> None:
        self.name = name
        yields = () if tool is None else tool.yields
        self.tool = tool
        self.classes = None if tool is None else tool.classes
        self.labels = frozenset([one.label for one in yields if one.pattern is None])
        self.pending = (by_rules | {one.label for one in yields if one.pattern is not None}) - self.labels
        self.atomic = tool is not None and tool.atomic
        self.looked_at = rules or any(one.pattern is not None for one in yields)
        self.plain = not self.looked_at


DECIDED: Final = Form(
    Decision,
    (
        "effect", "verdict", "by", "reason_code", "rules", "would_be", "trial", "reservations", "violation", "problem",
    ),
)  # fmt: skip
OPENED: Final = Form(Session, ("calls", "counted", "blocks", "labels"))
MEANT: Final = Form(Kind, ("name", "classes", "labels", "pending", "plain"))


class Rerun:
    """Decides recorded calls under one policy; who runs it keeps sessions and ledgers."""

    def __init__(self, policy: CheckedPolicy, evaluator: Literal["native", "reference"] = "native") -> None:
        """Lay a checked policy out."""
        self.policy = policy
        self.evaluator: Evaluator = EVALUATORS[evaluator](policy)
        self.windows = self.evaluator.windows
        self.kinds: dict[tuple[str, str | None], Kind] = {}
        every: list[Rule | ResultRule] = [*policy.rules, *policy.result_rules]
        tests = [test for rule in every for test in (*tests_of(rule.when), *tests_of(rule.unless))]
        self._remembers = any(isinstance(test.predicate, From) and test.predicate.source == "tool" for test in tests)
        decide = self.evaluator.decide
        self.decided: Callable[..., Decision] = decide
        if isinstance(self.evaluator, Native):
            self.decided = partial(decide_admitted, self.evaluator.table)

    def passage(self, recorded: type[Any]) -> Passage | None:
        """Return what goes through plain calls of a recording faster than one by one; None where nothing does."""
        if not isinstance(self.evaluator, Native):
            return None
        asked = (
            "tool_name", "ts", "request", "suite", "agent_id", "kind", "was", "result", "whole", "executed", "ended",
            "tool_error",
        )  # fmt: skip
        forms = Forms(Form(recorded, asked), DECIDED, OPENED, CALL, MEANT)
        remember = self.completed if self._remembers else None
        return Passage(
            forms, ENTRY, self.evaluator.table, self.kinds, ALLOW, BLOCK, COMPLETED, remember, CALLS_MAX
        )  # fmt: skip

    def session(self, id: str, at: float, tenant: str | None, prompt: str | None, begun: bool = True) -> Session:
        """Return a session that opens now, in which the user has said what was asked for."""
        session = Session(id, at, begun, tenant, provenance_bytes=self.policy.bounds.provenance_bytes)
        if prompt is not None:
            session.said(prompt)
        return session

    def kind_of(self, request: Request) -> Kind:
        """Return what the tool of a request means to a session."""
        key = (request.tool_name, request.environment)
        kind = self.kinds.get(key)
        if kind is None:
            tool, labels = self.evaluator.tool_of(request), self.evaluator.result_labels(request)
            kind = self.kinds[key] = Kind(request.tool_name, tool, labels, bool(self.policy.result_rules))
        return kind

    def decide(
        self, request: Request | Fault, session: Session | None, ledger: Ledger, now: float, id: str = ""
    ) -> Decision:
        """Decide one admitted request, and count what the decision itself counts.

        `id` names what is reserved: no two decisions that reserve from one ledger may share it.
        """
        decision = self.decided(request, session=session, ledger=ledger, now=now, approval=None, id=id)
        if decision.reservations or decision.violation is not None:
            self.counted(decision, ledger)
        return decision

    def counted(self, decision: Decision, ledger: Ledger) -> None:
        """Take in what a decision itself counts: its violation, and what it reserves."""
        if decision.violation is not None:
            ledger.violate(decision.violation, decision.now, self.policy.ladder.same_s)
        for reservation in decision.reservations:
            ledger.reserve(reservation, decision.now, decision.id, self.windows[reservation.limit])

    def happened(
        self,
        decision: Decision,
        session: Session,
        ledger: Ledger,
        *,
        executed: bool,
        ended: bool = True,
        failed: bool = False,
        result: str | None = None,
        whole: bool = True,
        brought: frozenset[str] = NO_LABELS,
    ) -> None:
        """Take in what really happened to a call, whatever was decided. One let through that did not run was cancelled.

        `result` is its text or a part of it, None where it was not told; then `brought` are the labels that it brought.
        """
        request = decision.request
        effect = decision.effect
        if effect is BLOCK:
            session.blocked()
        if request is None:
            return
        if not executed and effect is not ALLOW and effect is not MODIFY:
            if effect is STEP_UP:
                for reservation in decision.reservations:
                    ledger.give_back(reservation, decision.id)
            return
        kind = self.kinds.get((request.tool_name, request.environment)) or self.kind_of(request)
        call = Call(decision.id, request.tool_name, kind.classes, decision.now, pending=kind.pending)
        session.let_through(call, kind.labels)
        if not ended:
            return
        if not executed:
            session.ended(call, CANCELLED, None, NO_LABELS)
            return
        ending = FAILED if failed else COMPLETED
        labels = kind.labels
        if result is None:
            session.ended(call, ending, None, NO_LABELS)
            if brought:
                session.labels |= brought
                call.pending = NO_LABELS
        else:
            if kind.looked_at:
                labels = self._passed(decision, request, kind, session, result)
            session.ended(call, ending, result, labels, whole)
        if failed and kind.atomic:
            for reservation in decision.reservations:
                ledger.give_back(reservation, decision.id)

    def completed(self, id: str, kind: Kind, session: Session, at: float, text: str, whole: bool) -> None:
        """Take in a call that completed, as `let_through` and `ended` do, in one step, but for digests.

        Only for a `plain` kind, with room in the session. What was returned is kept only where a rule asks for it.
        """
        session.counted += 1
        pending = NO_LABELS if whole else kind.pending
        values = (id, kind.name, kind.classes, at, COMPLETED, whole, pending, session.counted)
        session.calls.append(CALL.fill(values))
        if kind.labels:
            session.labels |= kind.labels
        if not self._remembers:
            return
        if session.remembered_bytes + len(text) > session.provenance_bytes:
            session.results_cut = True
            return
        session.remembered_bytes += len(text)
        if text:
            session.results.append(Told(kind.name, kind.classes, clean(text)))

    def declares(self, tool: str, environment: str | None) -> bool:
        """Say whether the policy declares a tool, where it was called."""
        return self.declaration(tool, environment) is not None

    def declaration(self, tool: object, environment: str | None) -> Tool | None:
        """Return how the policy declares a tool, where it was called; None where it does not."""
        if not isinstance(tool, str) or not tool:
            return None
        return self.evaluator.tool_of(Request(tool_name=tool, environment=environment))

    def _passed(self, decision: Decision, request: Request, kind: Kind, session: Session, text: str) -> frozenset[str]:
        """Return the labels that a result brings for certain; those that it may bring are doubtful from now on."""
        args: dict[str, Any] = decision.args or {}
        rules = self.evaluator.on_result(request, args, text, session, decision.now)
        passed = pass_on(text, text, kind.tool, rules, self.policy.bounds.scan_chars, self.evaluator.spans)
        session.doubtful |= passed.perhaps
        return passed.labels
