"""Holds: who may answer, who hears of it, and what survives."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from thoth.contract import Decision, Effect, Ending, OperationError, RequestError
from thoth.evidence import LogReader
from thoth.evidence import init as make_log
from thoth.server import Approvers, Settings, Sidecar
from thoth.server.holds import Hold, NotYours, Principal
from thoth.socket_client import SocketClient

from .live import CONTEXT, Clock, Live, live
from .test_http import Client

POLICY = """
allow * as all
step_up pay as large when args.amount > 100 ask "leads" within 10m
step_up wire as both when args.amount > 100 ask "leads", "legal" all
step_up mail as own ask user
modify share as short set args.rows = 10
step_up share as shared ask "leads"
limit pay as daily to 1_000 of args.amount per 1d by agent else block
"""
BOUND = {"leads": Approvers(["cfo", "ann", "bot"]), "legal": Approvers(["law", "cfo"])}
CFO, ANN, BOT, LAW = (Principal(name, f"key:{name}") for name in ("cfo", "ann", "bot", "law"))


def request(tool: str, **args: object) -> dict[str, object]:
    return {**CONTEXT, "tool_name": tool, "tool_args": args, "session_id": "s1"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def running(tmp_path: Path, clock: Clock):  # type: ignore[no-untyped-def]
    with live(tmp_path, POLICY, approvers=BOUND, clock=clock) as found:
        yield found


def answer(running: Live, token: str, principal: Principal, granted: bool = True) -> Hold:
    """One person's answer, when it is durable."""
    durable: Future[Exception | None] = Future()
    hold = running.on_loop(running.sidecar.holds.answer, token, principal, granted, "", durable.set_result)
    assert durable.result(10) is None
    return hold


def waiting(client: SocketClient, token: str, asked: dict[str, object]) -> Callable[[], Decision | None]:
    """Wait for a hold on a thread of its own."""
    found: Future[Decision | None] = Future()
    thread = threading.Thread(target=lambda: found.set_result(client.wait(token, 30, asked)))
    thread.start()

    def result() -> Decision | None:
        thread.join(30)
        return found.result(0)

    return result


def test_an_approved_call_runs_and_its_ending_is_taken(running: Live) -> None:
    asked = request("pay", amount=500)
    with SocketClient(running.path) as client:
        held = client.decide(asked)
        assert held.decision.effect == Effect.STEP_UP
        assert held.hold_token.startswith("hold_")
        wait = waiting(client, held.hold_token, asked)
        answer(running, held.hold_token, CFO)
        decision = wait()
        assert decision is not None
        assert (decision.effect, decision.reason_code) == (Effect.ALLOW, "approval_granted")
        assert client.ended(decision.id, Ending.COMPLETED, "paid").result == "paid"


def test_a_denied_call_is_blocked_and_gives_back_what_it_reserved(running: Live) -> None:
    with SocketClient(running.path) as client:
        held = client.decide(request("pay", amount=900))
        assert client.decide(request("pay", amount=900)).decision.reason_code == "limit_exceeded"
        answer(running, held.hold_token, CFO, granted=False)
        decision = client.wait(held.hold_token, 0)
        assert decision is not None
        assert (decision.effect, decision.reason_code) == (Effect.BLOCK, "approval_denied")
        assert client.decide(request("pay", amount=900)).decision.effect == Effect.STEP_UP


def test_a_hold_that_nobody_answers_ends_in_a_block_and_gives_back(running: Live, clock: Clock) -> None:
    with SocketClient(running.path) as client:
        held = client.decide(request("pay", amount=900))
        assert client.wait(held.hold_token, 0) is None
        clock.now += 601
        running.on_loop(running.sidecar.sweep)
        decision = client.wait(held.hold_token, 10)
        assert decision is not None
        assert (decision.effect, decision.reason_code) == (Effect.BLOCK, "approval_expired")
        assert client.decide(request("pay", amount=900)).decision.effect == Effect.STEP_UP


