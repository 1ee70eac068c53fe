"""The compiled way of a frame beside the plain one: cut, decided, spelled and remembered alike."""

import contextlib
import queue
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thoth.contract import Decision
from thoth.contract import frames as wire
from thoth.contract.frames import FrameReader, Kind, frame, message
from thoth.contract.result import result_of
from thoth.engine import Engine
from thoth.engine.forms import DECISION
from thoth.native.clients import Client
from thoth.native.lane import Lane, Street
from thoth.native.running import Running
from thoth.native.tally import Tally
from thoth.server.commit import Commit
from thoth.server.counts import Counts
from thoth.server.dispatch import Dispatcher
from thoth.server.frames import FrameConnection, FrameDoor
from thoth.server.load import Load
from thoth.server.overrides import KIND, Override
from thoth.server.results import RESULTS
from thoth.server.tenant import TenantDispatcher

from .live import CONTEXT, Clock

POLICY = """
tool wipe(rows: number) is delete
allow search as search
allow pay as small when args.amount <= 100
allow pay as trusted when calls(search) >= 2 and args.amount <= 200
modify export as short set args.rows = 10
allow export as export
block pay as huge when args.amount > 10_000 because "never so much" control "pci.1"
block wipe as wipe tell "rows stay"
allow ship as ship
defer ship as later because "not now" retry after 5m
limit pay as purse to 500 of args.amount per 1d by user else block
"""


class Transport:
    """What a connection wants of a loop, and what it wrote."""

    def __init__(self, end: socket.socket) -> None:
        self.end, self.written, self.closing = end, b"", False

    def get_extra_info(self, name: str) -> socket.socket:
        return self.end

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 1

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = write_eof = close

    def set_write_buffer_limits(self, high: int) -> None: ...

    def pause_reading(self) -> None: ...

    resume_reading = pause_reading


class NoHolds:
    commit = let_through = None

    def find(self, token: str) -> None: ...

    def withdraw(self, decision_id: str, asker: str) -> bool:
        return False

    def open(self, decision: Decision, asker: str, opened: Any) -> None:
        opened(None)


class Loop:
    """Runs what was to be run soon when it is told to."""

    def __init__(self) -> None:
        self.soon: list[Any] = []

    def call_soon(self, function: Any, *arguments: Any) -> None:
        self.soon.append((function, arguments))

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for function, arguments in soon:
            function(*arguments)


class Glass:
    """In the place of overrides: one that crosses whatever refuses to wipe."""

    one = Override(KIND, "o1", "ann", "incident", 0.0, 2e9, ("wipe",))

    def find(self, decision: Decision) -> list[Override]:
        return [self.one] if self.one.covers(decision) else []


class Disk:
    """In the place of a log: what was recorded is durable, or with `fails` never is."""

    def __init__(self, fails: bool) -> None:
        self.fails = fails

    def flush(self) -> None:
        if self.fails:
            raise OSError(5, "the disk has failed")


class Slow(Clock):
    """Time in which each look at it takes 4 ms."""

    def __call__(self) -> float:
        self.now += 0.004
        return self.now


