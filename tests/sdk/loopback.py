"""An enforcer on loopback that speaks the public protocol: a real engine behind it, and it can misbehave."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from thoth.contract import Approval, Decision, Effect, RequestError
from thoth.engine import Engine

Script = Callable[[str, str], "tuple[int, bytes] | None"]


class Loopback:
    """The server. `script(method, path)` may answer in the engine's place; `stop` and `start` keep the port."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.script: Script | None = None
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.events: dict[str, dict[str, Any]] = {}
        self.repeats: dict[str, bytes] = {}
        self.held: dict[str, tuple[Decision, dict[str, Any], list[Approval]]] = {}
        self.under_way: dict[str, Decision] = {}
        self.changed = threading.Condition()
        self.lock = threading.Lock()
        self.port = 0
        self._server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _take(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length)
                server.headers.append({name.lower(): value for name, value in self.headers.items()})
                scripted = server.script(self.command, self.path) if server.script else None
                status, answer = scripted or server.take(self.command, self.path, body)
                head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(answer)}\r\n\r\n"
                self.wfile.write(head.encode() + answer)

            do_GET = do_POST = _take  # noqa: N815

            def log_message(self, *_: Any) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 1024

            def __init__(self, *given: Any) -> None:
                self.links: set[Any] = set()
                super().__init__(*given)

            def process_request(self, request: Any, address: Any) -> None:
                self.links.add(request)
                super().process_request(request, address)

            def shutdown_request(self, request: Any) -> None:
                self.links.discard(request)
                super().shutdown_request(request)

            def handle_error(self, *_: Any) -> None: ...

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Be away, as a process that was killed: every connection breaks."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            for link in list(server.links):  # type: ignore[attr-defined]
                try:
                    link.shutdown(2)
                except OSError:
                    pass
            server.server_close()

    # ------------------------------------------------------------ the protocol

    def take(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        path, _, query = path.partition("?")
        if path == "/v1/enforce":
            return 200, self.enforce(json.loads(body))
        if path.startswith("/v1/enforce/hold/"):
            return 200, self.poll(path.rsplit("/", 1)[1], float(query.partition("wait=")[2] or 0))
        if path == "/v1/events/batch":
            return 202, self.take_events(json.loads(body))
        if path.endswith("/said"):
            self.engine.session(path.split("/")[3]).said(json.loads(body)["text"])
            return 202, b"{}"
        return 404, b'{"error":"not_found"}'

    def enforce(self, request: dict[str, Any]) -> bytes:
        with self.lock:
            answer = self.repeats.get(request["request_id"])
            if answer is None:
                self.requests.append(request)
                decision = self.engine.decide(request)
                if decision.effect is Effect.STEP_UP:
                    self.held[decision.id] = (decision, request, [])
                answer = self.repeats[request["request_id"]] = self.envelope(decision)
        return answer

    def envelope(self, decision: Decision, **more: Any) -> bytes:
        effect = decision.effect
        if effect in (Effect.ALLOW, Effect.MODIFY):
            self.under_way[decision.id] = decision
        envelope: dict[str, Any] = {
            "decision": effect.value,
            "authorization_decision": effect.value,
            "decision_reason_code": decision.reason_code,
            "reason": next((tell for _, tell in decision.tells), decision.reason_code),
            "matched_rule_ids": list(decision.rules),
            "risk_score": decision.risk / 100,
            "decision_evidence": {"decision_id": decision.id},
            **more,
        }
        if effect is Effect.STEP_UP:
            envelope |= {"hold_token": decision.id, "step_up_timeout_seconds": decision.hold_s}
        if effect is Effect.DEFER:
            envelope |= {"defer_timeout_seconds": decision.retry_after_s}
        if effect is Effect.BLOCK:
            envelope |= {"violation_id": f"vio_{decision.id}"}
        if effect is Effect.MODIFY:
            envelope |= {"modified_tool_args": {"args": [], "kwargs": decision.args}}
        return json.dumps(envelope).encode()

    def poll(self, token: str, seconds: float) -> bytes:
        _, request, answers = self.held[token]
        with self.changed:
            self.changed.wait_for(lambda: answers, seconds)
        if not answers:
            pending = {"token": token, "resolved": False, "resolution": None, "decision": "STEP_UP"}
            return json.dumps(pending).encode()
        again = self.engine.decide(request, approval=answers[-1])
        word = "ALLOW" if again.effect in (Effect.ALLOW, Effect.MODIFY) else "BLOCK"
        return self.envelope(again, resolved=True, resolution=word)

    def resolve(self, token: str, granted: bool) -> None:
        decision, _, answers = self.held[token]
        answers.append(self.engine.answer(decision, approver="finance-leads", principal="bob", granted=granted))
        with self.changed:
            self.changed.notify_all()

    def take_events(self, events: list[dict[str, Any]]) -> bytes:
        for event in events:
            if event["event_id"] in self.events:
                continue
            self.events[event["event_id"]] = event
            metadata = event["metadata"]
            decision = self.under_way.pop(metadata.get("decision_id", ""), None)
            if decision is not None and event["event_type"] == "TOOL_CALL_POST":
                try:
                    getattr(self.engine, metadata["ending"])(decision)
                except RequestError:
                    pass
        return b'{"accepted":1}'
