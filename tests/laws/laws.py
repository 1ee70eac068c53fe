"""The ten laws, each as a check of one drawn world: it raises an AssertionError where the law is broken.

A check asks the evaluator that it is given, so that mutants of the reference stand trial before the same laws.
"""

import copy
import json
from dataclasses import replace
from typing import Any

from thoth.contract import REASONS, STRICTNESS, Answer, Approval, By, Decision, Effect, Mode, strictest
from thoth.engine import checked as c
from thoth.engine import reference
from thoth.engine.check import check
from thoth.engine.session import Session
from thoth.grammar import parse

from ..cases.run import Case, World, prepare

LET_THROUGH = (Effect.ALLOW, Effect.MODIFY)
CONTEXT = (
    *("agent_id", "user_id", "tenant_id", "environment", "purpose", "data_classification", "session_intent"),
    *("enforcement_mode", "server", "task_context", "metadata"),
)


def decide(policy: c.CheckedPolicy, given: object, /, **around: Any) -> Decision:
    """Decide by the reference as it stands at this moment, mutated or not."""
    return reference.decide(policy, given, **around)


def world_of(case: Case) -> World:
    document = {name: value for name, value in case.document.items() if name != "lines"}
    return prepare(Case(case.file, document), decide)


def under(world: World, rules: list[c.Rule], **changed: Any) -> Decision:
    """Decide the world's request under other rules, everything around it being the same."""
    policy = replace(world.policy, rules=tuple(rules), **changed)
    return replace_policy(world, policy).run(world.case.given, world.case.now)


def replace_policy(world: World, policy: c.CheckedPolicy) -> World:
    return World(world.case, world.decide, policy, world.session, world.ledger)


def milder(one: Effect, other: Effect) -> bool:
    return STRICTNESS[one] < STRICTNESS[other]


# ---------------------------------------------------------------- 1 to 3: how verdicts are made


def only_allow_opens(case: Case) -> None:
    """Without an allow rule and default allow nothing is permitted; with one and no other rule everything is."""
    world = world_of(case)
    closing = [rule for rule in world.policy.rules if rule.effect != Effect.ALLOW]
    assert under(world, closing, default=Effect.BLOCK).verdict == Effect.BLOCK
    opening = under(world, [c.Rule("open", Effect.ALLOW, (c.ToolPattern("any"),))])
    assert opening.verdict == Effect.ALLOW or opening.problem


def strictest_wins(case: Case) -> None:
    """The verdict is the strictest of what the base and each other rule give on their own."""
    world = world_of(case)
    rules = world.policy.rules
    base = [rule for rule in rules if rule.effect in (Effect.ALLOW, "risk")]
    verdicts = [under(world, base).verdict]
    verdicts += [under(world, [*base, rule]).verdict for rule in rules if rule not in base]
    assert under(world, list(rules)).verdict == strictest(*verdicts)


def order_and_duplicates_do_not_matter(case: Case, lines: list[str]) -> None:
    """`lines` are the case's rules in another order, some of them twice."""
    world = world_of(case)
    written = "\n".join(case.document["lines"]) + "\n"
    head = case.policy_text.removesuffix(written)
    baseline = world.policy.baseline
    other = check(parse(head + "\n".join(lines) + "\n", "case.thoth"), baseline=baseline).policy
    one = world.run(case.given, case.now).facts()
    two = replace_policy(world, other).run(case.given, case.now).facts()
    for facts in (one, two):
        facts["call"] = bool(facts["call"])  # it covers the policy's digest
        del facts["policy_digest"]
    assert one == two


# ---------------------------------------------------------------- 4 and 5: which way doubt and rules push


