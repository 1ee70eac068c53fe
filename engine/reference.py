"""The meaning: one request against one checked policy, the obvious way.

This is the reference Policy Decision Point. It walks the policy rule by rule and condition by
condition and is as slow as that takes; the table is compared with it. Pure: everything a decision
depends on is in its arguments.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from ipaddress import ip_network
from typing import Any

from ..contract import (
    MODE_NAMES,
    STRICTNESS,
    Answer,
    Approval,
    Ask,
    By,
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
from .reference_facts import Facts
from .reference_values import (
    ABSENT,
    UNKNOWN,
    Named,
    Truth,
    all_of,
    any_of,
    equal,
    fits_glob,
    found,
    glob_for,
    less,
    negate,
    nfc,
    plain,
    read_email,
    read_ip,
    read_path,
    read_url_host,
    text_of_value,
)
from .session import Session

ALLOW, MODIFY, STEP_UP, DEFER, BLOCK = Effect

# ---------------------------------------------------------------- conditions


def holds(condition: c.Condition, facts: Facts) -> Truth:
    """Evaluate a condition in Kleene's three values."""
    match condition:
        case c.AllOf(parts):
            return all_of([holds(part, facts) for part in parts])
        case c.AnyOf(parts):
            return any_of([holds(part, facts) for part in parts])
        case c.Test(predicate, negated, each):
            return ask(predicate, facts, negated, each)


def ask(predicate: c.Predicate, facts: Facts, negated: bool, each: str) -> Truth:
    """Answer one test. A test on an argument that the call does not carry is false in either sense."""
    match predicate:
        case c.ToolFits(tools):
            return turned(facts.tool_fits(tools), negated)
        case c.InScope():
            return turned(facts.in_scope(), negated)
        case c.InIntent():
            return turned(facts.in_intent(), negated)
        case c.InHours(hours):
            return turned(facts.in_hours(hours), negated)
        case c.Has(argument):
            return turned(carried(argument, facts), negated)
        case c.From() | c.InBaseline():
            return provenance(predicate, facts, negated)
    if each:
        return quantified(predicate, facts, negated, each)
    left = read(predicate.left, facts)
    return False if left is ABSENT else one(predicate, left, facts, negated)


def turned(truth: Truth, negated: bool) -> Truth:
    return negate(truth) if negated else truth


def carried(argument: c.Argument, facts: Facts) -> Truth:
    value = facts.argument(argument.steps)
    if value is UNKNOWN:
        name = argument.steps[0]
        present = facts.bound.readable and len(argument.steps) == 1 and facts.bound.read.get(str(name)) is not None
        return True if present else None
    return value is not ABSENT


def quantified(predicate: Any, facts: Facts, negated: bool, each: str) -> Truth:
    """Ask a test of every item: `any` of none is false, `all` of none is true."""
    left = predicate.left
    together = any_of if each == "any" else all_of
    if isinstance(left, c.Listing) and left.name != "task.chain":
        return listed(predicate, left, facts, negated, together)
    values = read(left, facts)
    if values is ABSENT or values is UNKNOWN:
        return False if values is ABSENT else None
    items = values if isinstance(values, list) else [values]
    truths = [False if item is ABSENT else one(predicate, item, facts, negated) for item in items]
    return any_of(truths) if each == "any" else all_of(truths)


def listed(
    predicate: Any, left: c.Listing, facts: Facts, negated: bool, together: Callable[[list[Truth]], Truth]
) -> Truth:
    """Ask a test of the call's classes or the session's labels, of which some may be uncertain."""
    if left.name == "class":
        tool = facts.bound.tool
        return (
            None if tool is None else together([one(predicate, item, facts, negated) for item in sorted(tool.classes)])
        )
    session = facts.session
    if session is None:
        return None
    truths = [one(predicate, item, facts, negated) for item in sorted(session.labels)]
    for item in sorted(session.uncertain_labels()):
        truth = one(predicate, item, facts, negated)
        truths.append(truth if truth is together([]) else None)
    return together([*truths, *([] if session.begun else [None])])


def one(predicate: Any, left: Any, facts: Facts, negated: bool) -> Truth:
    """Ask a test of one value, or of one item."""
    if isinstance(predicate, c.Contains) and isinstance(predicate.left, c.Listing):
        return turned(listing_contains(predicate, facts), negated)
    if left is UNKNOWN:
        return None
    right = read(predicate.right, facts) if isinstance(predicate, c.Compare | c.Affix | c.Contains) else None
    if right is ABSENT:
        return False
    return None if right is UNKNOWN else turned(truth_of(predicate, left, right, facts), negated)


def truth_of(predicate: Any, left: Any, right: Any, facts: Facts) -> Truth:
    """Compare two values, or one value with a test's constants."""
    match predicate:
        case c.Compare(_, "is"):
            return equal(left, right)
        case c.Compare(_, "<"):
            return less(left, right)
        case c.Compare(_, ">"):
            return less(right, left)
        case c.Compare(_, "<="):
            return negate(less(right, left))
        case c.Compare(_, ">="):
            return negate(less(left, right))
        case c.Member(_, values):
            return any_of([equal(left, constant(value.value)) for value in values])
        case c.Contains():
            if isinstance(left, list):
                return any_of([None if item is UNKNOWN else equal(item, right) for item in left if item is not ABSENT])
    text = text_of_value(left)
    if text is None:
        return None
    scanned = isinstance(predicate, c.Like | c.Matches | c.Contains)
    if scanned and len(text) > facts.policy.bounds.scan_chars:
        return None
    match predicate:
        case c.Like(_, globs):
            kind = left.kind if isinstance(left, Named) else ""
            return any(
                fits_glob(glob_for(kind, glob) if kind in ("email", "host") else nfc(glob), text) for glob in globs
            )
        case c.Matches(_, pattern):
            return found(pattern, text)
        case c.Under(_, folders):
            path = read_path(text, facts.cwd())
            return (
                None
                if path is None
                else any(f == "/" or path == f or path.startswith(f + "/") for f in map(nfc, folders))
            )
        case c.InCidr(_, networks):
            return in_networks(text, networks)
    wanted = text_of_value(right)
    if wanted is None:
        return None
    match predicate:
        case c.Affix("starts"):
            return text.startswith(wanted)
        case c.Affix("ends"):
            return text.endswith(wanted)
        case c.Contains():
            return wanted in text
    raise AssertionError(predicate)


