"""The HTTP door: what every public client sends, what it gets, and what becomes of everything else."""

import http.client
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from thoth.contract.envelope import Envelope
from thoth.evidence import LogReader
from thoth.evidence import init as make_log
from thoth.server import Approvers
from thoth.server.http import BODY_BYTES_MAX, WRITE_BYTES_MAX
from thoth.server.keys import Keys
from thoth.socket_client import SocketClient

from .live import CONTEXT, Clock, Live, live

POLICY = """
policy payments
    version "2026.11"
    regimes "soc2"

tool pay(amount: number, to: string) is write risk high
tool export(rows: number, name?: string) is read

allow * as all
block pay as huge when args.amount > 10_000 tell "more than 10,000 is paid by hand" control "cc6.1"
step_up pay as large when args.amount > 100 ask "leads" within 10m
modify export as short set args.rows = 10
defer later as later retry after 45s
block never as never
"""
BOUND = {"leads": Approvers(["cfo"])}
PYTHON = {"user-agent": "python-httpx/0.28.1"}
NODE = {"user-agent": "node"}
GO = {"user-agent": "Go-http-client/1.1"}


class Client:
    """One keep-alive connection with a key."""

    def __init__(self, path: Path, key: str = "") -> None:
        self.connection = http.client.HTTPConnection("localhost", timeout=20)
        self.connection.sock = socket.socket(socket.AF_UNIX)
        self.connection.sock.settimeout(20)
        self.connection.sock.connect(str(path))
        self.key = key

    def __del__(self) -> None:
        self.connection.close()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key and "authorization" not in sent:
            sent["x-api-key"] = self.key
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if method == "POST":
            sent.setdefault("content-type", "application/json")
        self.connection.request(method, path, body, sent)
        answer = self.connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if answer.headers["content-type"] == "application/json" else data

    def enforce(self, tool: str, args: dict[str, Any] | None, headers: dict[str, str] = NODE, **more: Any) -> Any:
        body = {**CONTEXT, "tool_name": tool, "session_id": "s1", **more}
        if args is not None:
            body["tool_args"] = args
        status, answer = self.ask("POST", "/v1/enforce", body, **{k.replace("-", "_"): v for k, v in headers.items()})
        assert status == 200, answer
        return answer


class Served:
    """A sidecar with keys."""

    def __init__(self, running: Live, clock: Clock) -> None:
        self.running, self.clock = running, clock
        self.path = Path(running.sidecar.settings.http_socket)

    def key(self, principal: str, *permissions: Any, **more: Any) -> str:
        keys = Keys(Path(self.running.sidecar.settings.state) / "keys.db")  # as `thoth keys` does, from beside
        text, _ = keys.create(principal, permissions, self.clock(), **more)
        keys.close()
        return text

    def client(self, principal: str = "bot-key", *permissions: Any, **more: Any) -> Client:
        return Client(self.path, self.key(principal, *(permissions or ("execute",)), **more))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    clock = Clock()
    settings = {"approvers": BOUND, "clock": clock, "http_socket": str(tmp_path / "run" / "h")}
    with live(tmp_path, POLICY, **settings) as running:
        yield Served(running, clock)


# ---------------------------------------------------------------- the envelope


def test_an_allowed_call_has_the_whole_envelope(served: Served) -> None:
    answer = served.client().enforce("pay", {"amount": 5, "to": "bob"}, enforcement_trace_id="t-1")
    assert answer["decision"] == answer["authorization_decision"] == "ALLOW"
    assert answer["enforcement_trace_id"] == "t-1"
    assert answer["decision_reason_code"] == "allowed_by_policy"
    assert answer["action_classification"] == "write"
    assert answer["matched_rule_ids"] == ["all"]
    assert answer["pack_id"] == "payments"
    assert answer["pack_version"] == "2026.11"
    assert answer["regulatory_regimes"] == ["soc2"]
    assert 0 <= answer["risk_score"] <= 1
    assert answer["latency_ms"] >= 0
    assert answer["receipt"]["decision_id"] == answer["decision_evidence"]["decision_id"]


