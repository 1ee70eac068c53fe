"""An explanation says what decided, what each condition saw, and what the nearest allow rule lacked."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.decisions import NOWS, policies, requests, sessions
from thoth.engine import Engine, wording
from thoth.engine.checked import CheckedPolicy
from thoth.engine.compile import compile
from thoth.engine.decide import decide
from thoth.engine.explain import explanation
from thoth.engine.session import Session
from thoth.engine.witness import TableWitness, Witness

POLICY = """
policy desk
tool pay(amount: number, to: key string) is write
tool mail(to: key email) is send
agent "clerk-*" scope pay
allow pay as small-payments when tool in scope and args.amount <= 100
allow class send as letters when purpose is "support" and args.to like "*@acme.com"
block pay as no-evil when args.to is "evil" because "we do not pay evil" tell "pay somebody else"
"""


def explained(**request: Any) -> str:
    return Engine.from_text(POLICY).decide(request).explain()


@settings(max_examples=150)
@given(policies(), requests(), sessions(), NOWS)
def test_the_table_explains_as_the_reference_does(
    policy: CheckedPolicy, call: Any, session: Session | None, now: float
) -> None:
    table = compile(policy)
    decision = decide(table, call, session=session, now=now)
    if decision.request is None:
        return
    asked = (decision.request, session, now, decision.risk)
    seers = Witness(policy, *asked), TableWitness(table, *asked)
    for rule in policy.rules:
        assert seers[0].applies(rule) == seers[1].applies(rule), rule
        for test in [*wording.tests_of(rule.when), *wording.tests_of(rule.unless)]:
            assert seers[0].truth(test) is seers[1].truth(test), test
    by_table = explanation(policy, decision, session, witness=lambda *given: TableWitness(table, *given))
    assert by_table.as_text() == explanation(policy, decision, session).as_text()
    assert by_table.as_json() == explanation(policy, decision, session).as_json()


def test_a_rule_that_decided_is_shown_with_what_its_conditions_saw() -> None:
    told = explained(agent_id="clerk-1", tool_name="pay", tool_args={"amount": 5, "to": "evil"})
    assert "BLOCK by rule: forbidden_action_static_policy" in told
    assert "because we do not pay evil" in told
    assert 'when   args.to is "evil"   is true, saw "evil"' in told
    assert "tell (no-evil): pay somebody else" in told


def test_a_default_block_names_the_nearest_allow_rules_and_the_one_thing_each_lacks() -> None:
    told = explained(agent_id="clerk-1", tool_name="pay", tool_args={"amount": 500, "to": "ACME"})
    lines = told.splitlines()
    assert lines[0] == "BLOCK by default: no_rule_allows"
    near = lines.index("  nearest rules that would allow it:")
    assert "small-payments" in lines[near + 1]
    assert lines[near + 2].strip() == "lacks: args.amount <= 100   is false, saw 500"
    assert "letters" in lines[near + 3]
    assert lines[near + 4].strip() == 'lacks: tool is class send   is false, saw "pay"'


def test_what_the_caller_did_not_send_is_shown_as_unknown() -> None:
    told = explained(agent_id="clerk-1", tool_name="mail", tool_args={"to": "ann@acme.com"})
    assert 'lacks: purpose is "support"   is unknown, saw unknown' in told


def test_a_malformed_request_is_explained_too() -> None:
    told = explained(tool_args={})
    assert told.startswith("BLOCK by error: request_invalid")
    assert "tool_name: a request names a tool" in told


@given(st.integers(0, 200))
def test_explaining_changes_no_later_decision(amount: int) -> None:
    engine = Engine.from_text(POLICY + "limit pay as few to 3 calls per 1h by agent else block\n")
    request = {"agent_id": "clerk-1", "tool_name": "pay", "tool_args": {"amount": amount, "to": "x"}}
    session = engine.session("s")
    effects = []
    for _ in range(4):
        decision = engine.decide(request, session=session)
        decision.explain()
        effects.append(decision.effect.value)
    plain = Engine.from_text(POLICY + "limit pay as few to 3 calls per 1h by agent else block\n")
    session = plain.session("s")
    assert effects == [plain.decide(request, session=session).effect.value for _ in range(4)]
