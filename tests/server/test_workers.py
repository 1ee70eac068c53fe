"""Several workers behind one socket: what one process promises holds of all of them together, and one may die."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thoth.contract import Decision, Effect, Ending, OperationError, RequestError
from thoth.contract import frames as wire
from thoth.contract.frames import Kind
from thoth.evidence import LogReader
from thoth.evidence import init as make_log
from thoth.server.keys import Keys
from thoth.server.tokens import route_of
from thoth.socket_client import SocketClient

from .live import CONTEXT
from .test_http import Client

WORKERS = 2
POLICY = """
tool read_customer(id: string) is read yields pii
allow * as all
block send as leak when session.labels contains pii
block search as late when calls(search) >= 2
step_up wire as large ask "leads" within 10m
limit pay as few to 5 calls per 1d by agent else block
limit spend as budget to 100 of args.amount per 1d by tenant else block
limit wire as wires to 3 calls per 1d by agent else block
"""
CONFIG = '[approvers.leads]\nmembers = ["cfo"]\n'


def request(tool: str, session: str | None = None, agent: str = "bot", **args: object) -> dict[str, Any]:
    known = {"agent_id": agent, "tool_name": tool, "tool_args": args, "session_tool_calls": [tool]}
    return {**CONTEXT, **known, "session_id": session}


class Several:
    """One `thoth serve --workers`."""

    def __init__(self, folder: Path, policy: str = POLICY, recording: str = "async") -> None:
        self.folder, self.path, self.http = folder, folder / "run" / "s", folder / "run" / "h"
        (folder / "policy.thoth").write_text(policy)
        (folder / "thoth.toml").write_text(CONFIG)
        make_log(folder / "evidence")
        self.recording = recording
        self.start()

    def start(self) -> None:
        self.said = self.folder / "said.txt"
        words = ["--config", str(self.folder / "thoth.toml"), "--policy", str(self.folder / "policy.thoth")]
        words += ["--socket", str(self.path), "--http-socket", str(self.http), "--workers", str(WORKERS)]
        words += ["--evidence", str(self.folder / "evidence"), "--state", str(self.folder / "state")]
        words += ["--recording", self.recording, "--no-watch", "--log", "text"]
        with self.said.open("a") as said:
            self.process = subprocess.Popen([sys.executable, "-m", "thoth.cli", "serve", *words], stderr=said)
        self.until(lambda: "serving_workers" in self.said.read_text())

    def until(self, holds: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < end, self.said.read_text()
            threading.Event().wait(0.02)

    def pid(self, worker: int) -> int:
        return int(re.findall(rf"worker_started worker={worker} pid=(\d+)", self.said.read_text())[-1])

    def sessions(self, worker: int, count: int, name: str = "s") -> list[str]:
        """Some sessions that a worker keeps."""
        found = (f"{name}-{number}" for number in range(1_000_000))
        return [next(one for one in found if route_of(one) % WORKERS == worker) for _ in range(count)]

    def client(self, principal: str = "bot-key", *permissions: Any) -> Client:
        keys = Keys(self.folder / "state" / "keys.db")
        text, _ = keys.create(principal, permissions or ("execute",), time.time())
        keys.close()
        return Client(self.http, text)

    def end(self, number: int = signal.SIGTERM) -> str:
        self.process.send_signal(number)
        self.process.wait(60)
        return self.said.read_text()

    def records(self) -> list[dict[str, Any]]:
        return [entry.record for entry in LogReader(self.folder / "evidence").entries()]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    found = Several(tmp_path_factory.mktemp("workers"))
    yield found
    said = found.end()
    assert found.process.returncode == 0, said
    assert "internal" not in said, said
    assert "Traceback" not in said, said


def answer(several: Several, token: str, word: str) -> dict[str, Any]:
    asked = several.client("cfo", "read", "write").ask("POST", f"/v1/approvals/{token}/resolve", {"decision": word})
    assert asked[0] == 200, asked
    found: dict[str, Any] = asked[1]
    return found


# ---------------------------------------------------------------- sessions


def test_a_session_is_one_whoever_asks_and_wherever(several: Several) -> None:
    for worker in range(WORKERS):
        for session in several.sessions(worker, 3, "one"):
            with SocketClient(several.path) as first, SocketClient(several.path) as second:
                assert first.decide(request("send", session)).decision.effect == Effect.ALLOW
                assert second.decide(request("read_customer", session, id="1")).decision.effect == Effect.ALLOW
                assert first.decide(request("send", session)).decision.rules == ("leak",)
                assert several.client().enforce("send", {}, session_id=session)["matched_rule_ids"] == ["leak"]


def test_calls_of_one_session_that_come_together_are_decided_one_after_another(several: Several) -> None:
    clients = [SocketClient(several.path) for _ in range(6)]
    for worker in range(WORKERS):
        (session,) = several.sessions(worker, 1, "together")
        with ThreadPoolExecutor(6) as pool:
            made = list(pool.map(SocketClient.decide, clients, [request("search", session)] * len(clients)))
        assert [one.decision.effect for one in made].count(Effect.ALLOW) == 2
    for client in clients:
        client.close()


def test_a_batch_is_answered_in_its_order_wherever_its_sessions_are(several: Several) -> None:
    sessions = [
        session
        for pair in zip(*(several.sessions(w, 4, "batch") for w in range(WORKERS)), strict=True)
        for session in pair
    ]
    with SocketClient(several.path) as client:
        made = client.decide_batch([request("read_customer", one, id="1") for one in sessions])
        assert [one.decision.effect for one in made] == [Effect.ALLOW] * 8
        mixed = [
            request("send", sessions[0]),
            request("send", "nobody"),
            request("send", sessions[1]),
            request("other"),
        ]
        effects = [one.decision.effect for one in client.decide_batch(mixed)]
        assert effects == [Effect.BLOCK, Effect.ALLOW, Effect.BLOCK, Effect.ALLOW]


def plainly(several: Several, name: str, *asked: dict[str, Any]) -> list[bytes]:
    """Ask in frames without flags, which a server may decide as it cuts them; return the answers in their order."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(several.path))
        sock.settimeout(20)
        frames = [wire.message(Kind.DECIDE, number, one) for number, one in enumerate(asked, 1)]
        sock.sendall(b"".join([wire.message(Kind.HELLO, 0, wire.Hello(name * 16)), *frames]))
        reader, found = wire.FrameReader(), {}
        while len(found) <= len(asked):
            found |= {id: payload for _, _, id, payload in reader.feed(sock.recv(65_536))}
        return [found[number] for number in range(1, len(asked) + 1)]