def test_a_blocked_call_says_why(served: Served) -> None:
    answer = served.client().enforce("pay", {"amount": 50_000, "to": "bob"})
    assert answer["decision"] == "BLOCK"
    assert answer["reason"] == "more than 10,000 is paid by hand"
    assert answer["violation_id"].startswith("vio_")
    assert answer["matched_control_ids"] == ["cc6.1"]
    assert answer["policy_references"] == ["payments#huge"]


def test_a_deferred_call_says_when_in_whole_seconds(served: Served) -> None:
    answer = served.client().enforce("later", {})
    assert (answer["decision"], answer["defer_timeout_seconds"]) == ("DEFER", 45)


@pytest.mark.parametrize("tool", ["pay", "export", "later", "never", "unknown"])
@pytest.mark.parametrize("amount", [5, 500, 50_000])
def test_no_list_is_null_and_integers_are_integers(served: Served, tool: str, amount: int) -> None:
    args = {"rows": amount} if tool == "export" else {"amount": amount, "to": "bob"}
    answer = served.client().enforce(tool, args)
    for name in ("regulatory_regimes", "matched_rule_ids", "matched_control_ids", "policy_references", "model_signals"):
        assert isinstance(answer.get(name, []), list)
    for name in ("defer_timeout_seconds", "step_up_timeout_seconds"):
        assert isinstance(answer.get(name, 0), int)
    assert isinstance(answer.get("pack_version", ""), str)
    assert (answer["decision"] == "STEP_UP") == ("hold_token" in answer)
    msgspec.convert(answer, Envelope)


def test_what_the_engine_decides_is_what_http_answers(served: Served) -> None:
    body = {**CONTEXT, "tool_name": "pay", "tool_args": {"amount": 50_000, "to": "bob"}}
    _, answer = served.client().ask("POST", "/v1/enforce", body)
    own = served.running.on_loop(served.running.sidecar.engine.weigh, body)
    assert answer["decision"] == own.effect
    assert answer["matched_rule_ids"] == list(own.rules)
    assert answer["decision_evidence"]["policy_digest"] == own.policy_digest


# ---------------------------------------------------------------- changed arguments, by client


@pytest.mark.parametrize(
    ("agent", "given", "changed"),
    [
        (NODE, {"rows": 500}, {"rows": 10}),
        (GO, {"rows": 500}, {"rows": 10}),
        (PYTHON, {"rows": 500}, {"args": [], "kwargs": {"rows": 10}}),
        ({"user-agent": "curl/8"}, {"rows": 500}, {"args": [], "kwargs": {"rows": 10}}),
        (PYTHON, {"args": [500], "kwargs": {"name": "x"}}, {"args": [10], "kwargs": {"name": "x"}}),
        (PYTHON, {"args": [500, "x"]}, {"args": [10, "x"]}),
        (NODE, {"args": [500]}, {"args": [10]}),
        (GO, {"arg0": 500}, {"arg0": 10}),
        (GO, {"arg0": 500, "arg1": "x"}, {"arg0": 10, "arg1": "x"}),
    ],
)
def test_changed_arguments_have_the_shape_of_those_that_came(
    served: Served, agent: dict[str, str], given: dict[str, Any], changed: dict[str, Any]
) -> None:
    answer = served.client().enforce("export", given, agent)
    assert answer["decision"] == answer["authorization_decision"] == "MODIFY"
    assert answer["modified_tool_args"] == changed