class House:
    """One door with one connection; `compiled` says whether its lane may decide, `disk` what answers wait for."""

    def __init__(
        self,
        compiled: bool,
        policy: str = POLICY,
        tenant: str = "",
        overridden: bool = False,
        disk: str = "",
        slow: bool = False,
    ) -> None:
        self.clock, self.loop = Clock(), Loop()
        self.done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.commit: Commit | None = None
        if disk:
            self.commit = Commit(Disk(disk == "fails"), lambda *call: self.done.put(call), self.loop.call_soon)
        self.engine = Engine.from_text(policy, clock=self.clock)
        self.counts = Counts()
        parts: Any = self.engine, NoHolds(), self.commit, self.counts, self.clock
        self.dispatcher = TenantDispatcher(tenant, *parts) if tenant else Dispatcher(*parts)
        if overridden:
            self.dispatcher.overrides = Glass()  # type: ignore[assignment]
        self.here, there = socket.socketpair()
        self.there = there
        load = Load(Slow() if slow else self.clock, self.loop.call_soon)
        self.door = FrameDoor(
            self.dispatcher,
            self.loop,  # type: ignore[arg-type]
            load,
            uids=range(1 << 16),
            clock=self.clock,
            monotonic_ns=lambda: 1_000,
            server="thoth",
        )
        if not compiled:
            self.door.street.desk = None
        self.connection = FrameConnection(self.door)
        self.transport = Transport(there)
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]
        self.tell(message(Kind.HELLO, 0, wire.Hello("0" * 32)))

    def tell(self, data: bytes) -> None:
        self.connection.data_received(data)
        self.loop.turn()
        while self.commit is not None and not self.commit.empty:
            self.end_commit()

    def end_commit(self) -> None:
        """Take in what the thread says of the commit that is under way."""
        deliver, *what = self.done.get(timeout=60)
        deliver(*what)
        self.loop.turn()

    def told(self) -> list[tuple[int, int, int, Any]]:
        """Every frame that was written, with the ids of this engine's decisions as those of any."""
        prefix = self.engine.weigh({"tool_name": "x"}).id.partition("-")[0].encode()
        reader = FrameReader()
        found = reader.feed(self.transport.written.replace(prefix, b"0" * len(prefix)))
        assert reader.failed is None
        assert not reader.torn
        return [
            (kind, flags, id, payload if kind == Kind.PING else msgspec.msgpack.decode(payload))
            for kind, flags, id, payload in found
        ]

    def request_of(self, id: str) -> Any:
        """What is kept of a call under way."""
        return self.dispatcher._decision(self.dispatcher._running[id]).request

    def known(self) -> dict[str, Any]:
        """What the process knows after all that."""
        sessions = self.engine._sessions.kept
        return {
            "effects": self.counts.by_effect,
            "asked": self.dispatcher.asked,
            "resent": self.counts.resent,
            "errors": (self.counts.frame_errors, self.counts.internal),
            "running": [id.partition("-")[2] for id in self.dispatcher._running],
            "requests": [self.request_of(id) for id in self.dispatcher._running],
            "overridden": self.counts.overridden,
            "shed": self.counts.shed,
            "unrecorded": self.counts.unrecorded,
            "in_flight": (self.connection.in_flight, self.door.in_flight),
            "answered": len(self.client.replies),
            "waiting": dict(self.client.waiting),
            "under_way": [id.partition("-")[2] for id in self.engine._running],
            "sessions": [
                (name, one.counted, one.blocks, sorted(one.labels), [c.tool for c in one.calls])
                for name, one in sessions.items()
            ],
            "closing": self.transport.closing,
        }

    @property
    def client(self) -> Client:
        assert self.connection.client is not None
        return self.connection.client

    def close(self) -> None:
        if self.commit is not None:
            self.commit.close()
        self.here.close()
        self.there.close()


@contextlib.contextmanager
def both(policy: str = POLICY, **kind: Any) -> Iterator[tuple[House, House]]:
    houses = House(True, policy, **kind), House(False, policy, **kind)
    try:
        yield houses
    finally:
        for house in houses:
            house.close()


TOOLS = st.sampled_from(["search", "pay", "export", "wipe", "ship", "", "other", "sëarch"])
ARGS = st.fixed_dictionaries(
    {},
    optional={
        "amount": st.sampled_from([1, 50, 150, 20_000, 1.5, "50", None, -1, 2**40]),
        "rows": st.sampled_from([5, 500, True]),
        "to": st.text(max_size=5),
        "more": st.lists(st.integers(-5, 300) | st.none() | st.dictionaries(st.text(max_size=2), st.booleans())),
    },
)
REQUESTS = st.fixed_dictionaries(
    {"tool_name": TOOLS},
    optional={
        "tool_args": ARGS | st.just([1]),
        "session_id": st.sampled_from(["a", "b", "é", 7, ""]),
        "tenant_id": st.sampled_from(["acme", "other", None]),
        "agent_id": st.just("bot"),
        "user_id": st.just("ann"),
        "environment": st.just("prod"),
        "session_tool_calls": st.sampled_from([["search"], [], None]),
        "approved_scope": st.sampled_from([["search"], ["pay", "search"]]),
        "enforcement_mode": st.sampled_from(["observe", "block", "nonsense"]),
        "request_id": st.text(max_size=3),
        "unknown": st.integers(0, 9),
    },
)
PAYLOADS = (
    REQUESTS.map(msgspec.msgpack.encode)
    | st.binary(max_size=12)
    | st.builds(lambda head, tail: head + tail, st.sampled_from([b"\x81", b"\xde\0\2", b"\xdf"]), st.binary(max_size=9))
    | st.just(b"\x82\xa9tool_name\xa6search\xa9tool_name\xa3pay")
)
FRAMES = st.one_of(
    st.tuples(st.just(Kind.DECIDE), st.just(0), PAYLOADS),
    st.tuples(st.just(Kind.DECIDE), st.just(0), PAYLOADS),
    st.tuples(st.just(Kind.DECIDE), st.just(wire.JSON), REQUESTS.map(msgspec.json.encode)),
    st.tuples(
        st.just(Kind.DECIDE),
        st.just(wire.DEADLINE),
        REQUESTS.map(lambda r: b"\0" * 7 + b"\1" + msgspec.msgpack.encode(r)),
    ),
    st.tuples(
        st.just(Kind.DECIDE_BATCH), st.just(0), st.lists(REQUESTS, min_size=1, max_size=3).map(msgspec.msgpack.encode)
    ),
    st.tuples(st.just(Kind.PING), st.just(0), st.binary(max_size=5)),
    st.tuples(st.just(Kind.SAID), st.just(0), st.just(msgspec.msgpack.encode(wire.Said("a", "pay 50", "acme")))),
)
STEPS = st.lists(st.tuples(FRAMES, st.integers(-3, 2)), max_size=25)


