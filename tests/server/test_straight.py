"""The straight way of a plain `POST /v1/enforce` beside the parser and the routes: read, decided and answered alike."""

import contextlib
import json
import queue
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thoth.engine import Engine
from thoth.native.heads import plain_post
from thoth.server.commit import Commit
from thoth.server.counts import Counts
from thoth.server.dispatch import Dispatcher
from thoth.server.http import HttpDoor
from thoth.server.keys import Keys
from thoth.server.load import Load
from thoth.server.routes import Routes
from thoth.server.tenant import TenantDispatcher

from .live import CONTEXT, Clock
from .test_lane import POLICY, REQUESTS, Disk, Loop, NoHolds, Transport

TARGET = b"/v1/enforce"


class Heard:
    """What httptools makes of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = self.body = b""
        self.whole = 0
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        self.method, self.alive, self.version = (
            parser.get_method(),
            parser.should_keep_alive(),
            parser.get_http_version(),
        )

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole += 1


LINES = st.lists(
    st.sampled_from(
        [
            b"host: x", b"Host:x", b"x-api-key: k", b"X-API-Key:  k2  ", b"content-type: application/json",
            b"content-type: application/json; charset=utf-8", b"content-length: 4", b"content-length: 04",
            b"content-length: 5", b"Content-Length: +4", b"content-length: 4, 4", b"content-length : 4",
            b"transfer-encoding: chunked", b"connection: close", b"connection: keep-alive", b"expect: 100-continue",
            b"user-agent: node", b"accept: */*", b"accept-encoding: gzip", b"upgrade: h2c", b" folded: x", b"\tx", b"",
            b"x: \x00", b"x\x01: y", b"user-agent: \xe9", b"authorization: Bearer k", b"x-other: y", b"nocolon",
        ]
    ),
    max_size=7,
)  # fmt: skip
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"])
FIRSTS = st.sampled_from(
    [b"POST /v1/enforce HTTP/1.1"] * 8
    + [
        b"POST /v1/enforce HTTP/1.0",
        b"POST  /v1/enforce HTTP/1.1",
        b"POST /v1/enforce?x HTTP/1.1",
        b"GET /v1/enforce HTTP/1.1",
    ]
)
BODIES = st.sampled_from([b"null", b"null", b"nul", b"nulll", b"nullPOST /v1/enforce HTTP/1.1\r\n\r\n"])
PLAIN = [b"x-api-key: k", b"content-type: application/json", b"content-length: 4"]


@given(FIRSTS, LINES, st.booleans(), ENDS, ENDS, BODIES, st.randoms(use_true_random=False))
def test_a_plain_head_is_read_as_the_parser_reads_it(
    first: bytes, lines: list[bytes], plain: bool, end: bytes, last: bytes, body: bytes, order: Any
) -> None:
    if plain:
        lines = lines[:2] + PLAIN
        order.shuffle(lines)
    data = end.join([first, *lines]) + end + last + body
    found = plain_post(data, TARGET)
    if found is None:
        return
    heard = Heard(data)
    named = dict(heard.headers)
    assert (heard.method, heard.url, heard.version, heard.alive, heard.whole) == (b"POST", TARGET, "1.1", True, 1)
    assert found == (named[b"x-api-key"].strip(), named.get(b"user-agent", b"").strip(), heard.body)
    assert len({name for name, _ in heard.headers if name != b"host" and not name.startswith(b"accept")}) == len(
        [name for name, _ in heard.headers if name != b"host" and not name.startswith(b"accept")]
    )


def test_the_plainest_head_is_read() -> None:
    data = b"\r\n".join([b"POST /v1/enforce HTTP/1.1", b"host: x", *PLAIN, b"user-agent: node", b"", b"null"])
    assert plain_post(data, TARGET) == (b"k", b"node", b"null")
    for cut in range(len(data)):
        assert plain_post(data[:cut], TARGET) is None, "what has not come whole is left alone"


class House:
    """One HTTP door with one connection; `straight` says whether plain questions go past the parser."""

    def __init__(self, folder: Path, straight: bool, whole: str = "", disk: str = "", **limits: Any) -> None:
        """`whole`: the tenant whose everything is here; `disk`: what answers wait for."""
        folder.mkdir()
        self.clock, self.loop = Clock(), Loop()
        self.engine = Engine.from_text(POLICY, clock=self.clock)
        self.counts = Counts()
        self.done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.commit: Commit | None = None
        if disk:
            self.commit = Commit(Disk(disk == "fails"), lambda *call: self.done.put(call), self.loop.call_soon)
        parts: Any = self.engine, NoHolds(), self.commit, self.counts, self.clock
        self.dispatcher = dispatcher = TenantDispatcher(whole, *parts) if whole else Dispatcher(*parts)
        self.keys = Keys(folder / "keys.db", whole or None)
        self.key, kept = self.keys.create("tests", ["execute"], self.clock(), **limits)
        self.prefix = kept.prefix
        self.routes = routes = Routes(
            dispatcher,
            self.keys,
            Load(self.clock, self.loop.call_soon),
            clock=self.clock,
            monotonic=self.clock,
            later=lambda *_: None,
            ready=lambda: "",
            reload=lambda told: None,
            gauges=dict,
            description=b"{}",
        )
        if not straight:
            routes.straight = lambda connection, data: None  # type: ignore[method-assign]
        self.here, there = socket.socketpair()
        self.connection = HttpDoor(routes, self.loop, self.clock)()  # type: ignore[arg-type]
        self.transport = Transport(there)
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def ask(self, request: object, *more: bytes) -> tuple[int, Any]:
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        head = b"POST /v1/enforce HTTP/1.1\r\ncontent-type: application/json\r\nx-api-key: %s\r\ncontent-length: %d\r\n"
        before = len(self.transport.written)
        lines = b"".join(line + b"\r\n" for line in more)
        self.connection.data_received(head % (self.key.encode(), len(body)) + lines + b"\r\n" + body)
        self.loop.turn()
        while self.commit is not None and not self.commit.empty:
            assert len(self.transport.written) == before, "it is not durable yet"
            deliver, *told = self.done.get(timeout=30)
            deliver(*told)
            self.loop.turn()
        return self.read(self.transport.written[before:])

    def read(self, data: bytes) -> tuple[int, Any]:
        prefix = self.engine.weigh({"tool_name": "x"}).id.partition("-")[0].encode()
        head, _, body = data.replace(prefix, b"0" * len(prefix)).partition(b"\r\n\r\n")
        status, *headers = head.split(b"\r\n")
        assert b"content-length: %d" % len(body) in headers
        told = json.loads(body)
        told.pop("latency_ms", None)
        return int(status.split(b" ")[1]), (list(told), told)

    def running(self) -> list[Any]:
        """What is kept of calls under way, the oldest first."""
        return [self.dispatcher._running[id] for id in self.dispatcher._running]

    def known(self) -> dict[str, Any]:
        return {
            "effects": self.counts.by_effect,
            "requests": self.counts.http_requests,
            "answers": sum(self.counts.latency),
            "internal": self.counts.internal,
            "running": [self.dispatcher._decision(one).request for one in self.running()],
            "by_call": sorted((str(call[1:]), len(ids)) for call, ids in self.dispatcher.docket.open.items()),
            "made": [(call[1:], [one.refused for one in kept]) for call, kept in self.dispatcher.docket.made.items()],
            "sessions": [(name, one.counted, one.blocks) for name, one in self.engine._sessions.kept.items()],
        }

    def close(self) -> None:
        if self.commit is not None:
            self.commit.close()
        self.keys.close()
        self.here.close()
        self.transport.end.close()


@contextlib.contextmanager
def both(folder: Path, **limits: Any) -> Iterator[tuple[House, House]]:
    houses = House(folder / "straight", True, **limits), House(folder / "plain", False, **limits)
    try:
        yield houses
    finally:
        for house in houses:
            house.close()


TRACED = st.fixed_dictionaries(
    {},
    optional={
        "enforcement_trace_id": st.sampled_from(["tr-1", 'q"\\é', 7, None]),
        "action_attestation_id": st.just("att"),
    },
)


@settings(deadline=None, max_examples=60)
@given(
    requests=st.lists(
        st.builds(lambda one, more: {**one, **more}, REQUESTS, TRACED) | st.binary(max_size=9), max_size=8
    ),
    tenant=st.sampled_from(["", "acme"]),
    disk=st.sampled_from(["", "works", "fails"]),
)
def test_a_plain_question_is_answered_as_any_other(
    tmp_path_factory: pytest.TempPathFactory, requests: list[Any], tenant: str, disk: str
) -> None:
    with both(tmp_path_factory.mktemp("keys"), whole=tenant, disk=disk) as (straight, plain):
        for request in requests:
            assert straight.ask(request) == plain.ask(request)
            assert straight.ask(request, b"user-agent: python-requests/2") == plain.ask(
                request, b"user-agent: python-requests/2"
            )
        assert straight.known() == plain.known()


def test_only_who_may_ask_is_answered_straight(tmp_path: Path) -> None:
    with both(tmp_path, tenant="acme", agent="bot") as houses:
        for house in houses:
            asked = {**CONTEXT, "tool_name": "search"}
            assert house.ask(asked)[0] == 200
            assert house.ask({**asked, "tenant_id": "other"})[0] == 403
            assert house.ask({**asked, "agent_id": "other"})[0] == 403
            key, house.key = house.key, house.key[:-1] + "~"
            assert house.ask(asked)[0] == 401
            house.key = key
            house.keys.revoke(house.prefix, house.clock())
            assert house.ask(asked)[0] == 401
        assert houses[0].known() == houses[1].known()


def test_a_key_that_is_over_is_answered_by_nobody(tmp_path: Path) -> None:
    with both(tmp_path, expires=Clock().now + 5) as houses:
        for house in houses:
            assert house.ask({**CONTEXT, "tool_name": "search"})[0] == 200
            house.clock.now += 6
            assert house.ask({**CONTEXT, "tool_name": "search"})[0] == 401


def test_a_question_inside_the_body_of_another_is_no_question(tmp_path: Path) -> None:
    """Bytes that look like a request, read while another request has not come whole, belong to that one."""
    with both(tmp_path) as houses:
        for house in houses:
            inner = json.dumps({**CONTEXT, "tool_name": "search"}).encode()
            head = b"POST /v1/enforce HTTP/1.1\r\ncontent-type: application/json\r\nx-api-key: %s\r\n"
            head += b"content-length: %d\r\n\r\n"
            smuggled = head % (house.key.encode(), len(inner)) + inner
            outer = head % (house.key.encode(), len(smuggled))
            house.connection.data_received(outer)
            house.connection.data_received(smuggled)
            assert house.transport.written.count(b"HTTP/1.1 ") == 1
            assert house.transport.written.startswith(b"HTTP/1.1 400")
        assert houses[0].known() == houses[1].known()


def test_a_plain_question_does_go_straight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with both(tmp_path) as (straight, _):
        monkeypatch.setattr(straight.connection, "parser", None)  # it would raise
        assert straight.ask({**CONTEXT, "tool_name": "search", "enforcement_trace_id": "tr"})[0] == 200
        assert straight.ask({**CONTEXT, "tool_name": "wipe", "tool_args": {"rows": 1}}, b"user-agent: node")[0] == 200
        assert (
            straight.ask({**CONTEXT, "tool_name": "export", "tool_args": {"rows": 500}}, b"user-agent: node")[0] == 200
        )


def test_an_envelope_is_of_the_policy_that_decided(tmp_path: Path) -> None:
    with both(tmp_path) as (straight, plain):
        asked = {**CONTEXT, "tool_name": "search"}
        before = [house.ask(asked) for house in (straight, plain)]
        for house in (straight, plain):
            house.engine.replace(POLICY + "\nblock search as closed")
        after = [house.ask(asked) for house in (straight, plain)]
        assert before[0] == before[1]
        assert after[0] == after[1]
        assert (before[0][1][1]["decision"], after[0][1][1]["decision"]) == ("ALLOW", "BLOCK")


def test_tools_and_environments_without_end_are_answered_each_as_itself(tmp_path: Path) -> None:
    with both(tmp_path) as (straight, plain):
        for number in range(4_200):
            asked = {**CONTEXT, "tool_name": f"tool-{number % 4_150}", "environment": f"env-{number % 11}"}
            assert straight.ask(asked) == plain.ask(asked)
        for number in range(30):
            asked = {**CONTEXT, "tool_name": "search", "environment": f"env-{number % 13}"}
            assert straight.ask(asked) == plain.ask(asked)


def test_what_is_forgotten_of_too_many_calls_is_forgotten_in_every_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thoth.server.dispatch.RUNNING_MAX", 3)
    with both(tmp_path) as (straight, plain):
        for number in range(20):
            asked = {**CONTEXT, "tool_name": "search", "session_id": f"s{number % 7}"}
            assert straight.ask(asked) == plain.ask(asked)
        assert straight.known() == plain.known()
        assert len(straight.known()["running"]) == 3
        assert sum(count for _, count in straight.known()["by_call"]) == 3


def test_a_session_that_another_worker_keeps_is_left_to_it(tmp_path: Path) -> None:
    with both(tmp_path) as (straight, _):
        asked: list[object] = []

        def mine(session: object) -> bool:
            asked.append(session)
            return session != "theirs"

        assert straight.routes.posts is not None
        straight.routes.posts.mine = mine
        for session in ("ours", "theirs", None):
            assert straight.ask({**CONTEXT, "tool_name": "search", "session_id": session})[0] == 200
        assert asked == ["ours", "theirs", None]
        assert straight.counts.tally.allowed == 2, "the third took the way of all others"


@pytest.mark.parametrize("disk", ["works", "fails"])
def test_an_answer_that_waits_for_the_disk_is_not_given_out_before(tmp_path: Path, disk: str) -> None:
    with both(tmp_path, disk=disk) as houses:
        for house in houses:
            status, (_, told) = house.ask({**CONTEXT, "tool_name": "search"})  # which looks
            assert status == 200
            assert told["decision"] == ("ALLOW" if disk == "works" else "BLOCK")
        assert houses[0].known() == houses[1].known()