def test_where_no_shape_is_safe_the_answer_is_block_and_recorded(tmp_path: Path) -> None:
    make_log(tmp_path / "evidence")
    policy = "allow wipe as all\nmodify wipe as emptied drop args.path\n"
    told = {"recording": "async", "evidence": str(tmp_path / "evidence"), "http_socket": str(tmp_path / "run" / "h")}
    with live(tmp_path, policy, **told) as running:
        answer = Served(running, Clock()).client().enforce("wipe", {"path": "/"})
        assert (answer["decision"], answer["decision_reason_code"]) == ("BLOCK", "modification_failed")
        assert "modified_tool_args" not in answer
    records = [entry.record for entry in LogReader(tmp_path / "evidence").entries()]
    made = [(r["kind"], r.get("effect", r.get("ended"))) for r in records if r["kind"] in ("decision", "outcome")]
    assert made == [("decision", "MODIFY"), ("decision", "BLOCK"), ("outcome", "cancelled")]


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize("header", ["x_api_key", "authorization"])
def test_a_key_is_taken_in_either_header(served: Served, header: str) -> None:
    key = served.key("bot-key", "execute")
    value = key if header == "x_api_key" else f"Bearer {key}"
    body = {**CONTEXT, "tool_name": "search"}
    assert Client(served.path).ask("POST", "/v1/enforce", body, **{header: value})[0] == 200


def test_a_key_that_is_wrong_revoked_or_over_is_refused(served: Served) -> None:
    body = {**CONTEXT, "tool_name": "search"}
    over = served.client("a", "execute", expires=served.clock() + 60)
    revoked = served.client("b", "execute")
    assert over.ask("POST", "/v1/enforce", body)[0] == 200
    assert revoked.ask("POST", "/v1/enforce", body)[0] == 200
    served.clock.now += 60
    keys = Keys(Path(served.running.sidecar.settings.state) / "keys.db")
    assert keys.revoke(revoked.key.split("_")[1], served.clock())
    assert not keys.revoke(revoked.key.split("_")[1], served.clock())
    keys.close()
    served.running.on_loop(served.running.sidecar.sweep)
    for client in (over, revoked, Client(served.path, "thoth_nope"), Client(served.path, over.key[:-1] + "~")):
        status, answer = client.ask("POST", "/v1/enforce", body)
        assert (status, answer["error"]) == (401, "unauthorized")
    assert Client(served.path).ask("POST", "/v1/enforce", body)[0] == 401


def test_a_key_does_what_it_may_for_whom_it_may(served: Served) -> None:
    reads = served.client("r", "read")
    assert reads.ask("POST", "/v1/enforce", {"tool_name": "x"})[0] == 403
    tenant = served.client("t", "execute", tenant="acme")
    assert tenant.ask("POST", "/v1/enforce", {**CONTEXT, "tool_name": "x"})[0] == 200
    assert tenant.ask("POST", "/v1/enforce", {**CONTEXT, "tool_name": "x", "tenant_id": "other"})[0] == 403
    assert tenant.ask("POST", "/v1/enforce", {"tool_name": "x"})[0] == 403
    agent = served.client("a", "execute", agent="bot")
    assert agent.ask("POST", "/v1/enforce", {**CONTEXT, "tool_name": "x"})[0] == 200
    assert agent.ask("POST", "/v1/enforce", {**CONTEXT, "tool_name": "x", "agent_id": "cat"})[0] == 403


def test_no_secret_is_kept(served: Served) -> None:
    key = served.key("bot-key", "execute")
    state = Path(served.running.sidecar.settings.state)
    secret = key.split("_", 2)[2].encode()
    assert not any(secret in file.read_bytes() for file in state.iterdir())


# ---------------------------------------------------------------- holds


