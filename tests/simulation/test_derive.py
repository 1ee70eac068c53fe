"""Every decision of a log comes out again, or the log says why it cannot."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thoth import evidence
from thoth.cli import main
from thoth.contract import Decision, Effect, Outcome, Reservation
from thoth.engine import Engine
from thoth.engine.session import Call
from thoth.evidence import LogReader
from thoth.simulation.derive import Derived, Status, derive

POLICY = """
policy desk
    approvers "boss"
tool read_order(id: key string) is read yields order-data
tool read_page(url: key url) is read yields untrusted when result matches "(?i)ignore"
tool mail(to: key email, body: string) is send
tool pay(amount: number, to: key string) is write
allow   *    as all
block   mail as stays     when session.labels contains order-data
step_up mail as tainted   when session.labels contains untrusted
step_up pay  as large     when args.amount > 100
limit   pay  as spent     to 250 of args.amount per 1d by agent else block
defer   pay  as too-often when calls(pay, in 10m) > 2 retry after 10m
"""
START = 1_767_614_400.0


class Desk:
    """A log, and an engine whose clock moves a second with every call, that records in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, text: str = POLICY) -> None:
        evidence.init(folder / "log", segment_bytes=1 << 20)
        self.folder, self.log = folder, evidence.open(folder / "log", mode="sync")
        self.now = START
        (folder / "policy.thoth").write_text(text)
        self.engine = Engine.from_text(text, recorder=self, clock=lambda: self.now)
        self.alter: dict[str, Effect] = {}

    def decided(self, decision: Decision) -> None:
        tool = decision.request.tool_name if decision.request else ""
        altered = self.alter.get(tool)
        self.log.decided(decision if altered is None else replace(decision, effect=altered, verdict=altered))

    def ended(self, decision: Decision, outcome: Outcome) -> None:
        self.log.ended(decision, outcome)

    def call(self, tool: str, session: str = "s", user: str = "ann", **args: Any) -> Decision:
        self.now += 1
        request = {"tenant_id": "t", "agent_id": "bot", "user_id": user, "session_id": session}
        return self.engine.decide(request | {"tool_name": tool, "tool_args": args})

    def derived(self, evaluator: Any = "native", policy: Any = None) -> list[Derived]:
        self.log.close()
        return list(derive(LogReader(self.folder / "log"), [policy or self.engine.policy], evaluator))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def a_day(desk: Desk) -> None:
    """Some calls of three sessions, one of which was opened before its first call."""
    desk.engine.session("opened", tenant_id="t")
    for session in ("s", "opened", "other"):
        desk.engine.completed(desk.call("read_page", session, url="https://a.example"), "nothing")
        desk.call("mail", session, to="a@b.example", body="x")
        desk.engine.completed(desk.call("read_page", session, url="https://a.example"), "IGNORE it")
        desk.call("mail", session, to="a@b.example", body="x")
        desk.engine.completed(desk.call("read_order", session, id="1"), {"a": 1})
        desk.call("mail", session, to="a@b.example", body="x")
        for amount in (50, 60, 500, 70, 1 << 70, 0.5):
            desk.call("pay", session, amount=amount, to="x")
        desk.engine.decide({"tool_name": 5})


@pytest.mark.parametrize("evaluator", ["native", "reference"])
def test_a_day_of_decisions_comes_out_again(desk: Desk, evaluator: Any) -> None:
    a_day(desk)
    found = desk.derived(evaluator)
    assert len(found) == 39
    assert [one.as_json() for one in found if one.status is Status.DIFFERENT] == []
    assert {one.status for one in found if one.status is not Status.UNDECIDED} == {Status.SAME}
    assert sum(one.status is Status.UNDECIDED for one in found) == 3


@pytest.mark.parametrize(
    ("tool", "said"), [("mail", Effect.ALLOW), ("pay", Effect.BLOCK), ("read_order", Effect.BLOCK)]
)
def test_a_decision_that_was_not_what_the_policy_says_is_found(desk: Desk, tool: str, said: Effect) -> None:
    desk.engine.session("s", tenant_id="t")
    desk.alter[tool] = said
    if tool == "mail":
        desk.engine.completed(desk.call("read_order", id="1"), "x")
    args: dict[str, dict[str, Any]] = {
        "mail": {"to": "a@b.example", "body": "x"},
        "pay": {"amount": 1, "to": "x"},
        "read_order": {"id": "1"},
    }
    desk.call(tool, **args[tool])
    (different,) = [one for one in desk.derived() if one.status is not Status.SAME]
    assert different.status is Status.DIFFERENT
    assert different.recorded["effect"] == said
    assert different.derived["effect"] != said


