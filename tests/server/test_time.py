"""What time brings: idle sessions are forgotten and nothing loosens, and what waits for the disk can be seen."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from thoth.contract import Effect, OperationError
from thoth.evidence import LogReader
from thoth.evidence import init as make_log
from thoth.server import Approvers, Settings, read_settings
from thoth.socket_client import SocketClient

from .live import Clock, Live, live
from .live import first_request as request
from .test_holds import CFO, answer
from .test_http import Served

POLICY = """
tool read_customer(id: string) is read yields pii
allow * as all
block send as leak when session.labels contains pii
block search as often when calls(search) >= 3
limit pay as few to 2 calls per 1d by session else block
step_up wire as large ask "leads", "legal" all
"""
BOUND = {"leads": Approvers(["cfo"]), "legal": Approvers(["law"])}


def pass_time(running: Live, clock: Clock, seconds: float) -> None:
    clock.now += seconds
    running.on_loop(running.sidecar.sweep)


def test_an_idle_session_is_forgotten_and_nothing_loosens(tmp_path: Path) -> None:
    clock = Clock()
    told: dict[str, Any] = {"approvers": BOUND, "clock": clock, "session_idle_s": 100.0}
    with live(tmp_path, POLICY, **told) as running, SocketClient(running.path) as client:
        running.on_loop(running.sidecar.sweep)
        for session in ("busy", "idle"):
            assert client.decide(request("send", session)).decision.effect == Effect.ALLOW
            assert client.decide(request("pay", session)).decision.effect == Effect.ALLOW
        pass_time(running, clock, 60)
        assert client.decide(request("search", "busy")).decision.effect == Effect.ALLOW
        pass_time(running, clock, 60)
        pass_time(running, clock, 60)
        sessions = running.sidecar.engine._sessions.kept
        assert list(sessions) == ["busy"]
        assert client.decide(request("send", "busy")).decision.effect == Effect.ALLOW
        back = client.decide(request("send", "idle")).decision
        assert back.rules == ("leak",), "which labels it held is unknown now, and not: none"
        assert client.decide(request("search", "idle")).decision.rules == ("often",), "nor are calls that are forgotten"
        assert client.decide(request("pay", "idle")).decision.effect == Effect.ALLOW
        assert client.decide(request("pay", "idle")).decision.reason_code == "limit_exceeded", "what was spent is known"
        pass_time(running, clock, -1_000_000)  # a clock that went back forgets nothing
        assert len(sessions) == 2


def test_a_time_to_live_of_nothing_is_a_mistake() -> None:
    with pytest.raises(OperationError, match="session_idle_s"):
        read_settings(None, {}, {"policy": ["p"], "recording": "none", "session_idle_s": 0})
    assert Settings(policy=["p"]).session_idle_s == 86_400.0


@pytest.mark.parametrize("recording", ["sync", "async"])
def test_a_record_says_whether_its_answer_waited_for_the_disk(tmp_path: Path, recording: str) -> None:
    make_log(tmp_path / "evidence")
    clock = Clock(time.time())
    told: dict[str, Any] = {"recording": recording, "evidence": str(tmp_path / "evidence"), "approvers": BOUND}
    with live(tmp_path, POLICY, clock=clock, **told) as running, SocketClient(running.path) as client:
        made = client.decide(request("search", "s")).decision
        client.ended(made.id, "completed", "found")  # type: ignore[arg-type]
        token = client.decide(request("wire", "s")).hold_token
        answer(running, token, CFO)
        kinds = {"decision": 2, "outcome": 1, "approval": 1}
        if recording == "sync":  # while it runs: what was acknowledged is there
            found = [entry.record for entry in LogReader(tmp_path / "evidence").entries()]
            assert {kind: sum(r["kind"] == kind for r in found) for kind in kinds} == kinds
    found = [entry.record for entry in LogReader(tmp_path / "evidence").entries()]
    assert {record["recording"] for record in found} == {recording}


def test_how_long_records_wait_is_in_the_metrics(tmp_path: Path) -> None:
    make_log(tmp_path / "evidence")
    told: dict[str, Any] = {"recording": "async", "evidence": str(tmp_path / "evidence"), "approvers": BOUND}
    with live(tmp_path, POLICY, http_socket=str(tmp_path / "run" / "h"), **told) as running:
        log = running.sidecar.evidence

        class Tray:
            count, first_us = 1, round((time.time() - 3) * 1e6)

        waiting = log._tray
        running.on_loop(log.flush)
        assert log.lag_s == 0.0
        log._tray = Tray
        assert log.lag_s >= 3
        text = Served(running, Clock()).client().ask("GET", "/metrics")[1].decode()
        log._tray = waiting
        (lag,) = re.findall(r"^thoth_evidence_lag_seconds (\S+)$", text, re.MULTILINE)
        assert float(lag) >= 3
