"""Runs the `test` blocks of a policy and says what they reached.

What a test does not give is plain: tenant, user and environment `test`, a fresh session, no delegation,
Monday 2026-01-05 12:00 UTC. A call after `after` is one that was let through, whatever the policy says of it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

from ..contract import Decision, Json, Mode
from ..grammar import syntax as s
from . import checked as c
from .embed import UNTOLD, Engine
from .evaluators import EVALUATORS, Evaluator
from .explain import explanation
from .learned import Baseline, digest_of, host_digest_of
from .session import Session
from .wording import tests_of, word_predicate, word_steps
from .zones import zone_of

PLAIN_NOW: Final = 1_767_614_400.0
"""Monday 2026-01-05 12:00 UTC in epoch seconds."""

FIELDS: Final = {
    "agent": "agent_id",
    "user": "user_id",
    "tenant": "tenant_id",
    "env": "environment",
    "intent": "session_intent",
    "purpose": "purpose",
    "data": "data_classification",
    "mode": "enforcement_mode",
}
Evaluators: TypeAlias = Literal["native", "reference"]
Outcome: TypeAlias = bool | None


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test: its decision, and each expectation that it did not meet (none: it passed)."""

    test: s.TestItem
    decision: Decision
    failures: tuple[str, ...]
    explanation: str

    @property
    def passed(self) -> bool:
        """Say whether every expectation was met."""
        return not self.failures


@dataclass(slots=True)
class Coverage:
    """What tests reached: how often each rule applied, and how often each of its conditions came to what."""

    applied: Counter[str] = field(default_factory=Counter)
    outcomes: dict[tuple[str, int], Counter[Outcome]] = field(default_factory=dict)

    def rows(self, policy: c.CheckedPolicy) -> Iterable[tuple[c.Rule, int, list[tuple[str, Counter[Outcome]]]]]:
        """Return for each rule how often it applied, and each condition with its outcomes."""
        for rule in policy.rules:
            conditions = [
                (word_predicate(test.predicate, test.negated), self.outcomes.get((rule.id, place), Counter()))
                for place, test in enumerate([*tests_of(rule.when), *tests_of(rule.unless)])
            ]
            yield rule, self.applied[rule.id], conditions


class Bench:
    """What the tests of one policy run on: it is laid out once for all of them, and once for calls in the past."""

    def __init__(self, policy: c.CheckedPolicy, evaluator: Evaluators = "native", laid_out: Evaluator | None = None):
        """Take the policy, and its evaluator where there is one already."""
        self.policy, self.evaluator = policy, evaluator
        self._laid_out: dict[bool, Evaluator] = {} if laid_out is None else {False: laid_out}

    def engine(self, test: s.TestItem, past: bool = False) -> Engine:
        """Return an engine for a test, or for the calls in its past, whatever the policy says of these."""
        now = _now(test)
        policy = _with_baseline(self.policy, test)
        if past:
            policy = replace(policy, mode=c.ModeSetting("fixed", Mode.OBSERVE))
        if policy.baseline is not self.policy.baseline:
            return Engine(policy, evaluator=self.evaluator, clock=lambda: now)
        if past not in self._laid_out:
            self._laid_out[past] = EVALUATORS[self.evaluator](policy)
        return Engine(policy, evaluator=self._laid_out[past], clock=lambda: now)


def run_tests(
    policy: c.CheckedPolicy,
    evaluator: Evaluators = "native",
    coverage: Coverage | None = None,
    laid_out: Evaluator | None = None,
) -> list[TestResult]:
    """Run every test of a policy, in the order of the text; `laid_out` is its evaluator, where there is one already."""
    bench = Bench(policy, evaluator, laid_out)
    return [run_test(bench, test, coverage) for test in policy.tests]


def run_test(bench: Bench, test: s.TestItem, coverage: Coverage | None = None) -> TestResult:
    """Run one test on an engine of its own."""
    engine = bench.engine(test)
    past = bench.engine(test, past=True) if test.after else engine
    policy = engine.policy
    engine.ledger = past.ledger
    session = engine.session("test", tenant_id="test")
    for given in test.given:
        if given.subject == "said":
            for text in given.values:
                session.said(str(value_of(text)))
    for call in test.after:
        _after(past, session, request_of(test, call), call)
    assert test.call is not None
    decision = engine.decide(request_of(test, test.call), session=session)
    if coverage is not None:
        _cover(coverage, engine, decision, session)
    failures = tuple(_failures(test, decision))
    told = explanation(policy, decision, session, witness=engine.witness).as_text() if failures else ""
    return TestResult(test, decision, failures, told)


def _after(past: Engine, session: Session, request: dict[str, Any], call: s.TestCall) -> None:
    decision = past.decide(request, session=session)
    past.ran(decision, session)
    result = UNTOLD if call.returns is None else call.returns.value
    if call.ending == "fails":
        past.failed(decision, result)
    elif call.ending != "in flight":
        past.completed(decision, result)


