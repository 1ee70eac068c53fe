"""A process that comes back: what limits, sessions and the ladder knew is taken from the evidence."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from thoth.contract import Effect, Ending, RequestError
from thoth.evidence import LogReader
from thoth.evidence import init as make_log
from thoth.server import Approvers
from thoth.server.holds import Principal
from thoth.socket_client import SocketClient
from thoth.socket_frames import EndedBefore

from .live import CONTEXT, Clock, live
from .live import first_request as request
from .test_holds import answer

POLICY = """
policy p
    mode at least progressive

tool read_customer(id: string) is read yields pii
tool wipe(id: string) is delete atomic
tool browse(url: string) is read yields other
tool note(text: string) is write risk low
allow read_customer as reads
allow pay as pays
allow wipe as wipes
allow send as sends
block send as leak when session.labels contains pii
block send as open when session.labels contains other
limit pay as daily to 1_000 of args.amount per 1d by agent else block
limit wipe as few to 1 calls per 1d by agent else block
step_up pay as large when args.amount > 500 ask "leads"
"""


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    make_log(tmp_path / "evidence")
    clock = Clock()

    clock.now = time.time()
    bound = {"leads": Approvers(["cfo"])}
    told = {"recording": "sync", "evidence": str(tmp_path / "evidence"), "clock": clock, "approvers": bound}
    return {**told, "hand_over": False}  # as after a crash


def test_limits_count_what_an_earlier_process_let_through(tmp_path: Path, settings: dict[str, Any]) -> None:
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        assert client.decide(request("pay", amount=400)).decision.effect == Effect.ALLOW
        assert client.decide(request("pay", amount=400)).decision.effect == Effect.ALLOW
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        assert client.decide(request("pay", amount=400)).decision.reason_code == "limit_exceeded"
        assert client.decide(request("pay", amount=200)).decision.effect == Effect.ALLOW
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        assert client.decide(request("pay", amount=1)).decision.reason_code == "limit_exceeded"
        settings["clock"].now += 86_401
        assert client.decide(request("pay", amount=1)).decision.effect == Effect.ALLOW


def test_what_a_failed_atomic_call_gave_back_stays_given_back(tmp_path: Path, settings: dict[str, Any]) -> None:
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        wiped = client.decide(request("wipe", id="1")).decision
        assert wiped.effect == Effect.ALLOW
        client.ended(wiped.id, Ending.FAILED, "busy")
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        assert client.decide(request("wipe", id="1")).decision.effect == Effect.ALLOW
        assert client.decide(request("wipe", id="1")).decision.effect == Effect.BLOCK


def test_a_hold_reserves_once_after_a_restart(tmp_path: Path, settings: dict[str, Any]) -> None:
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        token = client.decide(request("pay", amount=600)).hold_token
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        assert client.decide(request("pay", amount=500)).decision.reason_code == "limit_exceeded"
        assert client.decide(request("pay", amount=400)).decision.effect == Effect.ALLOW
        answer(running, token, Principal("cfo", "key:cfo"))
        decision = client.wait(token, 10)
        assert decision is not None
        assert decision.effect == Effect.ALLOW


def test_labels_hold_and_what_is_not_known_is_not_absent(tmp_path: Path, settings: dict[str, Any]) -> None:
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        assert client.decide(request("read_customer", id="1")).decision.effect == Effect.ALLOW
        assert client.decide(request("read_customer", "s2", id="1")).decision.effect == Effect.ALLOW
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        assert client.decide(request("send")).decision.rules == ("leak", "open")
        session = running.sidecar.engine.session("s1", tenant_id="acme")
        assert not session.begun
        assert [call.tool for call in session.calls] == ["read_customer"]
        fresh = client.decide(request("send", "s3")).decision
        assert fresh.effect == Effect.ALLOW, "a session that was never open before begins"


def test_the_ladder_goes_on_where_it_was(tmp_path: Path, settings: dict[str, Any]) -> None:
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        first = client.decide({**request("note", text="a"), "enforcement_mode": "progressive"}).decision
        assert (first.effect, first.reason_code) == (Effect.ALLOW, "progressive_warning")
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        assert (
            client.decide({**request("note", text="b"), "enforcement_mode": "progressive"}).decision.effect
            != Effect.ALLOW
        )


# ---------------------------------------------------------------- calls that were under way


def outcomes(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the decision and the ending of each outcome in the evidence."""
    records = [entry.record for entry in LogReader(Path(settings["evidence"])).entries()]
    return [(record["decision"], record["ended"]) for record in records if record.get("kind") == "outcome"]