def test_the_agent_that_asked_and_its_user_do_not_approve(running: Live) -> None:
    with SocketClient(running.path) as client:
        token = client.decide(request("pay", amount=500)).hold_token
        with pytest.raises(NotYours, match="whoever asked"):
            answer(running, token, BOT)
        with pytest.raises(NotYours, match="was not asked"):
            answer(running, token, ANN)  # a member of the name, and the request's own user
        with pytest.raises(NotYours, match="was not asked"):
            answer(running, token, LAW)
        with pytest.raises(NotYours, match="whoever asked"):
            answer(running, token, Principal("cfo", running.sidecar.holds.find(token).asker))  # type: ignore[union-attr]
        assert client.wait(token, 0) is None


def test_the_user_approves_where_the_policy_says_so(running: Live) -> None:
    with SocketClient(running.path) as client:
        token = client.decide(request("mail", to="x")).hold_token
        with pytest.raises(NotYours):
            answer(running, token, CFO)
        answer(running, token, ANN)
        decision = client.wait(token, 0)
        assert decision is not None
        assert decision.effect == Effect.ALLOW


def test_where_all_are_asked_one_person_cannot_answer_for_two_names(running: Live) -> None:
    with SocketClient(running.path) as client:
        token = client.decide(request("wire", amount=500)).hold_token
        answer(running, token, CFO)  # a member of both
        assert client.wait(token, 0) is None
        assert len(answer(running, token, CFO).answers) == 2, "said twice it is still one person's word for both names"
        assert client.wait(token, 0) is None
        answer(running, token, LAW)
        decision = client.wait(token, 0)
        assert decision is not None
        assert decision.effect == Effect.ALLOW


def test_an_approver_sees_and_the_tool_receives_the_changed_arguments(running: Live) -> None:
    asked = request("share", rows=5_000)
    with SocketClient(running.path) as client:
        token = client.decide(asked).hold_token
        hold = answer(running, token, CFO)
        assert hold.decision.args == {"rows": 10}
        decision = client.wait(token, 0, asked)
        assert decision is not None
        assert (decision.effect, decision.args) == (Effect.MODIFY, {"rows": 10})


def test_an_approval_is_used_once(running: Live) -> None:
    with SocketClient(running.path) as client:
        token = client.decide(request("pay", amount=500)).hold_token
        answer(running, token, CFO)
        with pytest.raises(RequestError, match="waits no longer"):
            answer(running, token, CFO)
        assert client.decide(request("pay", amount=499)).decision.effect == Effect.STEP_UP


def test_another_tenants_key_sees_nothing(running: Live) -> None:
    with SocketClient(running.path) as client:
        token = client.decide(request("pay", amount=500)).hold_token
        with pytest.raises(RequestError, match="holds no call"):
            answer(running, token, Principal("cfo", "key:x", tenant="other"))
        assert list(running.on_loop(running.sidecar.holds.open_for, Principal("cfo", "key:x", "other"))) == []
        assert len(list(running.on_loop(running.sidecar.holds.open_for, CFO))) == 1


def test_holds_and_what_they_reserved_survive_a_restart(tmp_path: Path, clock: Clock) -> None:
    asked = request("pay", amount=900)
    with live(tmp_path, POLICY, approvers=BOUND, clock=clock) as running, SocketClient(running.path) as client:
        token = client.decide(asked).hold_token
        wired = client.decide(request("wire", amount=2**80)).hold_token
        answer(running, wired, CFO)
    with live(tmp_path, POLICY, approvers=BOUND, clock=clock) as running, SocketClient(running.path) as client:
        assert client.decide(asked).decision.reason_code == "limit_exceeded"
        answer(running, token, CFO)
        decision = client.wait(token, 0, asked)
        assert decision is not None
        assert (decision.effect, decision.reason_code) == (Effect.ALLOW, "approval_granted")
        answer(running, wired, LAW)
        decision = client.wait(wired, 0)
        assert decision is not None
        assert decision.effect == Effect.ALLOW
    with live(tmp_path, POLICY, approvers=BOUND, clock=clock) as running, SocketClient(running.path) as client:
        again = client.wait(token, 0, asked)
        assert again is not None
        assert again.id.startswith(decision.id.split("-")[0])


