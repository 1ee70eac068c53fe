"""What goes on for long, in short: restarts and reloads under load, connections that come and go."""

import os
import signal
import threading
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from thoth.contract import Effect
from thoth.evidence import LogReader
from thoth.evidence import init as make_log
from thoth.socket_client import SocketClient

from .live import CONTEXT, live
from .test_process import Process, processes

__all__ = ["processes"]

RESTARTS = int(os.environ.get("RESTARTS", "3"))
OLD = "allow * as all\n"


class Askers:
    """Threads that ask without a pause, each question with an id of its own."""

    def __init__(self, path: Path, count: int) -> None:
        self.path, self.over = path, threading.Event()
        self.answered: list[tuple[str, str, str]] = []
        self.errors: list[Exception] = []
        self.threads = [threading.Thread(target=self._ask, args=[number]) for number in range(count)]

    def _ask(self, number: int) -> None:
        with SocketClient(self.path, timeout_s=60) as client:
            asked = 0
            while not self.over.is_set():
                batch = [
                    {**CONTEXT, "tool_name": "search", "request_id": f"{number}-{asked + place}"} for place in range(8)
                ]
                asked += len(batch)
                try:
                    found = client.decide_many(batch)
                except Exception as error:  # noqa: BLE001 - the test says what it was
                    self.errors.append(error)
                    return
                for one, sent in zip(found, batch, strict=True):
                    decision = one.decision
                    self.answered.append((str(sent["request_id"]), decision.effect, decision.policy_digest))

    def __enter__(self) -> "Askers":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(90)

    def more(self, count: int) -> None:
        """Return when so many more questions are answered."""
        goal = len(self.answered) + count
        while len(self.answered) < goal and not self.errors:
            threading.Event().wait(0.005)


def test_restarts_under_load_lose_no_answer_and_record_nothing_twice(tmp_path: Path, processes: list[Process]) -> None:
    make_log(tmp_path / "evidence")
    options = ("--evidence", str(tmp_path / "evidence"), "--no-watch")
    processes.append(served := Process(tmp_path, *options))
    with Askers(served.path, 3) as askers:
        for _ in range(RESTARTS):
            askers.more(200)
            served.kill(signal.SIGTERM)
            assert served.process.returncode == 0
            processes.append(served := Process(tmp_path, *options))
        askers.more(200)
    served.kill(signal.SIGTERM)
    assert askers.errors == []
    records = [entry.record for entry in LogReader(tmp_path / "evidence").entries()]
    recorded = Counter(record["request_id"] for record in records if record["kind"] == "decision")
    assert {id for id, _, _ in askers.answered} <= recorded.keys()
    assert [id for id, times in recorded.items() if times > 1] == []


def test_reloads_under_load_disturb_no_answer(tmp_path: Path) -> None:
    digests = set()
    with live(tmp_path, OLD) as running, Askers(running.path, 2) as askers:
        for number in range(5):
            digests.add(running.sidecar.engine.policy.digest)
            (tmp_path / "policy.thoth").write_text(f"{OLD}block never{number} as never\n")
            told: Future[str] = Future()
            running.on_loop(running.sidecar.reloader.ask, told.set_result)
            assert told.result(30) == ""
            askers.more(50)
        digests.add(running.sidecar.engine.policy.digest)
        askers.over.set()
        for thread in askers.threads:
            thread.join(60)
    assert askers.errors == []
    assert {effect for _, effect, _ in askers.answered} == {Effect.ALLOW}
    assert len({digest for _, _, digest in askers.answered}) > 1
    assert {digest for _, _, digest in askers.answered} <= digests


def test_connections_that_come_and_go_leave_no_descriptor(tmp_path: Path) -> None:
    told: dict[str, Any] = {"http_socket": str(tmp_path / "run" / "h")}
    with live(tmp_path, OLD, **told) as running:

        def come_and_go(count: int) -> None:
            for _ in range(count):
                with SocketClient(running.path) as client:
                    client.decide({**CONTEXT, "tool_name": "search"})

        come_and_go(5)
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        come_and_go(200)
        running.on_loop(lambda: None)
        assert len(os.listdir("/proc/self/fd")) <= before + 2  # noqa: PTH208
        assert running.on_loop(lambda: len(running.sidecar.frames.connections)) <= 2