def test_a_call_that_was_under_way_can_still_be_reported_and_counts_once(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        read = client.decide(request("read_customer", id="1")).decision
        alone = client.decide({**CONTEXT, "tool_name": "browse", "tool_args": {"url": "x"}}).decision
        token = client.decide(request("pay", amount=600)).hold_token
        answer(running, token, Principal("cfo", "key:cfo"))
        approved = client.wait(token, 10)
        assert approved is not None
        assert approved.effect == Effect.ALLOW
    assert alone.effect == Effect.BLOCK
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        assert client.ended(read.id, Ending.COMPLETED, "a customer").result is None, "no rule can judge it any more"
        assert client.ended(approved.id, Ending.FAILED).ending == Ending.FAILED
        session = running.sidecar.engine.session("s1", tenant_id="acme")
        assert [call.ending for call in session.calls] == [Ending.COMPLETED, Ending.FAILED]
        assert "pii" in session.labels
        with pytest.raises(EndedBefore):
            client.ended(read.id, Ending.FAILED)
        for never in (alone.id, "0" * len(read.id)):
            with pytest.raises(RequestError, match="not let through here"):
                client.ended(never, Ending.COMPLETED)
    with (
        live(tmp_path, POLICY, **settings) as running,
        SocketClient(running.path) as client,
        pytest.raises(EndedBefore),
    ):
        client.ended(read.id, Ending.COMPLETED)
    assert outcomes(settings) == [(read.id, "completed"), (approved.id, "failed")]


def test_a_call_without_a_session_can_be_reported_after_a_restart(tmp_path: Path, settings: dict[str, Any]) -> None:
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        wiped = client.decide({**CONTEXT, "tool_name": "wipe", "tool_args": {"id": "1"}}).decision
        assert wiped.effect == Effect.ALLOW
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        client.ended(wiped.id, Ending.FAILED)
        again = client.decide(request("wipe", id="1")).decision
        assert again.effect == Effect.ALLOW, "an atomic tool that failed gives back what an earlier process reserved"
    assert outcomes(settings) == [(wiped.id, "failed")]


def test_a_key_reports_calls_of_an_earlier_process_for_its_own_tenant_alone(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        read = client.decide(request("read_customer", id="1")).decision
    with live(tmp_path, POLICY, **settings) as running:
        dispatcher = running.sidecar.dispatcher
        assert dispatcher.under_way("s1", "read_customer", "key:k", "globex") is None
        assert dispatcher.under_way("s1", "read_customer", "key:k", "acme") == read.id
        report = read.id, "completed", msgspec.UNSET, True, "key:k"
        with pytest.raises(RequestError, match="no such call under way"):
            running.on_loop(dispatcher.ended, *report, "globex")
        assert running.on_loop(dispatcher.ended, *report, "acme").ending == Ending.COMPLETED
        assert dispatcher.under_way("s1", "read_customer", "key:k", "acme") is None


def test_a_result_that_a_rule_might_filter_is_withheld_where_no_rule_can_judge_it(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    policy = POLICY + 'on result read_customer as hide redact result matching card_number with "[card]"\n'
    with live(tmp_path, policy, **settings) as running, SocketClient(running.path) as client:
        read = client.decide(request("read_customer", id="1")).decision
    with live(tmp_path, policy, **settings) as running, SocketClient(running.path) as client:
        for _ in range(2):
            passed = client.ended(read.id, Ending.COMPLETED, "card 1234")
            assert (passed.result, passed.withheld) == (None, True)
    assert outcomes(settings) == [(read.id, "completed")]


def test_an_end_that_is_not_durable_is_not_acknowledged(tmp_path: Path, settings: dict[str, Any]) -> None:
    class Full:
        def flush(self) -> None:
            raise OSError("the disk is full")

    with live(tmp_path, POLICY, **settings) as running, SocketClient(running.path) as client:
        read = client.decide(request("read_customer", id="1")).decision
        assert running.sidecar.commit is not None
        running.on_loop(setattr, running.sidecar.commit, "_log", Full())
        with pytest.raises(RequestError, match="could not be recorded"):
            client.ended(read.id, Ending.COMPLETED)
        assert running.sidecar.counts.unrecorded == 1
