"""The socket: who may ask, what is answered, and what becomes of bytes that are no frames."""

import asyncio
import math
import os
import socket
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from thoth.contract import Effect, Ending, OperationError, RequestError
from thoth.contract import frames as wire
from thoth.contract.frames import CREDITS_MAX, Kind, frame, message
from thoth.evidence import LogReader
from thoth.evidence import init as make_log
from thoth.server import Approvers, Settings, Sidecar
from thoth.server.frames import WAITS_MAX
from thoth.server.porter import Porter, PorterDoor
from thoth.socket_asyncio import AsyncSocketClient
from thoth.socket_client import SocketClient

from .live import CONTEXT, Clock, Live, live
from .test_lane import Transport as Written

POLICY = """
allow search as search
allow pay as small when args.amount <= 100
modify export as short set args.rows = 10
allow export as export
block pay as huge when args.amount > 10_000
"""


def request(tool: str, **args: object) -> dict[str, object]:
    return {**CONTEXT, "tool_name": tool, "tool_args": args}


@pytest.fixture
def running(tmp_path: Path):  # type: ignore[no-untyped-def]
    with live(tmp_path, POLICY) as found:
        yield found


class Raw:
    """A client that sends whatever bytes a test wants."""

    def __init__(self, path: Path, *, hello: bool = True) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(os.fspath(path))
        self.reader = wire.FrameReader()
        self.name = os.urandom(16).hex()
        if hello:
            self.socket.sendall(message(Kind.HELLO, 0, wire.Hello(self.name)))
            assert self.read()[0][0] == Kind.HELLO

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self, count: int = 1) -> list[tuple[int, int, int, bytes]]:
        """Frames, at least `count`, or fewer where the server closes."""
        found: list[tuple[int, int, int, bytes]] = []
        while len(found) < count:
            data = self.socket.recv(1 << 16)
            if not data:
                break
            found += self.reader.feed(data)
        return found

    def __del__(self) -> None:
        self.socket.close()

    def closed(self) -> bool:
        try:
            return not self.socket.recv(1)
        except ConnectionResetError:
            return True


def test_a_decision_over_the_socket_is_the_engines_own(running: Live) -> None:
    engine = running.sidecar.engine
    with SocketClient(running.path) as client:
        for asked in (request("pay", amount=50), request("pay", amount=50_000), request("export", rows=500)):
            answered = client.decide(asked).decision
            own = running.on_loop(engine.weigh, asked)
            assert answered.facts() == own.facts()
            assert answered.request == own.request


def test_integers_beyond_messagepack_are_sent_as_json(running: Live) -> None:
    with SocketClient(running.path) as client:
        decision = client.decide(request("pay", amount=2**70)).decision
    assert decision.effect == Effect.BLOCK
    assert decision.rules == ("huge",)


def test_integers_beyond_messagepack_come_back_whole(running: Live) -> None:
    with SocketClient(running.path) as client:
        decision = client.decide(request("export", rows=10, more=2**70)).decision
        assert decision.args == {"rows": 10, "more": 2**70}
        changed = client.decide(request("export", rows=500, more=2**70)).decision
        assert (changed.effect, changed.args) == (Effect.MODIFY, {"rows": 10, "more": 2**70})
        assert client.ended(changed.id, Ending.COMPLETED, [2**70]).result == [2**70]


def test_what_is_no_request_is_a_decision_and_not_an_error(running: Live) -> None:
    raw = Raw(running.path)
    raw.send(frame(Kind.DECIDE, 1, b"\xc1") + message(Kind.DECIDE, 2, [1, 2]))
    raw.send(frame(Kind.DECIDE, 3, b"{,}", wire.JSON))
    found = raw.read(3)
    results = [msgspec.msgpack.decode(payload) for _, _, _, payload in found]
    assert [one["reason_code"] for one in results] == ["request_invalid"] * 3
    assert [one["decision"] for one in results] == ["BLOCK"] * 3


