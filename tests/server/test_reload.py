"""A changed policy: taken in between two turns, or not at all."""

import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from thoth.contract import Effect
from thoth.evidence import LogReader
from thoth.evidence import init as make_log
from thoth.server import Approvers
from thoth.server.holds import Principal
from thoth.socket_client import SocketClient

from .live import CONTEXT, Live, live
from .test_process import Process, processes

__all__ = ["processes"]

OLD = "allow * as all\n"
NEW = "allow * as all\nblock wipe as wiped\n"
WIPE = {**CONTEXT, "tool_name": "wipe", "session_id": "s1"}


def reload(running: Live, text: str) -> str:
    """Write a policy, have it read again, and return what is wrong with it."""
    Path(running.sidecar.settings.policy[0]).write_text(text)
    told: Future[str] = Future()
    running.on_loop(running.sidecar.reloader.ask, told.set_result)
    return told.result(20)


def test_a_changed_policy_decides_from_then_on_and_sessions_stay(tmp_path: Path) -> None:
    make_log(tmp_path / "evidence")
    told: dict[str, Any] = {"recording": "async", "evidence": str(tmp_path / "evidence")}
    with live(tmp_path, OLD, **told) as running, SocketClient(running.path) as client:
        before = client.decide(WIPE).decision
        assert before.effect == Effect.ALLOW
        assert reload(running, NEW) == ""
        after = client.decide(WIPE).decision
        assert (after.effect, after.rules) == (Effect.BLOCK, ("wiped",))
        assert after.policy_digest != before.policy_digest
        assert len(running.sidecar.engine.session("s1", tenant_id="acme").calls) == 1
        assert running.sidecar.counts.reloads == 1
    records = [entry.record for entry in LogReader(tmp_path / "evidence").entries()]
    loads = [record for record in records if record["kind"] == "policy_load"]
    assert [record.get("previous") for record in loads] == [None, before.policy_digest]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("allow *** nonsense", "policy.thoth:1:"),
        (NEW + 'test "wiping is fine" { call wipe expect ALLOW }\n', "tests of the policy fail, `wiping is fine`"),
        ('allow * as all\nstep_up pay as large ask "nobody"\n', "binds? nobody"),
    ],
)
def test_a_policy_with_mistakes_leaves_the_last_one_serving(tmp_path: Path, text: str, what: str) -> None:
    with live(tmp_path, OLD) as running, SocketClient(running.path) as client:
        assert reload(running, text)
        assert client.decide(WIPE).decision.effect == Effect.ALLOW
        assert running.sidecar.counts.reloads_failed == 1
        assert reload(running, NEW) == ""
        assert client.decide(WIPE).decision.effect == Effect.BLOCK


def test_what_is_asked_for_during_a_reading_is_read_after_it(tmp_path: Path) -> None:
    with live(tmp_path, OLD) as running:
        answers: list[Future[str]] = [Future() for _ in range(5)]
        for answer in answers:
            running.on_loop(running.sidecar.reloader.ask, answer.set_result)
        assert [answer.result(20) for answer in answers] == [""] * 5


def test_an_approval_of_a_call_held_under_the_old_policy_counts_no_longer(tmp_path: Path) -> None:
    policy = 'allow * as all\nstep_up pay as large ask "leads"\n'
    told: dict[str, Any] = {"approvers": {"leads": Approvers(["cfo"])}}
    with live(tmp_path, policy, **told) as running, SocketClient(running.path) as client:
        token = client.decide({**CONTEXT, "tool_name": "pay"}).hold_token
        assert reload(running, policy + "block wipe as wiped\n") == ""
        done: Future[Exception | None] = Future()
        holds = running.sidecar.holds
        running.on_loop(holds.answer, token, Principal("cfo", "key:x"), True, "", done.set_result)
        assert done.result(10) is None
        decision = client.wait(token, 0)
        assert decision is not None
        assert (decision.effect, decision.reason_code) == (Effect.BLOCK, "approval_invalid")


@pytest.mark.parametrize("how", ["watching", "sighup"])
def test_a_running_process_takes_a_changed_file(tmp_path: Path, processes: list[Process], how: str) -> None:
    import signal

    options = ["--recording", "none"] if how == "watching" else ["--recording", "none", "--no-watch"]
    served = Process(tmp_path, *options)
    processes.append(served)
    with SocketClient(served.path, timeout_s=30) as client:
        assert client.decide({**CONTEXT, "tool_name": "search"}).decision.effect == Effect.ALLOW
        while True:  # a watcher may begin to watch after the first answer
            (tmp_path / "policy.thoth").write_text("block search as shut\n")
            if how == "sighup":
                served.process.send_signal(signal.SIGHUP)
            if client.decide({**CONTEXT, "tool_name": "search"}).decision.effect == Effect.BLOCK:
                break
    said = [json.loads(line) for line in served.kill().splitlines()]
    assert "policy_swapped" in [line["event"] for line in said]
