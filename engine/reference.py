"""The meaning: one request against one checked policy, the obvious way.

This is the reference Policy Decision Point. It walks the policy rule by rule and condition by
condition and is as slow as that takes; the table is compared with it. Pure: everything a decision
depends on is in its arguments.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ..contract import (
    MODE_NAMES,
    STRICTNESS,
    Answer,
    Approval,
    Ask,
    By,
    Counter,
    Decision,
    Effect,
    Fault,
    Mode,
    Request,
    Reservation,
    Violation,
    admit,
    call_digest,
    strictest,
)
from ..contract.decision import RULES_SHOWN_MAX, USER
from . import checked as c
from .ledger import Ledger
from .reference_binding import Bound, bind
from .reference_changes import CannotChange, change
from .reference_conditions import holds
from .reference_facts import Facts
from .reference_values import (
    UNKNOWN,
    all_of,
    nfc,
    text_of_value,
)
from .session import Session

ALLOW, MODIFY, STEP_UP, DEFER, BLOCK = Effect

# ---------------------------------------------------------------- rules


def live(rule: c.Rule, now: float) -> bool:
    """Say whether a rule has not lapsed."""
    return rule.until is None or now < rule.until


def on_trial(rule: c.Rule, now: float) -> bool:
    return rule.trial and (rule.trial_until is None or now < rule.trial_until)


def applies(rule: c.Rule | c.ResultRule, facts: Facts) -> bool:
    """An allow needs proof, a restriction needs only doubt, an excuse needs proof."""
    when = all_of([facts.tool_fits(rule.tools), holds(rule.when, facts)])
    unless = holds(rule.unless, facts)
    if isinstance(rule, c.Rule) and rule.effect == ALLOW:
        return when is True and unless is False
    return when is not False and unless is not True


def effect_of(rule: c.Rule) -> Effect | None:
    """Return what a rule asks for when it applies: a hold that nobody may answer is a BLOCK."""
    wanted = rule.limit.otherwise if rule.limit is not None else rule.effect
    if not isinstance(wanted, Effect):
        return None
    return BLOCK if wanted is STEP_UP and not rule.ask.approvers else wanted


@dataclass
class Judgement:
    """What the rules say about one set of arguments."""

    facts: Facts
    rules: list[c.Rule] = field(default_factory=list)
    exceeded: list[c.Rule] = field(default_factory=list)
    limits: list[tuple[c.Rule, Reservation | None]] = field(default_factory=list)
    counters: list[Counter] = field(default_factory=list)
    trial: list[str] = field(default_factory=list)

    @property
    def allowed(self) -> bool:
        return any(rule.effect == ALLOW for rule in self.rules)


def judge(policy: c.CheckedPolicy, facts: Facts, ledger: Ledger | None, leave_out: str) -> Judgement:
    """Ask every rule, risk rules first, and every limit that applies how much it has left."""
    judgement = Judgement(facts)
    standing = [rule for rule in policy.rules if live(rule, facts.now)]
    for rule in standing:
        if rule.effect == "risk" and applies(rule, facts):
            if on_trial(rule, facts.now):
                judgement.trial.append(rule.id)
            else:
                facts.risk = min(100, facts.risk + rule.points)
    for rule in standing:
        if rule.effect == "risk" or not applies(rule, facts):
            continue
        counts = True
        if rule.limit is not None:
            reservation = reserve(rule, facts)
            judgement.limits.append((rule, reservation))
            counts = not within(rule, reservation, facts, ledger, leave_out, judgement.counters)
        if counts and on_trial(rule, facts.now):
            judgement.trial.append(rule.id)
        elif counts:
            (judgement.rules if rule.limit is None else judgement.exceeded).append(rule)
    return judgement


def reserve(rule: c.Rule, facts: Facts) -> Reservation | None:
    """Return what a call takes from a limit; None where the key or the amount cannot be read."""
    assert rule.limit is not None
    key = facts.session.id if rule.limit.by == "session" and facts.session else None
    if isinstance(rule.limit.by, c.Argument):
        value = facts.argument(rule.limit.by.steps)
        if isinstance(value, bool | Fraction):
            key = json.dumps(value) if isinstance(value, bool) else str(value)
        elif text_of_value(value) is not None:
            key = "=" + str(text_of_value(value))
    elif rule.limit.by != "session":
        value = facts.attribute(rule.limit.by)
        key = None if value is UNKNOWN else value
    amount: Any = Fraction(1) if rule.limit.of is None else facts.argument(rule.limit.of.steps)
    if key is None or not isinstance(amount, Fraction) or amount < 0:
        return None
    return Reservation(rule.id, key, amount)


def within(
    rule: c.Rule,
    reservation: Reservation | None,
    facts: Facts,
    ledger: Ledger | None,
    leave_out: str,
    counters: list[Counter],
) -> bool:
    """Say whether a limit still has room for the call; what cannot be read or counted has none.

    What was read of the ledger is added to `counters`.
    """
    assert rule.limit is not None
    if reservation is None or ledger is None:
        return False
    spent = ledger.total(rule.id, reservation.key, facts.now - rule.limit.window_s, leave_out)
    counters.append(Counter(rule.id, reservation.key, spent))
    return spent is not None and spent + reservation.amount <= rule.limit.amount


def on_result(
    policy: c.CheckedPolicy, request: Request, args: dict[str, Any], result: str, session: Session | None, now: float
) -> list[c.ResultRule]:
    """Return the result rules that apply to what a call with these arguments returned."""
    facts = Facts(policy, request, bind(policy, request, args), session, now, result=result)
    return [rule for rule in policy.result_rules if applies(rule, facts)]


# ---------------------------------------------------------------- the decision


def decide(
    policy: c.CheckedPolicy,
    given: object,
    *,
    session: Session | None = None,
    ledger: Ledger | None = None,
    now: float,
    approval: Approval | None = None,
    id: str = "",
) -> Decision:
    """Decide one request. Total: whatever is given, a decision comes back."""
    request = given if isinstance(given, Fault) else admit(given)
    return decide_admitted(policy, request, session=session, ledger=ledger, now=now, approval=approval, id=id)


def decide_admitted(
    policy: c.CheckedPolicy,
    request: Request | Fault,
    *,
    session: Session | None,
    ledger: Ledger | None,
    now: float,
    approval: Approval | None,
    id: str,
) -> Decision:
    """Decide what `admit` returned."""
    if isinstance(request, Fault):
        return Decision(
            id=id,
            effect=BLOCK,
            verdict=BLOCK,
            by=By.ERROR,
            reason_code="request_invalid",
            policy_digest=policy.digest,
            request=None,
            now=now,
            regimes=policy.regimes,
            problem=str(request),
        )
    return _Deciding(policy, request, session, ledger, now, approval, id).decision()


class _Deciding:
    def __init__(
        self,
        policy: c.CheckedPolicy,
        request: Request,
        session: Session | None,
        ledger: Ledger | None,
        now: float,
        approval: Approval | None,
        id: str,
    ) -> None:
        self.policy, self.request, self.now, self.approval, self.id = policy, request, now, approval, id
        self.ledger = ledger
        self.session = session
        self.leave_out = approval.reservations if approval else ""
        self.posture = posture(policy, request)
        self.observing = self.posture == {Mode.OBSERVE}
        self.violations_read: list[Counter] = []

    def facts(self, bound: Bound) -> Facts:
        return Facts(self.policy, self.request, bound, self.session, self.now)

    def decision(self) -> Decision:
        policy, request = self.policy, self.request
        bound = bind(policy, request)
        judgements = [judge(policy, self.facts(bound), self.ledger, self.leave_out)]
        problem, failed = bound.problem, ""
        modifying = [rule for rule in judgements[0].rules if rule.effect == MODIFY]
        args = bound.args
        if modifying and not problem:
            try:
                changed = change(bound, modifying, policy.bounds.scan_chars)
            except CannotChange as error:
                failed = str(error)
            else:
                again = bind(policy, request, changed)
                problem = again.problem
                judgements.append(judge(policy, self.facts(again), self.ledger, self.leave_out))
                judgements[1].rules = [rule for rule in judgements[1].rules if rule.effect != MODIFY]
                if not self.observing:
                    args = changed
        modified = args is not bound.args

        rules = unique(rule for judgement in judgements for rule in judgement.rules if rule.effect != ALLOW)
        limits = unique(rule for judgement in judgements for rule in judgement.exceeded)
        allowing = judgements[0].rules if all(judgement.allowed for judgement in judgements) else []
        allowing = [rule for rule in allowing if rule.effect == ALLOW]
        base = ALLOW if allowing or policy.default == ALLOW else BLOCK

        ladder_step, violation = self.ladder(base, args, judgements[0].facts)
        granted, refused = self.approved(rules, limits, base, ladder_step, args)
        rules = [rule for rule in rules if rule.id not in granted or effect_of(rule) != STEP_UP]
        limits = [rule for rule in limits if rule.id not in granted or effect_of(rule) != STEP_UP]

        asked = [effect for rule in [*rules, *limits] if (effect := effect_of(rule)) is not None]
        asked += [BLOCK] if problem or failed or refused else []
        verdict = strictest(base, *asked)
        mode_base = self.mode_base(base, ladder_step, "mode" in granted)
        effect = ALLOW if self.observing else strictest(mode_base, *asked)

        by = self.decided_by(
            effect,
            verdict,
            base,
            mode_base,
            bool(problem),
            bool(failed),
            bool(refused),
            bool(granted),
            allowing,
            rules,
            limits,
        )
        winning = self.asking(effect, allowing, [] if self.observing else [*rules, *limits])
        losing = self.asking(verdict, allowing, [*rules, *limits]) if verdict != effect else []
        reason = self.reason(by, effect, winning, mode_base, judgements[0].facts, refused)
        running = judgements[-1] if modified else judgements[0]
        reserved = running.limits if effect in (ALLOW, MODIFY, STEP_UP) else []
        asks = self.asks(rules, limits, mode_base) if effect == STEP_UP else ()
        retries = [rule.retry_after_s for rule in winning if effect == DEFER and rule.retry_after_s is not None]
        binds = effect == STEP_UP or self.approval is not None
        counters = [counter for judgement in judgements for counter in judgement.counters] + self.violations_read
        return Decision(
            id=self.id,
            effect=effect,
            verdict=verdict,
            by=by,
            reason_code=reason,
            policy_digest=policy.digest,
            request=request,
            now=self.now,
            mode=max(self.posture, key=list(Mode).index),
            rules=tuple(rule.id for rule in winning[:RULES_SHOWN_MAX]),
            rules_more=max(0, len(winning) - RULES_SHOWN_MAX),
            would_be=tuple(rule.id for rule in losing[:RULES_SHOWN_MAX]),
            trial=tuple(sorted({rule_id for judgement in judgements for rule_id in judgement.trial})),
            risk=max(judgement.facts.risk for judgement in judgements),
            args=args if effect != BLOCK else bound.args,
            modified=modified and effect != BLOCK,
            lenient=bound.lenient,
            asks=asks,
            hold_s=min(self.hold_times(rules, limits, mode_base)) if effect == STEP_UP else None,
            retry_after_s=max(retries, default=None),
            tells=tuple((rule.id, rule.tell) for rule in winning if rule.tell),
            controls=tuple(sorted({control for rule in winning for control in rule.controls})),
            regimes=policy.regimes,
            reservations=tuple(reservation for _, reservation in reserved if reservation is not None),
            violation=violation,
            call=self.call(args) if binds else "",
            approval=self.approval.id if self.approval and granted and effect in (ALLOW, MODIFY) else "",
            problem=problem or failed,
            session_id=self.session.id if self.session else None,
            session_begun=self.session.begun if self.session else True,
            session_opened_at=self.session.opened_at if self.session else 0.0,
            session_digest=self.session.digest if self.session else b"",
            said_digest=self.session.speaker().said_digest if self.session else b"",
            counters=tuple(dict.fromkeys(counters)),
            presented=self.approval,
        )

    # ------------------------------------------------------------ mode

    def ladder(self, base: Effect, args: dict[str, Any], facts: Facts) -> tuple[Effect, Violation | None]:
        """Return the ladder's step for a soft violation, and the violation to be counted."""
        if base == ALLOW or Mode.PROGRESSIVE not in self.posture:
            return base, None
        ladder = self.policy.ladder
        names = [facts.attribute(name) for name in ("tenant", "agent", "user")]
        if UNKNOWN in names or self.ledger is None:
            return BLOCK, None
        digest = hashlib.sha256(json.dumps([self.request.tool_name, args], sort_keys=True).encode()).hexdigest()
        principal = (names[0], names[1], names[2])
        held = self.ledger.violated(principal, self.now - ladder.window_s)
        if held is None:
            self.violations_read = [Counter("mode", "", None)]
            return BLOCK, None
        same = [place for place, (at, call) in enumerate(held) if call == digest and self.now - at <= ladder.same_s]
        place = same[0] if same else len(held)
        self.violations_read = [Counter("mode", "", place)]
        step = ladder.steps[min(place, len(ladder.steps) - 1)]
        risk = facts.bound.tool.risk if facts.bound.tool else "high"
        floor = {"high": STEP_UP, "critical": BLOCK}.get(risk, ALLOW)
        return strictest(step, floor), Violation(principal, digest)

    def mode_base(self, base: Effect, ladder_step: Effect, satisfied: bool) -> Effect:
        """Return what the mode makes of the base: only a BLOCK because nothing allows is soft."""
        if base == ALLOW:
            return ALLOW
        outcomes = {Mode.BLOCK: BLOCK, Mode.STEP_UP: STEP_UP, Mode.PROGRESSIVE: ladder_step, Mode.OBSERVE: ALLOW}
        outcome = strictest(*(outcomes[mode] for mode in self.posture))
        if outcome == STEP_UP:
            return ALLOW if satisfied else STEP_UP if self.policy.approvers else BLOCK
        return outcome

    # ------------------------------------------------------------ approval

    def call(self, args: dict[str, Any]) -> str:
        return call_digest(self.request, args, self.session.id if self.session else None, self.policy.digest)

    def approved(
        self, rules: list[c.Rule], limits: list[c.Rule], base: Effect, ladder_step: Effect, args: dict[str, Any]
    ) -> tuple[set[str], str]:
        """Return the sources whose question the approval answers with yes, and the code that refuses it."""
        approval = self.approval
        if approval is None:
            return set(), ""
        if approval.call != self.call(args) or self.ledger is None or self.ledger.is_used(approval.id) is not False:
            return set(), "approval_invalid"
        if self.now >= approval.expires:
            return set(), "approval_expired"
        granted: set[str] = set()
        for ask in self.asks(rules, limits, self.mode_base(base, ladder_step, False)):
            answers = [
                a for a in approval.answers if a.source == ask.source and self.may_answer(ask, a.approver, a.principal)
            ]
            if any(not answer.granted for answer in answers):
                return set(), "approval_denied"
            if answered(answers) >= ask.quorum:
                granted.add(ask.source)
        return granted, ""

    def may_answer(self, ask: Ask, approver: str, principal: str) -> bool:
        """The agent that asked may never approve, its user only where the rule says `ask user`.

        While the request names no agent or no user, anybody could be either of them, and nobody may approve.
        """
        agent, user = self.request.agent_id, self.request.user_id
        known = isinstance(agent, str) and isinstance(user, str) and agent and user
        if approver not in ask.approvers or not principal or not known:
            return False
        person, its_agent, its_user = nfc(principal), nfc(str(agent)), nfc(str(user))
        return person != its_agent and (person == its_user) == (approver == USER)

    def asks(self, rules: list[c.Rule], limits: list[c.Rule], mode_base: Effect) -> tuple[Ask, ...]:
        """Return everybody who is asked, by the source that asks."""
        asks = [
            Ask(rule.id, rule.ask.approvers, rule.ask.quorum)
            for rule in [*rules, *limits]
            if effect_of(rule) == STEP_UP
        ]
        if mode_base == STEP_UP:
            asks.append(Ask("mode", self.policy.approvers, 1))
        return tuple(sorted(asks, key=lambda ask: ask.source))

    def hold_times(self, rules: list[c.Rule], limits: list[c.Rule], mode_base: Effect) -> list[int]:
        times = [rule.within_s for rule in [*rules, *limits] if effect_of(rule) == STEP_UP]
        return times + ([900] if mode_base == STEP_UP else [])

    # ------------------------------------------------------------ who decided, and why

    def decided_by(
        self,
        effect: Effect,
        verdict: Effect,
        base: Effect,
        mode_base: Effect,
        problem: bool,
        failed: bool,
        refused: bool,
        granted: bool,
        allowing: list[c.Rule],
        rules: list[c.Rule],
        limits: list[c.Rule],
    ) -> By:
        """Return the first of those that ask for what is enforced."""
        stopping = effect == BLOCK and not self.observing
        if failed and stopping:
            return By.ERROR
        if problem and stopping:
            return By.ARGUMENTS
        if (refused and stopping) or (granted and effect in (ALLOW, MODIFY) and not self.observing):
            return By.APPROVAL
        if self.asking(effect, allowing, [] if self.observing else rules):
            return By.RULE
        if self.asking(effect, [], [] if self.observing else limits):
            return By.LIMIT
        if self.observing:
            return By.MODE if verdict != ALLOW else By.DEFAULT
        return By.MODE if base == BLOCK and mode_base == effect and self.posture & softening(effect) else By.DEFAULT

    def asking(self, effect: Effect, allowing: list[c.Rule], others: list[c.Rule]) -> list[c.Rule]:
        """Return the rules that ask for an effect, by id."""
        asking = allowing if effect == ALLOW else [rule for rule in others if effect_of(rule) == effect]
        return sorted(unique(asking), key=lambda rule: rule.id)

    def reason(
        self, by: By, effect: Effect, winning: list[c.Rule], mode_base: Effect, facts: Facts, refused: str
    ) -> str:
        match by:
            case By.ERROR:
                return "modification_failed"
            case By.ARGUMENTS:
                return "arguments_invalid"
            case By.APPROVAL:
                return refused or "approval_granted"
            case By.RULE | By.LIMIT:
                code = next((rule.code for rule in winning if rule.code), None)
                if by is By.LIMIT:
                    return code or "limit_exceeded"
                if effect == BLOCK and all(rule.effect == STEP_UP for rule in winning):
                    return code or "approver_missing"
                return code or RULE_REASONS[effect]
            case By.MODE:
                if self.observing:
                    return "mode_observe"
                return LADDER_REASONS[effect] if Mode.PROGRESSIVE in self.posture else "mode_step_up"
            case By.DEFAULT:
                if effect == ALLOW:
                    return "allowed_by_default"
                scoped = bool(self.policy.agents) or self.request.approved_scope is not None
                return "policy_scope_violation" if scoped and facts.in_scope() is not True else "no_rule_allows"