def test_a_hold_is_polled_approved_and_resolved(served: Served) -> None:
    agent, cfo = served.client(), served.client("cfo", "read", "write")
    token = agent.enforce("pay", {"amount": 500, "to": "bob"})["hold_token"]
    status, waiting = agent.ask("GET", f"/v1/enforce/hold/{token}")
    assert status == 200
    assert waiting["resolved"] is False
    assert waiting["resolution"] is None
    assert waiting["decision"] == waiting["authorization_decision"] == "STEP_UP"
    _, listed = cfo.ask("GET", "/v1/approvals")
    assert [hold["id"] for hold in listed["data"]] == [token]
    assert listed["data"][0]["tool_args"] == {"amount": 500, "to": "bob"}
    assert agent.ask("POST", f"/v1/approvals/{token}/resolve", {"decision": "approve"})[0] == 403
    status, shown = cfo.ask("POST", f"/v1/approvals/{token}/resolve", {"decision": "approve", "comment": "checked"})
    assert (status, shown["status"]) == (200, "approved")
    _, resolved = agent.ask("GET", f"/v1/enforce/hold/{token}")
    assert resolved["resolved"] is True
    assert resolved["resolution"] == resolved["decision"] == resolved["authorization_decision"] == "ALLOW"
    assert cfo.ask("POST", f"/v1/approvals/{token}/resolve", {"decision": "deny"})[0] == 409


def test_whoever_waits_hears_at_once(served: Served) -> None:
    agent, cfo = served.client(), served.client("cfo", "write")
    token = agent.enforce("pay", {"amount": 500, "to": "bob"})["hold_token"]
    heard: list[Any] = []
    thread = threading.Thread(target=lambda: heard.append(agent.ask("GET", f"/v1/enforce/hold/{token}?wait=30")))
    thread.start()
    cfo.ask("POST", f"/v1/approvals/{token}/resolve", {"decision": "deny", "comment": "not him"})
    thread.join(10)
    ((status, answer),) = heard
    assert (status, answer["resolution"], answer["reason"]) == (200, "BLOCK", "not him")
    assert answer["violation_id"].startswith("vio_")


def test_a_long_poll_ends_without_an_answer_when_its_time_is_over(served: Served) -> None:
    agent = served.client()
    token = agent.enforce("pay", {"amount": 500, "to": "bob"})["hold_token"]
    _, answer = agent.ask("GET", f"/v1/enforce/hold/{token}?wait=1")
    assert answer["resolved"] is False
    assert agent.ask("GET", f"/v1/enforce/hold/{token}?wait=soon")[0] == 400
    assert agent.ask("GET", "/v1/enforce/hold/hold_none")[0] == 404


def test_a_hold_that_ends_in_changed_arguments_says_no_resolution(tmp_path: Path) -> None:
    policy = 'allow * as all\nmodify share as short set args.rows = 10\nstep_up share as ask ask "leads"\n'
    with live(tmp_path, policy, approvers=BOUND, http_socket=str(tmp_path / "run" / "h")) as running:
        served = Served(running, Clock())
        agent, cfo = served.client(), served.client("cfo", "write")
        token = agent.enforce("share", {"rows": 500})["hold_token"]
        cfo.ask("POST", f"/v1/approvals/{token}/resolve", {"decision": "approve"})
        _, answer = agent.ask("GET", f"/v1/enforce/hold/{token}", user_agent="node")
        assert answer["decision"] == "MODIFY"
        assert "resolution" not in answer
        assert answer["modified_tool_args"] == {"rows": 10}


@pytest.mark.parametrize("odd", [{}, [], 5, True, "", "\u0000", "x" * 10_000])
@pytest.mark.parametrize("name", ["session_id", "tenant_id", "agent_id", "user_id", "request_id", "metadata"])
def test_a_field_of_an_odd_type_is_answered(served: Served, name: str, odd: object) -> None:
    agent = served.client()
    for tool, args in (("search", {}), ("pay", {"amount": 500, "to": "bob"}), ("export", {"rows": 500})):
        assert agent.enforce(tool, args, **{name: odd})["decision"]


# ---------------------------------------------------------------- the other routes


