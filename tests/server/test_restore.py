"""A process that comes back: what limits, sessions and the ladder knew is taken from the evidence."""

import time
from pathlib import Path
from typing import Any

import pytest

from thoth.contract import Effect, Ending
from thoth.evidence import init as make_log
from thoth.server import Approvers
from thoth.server.holds import Principal
from thoth.socket_client import SocketClient

from .live import CONTEXT, Clock, live
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


def request(tool: str, session: str = "s1", **args: object) -> dict[str, object]:
    return {**CONTEXT, "tool_name": tool, "tool_args": args, "session_id": session, "session_tool_calls": [tool]}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    make_log(tmp_path / "evidence")
    clock = Clock()

    clock.now = time.time()
    bound = {"leads": Approvers(["cfo"])}
    return {"recording": "sync", "evidence": str(tmp_path / "evidence"), "clock": clock, "approvers": bound}


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
