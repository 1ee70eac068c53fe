"""`thoth serve` as an operator runs it: a process, signals, and what a `kill -9` leaves behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from thoth.contract import Effect, OperationError
from thoth.evidence import LogReader
from thoth.evidence import init as make_log
from thoth.server.keys import Keys
from thoth.socket_client import SocketClient

from .live import CONTEXT
from .test_http import Client

POLICY = "allow search as search\nblock * as rest when env is test\n"
SEARCH = {**CONTEXT, "tool_name": "search", "tool_args": {"q": "owls"}}
PAY = {**CONTEXT, "tool_name": "pay", "tool_args": {"amount": 500}}
HELD = POLICY + 'allow pay as paid\nstep_up pay as large ask "leads" within 1h\n'


class Process:
    """One `thoth serve`."""

    def __init__(self, folder: Path, *options: str, policy: str = POLICY) -> None:
        (folder / "policy.thoth").write_text(policy)
        self.path = folder / "run" / "s"
        command = [sys.executable, "-m", "thoth.cli", "serve", "--policy", str(folder / "policy.thoth")]
        command += ["--socket", str(self.path), *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def kill(self, number: int = signal.SIGTERM) -> str:
        """Send a signal, and return what the process has said."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)[1]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for one in started:
        if one.process.poll() is None:
            one.kill(signal.SIGKILL)


def test_it_serves_until_sigterm_and_takes_its_socket_away(tmp_path: Path, processes: list[Process]) -> None:
    served = Process(tmp_path, "--recording", "none")
    processes.append(served)
    with SocketClient(served.path, timeout_s=30) as client:
        assert client.decide(SEARCH).decision.effect == Effect.ALLOW
    said = served.kill()
    assert served.process.returncode == 0
    assert '"event":"serving"' in said
    assert '"event":"stopped"' in said
    assert not served.path.exists()


@pytest.mark.parametrize("number", range(int(os.environ.get("KILLS", "1"))))
def test_after_a_kill_every_answered_sync_decision_is_in_the_evidence_and_holds_and_keys_are_there(
    tmp_path: Path, processes: list[Process], number: int
) -> None:
    make_log(tmp_path / "evidence")
    (tmp_path / "thoth.toml").write_text('[approvers.leads]\nmembers = ["cfo"]\n')
    web, state = tmp_path / "run" / "h", tmp_path / "state"
    options = ("--evidence", str(tmp_path / "evidence"), "--recording", "sync", "--http-socket", str(web))
    options = (*options, "--state", str(state), "--config", str(tmp_path / "thoth.toml"))
    served = Process(tmp_path, *options, policy=HELD)
    processes.append(served)
    answered: list[str] = []
    held: list[str] = []
    enough, killed = threading.Event(), threading.Event()

    def ask() -> None:
        with SocketClient(served.path, timeout_s=20) as client:
            while not killed.is_set():
                try:
                    found = client.decide_many([PAY] + [SEARCH] * 15, timeout_s=2)
                except OperationError:
                    continue  # killed meanwhile, or slow
                answered.extend(one.decision.id for one in found)
                held.extend(one.hold_token for one in found if one.hold_token)
                if len(answered) > 200 * (number % 5 + 1):
                    enough.set()

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    assert enough.wait(60)
    keys = Keys(state / "keys.db")  # as `thoth keys` does, from beside, while the sidecar is at work
    key, _ = keys.create("cfo", ("read", "write"), time.time())
    keys.close()
    served.kill(signal.SIGKILL)
    killed.set()
    for asker in askers:
        asker.join(60)
    again = Process(tmp_path, *options, policy=HELD)  # its start recovers the log
    processes.append(again)
    with SocketClient(again.path, timeout_s=30) as client:
        assert client.decide(SEARCH).decision.effect == Effect.ALLOW
        assert held
        assert {client.wait(token, 0) for token in held} == {None}, "each is known, and waits"
        assert Client(web, key).ask("POST", f"/v1/approvals/{held[-1]}/resolve", {"decision": "approve"})[0] == 200
        approved = client.wait(held[-1], 10)
        assert approved is not None
        assert approved.effect == Effect.ALLOW
    again.kill()
    recorded = {entry.record.get("id") for entry in LogReader(tmp_path / "evidence").entries()}
    assert {*answered, approved.id} <= recorded


def test_options_come_from_the_file_the_environment_and_the_command_line(
    tmp_path: Path, processes: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thoth.toml").write_text('recording = "sync"\nlog = "text"\nevidence = "nowhere"\n')
    monkeypatch.setenv("THOTH_RECORDING", "none")
    monkeypatch.setenv("THOTH_EVIDENCE", "")
    served = Process(tmp_path, "--config", str(tmp_path / "thoth.toml"), "--log", "json")
    processes.append(served)
    with SocketClient(served.path, timeout_s=30) as client:
        client.ping()
    assert '"event":"serving"' in served.kill()


def test_wrong_options_are_told_in_one_line(tmp_path: Path, processes: list[Process]) -> None:
    served = Process(tmp_path)
    processes.append(served)
    said = served.process.communicate(timeout=30)[1]
    assert served.process.returncode == 2
    assert said == (
        "thoth: no evidence log is named; write `--evidence DIR`, or `--recording none` to decide without evidence\n"
    )
    assert os.listdir(tmp_path) == ["policy.thoth"]  # noqa: PTH208 - the names are enough
