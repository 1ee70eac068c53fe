"""From the rows that hold to the decision: mode, ladder, approval, and who decided.

Rows stand here by their numbers, which order as the rules' ids do.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

from ..contract import (
    STRICTNESS,
    Answer,
    Approval,
    Ask,
    By,
    Counter,
    Decision,
    Effect,
    Mode,
    Request,
    Reservation,
    Violation,
    call_digest,
)
from ..contract.decision import RULES_SHOWN_MAX, USER
from ..native.names import nfc
from ..native.values import UNKNOWN
from .binding import Binding
from .call import Call
from .checked import Rule
from .compile import DecisionTable
from .forms import DECISION
from .ledger import Ledger
from .outcomes import LADDER_FLOORS, LADDER_REASONS, MODE_ASKS, MODE_HOLD_S, MODE_OUTCOMES, RULE_REASONS
from .session import Session

# Names of their own: a member is looked up faster here than in its class.
ALLOW, MODIFY, STEP_UP, DEFER, BLOCK = Effect
BY_ERROR, BY_ARGUMENTS, BY_APPROVAL, BY_RULE, BY_LIMIT, BY_MODE, BY_DEFAULT = By
PROGRESSIVE: Final = Mode.PROGRESSIVE
OF_LADDER: Final = frozenset({Mode.PROGRESSIVE})
OF_STEP_UP: Final = frozenset({Mode.PROGRESSIVE, Mode.STEP_UP})


class Judgement:
    """What the rows say about one set of arguments: those that hold, by what becomes of them."""

    __slots__ = ("allowing", "binding", "call", "counters", "exceeded", "limits", "modifying", "rules", "trial")

    def __init__(self, call: Call, binding: Binding) -> None:
        self.call = call
        self.binding = binding
        self.allowing: set[int] = set()
        self.rules: set[int] = set()
        self.modifying: set[int] = set()
        self.exceeded: set[int] = set()
        self.limits: list[Reservation | None] = []
        self.counters: list[Counter] = []
        self.trial: set[str] = set()


class Assembly:
    """One decision in the making."""

    __slots__ = (
        "allowing", "approval", "args", "counters", "failed", "first", "id", "last", "ledger", "limits", "modes", "now",
        "observing", "posture", "problem", "request", "risk", "rules", "session", "table", "trial",
    )  # fmt: skip

    def __init__(
        self,
        table: DecisionTable,
        request: Request,
        session: Session | None,
        ledger: Ledger | None,
        now: float,
        approval: Approval | None,
        id: str,
        first: Judgement,
    ) -> None:
        self.table, self.request, self.session, self.ledger = table, request, session, ledger
        self.now, self.approval, self.id = now, approval, id
        self.posture = table.posture(request.enforcement_mode)
        self.modes = self.posture.modes
        self.observing = self.posture.observing
        self.first = self.last = first
        self.allowing, self.rules, self.limits = first.allowing, first.rules, first.exceeded
        self.trial, self.risk = first.trial, first.call.risk
        self.counters = first.counters
        self.args = first.binding.args
        self.problem = first.binding.problem
        self.failed = ""

    def judge_again(self, second: Judgement, args: dict[str, Any]) -> None:
        """Take in what the rows but `modify` say of the changed arguments: what runs was judged (law 8)."""
        self.last = second
        self.problem = second.binding.problem
        self.rules = self.rules | (second.rules - second.modifying)
        self.limits = self.limits | second.exceeded
        self.trial = self.trial | second.trial
        self.counters = list(dict.fromkeys([*self.counters, *second.counters]))
        self.risk = max(self.risk, second.call.risk)
        if not second.allowing:
            self.allowing = set()
        if not self.observing:
            self.args = args

    def decision(self) -> Decision:
        table, first, session = self.table, self.first, self.session
        bound_args = first.binding.args
        base = ALLOW if self.allowing or table.policy.default == ALLOW else BLOCK
        ladder_step, violation = ALLOW, None
        if base is BLOCK and PROGRESSIVE in self.modes:
            ladder_step, violation = self.ladder()
        soft = self.soft(base, ladder_step)
        granted: set[str] = set()
        refused = call = ""
        rules, limits = self.rules, self.limits
        if self.approval is not None:
            call = self.call()
            granted, refused = self.approved(self.approval, call, soft)
            rules, limits = self.unanswered(rules, granted), self.unanswered(limits, granted)
            if soft is STEP_UP and MODE_ASKS in granted:
                soft = ALLOW
        asking = rules | limits if limits else rules
        asked = self.strictest(asking)
        if self.problem or self.failed or refused:
            asked = BLOCK
        verdict = stricter(base, asked)
        effect = ALLOW if self.observing else stricter(soft, asked)

        # The parts that every decision has are worked out here, the parts that few have only for these.
        by = self.decided_by(effect, verdict, base, soft, refused, bool(granted), rules, limits)
        winning = self.allowing if effect is ALLOW else set() if self.observing else self.of_effect(asking, effect)
        losing: tuple[str, ...] = ()
        if verdict is not effect:
            losing = self.ids(sorted(self.allowing if verdict is ALLOW else self.of_effect(asking, verdict)))
        won = [table.rows[number].rule for number in sorted(winning)] if winning else []
        modified = self.args is not bound_args and effect is not BLOCK
        asks: tuple[Ask, ...] = ()
        hold_s = retry_after_s = None
        if effect is STEP_UP:
            asks, hold_s = self.asks(asking, soft), self.hold_s(asking, soft)
            call = call or self.call()
        elif effect is DEFER:
            retry_after_s = max((rule.retry_after_s for rule in won if rule.retry_after_s is not None), default=None)
        approval = ""
        if granted and self.approval is not None and (effect is ALLOW or effect is MODIFY):
            approval = self.approval.id
        made: Decision = DECISION.fill(
            (
                self.id,
                effect,
                verdict,
                by,
                self.reason(by, effect, won, refused),
                table.policy.digest,
                self.request,
                self.now,
                self.posture.mode,
                tuple([rule.id for rule in won[:RULES_SHOWN_MAX]]) if won else (),
                max(0, len(won) - RULES_SHOWN_MAX) if won else 0,
                losing,
                tuple(sorted(self.trial)) if self.trial else (),
                self.risk,
                self.args if modified else bound_args,
                modified,
                first.binding.lenient,
                asks,
                hold_s,
                retry_after_s,
                tuple([(rule.id, rule.tell) for rule in won if rule.tell]) if won else (),
                tuple(sorted({control for rule in won for control in rule.controls})) if won else (),
                table.policy.regimes,
                self.reservations(effect) if first.limits or self.last.limits else (),
                violation,
                call,
                approval,
                self.problem or self.failed,
                None if session is None else session.id,
                True if session is None else session.begun,
                0.0 if session is None else session.opened_at,
                b"" if session is None else session.digest,
                b"" if session is None else session.speaker().said_digest,
                tuple(self.counters),
                self.approval,
                None,
            )
        )
        return made

    # ------------------------------------------------------------ rows by what they ask

    def ids(self, numbers: list[int]) -> tuple[str, ...]:
        return tuple([self.table.rows[number].rule.id for number in numbers[:RULES_SHOWN_MAX]])

    def of_effect(self, numbers: Iterable[int], effect: Effect) -> set[int]:
        rows = self.table.rows
        return {number for number in numbers if rows[number].asks is effect}

    def strictest(self, numbers: Iterable[int]) -> Effect:
        found = ALLOW
        rows = self.table.rows
        for number in numbers:
            asks = rows[number].asks
            if asks is not None and STRICTNESS[asks] > STRICTNESS[found]:
                found = asks
        return found

    def unanswered(self, numbers: set[int], granted: set[str]) -> set[int]:
        rows = self.table.rows
        return {n for n in numbers if rows[n].rule.id not in granted or rows[n].asks is not STEP_UP}

    def reservations(self, effect: Effect) -> tuple[Reservation, ...]:
        """Return what the call takes from its limits, as the arguments stand that run; a refused one takes nothing."""
        if effect is BLOCK or effect is DEFER:
            return ()
        modified = self.args is not self.first.binding.args
        limits = self.last.limits if modified else self.first.limits
        return tuple([reservation for reservation in limits if reservation is not None])

    # ------------------------------------------------------------ mode

    def soft(self, base: Effect, ladder_step: Effect) -> Effect:
        """Return what the mode makes of the base: only a BLOCK because nothing allows is soft."""
        if base is ALLOW:
            return ALLOW
        outcome = ALLOW
        for mode in self.modes:
            outcome = stricter(outcome, ladder_step if mode is PROGRESSIVE else MODE_OUTCOMES[mode])
        return BLOCK if outcome is STEP_UP and not self.table.policy.approvers else outcome

    def ladder(self) -> tuple[Effect, Violation | None]:
        """Return the ladder's step for this violation, and the violation to be counted."""
        call, ladder = self.first.call, self.table.policy.ladder
        principal = (call.text("tenant"), call.text("agent"), call.text("user"))
        if self.ledger is None or UNKNOWN in principal:
            return BLOCK, None
        held = self.ledger.violated(principal, self.now - ladder.window_s)
        if held is None:
            self.counters = [*self.counters, Counter(MODE_ASKS, "", None)]
            return BLOCK, None
        text = json.dumps([self.request.tool_name, self.args], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        place = len(held)
        for earlier, (at, violation) in enumerate(held):
            if violation == digest and self.now - at <= ladder.same_s:
                place = earlier
                break
        self.counters = [*self.counters, Counter(MODE_ASKS, "", place)]
        step = ladder.steps[place] if place < len(ladder.steps) else ladder.steps[-1]
        declared = call.declared
        floor = LADDER_FLOORS.get("high" if declared is None else declared.tool.risk, ALLOW)
        return stricter(step, floor), Violation(principal, digest)

    # ------------------------------------------------------------ approval

    def call(self) -> str:
        session_id = None if self.session is None else self.session.id
        return call_digest(self.request, self.args, session_id, self.table.policy.digest)

    def approved(self, approval: Approval, call: str, soft: Effect) -> tuple[set[str], str]:
        """Return the sources whose question the approval answers with yes, or the code that refuses it."""
        if approval.call != call or self.ledger is None or self.ledger.is_used(approval.id) is not False:
            return set(), "approval_invalid"
        if self.now >= approval.expires:
            return set(), "approval_expired"
        granted: set[str] = set()
        for ask in self.asks(self.rules | self.limits, soft):
            answers = [answer for answer in approval.answers if self.counts(answer, ask)]
            if not all(answer.granted for answer in answers):
                return set(), "approval_denied"
            if names_answered(answers) >= ask.quorum:
                granted.add(ask.source)
        return granted, ""

    def counts(self, answer: Answer, ask: Ask) -> bool:
        """Say whether an answer is to this question and from somebody who may give it: never the agent that asked."""
        if answer.source != ask.source or answer.approver not in ask.approvers or not answer.principal:
            return False
        if self.request.agent_id == "" or not isinstance(self.request.agent_id, str):
            return False  # anybody could be the agent that asked
        if self.request.user_id == "" or not isinstance(self.request.user_id, str):
            return False  # anybody could be its user
        person = nfc(answer.principal)
        if person == nfc(self.request.agent_id):
            return False
        return (answer.approver == USER) == (person == nfc(self.request.user_id))

    def asks(self, numbers: Iterable[int], soft: Effect) -> tuple[Ask, ...]:
        """Return everybody who is asked, by the source that asks."""
        rows = [self.table.rows[number].rule for number in self.of_effect(numbers, STEP_UP)]
        asks = [Ask(rule.id, rule.ask.approvers, rule.ask.quorum) for rule in rows]
        if soft is STEP_UP:
            asks.append(Ask(MODE_ASKS, self.table.policy.approvers, 1))
        return tuple(sorted(asks, key=lambda ask: ask.source))

    def hold_s(self, numbers: Iterable[int], soft: Effect) -> int:
        times = [self.table.rows[number].rule.within_s for number in self.of_effect(numbers, STEP_UP)]
        return min([*times, MODE_HOLD_S] if soft is STEP_UP else times)

    # ------------------------------------------------------------ who decided, and why

    def decided_by(
        self,
        effect: Effect,
        verdict: Effect,
        base: Effect,
        soft: Effect,
        refused: str,
        granted: bool,
        rules: set[int],
        limits: set[int],
    ) -> By:
        """Return the first of those that ask for what is enforced."""
        if self.observing:
            return BY_RULE if self.allowing else BY_MODE if verdict is not ALLOW else BY_DEFAULT
        if effect is BLOCK:
            if self.failed:
                return BY_ERROR
            if self.problem:
                return BY_ARGUMENTS
            if refused:
                return BY_APPROVAL
        elif granted and (effect is ALLOW or effect is MODIFY):
            return BY_APPROVAL
        if effect is ALLOW:
            if self.allowing:
                return BY_RULE
        elif self.of_effect(rules, effect):
            return BY_RULE
        elif self.of_effect(limits, effect):
            return BY_LIMIT
        softening = OF_LADDER if effect is ALLOW or effect is BLOCK else OF_STEP_UP
        return BY_MODE if base is BLOCK and soft is effect and self.modes & softening else BY_DEFAULT

    def reason(self, by: By, effect: Effect, rules: list[Rule], refused: str) -> str:
        if by is BY_RULE or by is BY_LIMIT:
            for rule in rules:
                if rule.code:
                    return rule.code
            if by is BY_LIMIT:
                return "limit_exceeded"
            if effect is BLOCK and all(rule.effect == STEP_UP for rule in rules):
                return "approver_missing"
            return RULE_REASONS[effect]
        if by is BY_DEFAULT:
            if effect is ALLOW:
                return "allowed_by_default"
            return self.first.call.default_reason()
        if by is BY_MODE:
            if self.observing:
                return "mode_observe"
            return LADDER_REASONS[effect] if PROGRESSIVE in self.modes else "mode_step_up"
        if by is BY_APPROVAL:
            return refused or "approval_granted"
        return "arguments_invalid" if by is BY_ARGUMENTS else "modification_failed"


def stricter(one: Effect, other: Effect) -> Effect:
    """Return the stricter of two effects."""
    return other if STRICTNESS[other] > STRICTNESS[one] else one


def names_answered(answers: list[Answer]) -> int:
    """Count the most approvers' names that distinct people have answered for: a greatest matching of both."""
    names: dict[str, list[str]] = {}
    for answer in answers:
        names.setdefault(nfc(answer.principal), []).append(answer.approver)
    held: dict[str, str] = {}

    def place(person: str, tried: set[str]) -> bool:
        for name in names[person]:
            if name not in tried:
                tried.add(name)
                if name not in held or place(held[name], tried):
                    held[name] = person
                    return True
        return False

    return sum(place(person, set()) for person in names)