def test_simulate_changes_nothing(served: Served) -> None:
    agent = served.client()
    body = {**CONTEXT, "tool_name": "pay", "tool_args": {"amount": 500, "to": "bob"}, "session_id": "s1"}
    status, answer = agent.ask("POST", "/v1/simulate", body)
    assert (status, answer["decision"]) == (200, "STEP_UP")
    assert served.running.sidecar.holds.waiting == 0
    assert sum(served.running.sidecar.counts.by_effect.values()) == 0


def test_explain_speaks_to_a_person(served: Served) -> None:
    body = {**CONTEXT, "tool_name": "pay", "tool_args": {"amount": 50_000, "to": "bob"}, "decision": "BLOCK"}
    status, answer = served.client().ask("POST", "/v1/explain", body)
    assert status == 200
    assert answer["why_it_was_blocked"] == "more than 10,000 is paid by hand"
    assert answer["tool_name"] == "pay"


def test_what_was_said_reaches_the_session(tmp_path: Path) -> None:
    policy = "allow send as asked when args.to from user"
    with live(tmp_path, policy, http_socket=str(tmp_path / "run" / "h")) as running:
        agent = Served(running, Clock()).client()
        more = {"session_tool_calls": ["send"], "tenant_id": "acme"}
        assert agent.enforce("send", {"to": "bob@acme.com"}, **more)["decision"] == "BLOCK"
        said = {"text": "write to bob@acme.com", "tenant_id": "acme"}
        assert agent.ask("POST", "/v1/sessions/s%31/said", said) == (202, {})
        assert agent.enforce("send", {"to": "bob@acme.com"}, **more)["decision"] == "ALLOW"


@pytest.mark.parametrize("shape", ["python", "go", "typescript"])
def test_events_end_the_calls_that_they_are_about(served: Served, shape: str) -> None:
    agent = served.client()
    agent.enforce("search", {"q": "owls"})
    event: dict[str, Any] = {
        "event_id": "e1",
        "tenant_id": "acme",
        "session_id": "s1",
        "user_id": "ann",
        "tool_name": "search",
        "event_type": "TOOL_CALL_POST",
        "source_type": "agent_tool_call",
        "content": "search",
        "metadata": None,
    }
    body: Any = [event] if shape == "python" else {"events": [event]}
    if shape == "typescript":
        names = {"event_id": "eventId", "tenant_id": "tenantId", "session_id": "sessionId", "tool_name": "toolName"}
        body = {"events": [{names.get(k, "eventType" if k == "event_type" else k): v for k, v in event.items()}]}
    first, second = (agent.ask("POST", "/v1/events/batch", body) for _ in range(2))
    assert first == (202, {"accepted": 1, "duplicates": 0, "paired": 1})
    assert second == (202, {"accepted": 0, "duplicates": 1, "paired": 0})
    (call,) = served.running.sidecar.engine.session("s1", tenant_id="acme").calls
    assert call.completed


def test_a_request_that_names_itself_is_decided_once(served: Served) -> None:
    agent = served.client()
    first = agent.enforce("search", {"q": 1}, request_id="r1")
    assert agent.enforce("search", {"q": 1}, request_id="r1") == first
    assert agent.enforce("search", {"q": 2}, request_id="r1")["decision_reason_code"] == "request_id_reused"
    assert agent.enforce("search", {"q": 1}, request_id="r2") != first


def test_health_readiness_metrics_and_description_need_no_key(served: Served) -> None:
    anybody = Client(served.path)
    assert anybody.ask("GET", "/healthz") == (200, {"status": "ok"})
    assert anybody.ask("GET", "/readyz") == (200, {"status": "ready"})
    served.client().enforce("search", {})
    status, text = anybody.ask("GET", "/metrics")
    assert status == 200
    assert b'thoth_decisions_total{effect="ALLOW"} 1.0' in text
    assert b"thoth_unrecorded_total 0.0" in text
    status, document = anybody.ask("GET", "/openapi.json")
    assert (status, document["openapi"]) == (200, "3.1.0")