@settings(deadline=None, max_examples=60)
@given(
    STEPS,
    st.lists(st.integers(1, 400), max_size=12),
    st.sampled_from(["", "acme"]),
    st.booleans(),
    st.sampled_from(["", "sound", "fails"]),
)
def test_a_lane_answers_as_the_plain_way_does(
    steps: list[Any], cuts: list[int], tenant: str, overridden: bool, disk: str
) -> None:
    """Random frames, torn anywhere; ids that go on, come again and go back; of one tenant, with operators, and where
    answers wait for a disk, which may fail.
    """
    stream, id = b"", 1
    for (kind, flags, payload), step in steps:
        stream += frame(kind, max(0, id + min(step, 0)), payload, flags)
        id += 1 + max(step, 0)
    with both(tenant=tenant, overridden=overridden, disk=disk) as (compiled, plain):
        for house in (compiled, plain):
            at = 0
            for cut in cuts:
                house.tell(stream[at : at + cut])
                at += cut
            house.tell(stream[at:])
        assert compiled.told() == plain.told()
        assert compiled.known() == plain.known()


@settings(deadline=None, max_examples=60)
@given(st.lists(REQUESTS, min_size=1, max_size=12), st.sampled_from(["", "acme"]), st.booleans())
def test_how_calls_ended_counts_alike_on_both_ways(
    requests: list[dict[str, Any]], tenant: str, overridden: bool
) -> None:
    with both(tenant=tenant, overridden=overridden) as (compiled, plain):
        for house in (compiled, plain):
            for number, request in enumerate(requests):
                house.tell(message(Kind.DECIDE, 2 * number + 1, request))
                decision = msgspec.msgpack.decode(FrameReader().feed(house.transport.written)[-1][3])
                ended = wire.Ended(decision["id"], "completed", {"rows": number})
                house.tell(message(Kind.OUTCOME, 2 * number + 2, ended))
        assert compiled.told() == plain.told()
        assert compiled.known() == plain.known()
        assert not compiled.dispatcher._running


@settings(deadline=None, max_examples=60)
@given(st.lists(REQUESTS, max_size=8), st.integers(0, 2**64 - 1))
def test_a_result_is_spelled_as_it_is_encoded(requests: list[dict[str, Any]], id: int) -> None:
    engine = Engine.from_text(POLICY, clock=Clock())
    for request in requests:
        decision = engine.decide(request)
        spelled = RESULTS.spelled(decision, id)
        if spelled is None:
            assert decision.modified or decision.asks or decision.reservations or decision.violation
        else:
            assert spelled == message(Kind.RESULT, id, result_of(decision))


def test_long_and_many_texts_are_spelled_as_they_are_encoded() -> None:
    for size in (0, 31, 32, 255, 256, 65_535, 65_536):
        engine = Engine.from_text(f'block search as search tell "{"é" * min(size, 200)}"', clock=Clock())
        decision = engine.decide({"tool_name": "search"})
        rules = tuple(f"r{number}" for number in range(min(size, 300)))
        decision = replace(decision, problem="x" * size, rules=rules, risk=size)
        assert RESULTS.spelled(decision, 1) == message(Kind.RESULT, 1, result_of(decision))


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**64 - 1), st.binary(max_size=60))),
    st.lists(st.integers(1, 90)),
    st.sampled_from([b"", b"\0\0\0\1", b"\0\0\0\0\2\3\0\0" + b"\0" * 8, b"\0\x10\0\1\1\3\0\0" + b"\0" * 8]),
)
def test_frames_are_cut_as_the_plain_reader_cuts_them(
    frames: list[tuple[int, int, int, bytes]], cuts: list[int], tail: bytes
) -> None:
    stream = b"".join(frame(kind, id, payload, flags) for kind, flags, id, payload in frames) + tail
    lane, reader = Lane(street(), "uid:0", None), FrameReader()
    at = 0
    for cut in [*cuts, len(stream)]:
        piece = stream[at : at + cut]
        at += cut
        lane.feed(piece)
        assert list(iter(lane.next, None)) == reader.feed(piece)
        assert lane.torn == reader.torn or reader.failed is not None
        assert lane.failed == (None if reader.failed is None else (reader.failed.code, str(reader.failed)))