def test_a_batch_is_decided_in_its_order(running: Live) -> None:
    with SocketClient(running.path) as client:
        answers = client.decide_batch([request("search"), request("pay", amount=1e6), request("search")])
    assert [a.decision.effect for a in answers] == [Effect.ALLOW, Effect.BLOCK, Effect.ALLOW]


def test_many_questions_are_under_way_at_once(running: Live) -> None:
    with SocketClient(running.path) as client:
        answers = client.decide_many(request("pay", amount=amount) for amount in range(300))
    assert [a.decision.effect == Effect.ALLOW for a in answers] == [amount <= 100 for amount in range(300)]


def test_asyncio_asks_and_is_answered(running: Live) -> None:
    async def ask() -> list[Effect]:
        async with AsyncSocketClient(running.path) as client:
            await client.open_session("s1")
            await client.said("s1", "please")
            answers = await asyncio.gather(*(client.decide(request("pay", amount=n * 50)) for n in range(200)))
            outcome = await client.ended(answers[0].decision.id, Ending.COMPLETED, "done")
            assert outcome.result == "done"
            return [one.decision.effect for one in answers]

    assert asyncio.run(ask()) == [Effect.ALLOW] * 3 + [Effect.BLOCK] * 197


def test_an_ending_is_taken_once_and_only_from_whoever_asked(running: Live) -> None:
    with SocketClient(running.path) as client:
        decision = client.decide(request("search")).decision
        assert client.ended(decision.id, Ending.COMPLETED, {"hits": 3}).result == {"hits": 3}
        with pytest.raises(RequestError, match="no such call under way"):
            client.ended(decision.id, Ending.COMPLETED)


def test_what_the_user_said_reaches_the_session(tmp_path: Path) -> None:
    with live(tmp_path, "allow send as asked when args.to from user") as running, SocketClient(running.path) as client:
        asked = {**request("send", to="bob@acme.com"), "session_id": "s1"}
        assert client.decide(asked).decision.effect == Effect.BLOCK
        client.open_session("s2")
        client.said("s2", "write to bob@acme.com")
        assert client.decide({**asked, "session_id": "s2"}).decision.effect == Effect.ALLOW


# ---------------------------------------------------------------- the same request again


def test_a_request_that_comes_again_gets_the_same_answer_and_counts_once(running: Live) -> None:
    raw = Raw(running.path)
    asked = message(Kind.DECIDE, 7, {**request("search"), "session_id": "s1"})
    raw.send(asked + asked)
    first, second = raw.read(2)
    assert first == second
    again = Raw(running.path, hello=False)
    again.send(message(Kind.HELLO, 0, wire.Hello(raw.name)) + asked)
    assert again.read(2)[1] == first
    assert len(running.on_loop(running.sidecar.engine.session, "s1").calls) == 1


def test_a_request_id_with_other_contents_is_blocked(running: Live) -> None:
    raw = Raw(running.path)
    raw.send(message(Kind.DECIDE, 7, request("search")) + message(Kind.DECIDE, 7, request("search", q=1)))
    _, second = raw.read(2)
    assert msgspec.msgpack.decode(second[3])["reason_code"] == "request_id_reused"


def test_an_id_from_long_ago_is_not_decided_again(running: Live) -> None:
    raw = Raw(running.path)
    for start in range(1, 601, 50):
        raw.send(b"".join(message(Kind.DECIDE, id, request("search")) for id in range(start, start + 50)))
        raw.read(50)
    raw.send(message(Kind.DECIDE, 1, request("search")))
    assert msgspec.msgpack.decode(raw.read()[0][3])["reason_code"] == "request_id_reused"


def test_a_client_goes_on_when_its_server_was_started_again(tmp_path: Path) -> None:
    with live(tmp_path, POLICY) as running:
        client = SocketClient(running.path)
        assert client.decide(request("search")).decision.effect == Effect.ALLOW
    with live(tmp_path, POLICY):
        assert client.decide(request("search")).decision.effect == Effect.ALLOW
    client.close()