RULE_REASONS = {
    ALLOW: "allowed_by_policy",
    MODIFY: "minimum_necessary_transform",
    STEP_UP: "step_up_required",
    DEFER: "deferred_by_policy",
    BLOCK: "forbidden_action_static_policy",
}
LADDER_REASONS = {ALLOW: "progressive_warning", STEP_UP: "progressive_step_up", BLOCK: "progressive_block"}


def softening(effect: Effect) -> set[Mode]:
    """Return the modes that can turn a soft BLOCK into this effect."""
    return {Mode.PROGRESSIVE} if effect in (ALLOW, BLOCK) else {Mode.PROGRESSIVE, Mode.STEP_UP}


def posture(policy: c.CheckedPolicy, request: Request) -> set[Mode]:
    """Return the modes of which the stricter outcome is enforced; a request without a mode counts as block."""
    said = request.enforcement_mode
    asked = MODE_NAMES.get(said, Mode.BLOCK) if isinstance(said, str) else Mode.BLOCK
    match policy.mode.kind:
        case "fixed":
            return {policy.mode.mode}
        case "from_request":
            return {asked}
    return {policy.mode.mode, asked} if {policy.mode.mode, asked} != {Mode.OBSERVE} else {Mode.OBSERVE}


def answered(answers: list[Answer]) -> int:
    """Count the most distinct names that were answered by distinct people: a matching of names and people."""
    people: dict[str, list[str]] = {}
    for answer in answers:
        people.setdefault(answer.approver, []).append(nfc(answer.principal))
    taken: dict[str, str] = {}

    def seat(name: str, tried: set[str]) -> bool:
        for person in people[name]:
            if person not in tried:
                tried.add(person)
                if person not in taken or seat(taken[person], tried):
                    taken[person] = name
                    return True
        return False

    return sum(seat(name, set()) for name in people)


def unique(rules: Iterable[c.Rule]) -> list[c.Rule]:
    """Return each rule once."""
    return list({rule.id: rule for rule in rules}.values())


assert STRICTNESS[BLOCK] > STRICTNESS[DEFER] > STRICTNESS[STEP_UP] > STRICTNESS[MODIFY] > STRICTNESS[ALLOW]