def forget(case: Case, what: str) -> World:
    """Return the world without one thing that was known: an attribute, the turns, the results, the session."""
    document = copy.deepcopy(case.document)
    if what in CONTEXT:
        document["request"].pop(what, None)
    elif what.startswith("metadata."):
        document["request"].get("metadata", {}).pop(what.partition(".")[2], None)
    elif "session" in document:
        if what == "turns":
            document["session"] = [step for step in document["session"] if "said" not in step]
        elif what == "results":
            for step in document["session"]:
                step.pop("returns", None)
        elif what == "beginning":
            document["unseen"] = True
    known, less = world_of(case), world_of(Case(case.file, document))
    less.ledger = known.ledger
    if what in CONTEXT or what.startswith("metadata."):
        less.session = known.session  # what happened before is as it was
    elif what == "session":
        less.session = None
    elif what == "memory" and less.session is not None:
        less.session = Session("case", case.now, begun=False)
    return less


FORGOTTEN = (
    *CONTEXT,
    *("metadata.n", "metadata.flag", "metadata.list", "metadata.cwd"),
    *("turns", "results", "beginning", "session", "memory"),
)


def proof_opens_doubt_closes_forgetting_never_loosens(case: Case, what: str) -> None:
    known = world_of(case).run(case.given, case.now)
    less = forget(case, what)
    forgotten = less.run(less.case.given, case.now)
    if known.args == forgotten.args or forgotten.effect == Effect.BLOCK:
        assert not milder(forgotten.verdict, known.verdict), (known.facts(), forgotten.facts())
        assert not milder(forgotten.effect, known.effect), (known.facts(), forgotten.facts())


def a_rule_only_does_what_its_effect_says(case: Case, line: str) -> None:
    world = world_of(case)
    baseline = world.policy.baseline
    more = check(parse(case.policy_text + line + "\n", "case.thoth"), baseline=baseline).policy
    without = world.run(case.given, case.now)
    with_it = replace_policy(world, more).run(case.given, case.now)
    if without.args == with_it.args:
        first, second = (with_it, without) if line.startswith("allow") else (without, with_it)
        assert not milder(second.verdict, first.verdict)
        assert not milder(second.effect, first.effect)


# ---------------------------------------------------------------- 6 and 7: total and replayable


def total(case: Case, given: object) -> None:
    world = world_of(case)
    try:
        decision = world.run(given, case.now)
    except Exception as error:
        raise AssertionError("nothing in a request can raise") from error
    assert isinstance(decision.effect, Effect)
    assert decision.reason_code in REASONS
    if decision.request is None:
        assert (decision.effect, decision.by, decision.reason_code) == (Effect.BLOCK, By.ERROR, "request_invalid")


def replayable(case: Case) -> None:
    """The same inputs give the same decision, deciding changes none of them, and JSON loses nothing of a request."""
    one, two = world_of(case), world_of(case)
    first = one.run(case.given, case.now)
    assert first.facts() == two.run(json.loads(json.dumps(case.given)), case.now).facts()
    assert first.facts() == one.run(case.given, case.now).facts()
    assert spelled(one) == spelled(world_of(case))


def spelled(world: World) -> str:
    return f"{world.session!r} {world.ledger!r}"


# ---------------------------------------------------------------- 8 and 9: changed arguments, explanations


def what_runs_was_judged(case: Case) -> None:
    """The changed arguments, had they come so, would not have been judged more strictly."""
    world = world_of(case)
    decision = world.run(case.given, case.now)
    if not decision.modified:
        return
    request = {**case.document["request"], "tool_args": decision.args}
    rules = tuple(rule for rule in world.policy.rules if rule.effect != Effect.MODIFY)
    again = replace_policy(world, replace(world.policy, rules=rules)).run(request, case.now)
    assert not milder(decision.verdict, again.verdict), (decision.facts(), again.facts())
    assert not milder(decision.effect, again.effect)