def test_questions_without_a_deadline_find_their_session_too(several: Several) -> None:
    for worker in range(WORKERS):
        (session,) = several.sessions(worker, 1, "plain")
        with SocketClient(several.path) as client:
            client.decide(request("read_customer", session, id="1"))
        first, second = plainly(several, "ab", request("send", session), request("other"))
        assert b"leak" in first
        assert b"leak" not in second
    asked = [request("pay", f"plain-{number}", "plain-agent") for number in range(8)]
    with ThreadPoolExecutor(2) as pool:
        made = [one for found in pool.map(lambda name: plainly(several, name, *asked), ("cd", "ef")) for one in found]
    assert sum(b"ALLOW" in one for one in made) == 5


def test_what_was_said_and_how_calls_ended_reaches_the_session(several: Several) -> None:
    for worker in range(WORKERS):
        (session,) = several.sessions(worker, 1, "ended")
        with SocketClient(several.path) as first, SocketClient(several.path) as second:
            first.open_session(session, tenant_id="acme")
            second.said(session, "look at customer 1", tenant_id="acme")
            made = first.decide(request("read_customer", session, id="1")).decision
            assert second.ended(made.id, Ending.COMPLETED, "ann").result == "ann"
            with pytest.raises(RequestError):
                second.ended(made.id, Ending.COMPLETED)
            alone = first.decide(request("other")).decision
            assert second.ended(alone.id, Ending.FAILED).ending == Ending.FAILED


def test_events_end_calls_of_any_session_once(several: Several) -> None:
    sessions = [several.sessions(worker, 1, "events")[0] for worker in range(WORKERS)]
    client = several.client()
    for session in sessions:
        client.enforce("read_customer", {"id": "1"}, session_id=session)
    events = [
        {"event_type": "TOOL_CALL_POST", "event_id": session, "session_id": session, "tenant_id": "acme",
         "tool_name": "read_customer"}
        for session in sessions
    ]  # fmt: skip
    assert client.ask("POST", "/v1/events/batch", events) == (202, {"accepted": 2, "duplicates": 0, "paired": 2})
    assert client.ask("POST", "/v1/events/batch", events) == (202, {"accepted": 0, "duplicates": 2, "paired": 0})
    assert client.ask("POST", "/v1/events/batch", b"[1, 2]")[0] == 400
    for one in events:
        one |= {"event_type": "TOOL_CALL_PRE", "event_id": f"pre-{one['event_id']}"}
    taken = client.ask("POST", "/v1/events/batch?chain=1", events)[1]
    assert (taken["paired"], len(taken["events"])) == (2, 2)
    for one in taken["events"]:
        assert one["signature"]
        for _ in range(2):
            found = Client(several.http, client.key).ask("GET", f"/v1/receipts/{one['decision_id']}")[1]
            assert (found["chain_index"], found["hash"]) == (one["chain_index"], one["hash"])
    assert client.ask("GET", "/v1/receipts/rec_0000")[0] == 404