def street() -> Street:
    return Street(
        desk=None,
        load=Load(lambda: 1.0, lambda function: None),
        results=RESULTS,
        tally=Tally(()),
        answer=DECISION,
        allow=None,
        block=None,
        running=Running("x"),
        running_max=1,
        running_bytes_max=1_000,
        forget_oldest=lambda: None,
        recent=[],
        recent_each=16,
        recent_bytes_max=1_000,
    )


def test_a_call_that_is_not_ended_is_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thoth.server.dispatch.RUNNING_MAX", 3)
    with both() as houses:
        for house in houses:
            for number in range(1, 6):
                house.tell(message(Kind.DECIDE, number, {**CONTEXT, "tool_name": "search"}))
        assert [len(house.dispatcher._running) for house in houses] == [3, 3]
        assert houses[0].known() == houses[1].known()


def test_large_calls_that_are_not_ended_are_forgotten_before_they_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("thoth.server.dispatch.RUNNING_BYTES_MAX", 100_000)
    large = {"tool_name": "search", "tool_args": {"text": "x" * 20_000}}
    with both() as houses:
        for house in houses:
            tally = house.counts.tally
            for number in range(1, 10):
                house.tell(message(Kind.DECIDE, number, {**CONTEXT, **large, "session_id": f"s{number}"}))
                assert tally.under_way_bytes <= 100_000
            house.tell(message(Kind.DECIDE_BATCH, 10, [{**CONTEXT, **large, "session_id": "b"}] * 2))
            assert len(house.dispatcher._running) == 4
            for id in list(house.dispatcher._running):
                house.dispatcher.ended(id, "completed", None, True, house.connection.asker)
            assert tally.under_way_bytes == 0
            assert not house.dispatcher._running
        assert houses[0].known() == houses[1].known()


def test_large_calls_are_not_remembered_for_the_next_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thoth.server.dispatch.RECENT_EACH", 1)
    with both() as houses:
        for house in houses:
            for number, size in enumerate((10, 100_000, 20), 1):
                asked = {**CONTEXT, "tool_name": "search", "tool_args": {"text": "x" * size}}
                house.tell(message(Kind.DECIDE, number, asked))
            sizes = [len(request.tool_args["text"]) for request in house.dispatcher.recent(10)]
            assert sizes == [10, 20]


@pytest.mark.parametrize("kind", [{"tenant": "acme"}, {"overridden": True}])
def test_a_lane_decides_for_a_tenant_and_beside_operators(kind: dict[str, Any]) -> None:
    with both(**kind) as (compiled, plain):
        for house in (compiled, plain):
            house.tell(message(Kind.DECIDE, 1, {"tool_name": "search", "session_id": "s"}))
            house.tell(message(Kind.DECIDE, 2, {"tool_name": "wipe"}))
        assert compiled.told() == plain.told()
        assert compiled.counts.tally.allowed == 1
        assert plain.counts.tally.allowed == 0


def result(house: House, place: int = -1) -> Any:
    return msgspec.msgpack.decode(FrameReader().feed(house.transport.written)[place][3])


SEARCH = {**CONTEXT, "tool_name": "search"}


def test_nothing_is_answered_before_it_is_durable() -> None:
    with both(disk="sound") as houses:
        for house in houses:
            house.connection.data_received(message(Kind.DECIDE, 1, SEARCH))
            house.loop.turn()
            house.connection.data_received(message(Kind.DECIDE, 2, SEARCH))
            house.loop.turn()
            assert len(house.told()) == 1, "the hello"
            assert house.connection.in_flight == 2
            house.end_commit()
            assert [id for _, _, id, _ in house.told()] == [0, 1], "the second came after the commit began"
            house.end_commit()
            assert [id for _, _, id, _ in house.told()] == [0, 1, 2]
            assert house.connection.in_flight == house.door.in_flight == 0


