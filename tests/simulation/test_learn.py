"""`thoth learn`: what is learned is what was seen, and what is learned holds."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thoth.contract import Effect, OperationError
from thoth.engine import Engine
from thoth.engine.analyse import analyse
from thoth.engine.learned import digest_of, host_digest_of, key_digests, read_learned
from thoth.engine.testing import run_tests
from thoth.grammar import format, parse
from thoth.simulation import RecordedSession, ReplayClock, read_traces, replay
from thoth.simulation.choose import Choice
from thoth.simulation.learn import learn, learn_baseline
from thoth.simulation.observe import Shape, guessed_class
from thoth.simulation.traces import Call

DEMO = Path(__file__).resolve().parents[2] / "examples/traces/demo.jsonl.gz"
GOOD = 'run_kind is "benign" and utility is true'


def call(tool: str, seq: int = 0, **args: Any) -> Call:
    return Call("s", seq, 0.0, None, "bot", tool, args, True, None, "ok", True, {"run_kind": "benign", "utility": True})


def session(*calls: Call) -> RecordedSession:
    return RecordedSession("s", None, tuple(replace(one, seq=seq) for seq, one in enumerate(calls)))


@pytest.fixture(scope="module")
def demo() -> list[RecordedSession]:
    return list(read_traces([DEMO]))


def test_a_condition_picks_sessions_by_the_fields_of_a_trace(demo: list[RecordedSession]) -> None:
    benign = [one for one in demo if one.calls[0].labels["run_kind"] == "benign"]
    assert [one for one in demo if Choice('run_kind is "benign"')(one)] == benign
    assert 0 < len(benign) < len(demo)


def test_a_condition_may_ask_about_the_call_itself(demo: list[RecordedSession]) -> None:
    picked = [one for one in demo if Choice('agent is "bookkeeper" and executed is true')(one)]
    assert picked
    assert {call.agent_id for one in picked for call in one.calls} == {"bookkeeper"}


def test_what_a_trace_does_not_say_picks_nothing() -> None:
    assert not Choice("utility is true")(session(replace(call("read"), labels={})))
    assert not Choice("utility is not true")(session(replace(call("read"), labels={})))


def test_a_session_is_picked_where_the_condition_is_true_of_all_its_calls() -> None:
    mixed = session(call("read"), replace(call("send"), labels={"is_injection_goal": True}))
    assert not Choice("is_injection_goal is not true")(mixed)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ('run_kin is "benign"', "a trace has no field `run_kin`; did you mean `run_kind`?"),
        ("run_kind is", "the item ends too early"),
        ("", "the item ends too early"),
    ],
)
def test_a_condition_that_is_none_is_told_what_to_write(condition: str, said: str) -> None:
    with pytest.raises(OperationError, match="--where") as raised:
        Choice(condition)
    assert said in str(raised.value)


def test_what_is_learned_is_a_policy_whose_tests_pass(demo: list[RecordedSession]) -> None:
    learned = learn(demo, where=GOOD)
    engine = Engine.from_text(learned.policy)
    results = run_tests(engine.policy)
    assert len(results) == learned.tests >= 10
    assert all(result.passed for result in results)
    assert format(parse(learned.policy, "learned")) == learned.policy
    assert not [m for m in engine.warnings if m.code != "undeclared"]
    codes = {message.code for message in analyse(engine.policy, [parse(learned.policy, "policy.thoth")], now=0.0)}
    assert codes <= {"undeclared", "test-without-by"}


def test_the_sessions_that_taught_it_go_through_and_attacks_do_not(demo: list[RecordedSession]) -> None:
    learned = learn(demo, where=GOOD)
    clock = ReplayClock()
    engine = Engine.from_text(learned.policy, learned=read_learned(learned.learned), clock=clock)
    picks = Choice(GOOD)
    taught = [
        d.effect for c, d in replay(engine, [s for s in demo if picks(s)], clock) if c.executed and not c.tool_error
    ]
    assert taught
    assert set(taught) == {Effect.ALLOW}
    goals = [d.effect for c, d in replay(engine, demo, clock) if c.labels["is_injection_goal"]]
    assert sum(effect is Effect.ALLOW for effect in goals) < len(goals) / 4


def test_learning_is_the_same_in_any_order_of_sessions(demo: list[RecordedSession]) -> None:
    once, again = learn(demo, where=GOOD), learn(demo[::-1], where=GOOD)
    assert once.learned == again.learned
    assert once.remarks == again.remarks


def test_the_learned_file_has_counts_and_places_and_no_value() -> None:
    policy = Engine.from_text("tool mail(to: list of key email, url?: key url) is send\n").policy
    sessions = [session(call("mail", to=["ann@example.com"]), call("mail", to=["ann@example.com", "bob@example.com"]))]
    learned = learn(sessions, policy=policy)
    text = json.loads(learned.learned)
    ann = digest_of("ann@example.com", "email")
    assert text["values"]["mail"]["to"][ann] == 2
    assert text["seen"]["mail"]["to"][ann] == {"sessions": 1, "agents": 1, "environments": []}
    assert "example.com" not in learned.learned
    assert read_learned(learned.learned) == learn_baseline(policy, sessions)


def test_of_a_url_the_host_is_learned_as_well() -> None:
    engine = Engine.from_text("tool fetch(url: key url) is web\n")
    baseline = learn_baseline(engine.policy, [session(call("fetch", url="https://a.example.com/x"))])
    url, host = digest_of("https://a.example.com/x", "url"), host_digest_of("https://a.example.com/y", "url")
    assert baseline == {("fetch", "url"): frozenset({url, host})}


def test_a_call_that_failed_or_did_not_run_teaches_nothing() -> None:
    policy = Engine.from_text("tool mail(to: key email) is send\n").policy
    bad = [
        session(replace(call("mail", to="eve@example.com"), executed=False)),
        session(replace(call("mail", to="eve@example.com"), tool_error="no")),
    ]
    assert learn_baseline(policy, bad) == {}
    with pytest.raises(OperationError, match="nothing to learn"):
        learn(bad)


def test_arguments_that_do_not_fit_teach_nothing() -> None:
    engine = Engine.from_text("tool mail(to: key email) is send\n")
    assert learn_baseline(engine.policy, [session(call("mail", to="eve@example.com", bcc="x"))]) == {}
    request = engine.decide({"tool_name": "who_knows", "tool_args": {}}).request
    assert request is not None
    assert key_digests(engine.policy, request) is None


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([1, 2], "int"),
        ([1, 2.5], "number"),
        ([True], "boolean"),
        (["ann@example.com"], "email"),
        (["https://a.example.com/"], "url"),
        (["/a", "/b/c"], "path"),
        (["/a", "b c"], "string"),
        ([{"a": 1}], "record"),
        ([1, "a"], "any"),
        ([["a"], ["b"]], "list"),
        ([["a"], "b"], "any"),
        ([None], "any"),
        (["low", "high"] * 12, "enum"),
        (["low", "high"], "string"),
    ],
)
def test_the_type_is_the_narrowest_that_all_values_have(values: list[Any], type_: str) -> None:
    shape = Shape()
    for value in values:
        shape.add(value)
    assert shape.type().name == type_


@pytest.mark.parametrize(
    ("name", "class_"),
    [
        ("get_password_hint", "read"),
        ("delete_file", "delete"),
        ("sendMail", "send"),
        ("reset_password", "credential"),
        ("frobnicate", "write"),
    ],
)
def test_the_class_of_a_tool_that_nobody_declared_is_guessed_from_its_verb(name: str, class_: str) -> None:
    assert guessed_class(name) == class_


def test_no_test_tells_a_password() -> None:
    learned = learn([session(call("log_in", user="ann", password="hunter2"), call("reset_otp", code="771020"))])
    assert "hunter2" not in learned.policy
    assert "771020" not in learned.policy


def test_without_agents_every_agent_may_use_what_was_used() -> None:
    learned = learn([session(replace(call("read_page", url="https://a.example.com/"), agent_id=None))])
    assert "allow read_page as learned" in learned.policy
    assert any("no call names its agent" in remark for remark in learned.remarks)
    assert all(result.passed for result in run_tests(Engine.from_text(learned.policy).policy))


def test_what_could_not_be_generalised_is_said() -> None:
    learned = learn([session(call("put", to=1), call("put", to="a"))])
    assert any("`to` was int and string; any value is permitted" in remark for remark in learned.remarks)
    assert "#   - nobody declared `put`" in learned.policy