def test_both_doors_ask_one_engine(served: Served) -> None:
    served.client().enforce("search", {"q": 1})
    with SocketClient(served.running.path) as client:
        client.decide({**CONTEXT, "tool_name": "search", "session_id": "s1"})
    assert len(served.running.sidecar.engine.session("s1", tenant_id="acme").calls) == 2


# ---------------------------------------------------------------- everything else


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "error"),
    [
        ("POST", "/v1/enforce", b"{,}", {}, 400, "malformed"),
        ("POST", "/v1/enforce", b"[]", {}, 400, "malformed"),
        ("POST", "/v1/enforce", b'{"tool_name": "a", "tool_name": "b"}', {}, 400, "malformed"),
        ("POST", "/v1/enforce", b"{}", {"content_type": "text/plain"}, 415, "content_type"),
        ("GET", "/v1/enforce", None, {}, 405, "method"),
        ("POST", "/v1/nothing", b"{}", {}, 404, "not_found"),
        ("POST", "/healthz", b"{}", {}, 405, "method"),
        ("POST", "/v1/events/batch", b'[{"event_type": "WHAT"}]', {}, 400, "malformed"),
        ("POST", "/v1/events/batch", b'"x"', {}, 400, "malformed"),
        ("POST", "/v1/sessions/s1/said", b"{}", {}, 400, "malformed"),
    ],
)
def test_what_is_wrong_is_told_and_the_connection_goes_on(
    served: Served, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int, error: str
) -> None:
    client = served.client()
    assert client.ask("GET", "/healthz")[0] == 200
    found, answer = client.ask(method, path, body, **headers)
    assert (found, answer["error"]) == (status, error)
    assert answer["message"]
    assert client.ask("GET", "/healthz")[0] == 200


def raw(served: Served, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(served.path))
        sock.sendall(data)
        found = b""
        while piece := sock.recv(1 << 16):
            found += piece
        return found