# ---------------------------------------------------------------- counting


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(2, 6), st.integers(1, 6), st.booleans(), st.randoms(use_true_random=False))
def test_a_limit_holds_across_workers(several: Several, askers: int, calls: int, over_http: bool, chance: Any) -> None:
    """However many ask at once, in sessions of any worker: exactly as many are let through as the limit says."""
    agent = f"agent-{chance.getrandbits(64):x}"

    def ask(number: int) -> int:
        sessions = [f"{agent}-{number}-{call}" for call in range(calls)]
        if over_http and number % 2:
            client = several.client()
            return sum(
                client.enforce("pay", {}, session_id=one, agent_id=agent)["decision"] == "ALLOW" for one in sessions
            )
        with SocketClient(several.path, timeout_s=30) as frames:
            made = frames.decide_many([request("pay", one, agent) for one in sessions])
            return sum(one.decision.effect == Effect.ALLOW for one in made)

    silent = several.said.read_text().count("ledger_silent")
    with ThreadPoolExecutor(askers) as pool:
        allowed = sum(pool.map(ask, range(askers)))
    assert allowed <= min(5, askers * calls)
    if several.said.read_text().count("ledger_silent") == silent:  # else its owner was not heard in time, and it closed
        assert allowed == min(5, askers * calls)


def test_an_amount_is_spent_once(several: Several) -> None:
    tenant = "spenders"

    def ask(number: int) -> int:
        with SocketClient(several.path, timeout_s=30) as client:
            asked = [{**request("spend", f"sp-{number}-{n}", amount=7), "tenant_id": tenant} for n in range(6)]
            return sum(7 for one in client.decide_many(asked) if one.decision.effect == Effect.ALLOW)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(ask, range(4))) == 98


# ---------------------------------------------------------------- holds and HTTP


def test_a_hold_is_seen_answered_and_waited_for_through_any_worker(several: Several) -> None:
    sessions = [several.sessions(worker, 1, "held")[0] for worker in range(WORKERS)]
    with SocketClient(several.path) as asks, SocketClient(several.path) as waits:
        tokens = [asks.decide(request("wire", session)).hold_token for session in sessions]
        listed = several.client("cfo", "read").ask("GET", "/v1/approvals")[1]
        assert set(tokens) <= {hold["id"] for hold in listed["data"]}
        for token, word in zip(tokens, ("approve", "deny"), strict=True):
            assert waits.wait(token, 0) is None
            done: list[Decision | None] = []
            waiter = threading.Thread(target=lambda token=token, done=done: done.append(waits.wait(token, 30)))
            waiter.start()
            assert several.client().ask("GET", f"/v1/enforce/hold/{token}")[1]["resolved"] is False
            assert answer(several, token, word)["status"] == ("approved" if word == "approve" else "denied")
            waiter.join(30)
            assert done[0] is not None
            assert done[0].effect == (Effect.ALLOW if word == "approve" else Effect.BLOCK)
            assert several.client().ask("GET", f"/v1/enforce/hold/{token}?wait=1")[1]["resolved"] is True


def test_a_request_that_comes_again_anywhere_has_the_answer_that_it_had(several: Several) -> None:
    keys = several.client()
    for number in range(4):
        body = {**request("pay", f"again-{number}", f"again-{number}"), "request_id": f"r-{number}"}
        ids = set()
        for _ in range(4):
            status, found = Client(several.http, keys.key).ask("POST", "/v1/enforce", body)
            assert status == 200
            ids.add(found["decision_evidence"]["decision_id"])
        assert len(ids) == 1
        for session in ("other-1", "other-2", "other-3"):
            other = {**body, "session_id": session}
            found = Client(several.http, keys.key).ask("POST", "/v1/enforce", other)[1]
            assert found["decision_reason_code"] == "request_id_reused"


def test_metrics_are_those_of_all_workers(several: Several) -> None:
    def allowed() -> float:
        text = several.client().ask("GET", "/metrics")[1].decode()
        assert f"thoth_workers_answering {WORKERS}.0" in text
        assert "thoth_unrecorded_total 0.0" in text
        return float(re.findall(r'thoth_decisions_total\{effect="ALLOW"\} (\S+)', text)[0])

    before = allowed()
    with SocketClient(several.path) as client:
        client.decide_many([request("search", f"metrics-{number}") for number in range(20)])
    assert allowed() == before + 20


