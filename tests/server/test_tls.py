"""HTTP for other machines: only with a certificate, and a renewed one counts without a restart."""

import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from thoth.contract import OperationError
from thoth.server import read_settings
from thoth.server.settings import http_address

from ..proxy.web import certificate
from .live import Live, live
from .test_http import Served

POLICY = "allow * as all\n"


def ask(running: Live, trusted: Path, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
    port = running.sidecar.listeners.sockets[0].getsockname()[1]
    context = ssl.create_default_context(cafile=str(trusted))
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
    try:
        connection.request(method, path, body, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_call_is_decided_over_tls_on_every_address(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    key.chmod(0o600)
    told = {"http": "0.0.0.0:0", "tls_cert": str(cert), "tls_key": str(key)}
    with live(tmp_path, POLICY, **told) as running:
        text = Served(running, running.sidecar.clock).key("bot", "execute")
        body = json.dumps({"tool_name": "search", "tenant_id": "t"}).encode()
        status, answer = ask(running, cert, "POST", "/v1/enforce", body, **{"x-api-key": text})
        assert (status, answer["decision"]) == (200, "ALLOW")
        status, answer = ask(running, cert, "POST", "/v1/enforce", b"{" * 2_000_000, **{"x-api-key": text})
        assert status == 413, "an answer before the end of the request reaches its client"


def test_a_question_that_comes_whole_is_answered_over_tls_too(tmp_path: Path) -> None:
    """A plain question in one piece is answered straight away, past everything; but never past TLS."""
    cert, key = certificate(tmp_path)
    key.chmod(0o600)
    with live(tmp_path, POLICY, http="127.0.0.1:0", tls_cert=str(cert), tls_key=str(key)) as running:
        text = Served(running, running.sidecar.clock).key("bot", "execute")
        body = json.dumps({"tool_name": "search", "tenant_id": "t"}).encode()
        head = f"POST /v1/enforce HTTP/1.1\r\nhost: x\r\nx-api-key: {text}\r\ncontent-type: application/json\r\n"
        whole = head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body
        port = running.sidecar.listeners.sockets[0].getsockname()[1]
        context = ssl.create_default_context(cafile=str(cert))
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as sock,
            context.wrap_socket(sock, server_hostname="127.0.0.1") as secure,
        ):
            for _ in range(3):
                secure.sendall(whole)
                answer = b""
                while b"}}" not in answer:
                    answer += secure.recv(65_536)
                assert b'"decision":"ALLOW"' in answer


def test_without_tls_nothing_is_said(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    key.chmod(0o600)
    with live(tmp_path, POLICY, http="127.0.0.1:0", tls_cert=str(cert), tls_key=str(key)) as running:
        port = running.sidecar.listeners.sockets[0].getsockname()[1]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/healthz")
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            connection.getresponse()
        connection.close()
        context = ssl.create_default_context(cafile=str(cert))
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        old = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
        old.request("GET", "/healthz")
        assert old.getresponse().status == 200
        old.close()


def test_a_renewed_certificate_counts_after_a_reload(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    key.chmod(0o600)
    with live(tmp_path, POLICY, http="127.0.0.1:0", tls_cert=str(cert), tls_key=str(key)) as running:
        assert ask(running, cert, "GET", "/healthz")[0] == 200
        (tmp_path / "new").mkdir()
        fresh, its_key = certificate(tmp_path / "new")
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(running, fresh, "GET", "/healthz")
        cert.write_bytes(fresh.read_bytes())
        problems: list[str] = []
        running.on_loop(running.sidecar.reload, problems.append)
        assert "no certificate and its key" in problems[0], "half a renewal changes nothing"
        key.write_bytes(its_key.read_bytes())
        running.on_loop(running.sidecar.listeners.renew)
        assert ask(running, fresh, "GET", "/healthz")[0] == 200


@pytest.mark.parametrize("address", ["0.0.0.0:8089", "10.0.0.1:80", "[::]:80"])
def test_an_address_that_others_reach_needs_a_certificate(address: str) -> None:
    with pytest.raises(OperationError, match="needs a certificate; write `--tls-cert"):
        http_address(address, tls=False)
    assert http_address(address, tls=True)[1]


def test_a_certificate_has_its_key_and_nobody_else_has(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match="go together"):
        read_settings(None, {}, {"policy": ["p"], "recording": "none", "tls_cert": "c"})
    cert, key = certificate(tmp_path)
    key.chmod(0o644)
    told = {"http": "127.0.0.1:0", "tls_cert": str(cert), "tls_key": str(key)}
    with pytest.raises(OperationError, match="chmod o-r"), live(tmp_path, POLICY, **told):
        pass