def test_bytes_that_are_no_http_are_told_so_and_closed(served: Served) -> None:
    assert raw(served, b"\x00\x01\x02\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_body_or_headers_beyond_the_bound_are_refused(served: Served) -> None:
    head = b"POST /v1/enforce HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    big = head + b"transfer-encoding: chunked\r\n\r\n" + b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    assert raw(served, big + (b"10000\r\n" + b"x" * 0x10000 + b"\r\n") * (BODY_BYTES_MAX // 0x10000)).startswith(
        b"HTTP/1.1 413 "
    )
    assert raw(served, head + b"x: " + b"y" * 40_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431 ")


def test_pipelined_requests_are_answered_in_their_order(served: Served) -> None:
    key = served.key("bot-key", "execute")

    def post(amount: int, last: bool = False) -> bytes:
        body = json.dumps({**CONTEXT, "tool_name": "pay", "tool_args": {"amount": amount, "to": "bob"}}).encode()
        close = "connection: close\r\n" if last else ""
        head = f"POST /v1/enforce HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n{close}"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    found = raw(served, post(500) + post(5) + post(50_000, last=True))
    words = [json.loads(part.partition(b"\r\n\r\n")[2].split(b"HTTP/1.1")[0])["decision"] for part in split(found)]
    assert words == ["STEP_UP", "ALLOW", "BLOCK"]


def split(answers: bytes) -> list[bytes]:
    return [b"HTTP/1.1" + part for part in answers.split(b"HTTP/1.1")[1:]]


def test_a_request_that_never_ends_is_closed_and_slows_nobody(tmp_path: Path) -> None:
    clock = Clock(100.0)
    path = tmp_path / "run" / "h"
    told: dict[str, Any] = {"approvers": BOUND, "monotonic": clock, "http_socket": str(path)}
    with live(tmp_path, POLICY, **told) as running, socket.socket(socket.AF_UNIX) as slow:
        slow.settimeout(10)
        slow.connect(str(path))
        slow.sendall(b"POST /v1/enforce HTTP/1.1\r\nhost: x\r\nx")
        assert Client(path).ask("GET", "/healthz")[0] == 200
        clock.now += 11
        running.on_loop(running.sidecar.sweep)
        assert slow.recv(1 << 16).startswith(b"HTTP/1.1 408 ")
        assert slow.recv(1) == b""


def test_whoever_waits_hears_of_an_answer_within_fifty_milliseconds(served: Served) -> None:
    agent, cfo = served.client(), served.client("cfo", "write")
    took = []
    for _ in range(5):
        token = agent.enforce("pay", {"amount": 500, "to": "bob"})["hold_token"]
        heard: list[float] = []

        def wait(token: str = token, heard: list[float] = heard) -> None:
            agent.ask("GET", f"/v1/enforce/hold/{token}?wait=30")
            heard.append(time.monotonic())

        thread = threading.Thread(target=wait)
        thread.start()
        cfo.ask("POST", f"/v1/approvals/{token}/resolve", {"decision": "approve"})
        answered = time.monotonic()
        thread.join(10)
        took.append(heard[0] - answered)
    assert min(took) < 0.05, "the others may have been held up by the machine"


def test_whoever_asks_for_much_and_reads_nothing_takes_little_memory(served: Served) -> None:
    web = served.running.sidecar.listeners.web
    asks = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 6_000
    _, description = Client(served.path).ask("GET", "/openapi.json")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sock.settimeout(10)
        sock.connect(str(served.path))
        sock.sendall(asks[: len(asks) // 2])
        most = 0
        for _ in range(20):
            most = max(
                most,
                served.running.on_loop(lambda: max(c.transport.get_write_buffer_size() for c in web.connections)),
            )
        assert most <= 2 * WRITE_BYTES_MAX, "answers are made when there is room for them"
        sock.sendall(asks[len(asks) // 2 :] + b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        found = bytearray()
        while piece := sock.recv(1 << 16):
            found += piece
    assert found.count(b"HTTP/1.1 200 OK") == 6_001
    assert found.endswith(b'{"status":"ok"}')
    assert description["openapi"] == "3.1.0"


def test_whoever_hangs_up_waits_no_longer(served: Served) -> None:
    key = served.key("bot-key", "execute")
    token = Client(served.path, key).enforce("pay", {"amount": 500, "to": "bob"})["hold_token"]
    holds, web = served.running.sidecar.holds, served.running.sidecar.listeners.web
    poll = f"GET /v1/enforce/hold/{token}?wait=60 HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\r\n".encode()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(served.path))
        sock.sendall(poll * 20)
        while served.running.on_loop(lambda: len(holds._told.get(token, ()))) < 20:
            pass
    while served.running.on_loop(lambda: any(connection.under_way for connection in web.connections)):
        pass
    assert served.running.on_loop(lambda: len(holds._told[token])) == 0


def test_names_that_clients_choose_take_the_same_memory_however_long(served: Served) -> None:
    client = served.client("bot-key", "execute", "write")
    routes = served.running.sidecar.routes
    event = {"event_type": "TOOL_CALL_PRE", "session_id": "s1", "tenant_id": "acme", "tool_name": "pay"}
    ask = {**CONTEXT, "tool_name": "pay", "tool_args": {"amount": 50_000, "to": "bob"}}
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(10):
            id = f"{number}{'x' * 500_000}"
            assert client.ask("POST", "/v1/events/batch", [{**event, "event_id": id}])[1]["accepted"] == 1
            assert client.ask("POST", "/v1/events/batch", [{**event, "event_id": id}])[1]["duplicates"] == 1
            first, again = (client.ask("POST", "/v1/enforce", {**ask, "request_id": id}) for _ in range(2))
            assert first == again
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000
    assert len(routes.events._seen) == len(routes._repeats._all) == 10


def test_a_key_behind_the_body_is_none(served: Served) -> None:
    key = served.key("bot-key", "execute").encode()
    head = b"POST /v1/enforce HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    found = raw(served, head + b"2\r\n{}\r\n0\r\nx-api-key: " + key + b"\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 401 "), "whoever stands before us has not seen this header"


@pytest.mark.parametrize("name", [b"x-api-key", b"authorization", b"content-type", b"user-agent"])
def test_a_header_that_counts_stands_once(served: Served, name: bytes) -> None:
    key = served.key("bot-key", "execute").encode()
    value = {b"x-api-key": key, b"authorization": b"Bearer " + key}.get(name, b"application/json")
    said = b"X-Api-Key: " + key + b"\r\n" if name in (b"content-type", b"user-agent") else b""
    head = b"POST /v1/enforce HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n" + said
    twice = raw(served, head + name + b": other\r\n" + name + b": " + value + b"\r\n\r\n{}")
    assert twice.startswith(b"HTTP/1.1 400 ")
    assert b"stands once" in twice


def test_whoever_asked_does_not_approve_with_another_key_of_theirs(served: Served) -> None:
    asks, approves = served.client("cfo", "execute"), served.client("cfo", "write")
    token = asks.enforce("pay", {"amount": 500, "to": "bob"})["hold_token"]
    status, told = approves.ask("POST", f"/v1/approvals/{token}/resolve", {"decision": "approve"})
    assert (status, told["message"]) == (403, "whoever asked for a call does not approve it")
    other = served.client("bot-key").enforce("pay", {"amount": 500, "to": "bob"})["hold_token"]
    assert approves.ask("POST", f"/v1/approvals/{other}/resolve", {"decision": "approve"})[0] == 200


def test_connections_are_bounded_and_the_one_silent_longest_makes_room(served: Served) -> None:
    web = served.running.sidecar.listeners.web
    key = served.key("bot-key", "execute")
    busy = Client(served.path, key)
    token = busy.enforce("pay", {"amount": 500, "to": "bob"})["hold_token"]
    waiting = threading.Thread(target=lambda: busy.ask("GET", f"/v1/enforce/hold/{token}?wait=60"))
    waiting.start()
    while not served.running.on_loop(lambda: served.running.sidecar.holds._told.get(token)):
        pass
    served.running.on_loop(setattr, web, "connections_max", 8)
    silent = []
    for number in range(20):
        silent.append(socket.socket(socket.AF_UNIX))
        silent[-1].connect(str(served.path))
        silent[-1].sendall(b"P" * (number % 2))
        assert Client(served.path).ask("GET", "/healthz") == (200, {"status": "ok"})
    assert served.running.on_loop(lambda: len(web.connections)) <= 8
    silent[0].settimeout(10)
    assert silent[0].recv(1) == b""
    cfo = served.client("cfo", "write")
    assert cfo.ask("POST", f"/v1/approvals/{token}/resolve", {"decision": "approve"})[0] == 200
    waiting.join(10)
    assert not waiting.is_alive(), "whoever waits for an answer is not silent"
    for sock in silent:
        sock.close()


@pytest.mark.parametrize("where", ["decide", "recorded"])
def test_a_mistake_of_ours_is_answered_and_keeps_no_request_from_being_decided(
    served: Served, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes, client = served.running.sidecar.routes, served.client()
    ask = {**CONTEXT, "tool_name": "pay", "tool_args": {"amount": 5, "to": "bob"}, "request_id": "one"}

    def mistaken(*arguments: Any) -> None:
        raise RuntimeError("a mistake")

    with monkeypatch.context() as patched:
        patched.setattr(*((routes.dispatcher, "decide") if where == "decide" else (routes.events, "decided")), mistaken)
        assert client.ask("POST", "/v1/enforce", ask)[0] == 500
    status, answer = client.ask("POST", "/v1/enforce", ask)
    assert (status, answer["decision"]) == (200, "ALLOW")
    assert served.running.sidecar.counts.internal == 1
    served.running.sidecar.counts.internal = 0