# ---------------------------------------------------------------- deadlines


def test_a_request_whose_deadline_is_past_is_refused_and_recorded(tmp_path: Path) -> None:
    make_log(tmp_path / "evidence")
    with live(tmp_path, POLICY, recording="async", evidence=str(tmp_path / "evidence")) as running:
        raw = Raw(running.path)
        payload = wire.DEADLINE_STAMP.pack(1) + msgspec.msgpack.encode(request("search"))
        raw.send(frame(Kind.DECIDE, 1, payload, wire.DEADLINE))
        result = msgspec.msgpack.decode(raw.read()[0][3])
        assert (result["decision"], result["reason_code"]) == ("BLOCK", "overloaded")
    bodies = [entry.record for entry in LogReader(tmp_path / "evidence").entries()]
    assert [body["reason_code"] for body in bodies if body["kind"] == "decision"] == ["overloaded"]


# ---------------------------------------------------------------- bytes that are no frames


def test_another_version_is_told_so_and_closed(running: Live) -> None:
    raw = Raw(running.path)
    raw.send(wire.HEADER.pack(0, 9, Kind.PING, 0, 1))
    ((kind, _, _, payload),) = raw.read()
    assert kind == Kind.ERROR
    assert msgspec.msgpack.decode(payload)["code"] == "version"
    assert raw.closed()


def test_what_came_before_nonsense_is_answered(running: Live) -> None:
    raw = Raw(running.path)
    raw.send(message(Kind.DECIDE, 1, request("search")) + b"\xff" * 64)
    answer, error = raw.read(2)
    assert (answer[0], answer[2]) == (Kind.RESULT, 1)
    assert error[0] == Kind.ERROR


def test_a_frame_larger_than_allowed_is_refused_before_it_is_read(running: Live) -> None:
    raw = Raw(running.path)
    raw.send(wire.HEADER.pack(1 << 31, wire.VERSION, Kind.DECIDE, 0, 1))
    assert msgspec.msgpack.decode(raw.read()[0][3])["code"] == "too_large"
    assert raw.closed()


def test_the_first_frame_is_a_hello(running: Live) -> None:
    raw = Raw(running.path, hello=False)
    raw.send(message(Kind.DECIDE, 1, request("search")))
    assert msgspec.msgpack.decode(raw.read()[0][3])["code"] == "hello_first"
    assert raw.closed()


def test_a_frame_may_come_byte_by_byte(running: Live) -> None:
    raw = Raw(running.path)
    for byte in message(Kind.DECIDE, 1, request("search")):
        raw.send(bytes([byte]))
    assert raw.read()[0][0] == Kind.RESULT


def test_a_frame_that_never_ends_is_told_to_go(tmp_path: Path) -> None:
    clock = Clock(100.0)
    with live(tmp_path, POLICY, monotonic=clock) as running:
        raw = Raw(running.path)
        raw.send(message(Kind.PING, 1, 0) + message(Kind.DECIDE, 2, request("search"))[:20])
        raw.read()
        clock.now += 60
        running.on_loop(running.sidecar.sweep)
        assert raw.read()[0][0] == Kind.GOAWAY
        assert raw.closed()


def test_a_client_that_never_reads_is_told_to_go_and_slows_nobody(tmp_path: Path) -> None:
    clock = Clock(100.0)
    with live(tmp_path, POLICY, monotonic=clock) as running:
        raw = Raw(running.path)
        raw.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):  # both buffers are full, and the server does not read on
            raw.send(message(Kind.PING, 1, b"x" * 60_000) * 1_000)
        with SocketClient(running.path) as client:
            assert client.decide(request("search")).decision.effect == Effect.ALLOW
            clock.now += 60
            running.on_loop(running.sidecar.sweep)
            assert client.decide(request("search")).decision.effect == Effect.ALLOW
        assert running.sidecar.counts.slow_readers == 1