# ---------------------------------------------------------------- ends


def test_one_dead_worker_takes_nobody_down_and_is_started_again(tmp_path: Path) -> None:
    several = Several(tmp_path, recording="sync")
    mine, theirs = several.sessions(0, 1)[0], several.sessions(1, 1)[0]
    answered: list[str] = []
    with SocketClient(several.path, timeout_s=30) as client:
        for session in (mine, theirs):
            made = client.decide(request("read_customer", session, id="1")).decision
            assert made.effect == Effect.ALLOW
            answered.append(made.id)
        agent_calls = [client.decide(request("pay", f"{n}", "spent")).decision.effect for n in range(5)]
        assert agent_calls == [Effect.ALLOW] * 5
        held = client.decide(request("wire", theirs, "holder")).hold_token
        os.kill(several.pid(1), signal.SIGKILL)
        for _ in range(20):
            with SocketClient(several.path, timeout_s=30) as other:
                try:
                    assert other.decide(request("send", mine)).decision.rules == ("leak",)
                except OperationError:
                    continue  # the connection was the dead one's: the client makes a new one, in time
                found = other.decide(request("send", theirs)).decision
                assert found.effect == Effect.BLOCK
                assert found.rules == ("leak",) or found.reason_code == "overloaded", "closed until it is known again"
        several.until(lambda: several.said.read_text().count("worker_started worker=1") == 2)
        several.until(lambda: Client(several.http).ask("GET", "/readyz")[0] == 200)

        def back() -> bool:
            with SocketClient(several.path, timeout_s=30) as other:
                return other.decide(request("send", theirs)).decision.rules == ("leak",)

        several.until(back)
        with SocketClient(several.path, timeout_s=30) as other:
            assert other.decide(request("pay", theirs, "spent")).decision.reason_code == "limit_exceeded"
            for left in (2, 1):
                assert other.decide(request("wire", f"w{left}", "holder")).decision.effect == Effect.STEP_UP
            assert other.decide(request("wire", "w0", "holder")).decision.reason_code == "limit_exceeded"
            assert answer(several, held, "approve")["status"] == "approved", "a hold of the dead worker's is kept"
    said = several.end()
    assert several.process.returncode == 0, said
    kept = several.records()
    assert set(answered) <= {record.get("id") for record in kept}
    assert all(record["effect"] == "BLOCK" for record in kept if record.get("reason_code") == "overloaded")


def test_a_new_policy_reaches_every_worker_and_each_decision_is_of_one(tmp_path: Path) -> None:
    several = Several(tmp_path, "allow * as first\n")
    stop = threading.Event()
    seen: set[tuple[str, tuple[str, ...]]] = set()

    def ask() -> None:
        number = 0
        with SocketClient(several.path, timeout_s=30) as client:
            while not stop.is_set():
                made = client.decide_many([request("search", f"{number}-{n}") for n in range(16)])
                told = [one.decision for one in made if one.decision.reason_code != "overloaded"]
                seen.update((decision.policy_digest, decision.rules) for decision in told)
                number += 1

    asker = threading.Thread(target=ask)
    asker.start()
    operator = several.client("ops", "write")
    (tmp_path / "policy.thoth").write_text("allow * as second\n")
    status, told = operator.ask("POST", "/v1/policy/reload", {})
    assert status == 200, told
    with SocketClient(several.path) as client:
        made = client.decide_many([request("search", f"after-{number}") for number in range(16)])
        assert {one.decision.rules for one in made} == {("second",)}
        assert {one.decision.policy_digest for one in made} == {told["policy_digest"]}
    (tmp_path / "policy.thoth").write_text("allow * as third when\n")
    assert operator.ask("POST", "/v1/policy/reload", {})[0] == 422
    stop.set()
    asker.join(30)
    assert len(seen) == 2, "no decision is half of one policy and half of another"
    several.end()