def test_a_question_that_comes_again_while_it_waits_is_answered_once_and_where_it_came_last() -> None:
    with both(disk="sound") as houses:
        for house in houses:
            asked = message(Kind.DECIDE, 1, SEARCH)
            house.connection.data_received(asked)
            house.loop.turn()
            again, transport = FrameConnection(house.door), Transport(house.here)
            again.connection_made(transport)  # type: ignore[arg-type]
            again.data_received(message(Kind.HELLO, 0, wire.Hello("0" * 32)) + asked + asked)
            assert (house.connection.in_flight, again.in_flight, house.door.in_flight) == (0, 1, 1)
            house.end_commit()
            assert len(house.told()) == 1
            assert [id for _, _, id, _ in FrameReader().feed(transport.written)] == [0, 1]
            assert again.in_flight == house.door.in_flight == 0
            assert house.counts.resent == 2
            assert house.dispatcher.asked == 1


def test_what_could_not_be_recorded_is_blocked_each_answer_for_itself() -> None:
    with both(disk="fails") as houses:
        for house in houses:
            for number in (1, 2, 3):
                house.connection.data_received(message(Kind.DECIDE, number, SEARCH))
            house.tell(message(Kind.DECIDE, 4, {"tool_name": ""}))
            assert [id for _, _, id, _ in house.told()] == [0, 1, 2, 3, 4]
            assert {result(house, at)["reason_code"] for at in range(-4, 0)} == {"evidence_unavailable"}
            assert house.counts.unrecorded == 4
            assert not house.dispatcher._running
        assert houses[0].told() == houses[1].told()
        assert houses[0].known() == houses[1].known()


def test_a_mistake_in_giving_out_one_answer_keeps_no_other() -> None:
    with both(disk="sound") as (compiled, plain):
        for house in (compiled, plain):
            assert house.commit is not None

            def broken(made: Any, error: Any) -> None:
                raise ZeroDivisionError

            house.connection.data_received(message(Kind.DECIDE, 1, SEARCH))
            house.commit.add(None, broken)
            house.connection.data_received(message(Kind.DECIDE, 2, SEARCH))
            house.loop.turn()
            with pytest.raises(ZeroDivisionError):
                house.end_commit()
            house.loop.turn()
            assert [id for _, _, id, _ in house.told()] == [0, 1, 2]


@pytest.mark.parametrize("kind", [{}, {"tenant": "acme"}, {"overridden": True}, {"disk": "sound"}, {"disk": "fails"}])
def test_what_is_too_much_is_refused_alike_on_both_ways(kind: dict[str, Any]) -> None:
    tools = "search", "wipe", "", "pay", "x" * 70_000
    with both(slow=True, **kind) as (compiled, plain):
        for house in (compiled, plain):
            for turn in range(6):
                ids = range(10 * turn + 1, 10 * turn + 11)
                house.tell(b"".join(message(Kind.DECIDE, id, {**SEARCH, "tool_name": tools[id % 5]}) for id in ids))
            assert 10 < house.counts.shed < 40
            codes = [payload["reason_code"] for _, _, _, payload in house.told()[1:]]
            assert len(codes) == 60
            refused = "evidence_unavailable" if kind.get("disk") == "fails" else "overloaded"
            assert codes.count(refused) >= house.counts.shed
        assert compiled.told() == plain.told()
        assert compiled.known() == plain.known()
        assert compiled.counts.tally.shed_by_lanes > 0
        assert plain.counts.tally.shed_by_lanes == 0


class NoRecorder:
    """In the place of a log that has failed for good."""

    def decided(self, decision: Decision) -> None:
        raise OSError(5, "the disk has failed")


@pytest.mark.parametrize("slow", [False, True])
def test_answers_without_evidence_are_counted_on_both_ways(slow: bool) -> None:
    with both(slow=slow) as (compiled, plain):
        for house in (compiled, plain):
            house.engine.recorder = NoRecorder()  # type: ignore[assignment]
            for turn in range(6):
                house.tell(b"".join(message(Kind.DECIDE, 10 * turn + id, SEARCH) for id in range(1, 11)))
            assert {payload["reason_code"] for _, _, _, payload in house.told()[1:]} == {"evidence_unavailable"}
            assert house.counts.unrecorded == 60
            assert (house.counts.shed > 0) == slow
        assert compiled.told() == plain.told()
        assert compiled.known() == plain.known()