# ---------------------------------------------------------------- who may ask


def test_folder_and_socket_are_their_owners_alone(running: Live) -> None:
    assert stat.S_IMODE(running.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(running.path.parent.stat().st_mode) == 0o700


def test_a_user_who_may_not_ask_is_told_so(tmp_path: Path) -> None:
    with live(tmp_path, POLICY, uids=[os.geteuid() + 1]) as running:
        raw = Raw(running.path, hello=False)
        ((kind, _, _, payload),) = raw.read()
        assert kind == Kind.GOAWAY
        assert msgspec.msgpack.decode(payload)["code"] == "not_allowed"


def test_a_client_does_not_believe_another_users_server(running: Live) -> None:
    client = SocketClient(running.path, server_uid=os.geteuid() + 1)
    with pytest.raises(OperationError, match="listens on"):
        client.decide(request("search"))


def test_a_living_servers_socket_is_not_taken(running: Live, tmp_path: Path) -> None:
    told = Settings(policy=[str(tmp_path / "policy.thoth")], socket=str(running.path), recording="none")
    with pytest.raises(OperationError, match="another server listens"):
        Sidecar(told)
    with SocketClient(running.path) as client:
        client.ping()


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "policy.thoth").write_text(POLICY)
    (tmp_path / "open").mkdir(mode=0o755)
    told = Settings(policy=[str(tmp_path / "policy.thoth")], socket=str(tmp_path / "open" / "s"), recording="none")
    with pytest.raises(OperationError, match="chmod 700"):
        Sidecar(told)


def test_a_connection_waits_for_so_many_holds_and_no_more(tmp_path: Path) -> None:
    policy = 'allow * as all\nstep_up pay as large ask "leads"\n'
    with live(tmp_path, policy, approvers={"leads": Approvers(["cfo"])}) as running:
        with SocketClient(running.path) as client:
            token = client.decide(request("pay", amount=500)).hold_token
        raw = Raw(running.path)
        count = WAITS_MAX + 500
        for id in range(1, count + 1):
            raw.send(message(Kind.HOLD_WAIT, id, wire.HoldWait(token, 300.0)))
        answers = raw.read(500)
        assert [id for _, _, id, _ in answers] == list(range(WAITS_MAX + 1, count + 1))
        assert all(msgspec.msgpack.decode(body)["resolved"] is False for _, _, _, body in answers)
        assert running.on_loop(lambda: len(running.sidecar.holds._told[token])) == WAITS_MAX


def test_a_wait_of_no_length_is_none(tmp_path: Path) -> None:
    policy = 'allow * as all\nstep_up pay as large ask "leads"\n'
    with live(tmp_path, policy, approvers={"leads": Approvers(["cfo"])}) as running:
        with SocketClient(running.path) as client:
            token = client.decide(request("pay", amount=500)).hold_token
        raw = Raw(running.path)
        for id, seconds in enumerate((math.nan, -math.inf, -1.0, 0.0), 1):
            raw.send(message(Kind.HOLD_WAIT, id, wire.HoldWait(token, seconds)))
            ((kind, _, _, body),) = raw.read()
            assert kind == Kind.RESULT
            assert msgspec.msgpack.decode(body)["resolved"] is False


def large() -> dict[str, object]:
    """A request that fits a frame, and whose changed arguments do not fit an answer."""
    return {"tool_name": "export", "tool_args": {"text": "x" * ((1 << 20) - 60), "rows": 500}}