def test_a_stop_under_load_answers_what_was_read_and_loses_no_record(tmp_path: Path) -> None:
    several = Several(tmp_path, recording="async")
    answered: list[str] = []
    enough = threading.Event()

    def ask(number: int) -> None:
        with SocketClient(several.path, timeout_s=1) as client:
            for turn in range(10_000):
                try:
                    made = client.decide_many([request("send", f"{number}-{turn}-{n}") for n in range(16)])
                except OperationError:
                    return
                answered.extend(one.decision.id for one in made)
                if turn == 10:
                    enough.set()

    askers = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for asker in askers:
        asker.start()
    assert enough.wait(60)
    said = several.end()
    for asker in askers:
        asker.join(60)
    assert several.process.returncode == 0, said
    recorded = [record.get("id") for record in several.records() if record["kind"] == "decision"]
    assert len(recorded) == len(set(recorded))
    assert set(answered) <= set(recorded)
    shards = {entry.place.partition("/")[0] for entry in LogReader(tmp_path / "evidence").entries()}
    assert len(shards) == WORKERS, "each worker writes a shard of its own"


def test_limits_are_those_of_before_after_a_restart_of_all(tmp_path: Path) -> None:
    several = Several(tmp_path)
    with SocketClient(several.path, timeout_s=30) as client:
        assert [client.decide(request("pay", f"{n}")).decision.effect for n in range(4)] == [Effect.ALLOW] * 4
    several.end()
    (tmp_path / "said.txt").unlink()
    several.start()
    with SocketClient(several.path, timeout_s=30) as client:
        effects = [client.decide(request("pay", f"{n}")).decision.effect for n in range(2)]
    assert effects == [Effect.ALLOW, Effect.BLOCK]
    several.end()


def test_a_mistake_is_told_before_any_worker_starts(tmp_path: Path) -> None:
    (tmp_path / "policy.thoth").write_text("allow * as all when\n")
    words = ["--policy", str(tmp_path / "policy.thoth"), "--socket", str(tmp_path / "run" / "s"), "--recording", "none"]
    command = [sys.executable, "-m", "thoth.cli", "serve", *words, "--workers", "2"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "policy.thoth:1" in done.stdout
    assert "worker_started" not in done.stderr


def test_workers_end_when_their_supervisor_is_gone(tmp_path: Path) -> None:
    several = Several(tmp_path)
    pids = [several.pid(worker) for worker in range(WORKERS)]
    several.process.kill()
    several.process.wait(30)

    def gone(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    end = time.monotonic() + 60
    while not all(map(gone, pids)):
        assert time.monotonic() < end
        threading.Event().wait(0.02)
    several.start()  # sockets and shards are free again
    several.end()


def test_tenants_have_workers_in_common_and_nothing_else(tmp_path: Path) -> None:
    for tenant in ("acme", "globex"):
        own = tmp_path / "tenants" / tenant
        own.mkdir(parents=True)
        (own / "policy.thoth").write_text("allow * as all\nlimit pay as few to 3 calls per 1d by tenant else block\n")
        make_log(own / "evidence")
    words = ["--tenants", str(tmp_path / "tenants"), "--socket", str(tmp_path / "run" / "s"), "--log", "text"]
    words += ["--http-socket", str(tmp_path / "run" / "h"), "--workers", str(WORKERS), "--no-watch"]
    with (tmp_path / "said.txt").open("w") as said:
        process = subprocess.Popen([sys.executable, "-m", "thoth.cli", "serve", *words], stderr=said)
    try:
        end = time.monotonic() + 60
        while "serving_workers" not in (tmp_path / "said.txt").read_text():
            assert process.poll() is None, (tmp_path / "said.txt").read_text()
            assert time.monotonic() < end, (tmp_path / "said.txt").read_text()
            threading.Event().wait(0.02)
        for tenant in ("acme", "globex"):
            with SocketClient(tmp_path / "run" / f"{tenant}.sock", timeout_s=60) as client:
                asked = [{**request("pay", f"s{number}"), "tenant_id": tenant} for number in range(6)]
                made = [one.decision.effect for one in client.decide_many(asked)]
                assert made.count(Effect.ALLOW) == 3
                stray = client.decide({**request("pay", "s1"), "tenant_id": "initech"}).decision
                assert stray.reason_code == "request_invalid"
        keys = Keys(tmp_path / "tenants" / "acme" / "state" / "keys.db")
        text, _ = keys.create("bot", ("execute",), time.time())
        keys.close()
        for number in range(4):
            found = Client(tmp_path / "run" / "h", text).enforce("other", {}, session_id=f"s{number}", tenant_id="acme")
            assert found["decision"] == "ALLOW"
        metrics = Client(tmp_path / "run" / "h", text).ask("GET", "/metrics")[1].decode()
        assert 'thoth_decisions_total{effect="ALLOW"} 10.0' in metrics
    finally:
        process.terminate()
        process.wait(60)
    assert process.returncode == 0, (tmp_path / "said.txt").read_text()
