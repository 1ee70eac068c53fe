"""Webhooks: signed as the standard says, sent again, and kept where nobody takes them."""

import base64
import hashlib
import hmac
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from thoth.contract import OperationError
from thoth.server import Approvers, Settings, Sidecar
from thoth.server.webhooks import TIMEOUT_S, signature
from thoth.socket_client import SocketClient

from .live import CONTEXT, live

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes....").decode()
POLICY = 'allow * as all\nstep_up pay as large ask "leads"\n'
ASKED = {**CONTEXT, "tool_name": "pay", "tool_args": {"amount": 5}}


class Receiver:
    """A web server that answers with the statuses it was given, then with 200."""

    def __init__(self, *statuses: int, enough: int | None = None) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.enough = threading.Event()
        left = [*statuses, 200]

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805 - named by the library
                body = handler.rfile.read(int(handler.headers["content-length"]))
                self.got.append((dict(handler.headers), body))
                handler.send_response(left.pop(0) if len(left) > 1 else left[0])
                handler.send_header("content-length", "0")
                handler.end_headers()
                if len(self.got) == (len(statuses) + 1 if enough is None else enough):
                    self.enough.set()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/holds"
        self.thread = threading.Thread(target=self.server.serve_forever, args=[0.01])
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receivers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Receiver]]:
    monkeypatch.setenv("LEADS_SECRET", SECRET)
    made: list[Receiver] = []
    yield made
    for one in made:
        one.close()


def bound(url: str) -> dict[str, Approvers]:
    return {"leads": Approvers(["cfo"], webhook=url, webhook_secret_env="LEADS_SECRET")}


def test_an_approver_is_told_of_a_hold_with_a_signature(tmp_path: Path, receivers: list[Receiver]) -> None:
    receivers.append(receiver := Receiver())
    with live(tmp_path, POLICY, approvers=bound(receiver.url)) as running, SocketClient(running.path) as client:
        token = client.decide(ASKED).hold_token
        assert receiver.enough.wait(10)
    ((headers, body),) = receiver.got
    told = json.loads(body)
    assert told["type"] == "hold.opened"
    assert (told["data"]["id"], told["data"]["tool_args"]) == (token, {"amount": 5})
    headers = {name.lower(): value for name, value in headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests/test_webhooks.py"""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_message_that_is_refused_is_sent_again_under_its_id(tmp_path: Path, receivers: list[Receiver]) -> None:
    receivers.append(receiver := Receiver(500, 503))
    told: dict[str, Any] = {"approvers": bound(receiver.url), "webhook_pauses_s": (0.0, 0.0, 0.0)}
    with live(tmp_path, POLICY, **told) as running, SocketClient(running.path) as client:
        client.decide(ASKED)
        assert receiver.enough.wait(10)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len(receiver.got) == 3


def test_what_nobody_takes_is_kept(tmp_path: Path, receivers: list[Receiver]) -> None:
    receivers.append(receiver := Receiver(500, 500, enough=2))
    told: dict[str, Any] = {"approvers": bound(receiver.url), "webhook_pauses_s": (0.0, 0.0)}
    with live(tmp_path, POLICY, **told) as running, SocketClient(running.path) as client:
        token = client.decide(ASKED).hold_token
        assert receiver.enough.wait(10)
    db = sqlite3.connect(tmp_path / "state" / "holds.db")
    ((url, body, why),) = db.execute("select url, body, why from undelivered").fetchall()
    db.close()
    assert (url, why) == (receiver.url, "status 500")
    assert json.loads(body)["data"]["id"] == token


@pytest.mark.parametrize(
    ("url", "variable", "what"),
    [
        ("ftp://x/", "LEADS_SECRET", "no http or https"),
        ("https://x/", None, "no secret"),
        ("https://x/", "NOWHERE", "no secret"),
    ],
)
def test_a_hook_that_could_not_work_stops_the_start(
    tmp_path: Path, receivers: list[Receiver], url: str, variable: str | None, what: str
) -> None:
    (tmp_path / "policy.thoth").write_text(POLICY)
    told = Settings(
        policy=[str(tmp_path / "policy.thoth")],
        socket=str(tmp_path / "run" / "s"),
        recording="none",
        state=str(tmp_path / "state"),
        approvers={"leads": Approvers(["cfo"], webhook=url, webhook_secret_env=variable)},
    )
    with pytest.raises(OperationError, match=what):
        Sidecar(told)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A hook that takes connections and never answers."""
    monkeypatch.setenv("LEADS_SECRET", SECRET)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


def test_a_hook_that_never_answers_keeps_nobody_from_stopping(tmp_path: Path, silent: str) -> None:
    with live(tmp_path, POLICY, approvers=bound(silent)) as running, SocketClient(running.path) as client:
        for _ in range(5):
            client.decide(ASKED)
        began = time.monotonic()
    assert time.monotonic() - began < TIMEOUT_S, "five that wait for an answer one after another take fifty seconds"
    db = sqlite3.connect(tmp_path / "state" / "holds.db")
    assert db.execute("select count(*) from undelivered").fetchone() == (5,)
    db.close()


def test_messages_that_wait_are_bounded_by_their_bytes(
    tmp_path: Path, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thoth.server.webhooks.WAITING_BYTES_MAX", 200_000)
    with live(tmp_path, POLICY, approvers=bound(silent)) as running, SocketClient(running.path) as client:
        for _ in range(20):
            client.decide({**ASKED, "tool_args": {"text": "x" * 20_000}})
        assert running.on_loop(running.sidecar.gauges)["webhooks_undelivered"] == 11