def in_networks(text: str, networks: Iterable[str]) -> Truth:
    address = read_ip(text)
    if address is None:
        return None
    return any(address in ip_network(network) for network in networks)


def listing_contains(predicate: c.Contains, facts: Facts) -> Truth:
    word = text_of_value(read(predicate.right, facts))
    name = predicate.left.name if isinstance(predicate.left, c.Listing) else ""
    if word is None:
        return None
    if name == "session.labels":
        return facts.label(word)
    if name == "class":
        return None if facts.bound.tool is None else word in facts.bound.tool.classes
    chain = read(predicate.left, facts)
    return None if chain is UNKNOWN else any_of([None if item is UNKNOWN else equal(item, word) for item in chain])


def constant(value: Any) -> Any:
    return value if isinstance(value, bool) else plain(value)


def read(term: c.Term, facts: Facts) -> Any:
    """Read the value of a term: a value, ABSENT or UNKNOWN."""
    match term:
        case c.Constant(value):
            return constant(value)
        case c.Attribute(name):
            return facts.attribute(name)
        case c.Listing("task.chain"):
            chain = facts.sent("task.chain")
            return [plain(item) for item in chain] if isinstance(chain, list) else UNKNOWN
        case c.Listing():
            return UNKNOWN
        case c.Argument(steps):
            return facts.argument(steps)
        case c.Keys():
            return facts.keys()
        case c.Context(steps):
            return facts.context(steps)
        case c.Result():
            return UNKNOWN if facts.result is None else plain(facts.result)
        case c.Count():
            return facts.count(term)
        case c.Apply(function, inner):
            value = read(inner, facts)
            if isinstance(value, list) and function != "size":
                return [applied(function, item) for item in value]
            return applied(function, value)
    raise AssertionError(term)


def applied(function: str, value: Any) -> Any:
    if value is ABSENT or value is UNKNOWN:
        return value
    if function == "size" and isinstance(value, list | dict):
        return Fraction(len(value))
    text = text_of_value(value)
    if text is None:
        return UNKNOWN
    if function == "size":
        return Fraction(len(text))
    if function == "lower":
        return nfc(text.lower())
    if function == "host":
        host = read_url_host(text)
        return UNKNOWN if host is None else Named("host", host)
    address = read_email(text)
    return UNKNOWN if address is None else Named("host", address.rpartition("@")[2])


def provenance(predicate: c.From | c.InBaseline, facts: Facts, negated: bool) -> Truth:
    """Ask where every item of an argument has been seen; of an empty list, or of no key argument, it is unknown."""
    if isinstance(predicate.left, c.Keys):
        carried_keys = facts.key_arguments()
        if not carried_keys:
            return None
        items = [(name, item) for name, value in carried_keys for item in listed_items(value)]
    else:
        value = facts.argument(predicate.left.steps)
        if value is ABSENT:
            return False
        items = [(str(predicate.left.steps[0]), item) for item in listed_items(value)]
    if not items:
        return None
    truths: list[Truth] = []
    for name, item in items:
        unreadable = item is UNKNOWN or item is ABSENT
        if unreadable or (isinstance(item, str) and len(item) > facts.policy.bounds.scan_chars):
            truths.append(None)
        elif isinstance(predicate, c.From):
            truths.append(facts.seen(item, predicate.source, predicate.tools, predicate.by_host))
        else:
            truths.append(facts.in_baseline(item, name))
    return turned(all_of(truths), negated)


def listed_items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


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
            counts = not within(rule, reservation, facts, ledger, leave_out)
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


def within(rule: c.Rule, reservation: Reservation | None, facts: Facts, ledger: Ledger | None, leave_out: str) -> bool:
    """Say whether a limit still has room for the call; what cannot be read or counted has none."""
    assert rule.limit is not None
    if reservation is None or ledger is None:
        return False
    spent = ledger.total(rule.id, reservation.key, facts.now - rule.limit.window_s, leave_out)
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
        reserved = judgements[-1].limits if effect in (ALLOW, MODIFY, STEP_UP) else []
        if not modified:
            reserved = judgements[0].limits if reserved else []
        asks = self.asks(rules, limits, mode_base) if effect == STEP_UP else ()
        retries = [rule.retry_after_s for rule in winning if effect == DEFER and rule.retry_after_s is not None]
        binds = effect == STEP_UP or self.approval is not None
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
            return BLOCK, None
        same = [place for place, (at, call) in enumerate(held) if call == digest and self.now - at <= ladder.same_s]
        place = same[0] if same else len(held)
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
        """The agent that asked may never approve, its user only where the rule says `ask user`."""
        if approver not in ask.approvers or not principal or principal == self.request.agent_id:
            return False
        is_user = principal == self.request.user_id
        return is_user == (approver == USER)

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
        people.setdefault(answer.approver, []).append(answer.principal)
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
