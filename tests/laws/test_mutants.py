"""For each law a wrong evaluator that the law's check catches: a law that catches nothing would promise nothing.

A mutant is the reference with one function replaced. Each test shows a small world in which the mutant
breaks the law and the reference keeps it.
"""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from thoth.contract import By, Effect, Request
from thoth.engine import reference
from thoth.engine.ledger import Ledger
from thoth.engine.reference_binding import bind
from thoth.engine.reference_conditions import holds
from thoth.engine.reference_facts import Facts
from thoth.engine.reference_values import all_of
from thoth.engine.session import Call

from ..cases.run import Case
from . import laws
from .worlds import policy

Mutate = Callable[[pytest.MonkeyPatch], None]
Check = Callable[..., None]


def breaks(check: Check, *drawn: Any) -> bool:
    try:
        check(*drawn)
    except AssertionError:
        return True
    return False


def catches(check: Check, mutate: Mutate, case: Case, *more: Any) -> None:
    """The reference keeps the law in a world in which the mutant breaks it."""
    check(case, *more)
    with pytest.MonkeyPatch.context() as patch:
        mutate(patch)
        assert breaks(check, case, *more)
    check(case, *more)


def world(*lines: str, settings: tuple[str, ...] = (), session: Any = (), **fields: Any) -> Case:
    """Return a small world: these rules, and a call of `raw` with these fields."""
    request = {
        "tool_name": "raw",
        "agent_id": "al",
        "user_id": "amy",
        "tenant_id": "acme",
        "environment": "prod",
        **fields,
    }
    document = {"note": "a witness", "policy": policy(settings, list(lines)), "lines": list(lines), "request": request}
    return Case("witness", document | {"session": list(session)})


PAID = ({"call": {"tool_name": "pay", "tool_args": {"amount": 3, "to": "bob"}}},)
SENDING: dict[str, Any] = {"tool_name": "send", "tool_args": {"to": [], "level": "low"}}


def judging(after: Callable[[Any], None]) -> Mutate:
    """Return a mutant that does something to every judgement."""

    def mutate(patch: pytest.MonkeyPatch) -> None:
        judge = reference.judge

        def judged(*given: Any) -> Any:
            judgement = judge(*given)
            after(judgement)
            return judgement

        patch.setattr(reference, "judge", judged)

    return mutate


# ---------------------------------------------------------------- 1 to 3


def test_law_1_catches_an_evaluator_in_which_a_step_up_opens() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        decide = reference.decide

        def decided(policy: Any, given: Any, **around: Any) -> Any:
            also = [replace(r, id=f"{r.id}-open", effect=Effect.ALLOW) for r in policy.rules if r.effect == "STEP_UP"]
            return decide(replace(policy, rules=(*policy.rules, *also)), given, **around)

        patch.setattr(reference, "decide", decided)

    catches(laws.only_allow_opens, mutate, world('step_up * as ask-first ask "ops"'))


def test_law_1_catches_an_evaluator_in_which_no_rule_objecting_is_enough() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        decide = reference.decide

        def decided(policy: Any, given: Any, **around: Any) -> Any:
            return decide(replace(policy, default=Effect.ALLOW), given, **around)

        patch.setattr(reference, "decide", decided)

    catches(laws.only_allow_opens, mutate, world("block pay as other"))


def test_law_2_catches_an_evaluator_in_which_the_milder_wins() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(reference, "strictest", lambda *effects: min(effects, key=list(Effect).index))

    catches(laws.strictest_wins, mutate, world('step_up * as ask-first ask "ops"'))