def request_of(test: s.TestItem, call: s.TestCall) -> dict[str, Any]:
    """Return the request that a test's call stands for, in the wire's field names."""
    request: dict[str, Any] = {
        "tool_name": call.tool,
        "tool_args": {name: value_of(value) for name, value in call.arguments},
        "tenant_id": "test",
        "user_id": "test",
        "environment": "test",
        "session_id": "test",
        "task_context": {"chain": []},
    }
    context: dict[str, Any] = {}
    for given in test.given:
        values = [value_of(value) for value in given.values]
        if given.subject in FIELDS:
            request[FIELDS[given.subject]] = values[0]
        elif given.subject == "scope":
            request["approved_scope"] = values
        elif given.subject == "context":
            context[str(values[0])] = values[1]
    return request | ({"metadata": context} if context else {})


def value_of(value: Any) -> Json:
    """Return a value of the syntax tree as JSON."""
    match value:
        case s.ListLiteral(items) | s.SetLiteral(items):
            return [value_of(item) for item in items]
        case s.RecordLiteral(members):
            return {name: value_of(member) for name, member in members}
        case s.Number(number):
            return float(number) if isinstance(number, Decimal) else number
        case s.Null():
            return None
        case s.Duration():
            return value.seconds
        case s.Text(given) | s.Name(given) | s.Boolean(given) | s.Regex(given):
            return given
    raise AssertionError(value)


def _now(test: s.TestItem) -> float:
    for given in test.given:
        if given.subject == "at":
            moment, *zone = (str(value_of(value)) for value in given.values)
            return datetime.fromisoformat(moment).replace(tzinfo=zone_of(zone[0] if zone else "UTC")).timestamp()
    return PLAIN_NOW


def _with_baseline(policy: c.CheckedPolicy, test: s.TestItem) -> c.CheckedPolicy:
    given = [one for one in test.given if one.subject == "baseline" and one.tool and one.argument]
    if not given:
        return policy
    values = [(one.tool or "", one.argument or "", value_of(value)) for one in given for value in one.values]
    return replace(policy, baseline=baseline_with(policy, values))


def baseline_with(policy: c.CheckedPolicy, values: Iterable[tuple[str, str, Json]]) -> Baseline:
    """Return the baseline of a policy with values that were used, too: each of a tool's argument."""
    baseline = dict(policy.baseline or {})
    for tool, argument, value in values:
        kind = kind_of(policy, tool, argument)
        digests = {learn(value, kind) for learn in (digest_of, host_digest_of)}
        known = baseline.get((tool, argument), frozenset())
        baseline[tool, argument] = known | {digest for digest in digests if digest}
    return baseline


def kind_of(policy: c.CheckedPolicy, tool: str, argument: str) -> str:
    """Return the declared type of an argument's values, `any` where nobody declared it."""
    for declared in policy.tools.get(tool, ()):
        for param in declared.params:
            if param.name == argument:
                return (param.type.items or param.type).name
    return "any"


def _failures(test: s.TestItem, decision: Decision) -> Iterable[str]:
    ids = {*decision.rules, decision.by.value}
    for expect in test.expects:
        if expect.effect is not None and expect.effect.upper() != decision.effect.value:
            yield f"expected {expect.effect}, got {decision.effect.value.lower()} by {_by(decision)}"
        elif missing := [rule for rule in expect.by if rule not in ids]:
            yield f"expected it by {', '.join(missing)}, got {decision.effect.value.lower()} by {_by(decision)}"
        if missing := [rule for rule in expect.rules if rule not in ids]:
            yield f"expected rule {', '.join(missing)}, got {', '.join(decision.rules) or 'no rule'}"
        if expect.code is not None and expect.code != decision.reason_code:
            yield f"expected code {expect.code}, got {decision.reason_code}"
        if expect.verdict is not None and expect.verdict.upper() != decision.verdict.value:
            yield f"expected verdict {expect.verdict}, got {decision.verdict.value.lower()}"
        for path, value in expect.changed:
            found = _walk(decision.args, path)
            if found != value_of(value) or isinstance(found, bool) != isinstance(value_of(value), bool):
                yield f"expected {word_steps('args', path.steps)} is {value_of(value)!r}, got {found!r}"


def _by(decision: Decision) -> str:
    return ", ".join(decision.rules) or f"{decision.by.value} ({decision.reason_code})"


def _walk(args: Any, path: s.Path) -> Any:
    for step in path.steps:
        if isinstance(args, dict) and isinstance(step, str):
            args = args.get(step)
        elif isinstance(args, list) and isinstance(step, int) and step < len(args):
            args = args[step]
        else:
            return None
    return args


def _cover(coverage: Coverage, engine: Engine, decision: Decision, session: Session) -> None:
    """Count what each rule and condition came to; a rule whose tools cannot fit was not asked."""
    if decision.request is None:
        return
    seer = engine.witness(decision.request, session, decision.now, decision.risk)
    for rule in engine.policy.rules:
        if seer.truth(c.Test(c.ToolFits(rule.tools))) is False:
            continue
        coverage.applied[rule.id] += seer.applies(rule)
        for place, test in enumerate([*tests_of(rule.when), *tests_of(rule.unless)]):
            coverage.outcomes.setdefault((rule.id, place), Counter())[seer.truth(test)] += 1
