"""`thoth diff`: what is shown is decided differently by both evaluators, and what makes the difference is named."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.strategies.decisions import policies
from thoth.contract import Effect
from thoth.engine import Engine
from thoth.engine.checked import CheckedPolicy
from thoth.engine.difference import Difference, changes, difference, outcome
from thoth.engine.learned import digest_of
from thoth.engine.situation import Judge, Past, Situation
from thoth.engine.testing import run_tests

HEAD = """
set ours = "*@acme.com"
tool read_customer(id: key id) is read yields pii
tool read_page(url: key url) is read
tool read_file(path: key path) is read
tool send(to: list of key email, body: string, note?: string) is send
tool pay(to: key string, amount: number) is write, paid risk high
tool drop(table: key string) is delete
agent "bot-*" scope class read, send, pay, drop
allow * as in-scope when tool in scope
"""


def policy(rules: str, head: str = HEAD, settings: str = "") -> CheckedPolicy:
    return Engine.from_text(f'policy p\n    approvers "owner"\n{settings}{head}{rules}\n').policy


def found(old: str, new: str, tries: int = 1_500) -> Difference:
    return difference(policy(old), policy(new), tries=tries)


CHANGED = {
    "an end of a range": (
        "block pay as large when args.amount > 500",
        "block pay as large when args.amount >= 500",
    ),
    "a fraction": ("block pay as large when args.amount > 0.1", "block pay as large when args.amount > 0.2"),
    "a member of a set": ('block pay as to when args.to in {"ann", "bob"}', 'block pay as to when args.to in {"ann"}'),
    "a glob": (
        "block send as out when any args.to not like ours",
        'block send as out when any args.to not like {"*@acme.com", "*@acme.org"}',
    ),
    "a folder": ('block * as files when args.path under "/etc"', 'block * as files when args.path under "/etc/x"'),
    "a pattern": (
        'block send as t when args.body matches "[A-Z]{3}-[0-9]+"',
        'block send as t when args.body matches "[A-Z]{4}-[0-9]+"',
    ),
    "a detector": ("block send as t when args.body matches card_number", "block send as t when args.body matches iban"),
    "a length": ("block send as t when size(args.body) > 100", "block send as t when size(args.body) > 99"),
    "a label": ("block send as t when session.labels contains pii", ""),
    "a count": ("block send as t when calls(read_page) >= 3", "block send as t when calls(read_page) >= 4"),
    "a failure": ("block send as t when failed(pay) >= 2", "block send as t when completed(pay) >= 2"),
    "a limit": (
        "limit send as t to 30 calls per 1h by agent else block",
        "limit send as t to 31 calls per 1h by agent else block",
    ),
    "an amount in sum": (
        "limit pay as t to 1000 of args.amount per 1d by tenant else block",
        "limit pay as t to 1001 of args.amount per 1d by tenant else block",
    ),
    "hours": (
        'hours h = mon-fri 09:00-17:00 in "UTC"\ndefer pay as t unless now in h retry after 1h',
        'hours h = mon-fri 09:00-17:30 in "UTC"\ndefer pay as t unless now in h retry after 1h',
    ),
    "where a value comes from": (
        "step_up send as t unless args.key from user",
        "step_up send as t unless args.key from user or args.key from tool read_page",
    ),
    "recorded behaviour": (
        "step_up send as t unless args.key from user",
        "step_up send as t unless args.key from user or args.key in baseline",
    ),
    "what recorded behaviour lacks": (
        "block pay as t when not args.to in baseline",
        "step_up pay as t when not args.to in baseline",
    ),
    "the host alone": (
        "step_up read_page as t unless args.url from user",
        "step_up read_page as t unless args.url from user or args.url by host from user",
    ),
    "the host alone in recorded behaviour": (
        "step_up read_page as t unless args.url in baseline",
        "step_up read_page as t unless args.url in baseline or args.url by host in baseline",
    ),
    "a label that a result brings": (
        "block send as t when session.labels contains pii\non result read_page as m when result matches iban label pii",
        "block send as t when session.labels contains pii",
    ),
    "a rule behind another": (
        'block drop as t when args.table like {"\\\\*", "C:/"}\nblock drop as u unless args.key from user',
        "block drop as u unless args.key from user",
    ),
    "a class of tools": ("block class paid as t", "block class delete as t"),
    "an environment": ("for env prod { block pay as t }", "for env prod, staging { block pay as t }"),
    "a purpose": ('block pay as t unless purpose is "payables"', 'block pay as t unless purpose is "billing"'),
    "an order of words": ("block pay as t when data >= confidential", "block pay as t when data >= restricted"),
    "what is missing": ("block send as t when has args.note", ""),
    "a change of arguments": (
        'modify send as t redact args.body matching card_number with "[card]"',
        'modify send as t redact args.body matching card_number with "[gone]"',
    ),
    "who is asked": ('step_up pay as t ask "ann"', 'step_up pay as t ask "bob"'),
    "how long": ("defer pay as t retry after 1h", "defer pay as t retry after 2h"),
    "points of risk": (
        "risk pay +30 as t\nblock * as risky when risk >= 60\nrisk * +30 as odd",
        "risk pay +20 as t\nblock * as risky when risk >= 60\nrisk * +30 as odd",
    ),
    "a date": ("block pay as t until 2027-03-31", "block pay as t until 2027-04-30"),
    "a trial": ("block pay as t", "block pay as t trial"),
    "delegation": ("block pay as t when task.depth > 2", "block pay as t when task.depth > 3"),
    "context": ("block pay as t when context.ticket is \"open\"", "block pay as t when context.ticket is \"closed\""),
    "an excuse": ("block drop as t", 'block drop as t unless args.table is "scratch"'),
    "blocks of a session": ("block pay as t when session.blocks >= 3", "block pay as t when session.blocks >= 4"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_rule_has_a_witness_and_is_named(name: str) -> None:
    old, new = CHANGED[name]
    seen = found(old, new)
    causes = [group.name for group in seen.groups]
    assert causes
    assert causes[0] in changes(policy(old), policy(new))
    assert seen.unconfirmed == 0


@pytest.mark.parametrize("name", ["an end of a range", "a label", "where a value comes from", "who is asked"])
def test_every_witness_is_decided_differently_by_both_evaluators(name: str) -> None:
    old, new = (policy(text) for text in CHANGED[name])
    for group in difference(old, new, tries=1_000).groups:
        for witness in group.witnesses:
            for evaluator in ("native", "reference"):
                before, after = (Judge(one, evaluator).decide(witness.situation) for one in (old, new))  # type: ignore[arg-type]
                assert outcome(before) != outcome(after)
                assert (before.effect, after.effect) == (witness.old.effect, witness.new.effect)


@pytest.mark.parametrize("evaluator", ["native", "reference"])
def test_a_judge_takes_each_situations_own_baseline(evaluator: Any) -> None:
    judge = Judge(policy("step_up pay as t unless args.to in baseline"), evaluator)
    call = Situation("pay", {"to": "ACME", "amount": 1}).with_field("agent_id", "bot-1")
    known, other = (replace(call, baseline=(("pay", "to", name),)) for name in ("ACME", "Globex"))
    asked = [judge.decide(one).effect for one in (call, known, other, known, call)]
    assert asked == [Effect.STEP_UP, Effect.ALLOW, Effect.STEP_UP, Effect.ALLOW, Effect.STEP_UP]


def test_values_of_a_loaded_baseline_are_found_where_they_can_be_guessed() -> None:
    baseline = {("pay", "to"): frozenset({str(digest_of("Globex"))})}
    old = replace(policy('block pay as a when args.to is "Globex"\nstep_up pay as t'), baseline=baseline)
    new = replace(
        policy('allow pay as a when args.to is "Globex"\nstep_up pay as t unless args.to in baseline'),
        baseline=baseline,
    )
    seen = difference(old, new, tries=1_500)
    assert any(one.situation.args.get("to") == "Globex" for group in seen.groups for one in group.witnesses)


def test_the_same_policy_has_none_and_one_of_other_names_for_rules_neither() -> None:
    assert found(CHANGED["a label"][0], CHANGED["a label"][0]).groups == ()
    renamed = found("block pay as large when args.amount > 5", "block pay as dear when args.amount > 5")
    assert renamed.groups == ()
    assert renamed.tried > 500
    assert renamed.unseen == ("large", "dear")


@pytest.mark.parametrize(
    ("head", "settings", "cause"),
    [
        (HEAD.replace("amount: number", "amount: int"), "", "the declaration of pay"),
        (HEAD.replace("note?: string", "note: string"), "", "the declaration of send"),
        (HEAD.replace('agent "bot-*"', 'agent "bots-*"'), "", "the agents"),
        (HEAD, "    default allow\n", "the default"),
        (HEAD, "    mode from request\n", "the mode"),
        (HEAD, "    arguments lenient\n", "the settings"),
    ],
)
def test_what_is_no_rule_is_named_in_words(head: str, settings: str, cause: str) -> None:
    seen = difference(policy(""), policy("", head, settings), tries=3_000)
    assert cause in [group.name for group in seen.groups]


def test_a_witness_is_as_plain_as_it_can_be() -> None:
    (group,) = found("block pay as large when args.amount > 500", "block pay as large when args.amount > 499").groups
    situation = group.witnesses[0].situation
    assert situation.said == situation.past == ()
    assert set(situation.fields) - set(Situation("x").fields) <= {"agent_id"}
    assert 499 < situation.args["amount"] <= 500


def test_a_witness_as_a_test_block_holds_under_the_new_policy() -> None:
    for name in ("an end of a range", "a label", "where a value comes from", "hours", "a limit"):
        old, new = CHANGED[name]
        tests = []
        for group in found(old, new).groups:
            for witness in group.witnesses:
                decision = witness.new
                expects = decision.effect.value.lower() + (f" by {', '.join(decision.rules)}" if decision.rules else "")
                tests.append(witness.situation.test(f"{name} {len(tests)}", expects))
        written = "\n".join(test for test in tests if test)
        assert written
        results = run_tests(policy(f"{new}\n{written}"))
        assert [result.failures for result in results if not result.passed] == []


def test_what_a_stricter_rule_would_hide_is_found_where_that_rule_is_excused() -> None:
    held = "step_up send as unasked unless args.key from user"
    link = 'step_up send as link when args.body contains "http" ask "owner"'
    seen = found(f"{held}\n{link}", held)
    (group,) = seen.groups
    assert group.name == "link"
    assert (Effect.STEP_UP, Effect.ALLOW) in {(w.old.effect, w.new.effect) for w in group.witnesses}
    assert any(witness.situation.said for witness in group.witnesses)


def test_the_same_search_finds_the_same() -> None:
    one, other = (found(*CHANGED["a count"], tries=800) for _ in range(2))
    assert [w.situation.key() for g in one.groups for w in g.witnesses] == [
        w.situation.key() for g in other.groups for w in g.witnesses
    ]


def test_a_situation_says_what_is_not_plain_about_it() -> None:
    plain = Situation("send", {"to": ["ann@acme.com"]})
    assert plain.sentence() == 'send(to: ["ann@acme.com"])'
    odd = replace(
        plain.with_field("agent_id", "bot-1"), said=("hi",), past=(Past("read", {}, None, "failed"),), blocks=2
    )
    used = replace(plain, baseline=(("send", "to", "ann@acme.com"),))
    assert used.sentence() == 'send(to: ["ann@acme.com"]) ("ann@acme.com" is in the baseline of send.to)'
    assert odd.sentence() == (
        'send(to: ["ann@acme.com"]) (agent "bot-1"; the user said "hi"; after read() fails;'
        " 2 calls of the session were blocked)"
    )
    assert odd.test("x", "allow") is None
    assert plain.with_field("user_id", None).sentence().endswith("(without a user)")


@settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
@given(policies(), policies())
def test_any_two_policies_can_be_compared_and_evaluators_agree_on_what_is_found(old: Any, new: Any) -> None:
    seen = difference(old, new, tries=60, kept=1)
    assert seen.unconfirmed == 0
    for group in seen.groups:
        for witness in group.witnesses:
            assert outcome(witness.old) != outcome(witness.new)


@settings(max_examples=10, suppress_health_check=list(HealthCheck), deadline=None)
@given(policies())
def test_a_policy_is_never_decided_differently_from_itself(one: Any) -> None:
    assert difference(one, one, tries=60).groups == ()


def test_an_allow_that_is_gone_is_found() -> None:
    seen = found('allow pay as by-name when args.to is "ann"', "")
    assert [(group.name, group.change) for group in seen.groups] == [("by-name", "removed")]
    assert {(w.old.effect, w.new.effect) for w in seen.groups[0].witnesses} == {(Effect.ALLOW, Effect.BLOCK)}