def test_answers_are_in_the_evidence(tmp_path: Path, clock: Clock) -> None:
    make_log(tmp_path / "evidence")
    told = {"recording": "sync", "evidence": str(tmp_path / "evidence")}
    with live(tmp_path, POLICY, approvers=BOUND, clock=clock, **told) as running, SocketClient(running.path) as client:
        token = client.decide(request("pay", amount=500)).hold_token
        answer(running, token, CFO)
        decision = client.wait(token, 10)
        assert decision is not None
    records = [entry.record for entry in LogReader(tmp_path / "evidence").entries()]
    kinds = [record["kind"] for record in records if record["kind"] not in ("heartbeat", "policy_load")]
    assert kinds == ["decision", "approval", "decision"]
    approval = next(record for record in records if record["kind"] == "approval")
    assert (approval["principal"], approval["approver"], approval["granted"]) == ("cfo", "leads", True)


def test_a_call_that_cannot_be_held_is_blocked(running: Live) -> None:
    running.sidecar.holds._store = None  # as if nothing could be kept
    with SocketClient(running.path) as client:
        answered = client.decide(request("pay", amount=900))
        assert answered.decision.effect == Effect.BLOCK
        assert answered.hold_token == ""
        running.sidecar.holds._store = running.sidecar.store
        assert client.decide(request("pay", amount=900)).decision.effect == Effect.STEP_UP, "nothing stayed reserved"


@pytest.mark.parametrize(
    ("approvers", "state", "what"),
    [
        ({"leads": Approvers(["cfo"])}, True, r"asks `legal`.*\[approvers.legal\]"),
        ({"leads": Approvers(["cfo"]), "legal": Approvers([])}, True, "has no members"),
        (BOUND, False, "--state"),
    ],
)
def test_a_name_that_nobody_stands_behind_stops_the_start(
    tmp_path: Path, approvers: dict[str, Approvers], state: bool, what: str
) -> None:
    (tmp_path / "policy.thoth").write_text(POLICY)
    told = Settings(
        policy=[str(tmp_path / "policy.thoth")],
        socket=str(tmp_path / "run" / "s"),
        recording="none",
        state=str(tmp_path / "state") if state else "",
        approvers=approvers,
    )
    with pytest.raises(OperationError, match=what):
        Sidecar(told)


def test_whoever_asked_may_take_a_held_call_back(running: Live) -> None:
    with SocketClient(running.path) as client:
        held = client.decide(request("pay", amount=900))
        client.ended(held.decision.id, Ending.CANCELLED)
        decision = client.wait(held.hold_token, 10)
        assert decision is not None
        assert (decision.effect, decision.reason_code) == (Effect.BLOCK, "approval_expired")
        with pytest.raises(RequestError, match="waits no longer"):
            answer(running, held.hold_token, CFO)
        assert client.decide(request("pay", amount=900)).decision.effect == Effect.STEP_UP, "it gave back what it had"


def test_nobody_hears_of_an_approval_before_it_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_log(tmp_path / "e")
    told = {"evidence": str(tmp_path / "e"), "recording": "sync", "http_socket": str(tmp_path / "run" / "h")}
    with live(tmp_path, POLICY, approvers=BOUND, **told) as running, SocketClient(running.path) as client:
        sidecar, disk = running.sidecar, threading.Event()
        key, _ = sidecar.keys.create("bot-key", ["execute", "read"], 0.0)
        asked = request("pay", amount=500)
        held = client.decide(asked)
        flush = sidecar.evidence.flush
        answered: Future[Exception | None] = Future()

        def stuck() -> None:
            assert disk.wait(10)
            raise OSError(28, "no space left on device")

        monkeypatch.setattr(sidecar.evidence, "flush", stuck)
        running.on_loop(sidecar.holds.answer, held.hold_token, CFO, True, "", answered.set_result)
        try:
            assert client.wait(held.hold_token, 0, asked) is None, "its record may yet be lost"
            http = Client(Path(sidecar.settings.http_socket), key)
            assert http.ask("GET", f"/v1/enforce/hold/{held.hold_token}")[1]["resolved"] is False
            with pytest.raises(RequestError, match="waits no longer"):
                answer(running, held.hold_token, CFO, granted=False)
            running.on_loop(sidecar.sweep)
        finally:
            disk.set()
        answered.result(10)
        monkeypatch.setattr(sidecar.evidence, "flush", flush)
        decision = client.wait(held.hold_token, 10, asked)
        assert decision is not None
        assert (decision.effect, decision.reason_code) == (Effect.BLOCK, "evidence_unavailable")