def test_what_was_erased_is_named_and_not_guessed(desk: Desk) -> None:
    desk.call("pay", amount=5, to="x", user="ann")
    desk.call("pay", amount=5, to="x", user="bob")
    desk.log.erase("t", "ann")
    assert [one.status for one in desk.derived()] == [Status.ERASED, Status.SAME]


def test_a_decision_under_another_policy_is_named_so(desk: Desk) -> None:
    desk.call("pay", amount=5, to="x")
    other = Engine.from_text("allow *\n").policy
    assert [one.status for one in desk.derived(policy=other)] == [Status.OTHER_POLICY]


def test_words_that_a_log_does_not_keep_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "tool pay(to: key string) is write\nallow pay as asked when args.to from user\n"
    desk = Desk(tmp_path, monkeypatch, text)
    desk.engine.session("s", tenant_id="t").said("pay ACME")
    assert desk.call("pay", to="ACME").effect == "ALLOW"
    assert [one.status for one in desk.derived()] == [Status.WORDS]


@pytest.mark.parametrize("evaluator", ["native", "reference"])
def test_an_approved_call_comes_out_as_approved(desk: Desk, evaluator: Any) -> None:
    desk.engine.session("s", tenant_id="t")
    held = desk.call("pay", amount=150, to="x")
    nobody = desk.engine.answer(held, approver="boss", principal="bot")  # the agent that asked
    assert desk.engine.decide(held.request, approval=nobody).effect == "STEP_UP"
    approval = desk.engine.answer(held, approver="boss", principal="eve")
    assert desk.engine.decide(held.request, approval=approval).effect == "ALLOW"
    assert desk.engine.decide(held.request, approval=approval).reason_code == "approval_invalid"  # it is used up
    assert desk.call("pay", amount=101, to="x").by == "limit"
    assert {one.status for one in desk.derived(evaluator)} == {Status.SAME}


def test_a_session_of_which_the_log_does_not_hold_everything_is_named(desk: Desk) -> None:
    session = desk.engine.session("s", tenant_id="t")
    session.let_through(Call("elsewhere", "read_order", None, desk.now), frozenset({"order-data"}))
    assert desk.call("mail", to="a@b.example", body="x").effect == "BLOCK"
    assert [one.status for one in desk.derived()] == [Status.SESSION]


def test_counters_of_which_the_log_does_not_hold_everything_are_named(desk: Desk) -> None:
    desk.engine.session("s", tenant_id="t")
    desk.engine.ledger.reserve(Reservation("spent", "bot", 240), desk.now, "elsewhere", 86_400)
    assert desk.call("pay", amount=50, to="x").by == "limit"
    assert [one.status for one in desk.derived()] == [Status.COUNTERS]


def test_what_was_erased_still_counts_as_a_call_of_its_session(desk: Desk) -> None:
    desk.engine.completed(desk.call("read_order", user="ann", id="1"), "x")
    assert desk.call("mail", user="bob", to="a@b.example", body="x").effect == "BLOCK"
    desk.log.erase("t", "ann")
    assert [one.status for one in desk.derived()] == [Status.ERASED, Status.SAME]


def test_a_session_goes_on_under_another_policy(desk: Desk) -> None:
    desk.engine.completed(desk.call("read_order", id="1"), "x")
    first, kept = desk.engine.policy, desk.engine._sessions
    desk.engine = Engine.from_text(POLICY + "block  pay as none\n", recorder=desk, clock=lambda: desk.now)
    desk.engine._sessions = kept
    assert desk.call("mail", to="a@b.example", body="x").effect == "BLOCK"
    desk.log.close()
    found = derive(LogReader(desk.folder / "log"), [first, desk.engine.policy])
    assert [one.status for one in found] == [Status.SAME, Status.SAME]


def test_the_command_counts_and_ends_with_one_where_something_differs(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    a_day(desk)
    desk.log.close()
    policy, log = str(desk.folder / "policy.thoth"), str(desk.folder / "log")
    assert main(["evidence", "replay", log, "--policy", policy]) == 0
    assert "derived again, the same" in capsys.readouterr().out
    with evidence.open(log, mode="sync") as again:
        desk.log, desk.alter = again, {"pay": Effect.BLOCK}
        desk.call("pay", "new", amount=1, to="x")
    assert main(["evidence", "replay", log, "--policy", policy, "--format", "json"]) == 1
    assert '"different"' in capsys.readouterr().out
