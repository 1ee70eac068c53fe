"""A changed policy: taken in between two turns, or not at all."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from thoth.contract import Effect
from thoth.engine import Engine, bundle
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


def test_what_is_kept_in_clear_is_what_the_policy_in_force_says(tmp_path: Path) -> None:
    make_log(tmp_path / "evidence")
    told: dict[str, Any] = {"recording": "async", "evidence": str(tmp_path / "evidence")}
    hidden, shown = "tool pay(note: string)\n" + OLD, "tool pay(note: shown string)\n" + OLD
    asked = {**CONTEXT, "tool_name": "pay", "tool_args": {"note": "rent"}}
    with live(tmp_path, hidden, **told) as running, SocketClient(running.path) as client:
        for number, policy in enumerate((hidden, shown, hidden + "block wipe as wiped\n")):
            assert number == 0 or reload(running, policy) == ""
            assert client.decide(asked).decision.effect == Effect.ALLOW
            # Where nothing is, no record asks Python what is.
            assert (running.sidecar.evidence._decisions.shown is None) == (policy != shown)
    records = [entry.record for entry in LogReader(tmp_path / "evidence").entries()]
    decisions = [record for record in records if record["kind"] == "decision"]
    assert [record.get("shown") for record in decisions] == [None, [["args.note", '"rent"']], None]


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


# ---------------------------------------------------------------- the process that compiles


def started(running: Live) -> Any:
    """Return the process that compiled the last policy."""
    return running.sidecar.reloader._compiler._process


def test_a_policy_is_compiled_in_a_process_of_its_own_that_ends_with_the_sidecar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "whsec_zebra")
    with live(tmp_path, OLD) as running:
        assert started(running) is None
        assert reload(running, NEW) == ""
        process = started(running)
        assert process.poll() is None
        held = [str(file.readlink()) for file in Path(f"/proc/{process.pid}/fd").iterdir()]
        assert sum(name.startswith("socket:") for name in held) == 1, "it inherits its own socket, and nothing else"
        assert b"zebra" not in Path(f"/proc/{process.pid}/environ").read_bytes()
        assert reload(running, OLD) == ""
        assert started(running) is process
    assert process.poll() is not None


def test_a_compiling_process_that_dies_is_told_of_and_replaced(tmp_path: Path) -> None:
    with live(tmp_path, OLD) as running, SocketClient(running.path) as client:
        assert reload(running, NEW) == ""
        started(running).kill()
        started(running).wait()
        assert reload(running, OLD) == ""
        os.kill(started(running).pid, signal.SIGSTOP)
        told: Future[str] = Future()
        running.on_loop(running.sidecar.reloader.ask, told.set_result)
        os.kill(started(running).pid, signal.SIGKILL)
        assert told.result(20) == "the process that compiles the policy ended (SIGKILL)"
        assert client.decide(WIPE).decision.effect == Effect.ALLOW
        assert reload(running, NEW) == ""
        assert client.decide(WIPE).decision.effect == Effect.BLOCK


def test_a_process_that_ends_because_nobody_asked_for_long_is_replaced(tmp_path: Path) -> None:
    with live(tmp_path, OLD) as running:
        compiler = running.sidecar.reloader._compiler
        compiler._channel, theirs = socket.socketpair()
        command = [sys.executable, "-c", "import sys; sys.stdin.buffer.read(1)"]  # it is asked, and gone already
        with theirs, subprocess.Popen(command, stdin=theirs) as compiler._process:
            theirs.close()
            assert reload(running, NEW) == ""
            assert started(running).args != command


def test_compiling_takes_so_long_and_no_longer(tmp_path: Path) -> None:
    with live(tmp_path, OLD) as running:
        assert reload(running, NEW) == ""
        process, compiler = started(running), running.sidecar.reloader._compiler
        os.kill(process.pid, signal.SIGSTOP)
        compiler._channel.settimeout(0.05)
        assert "took longer than" in reload(running, OLD)
        assert process.poll() == -signal.SIGKILL
        assert reload(running, OLD) == ""


def test_a_sidecar_that_stops_does_not_wait_for_a_policy(tmp_path: Path) -> None:
    told: Future[str] = Future()
    with live(tmp_path, OLD) as running:
        assert reload(running, NEW) == ""
        os.kill(started(running).pid, signal.SIGSTOP)
        running.on_loop(running.sidecar.reloader.ask, told.set_result)


def test_a_compiled_bundle_is_taken_as_its_text_is(tmp_path: Path) -> None:
    file = tmp_path / "policy.thothb"
    with live(tmp_path, OLD) as running, SocketClient(running.path) as client:
        settings = msgspec.structs.replace(running.sidecar.settings, policy=[str(file)])
        running.sidecar.reloader._settings = settings
        file.write_bytes(bundle.build(Engine.from_text(NEW).policy, {}))
        told: Future[str] = Future()
        running.on_loop(running.sidecar.reloader.ask, told.set_result)
        assert told.result(20) == ""
        assert client.decide(WIPE).decision.effect == Effect.BLOCK
        file.write_bytes(file.read_bytes()[:-1])
        told = Future()
        running.on_loop(running.sidecar.reloader.ask, told.set_result)
        assert "is damaged" in told.result(20)
        assert client.decide(WIPE).decision.effect == Effect.BLOCK


def test_every_answer_is_of_one_policy_while_policies_are_swapped(tmp_path: Path) -> None:
    """Answers by thousands, swaps by the dozen: what is decided and the digest that it bears belong together."""
    expected: dict[str, Effect] = {}
    with live(tmp_path, OLD) as running:
        for text in (OLD, NEW):
            assert reload(running, text) == ""
            with SocketClient(running.path) as client:
                decision = client.decide(WIPE).decision
            expected[decision.policy_digest] = decision.effect
        over, wrong, counts = threading.Event(), [], []

        def ask() -> None:
            number = 0
            with SocketClient(running.path) as client:
                while not over.is_set():
                    for answer in client.decide_many([WIPE] * 16):
                        if answer.decision.reason_code == "overloaded":
                            continue
                        number += 1
                        if expected.get(answer.decision.policy_digest) is not answer.decision.effect:
                            wrong.append(answer)
            counts.append(number)

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        try:
            problems = [reload(running, text) for text in (OLD, NEW) * 4]
        finally:
            over.set()
            for asker in askers:
                asker.join(30)
    assert problems == [""] * 8
    assert wrong == []
    assert len(expected) == 2
    assert min(counts) > 0