def test_law_2_catches_an_evaluator_in_which_a_defer_beats_a_block() -> None:
    order = [Effect.ALLOW, Effect.MODIFY, Effect.STEP_UP, Effect.BLOCK, Effect.DEFER]

    def mutate(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(reference, "strictest", lambda *effects: max(effects, key=order.index))

    catches(laws.strictest_wins, mutate, world("allow * as all", "block * as never", "defer * as later"))


def test_law_3_catches_an_evaluator_in_which_the_first_rule_wins() -> None:
    def keep_first(judgement: Any) -> None:
        del judgement.rules[1:]

    catches(
        laws.order_and_duplicates_do_not_matter,
        judging(keep_first),
        world("allow * as all", "block * as never"),
        ["block * as never", "allow * as all", "block * as never"],
    )


def test_law_3_catches_an_evaluator_that_names_rules_as_they_are_written() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        def asking(self: Any, effect: Any, allowing: list[Any], others: list[Any]) -> list[Any]:
            return allowing if effect == Effect.ALLOW else [r for r in others if reference.effect_of(r) == effect]

        patch.setattr(reference._Deciding, "asking", asking)

    catches(
        laws.order_and_duplicates_do_not_matter,
        mutate,
        world("block * as one", "block r* as two"),
        ["block r* as two", "block * as one"],
    )


# ---------------------------------------------------------------- 4 and 5


def applying(wrong: Callable[[Any, Any, Any], bool]) -> Mutate:
    """Return a mutant that applies rules otherwise: `wrong(rule, when, unless)`."""

    def mutate(patch: pytest.MonkeyPatch) -> None:
        def applies(rule: Any, facts: Facts) -> bool:
            fits = facts.tool_fits(rule.tools)
            when = all_of([fits, holds(rule.when, facts)])
            return wrong(rule, when, holds(rule.unless, facts))

        patch.setattr(reference, "applies", applies)

    return mutate


def test_law_4_catches_an_allow_that_applies_in_doubt() -> None:
    mutant = applying(lambda rule, when, unless: when is not False and unless is not True)
    catches(
        laws.proof_opens_doubt_closes_forgetting_never_loosens,
        mutant,
        world("allow * as in-dev when env is dev"),
        "environment",
    )


def test_law_4_catches_a_restriction_that_needs_proof() -> None:
    mutant = applying(lambda rule, when, unless: when is True and unless is False)
    catches(
        laws.proof_opens_doubt_closes_forgetting_never_loosens,
        mutant,
        world("allow * as all", "block * as in-prod when env is prod"),
        "environment",
    )


def test_law_4_catches_an_excuse_that_needs_only_doubt() -> None:
    def wrong(rule: Any, when: Any, unless: Any) -> bool:
        if rule.effect == Effect.ALLOW:
            return when is True and unless is False
        return when is not False and unless is False

    catches(
        laws.proof_opens_doubt_closes_forgetting_never_loosens,
        applying(wrong),
        world("allow * as all", "block * as unless-dev unless env is dev"),
        "environment",
    )


def test_law_4_catches_a_session_that_takes_what_it_does_not_hold_for_absent() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        def count(self: Facts, count: Any) -> Any:
            calls = self.session.calls if self.session else []
            return reference_count(self, count, calls)

        patch.setattr(Facts, "count", count)

    catches(
        laws.proof_opens_doubt_closes_forgetting_never_loosens,
        mutate,
        world("allow * as all", "block * as after-pay when after pay", session=PAID),
        "memory",
    )


def reference_count(facts: Facts, count: Any, calls: list[Call]) -> Any:
    return Fraction(sum(facts.fits(count.tools, call.tool, call.classes) is True for call in calls))


def test_law_5_catches_a_block_that_silences_the_others() -> None:
    def silence(judgement: Any) -> None:
        if any(rule.effect == Effect.STEP_UP for rule in judgement.rules):
            judgement.rules = [rule for rule in judgement.rules if rule.effect != Effect.BLOCK]

    catches(
        laws.a_rule_only_does_what_its_effect_says,
        judging(silence),
        world("allow * as all", "block * as never"),
        'step_up * as added ask "ops"',
    )


def test_law_5_catches_an_allow_that_reserves_for_itself() -> None:
    def tighten(judgement: Any) -> None:
        if sum(rule.effect == Effect.ALLOW for rule in judgement.rules) > 1:
            judgement.rules = []

    catches(laws.a_rule_only_does_what_its_effect_says, judging(tighten), world("allow * as all"), "allow r* as added")


# ---------------------------------------------------------------- 6 and 7


def test_law_6_catches_an_evaluator_that_takes_requests_as_they_come() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(reference, "admit", lambda given: Request(**given))

    catches(laws.total, mutate, world("allow * as all"), {"tool_args": 5})


def test_law_6_catches_an_evaluator_that_trusts_the_types_of_context() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        read = Facts.attribute

        def attribute(self: Facts, name: str) -> Any:
            if name == "task.depth" and self.request.task_context is not None:
                return len(self.request.task_context["chain"])
            return read(self, name)

        patch.setattr(Facts, "attribute", attribute)

    catches(laws.total, mutate, world("block * as deep when task.depth > 1"), {"tool_name": "raw", "task_context": {}})


def test_law_7_catches_an_evaluator_with_a_clock_of_its_own() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        ticks = itertools.count()
        patch.setattr(reference, "live", lambda rule, now: next(ticks) % 2 == 0)

    catches(laws.replayable, mutate, world("allow * as all"))


def test_law_7_catches_an_evaluator_that_writes_the_session() -> None:
    def count(judgement: Any) -> None:
        if judgement.facts.session is not None:
            judgement.facts.session.blocks += 1

    catches(laws.replayable, judging(count), world("allow * as all"))


# ---------------------------------------------------------------- 8 and 9


def test_law_8_catches_an_evaluator_that_judges_only_what_came() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        judge = reference.judge
        first: dict[int, Any] = {}

        def judged(policy: Any, facts: Any, *rest: Any) -> Any:
            if id(facts.request) in first and first[id(facts.request)].facts.request is facts.request:
                return replace(first[id(facts.request)])
            first[id(facts.request)] = judge(policy, facts, *rest)
            return first[id(facts.request)]

        patch.setattr(reference, "judge", judged)

    catches(
        laws.what_runs_was_judged,
        mutate,
        world(
            "allow * as all", 'modify * as mark set args.note = "seen"', 'block * as no-notes when args.note is "seen"'
        ),
    )


def test_law_8_catches_an_evaluator_that_checks_no_changed_arguments() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:

        def bound(policy: Any, request: Any, args: Any = None) -> Any:
            given = bind(policy, request) if args is None else bind(policy, request, args)
            if args is not None:
                given.problem = ""
            return given

        patch.setattr(reference, "bind", bound)

    catches(
        laws.what_runs_was_judged,
        mutate,
        world("allow * as all", 'modify * as longer redact args.level matching "ow" with "ong"', **SENDING),
    )


def test_law_9_catches_an_evaluator_that_names_one_rule_of_several() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        asking = reference._Deciding.asking
        patch.setattr(reference._Deciding, "asking", lambda *given: asking(*given)[:1])

    catches(laws.explained, mutate, world("block * as one", "block r* as two"))


def test_law_9_catches_an_evaluator_that_says_the_default_decided() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(reference._Deciding, "decided_by", lambda *given: By.DEFAULT)

    catches(laws.explained, mutate, world("block * as never"))


def test_law_9_catches_a_reason_that_is_not_on_the_list() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        reason = reference._Deciding.reason
        patch.setattr(reference._Deciding, "reason", lambda *given: reason(*given).upper())

    catches(laws.explained, mutate, world("block * as never"))


# ---------------------------------------------------------------- 10

ASKED = world("allow * as all", 'step_up * as first ask "ops"')
TWO = world("allow * as all", 'step_up * as both ask "ops", "legal" all')
SEVERAL = world("allow * as all", 'step_up * as first ask "ops"', 'step_up r* as second ask "legal"')
LIMITED = world(
    "allow * as all", 'step_up * as first ask "ops"', "limit * as once to 1 calls per 1h by agent else block"
)


def test_law_10_catches_an_approval_that_opens_another_call() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(reference, "call_digest", lambda *given: "any call")

    catches(laws.an_approval_is_for_one_call, mutate, ASKED, {"request_id": "r2"})


def test_law_10_catches_an_approval_that_forgets_the_user() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        def digest(request: Request, args: Any, session: Any, policy: str) -> str:
            return json.dumps([session, request.tool_name, args, request.agent_id, policy, request.request_id])

        patch.setattr(reference, "call_digest", digest)

    catches(laws.an_approval_is_for_one_call, mutate, ASKED, {"user_id": "mallory"})


def test_law_10_catches_an_approval_that_is_used_twice() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(Ledger, "is_used", lambda self, approval: False)

    catches(laws.an_approval_is_for_one_call, mutate, ASKED, {})


def test_law_10_catches_an_agent_that_approves_itself() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(
            reference._Deciding, "may_answer", lambda self, ask, approver, principal: approver in ask.approvers
        )

    catches(laws.an_approval_is_for_one_call, mutate, ASKED, {})


def test_law_10_catches_one_person_who_answers_for_several() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(reference, "answered", len)

    catches(laws.an_approval_is_for_one_call, mutate, TWO, {})


def test_law_10_catches_one_answer_that_satisfies_every_question() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        approved = reference._Deciding.approved

        def generous(self: Any, rules: list[Any], limits: list[Any], *rest: Any) -> Any:
            granted, refused = approved(self, rules, limits, *rest)
            return ({rule.id for rule in [*rules, *limits]} | {"mode"} if granted else granted), refused

        patch.setattr(reference._Deciding, "approved", generous)

    catches(laws.an_approval_is_for_one_call, mutate, SEVERAL, {})


def test_law_10_catches_an_approval_whose_own_reservation_stands_in_its_way() -> None:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        total = Ledger.total
        patch.setattr(Ledger, "total", lambda self, limit, key, since, leave_out="": total(self, limit, key, since))

    catches(laws.an_approval_is_for_one_call, mutate, LIMITED, {})