def explained(case: Case) -> None:
    world = world_of(case)
    decision = world.run(case.given, case.now)
    rules = {rule.id: rule for rule in world.policy.rules}
    assert decision.reason_code in REASONS
    assert decision.reason_code == decision.reason_code.lower()
    assert decision.policy_digest == world.policy.digest
    assert list(decision.rules) == sorted(decision.rules)
    asking = {id: reference.effect_of(rules[id]) for id in decision.rules}
    assert set(asking.values()) <= {decision.effect}
    if decision.by in (By.RULE, By.LIMIT):
        assert decision.rules
    if decision.by in (By.DEFAULT, By.MODE, By.APPROVAL) and decision.effect != Effect.ALLOW:
        assert not decision.rules
    if decision.mode is Mode.OBSERVE or decision.modified:
        return
    base = [rule for rule in world.policy.rules if rule.effect in (Effect.ALLOW, "risk")]
    for rule in world.policy.rules:
        if rule not in base and rule.effect != Effect.MODIFY:
            alone = under(world, [*base, rule])
            if rule.id in alone.rules and alone.effect == decision.effect:
                assert rule.id in decision.rules


# ---------------------------------------------------------------- 10: approvals


def approval_for(decision: Decision, now: float) -> Approval:
    """Return a complete approval of a held call: every name asked is answered by a person of its own."""
    request = decision.request
    assert request is not None
    answers = [
        Answer(ask.source, name, str(request.user_id) if name == "user" else f"person-{name}")
        for ask in decision.asks
        for name in ask.approvers
    ]
    return Approval("approval", decision.call, now + 60, tuple(answers), decision.id)


OTHER_CALLS: tuple[dict[str, Any], ...] = (
    *({"user_id": "mallory"}, {"agent_id": "am"}, {"tenant_id": "evil"}, {"request_id": "r2"}),
    {"tool_args": {"amount": 3, "to": "someone else"}},
)


def an_approval_is_for_one_call(case: Case, other: dict[str, Any]) -> None:
    """It opens its own call, once, in time, with all its answers, from those who may give them; and no other call."""
    world = world_of(case)
    held = world.run(case.given, case.now)
    request = held.request
    if held.effect != Effect.STEP_UP or request is None or request.user_id is None or request.agent_id is None:
        return
    world.apply(held, {}, case.now)
    approval = approval_for(held, case.now)
    granted = world.run(case.given, case.now, approval)
    assert granted.effect in LET_THROUGH, granted.facts()
    assert (granted.by, granted.reason_code) == (By.APPROVAL, "approval_granted")
    assert granted.args == held.args

    def refused(given: object, changed: Approval, code: str, now: float = case.now) -> None:
        decision = world.run(given, now, changed)
        assert decision.effect not in LET_THROUGH or decision.by is not By.APPROVAL, (code, decision.facts())
        assert not decision.approval

    changed = {**case.document["request"], **other}
    if changed != case.document["request"]:
        refused(changed, approval, "another call")
    refused(case.given, approval, "too late", approval.expires)
    for ask in held.asks:
        unanswered = tuple(answer for answer in approval.answers if answer.source != ask.source)
        refused(case.given, replace(approval, answers=unanswered), "an answer is missing")
    agent = request.agent_id
    from_agent = tuple(replace(answer, principal=agent) for answer in approval.answers)
    refused(case.given, replace(approval, answers=from_agent), "from the agent")
    if any("user" not in ask.approvers for ask in held.asks):
        from_user = tuple(replace(answer, principal=request.user_id) for answer in approval.answers)
        refused(case.given, replace(approval, answers=from_user), "from its user")
    if any(ask.quorum > 1 for ask in held.asks):
        one_person = tuple(replace(answer, principal="one") for answer in approval.answers)
        refused(case.given, replace(approval, answers=one_person), "one person for several")
    no = tuple(replace(answer, granted=False) for answer in approval.answers)
    refused(case.given, replace(approval, answers=no), "denied")
    other_policy = replace_policy(world, replace(world.policy, digest="another"))
    assert not other_policy.run(case.given, case.now, approval).approval
    world.ledger.use(approval.id)
    refused(case.given, approval, "used before")