def test_what_no_frame_can_say_is_blocked_and_does_not_run(running: Live) -> None:
    with SocketClient(running.path, timeout_s=10) as client:
        decision = client.decide(large()).decision
        assert (decision.effect, decision.reason_code) == (Effect.BLOCK, "modification_failed")
        several = [{"tool_name": "export", "tool_args": {"text": "x" * 16_320, "rows": 500}}] * 64
        found = client.decide_batch(several)
        assert {(one.decision.effect, one.decision.reason_code) for one in found} == {
            (Effect.BLOCK, "modification_failed")
        }
        assert not any(running.on_loop(running.sidecar.dispatcher.knows, one.decision.id) for one in found)
    assert not running.on_loop(running.sidecar.dispatcher.knows, decision.id)


def test_a_held_call_that_no_frame_can_say_is_blocked_and_held_no_longer(tmp_path: Path) -> None:
    policy = 'allow * as all\nmodify export as short set args.rows = 10\nstep_up export as large ask "leads"\n'
    told = {"approvers": {"leads": Approvers(["cfo"])}}
    with live(tmp_path, policy, **told) as running, SocketClient(running.path, timeout_s=10) as client:
        decision = client.decide(large()).decision
        assert (decision.effect, decision.reason_code) == (Effect.BLOCK, "modification_failed")
        running.on_loop(running.sidecar.sweep)
        while running.on_loop(lambda: running.sidecar.holds.waiting):
            pass
        assert running.on_loop(lambda: running.sidecar.frames.in_flight) == 0


def test_one_answer_that_cannot_be_given_keeps_no_other_back(tmp_path: Path) -> None:
    make_log(tmp_path / "evidence")
    with live(tmp_path, POLICY, evidence=str(tmp_path / "evidence"), recording="sync") as running:
        raw = Raw(running.path)
        asks = [large(), *[{"tool_name": "search", "tool_args": {}}] * 5]
        raw.send(b"".join([message(Kind.DECIDE, id, one) for id, one in enumerate(asks, 1)]))
        found = {id: msgspec.msgpack.decode(body)["decision"] for _, _, id, body in raw.read(6)}
        assert found == {1: "BLOCK", **dict.fromkeys(range(2, 7), "ALLOW")}


def test_a_batch_that_meets_a_mistake_of_ours_takes_no_credit(running: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    sidecar, raw = running.sidecar, Raw(running.path)
    decide, asked = sidecar.dispatcher.decide, []

    def mistaken(given: Any, *others: Any) -> Any:
        asked.append(given)
        if len(asked) == 2:
            raise RuntimeError("a mistake")
        return decide(given, *others)

    with monkeypatch.context() as patched:
        patched.setattr(sidecar.dispatcher, "decide", mistaken)
        raw.send(message(Kind.DECIDE_BATCH, 1, [request("search")] * 3))
        ((kind, _, id, _),) = raw.read()
    assert (kind, id) == (Kind.ERROR, 1)
    assert running.on_loop(lambda: sidecar.frames.in_flight) == 0
    assert sidecar.counts.internal == 1
    sidecar.counts.internal = 0


def test_endings_that_are_asked_about_elsewhere_are_counted_as_under_way(running: Live) -> None:
    ours, theirs = socket.socketpair()
    stops: list[str] = []

    class Transport(Written):
        def pause_reading(self) -> None:
            stops.append("paused")

    def flood() -> int:
        worker = SimpleNamespace(
            index=0, owner_of=lambda session: 0, owner_of_call=lambda *call: None, find_call=lambda *call: None
        )
        porter = Porter(PorterDoor(running.sidecar.frames, worker, ""))  # type: ignore[arg-type]
        porter.connection_made(Transport(ours))  # type: ignore[arg-type]
        porter.data_received(message(Kind.HELLO, 0, wire.Hello("0" * 32)))
        for id in range(1, CREDITS_MAX + 1):
            porter.data_received(message(Kind.OUTCOME, id, wire.Ended(f"elsewhere-{id}", "completed")))
        running.sidecar.frames.street.in_flight -= porter.local.in_flight
        porter.connection_lost(None)
        return porter.local.in_flight

    with ours, theirs:
        assert running.on_loop(flood) == CREDITS_MAX
    assert stops == ["paused"]
