"""`thoth run --upstream`: the real proxy in front of a scripted server over TLS, which keeps what it was told."""

import asyncio
import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from thoth.proxy.http_headers import mirrored_of, spelt
from thoth.proxy.web_address import WrongAddress, headers_from, origin_of

POLICY = """\
policy p
    default block
allow echo as e
allow slow as s
allow cut as c
allow write as w
modify write as m
    set args.text = "changed"
"""
SCHEMA = {"type": "object", "properties": {"text": {"type": "string", "x-mcp-header": "Text"}}}
TOOLS = [{"name": name, "inputSchema": SCHEMA} for name in ("echo", "slow", "cut", "write", "delete", "away")]
PATIENCE_S = 30.0


def certificate(folder: Path) -> tuple[Path, Path]:
    """Return the files of a certificate for loopback, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert, secret


class Web:
    """A Streamable HTTP server on a thread of its own: `heard` has every request's method, headers and body."""

    def __init__(self, folder: Path) -> None:
        self.cert, secret = certificate(folder)
        self.heard: list[tuple[str, dict[str, str], Any]] = []
        self.offers_stream = True
        self.cut: Any = None  # the id of the request whose stream broke
        self.refuses = 0  # an HTTP status for every call, if any
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(self.cert, secret)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls))
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/mcp?key=of-nobody"
        self._ready.set()
        self._loop.run_forever()
        self._server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        transports: Any = vars(self._loop)["_transports"]  # connections in a handshake have no other owner
        for transport in list(transports.values()):
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE_S)

    def called(self) -> list[tuple[str, Any]]:
        params = [body["params"] for _, _, body in self.heard if body and body.get("method") == "tools/call"]
        return [(one["name"], one["arguments"]) for one in params]

    def headers_of(self, method: str) -> dict[str, str]:
        return next(h for verb, h, body in self.heard if verb == method or (body and body.get("method") == method))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:-2])}
                raw = await reader.readexactly(int(headers.get("content-length", "0")))
                self.heard.append((head[0].split()[0], headers, json.loads(raw) if raw else None))
                await self._answer(*self.heard[-1], writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _answer(self, verb: str, headers: dict[str, str], body: Any, writer: asyncio.StreamWriter) -> None:
        def plain(status: int, data: bytes = b"", more: str = "") -> None:
            kind = "Content-Type: application/json\r\n" if data else ""
            writer.write(f"HTTP/1.1 {status} x\r\n{kind}{more}Content-Length: {len(data)}\r\n\r\n".encode() + data)

        def begin() -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")

        def event(message: Any, more: str = "") -> None:
            writer.write(f"{more}data: {json.dumps(message)}\n\n".encode())

        def result(value: Any) -> dict[str, Any]:
            return {"jsonrpc": "2.0", "id": id, "result": value}

        id = body.get("id") if isinstance(body, dict) else None
        method = body.get("method") if isinstance(body, dict) else None
        done = {"content": [{"type": "text", "text": "done"}]}
        if verb == "DELETE":
            plain(204)
        elif verb == "GET" and "last-event-id" in headers:
            begin()
            event({"jsonrpc": "2.0", "id": self.cut, "result": done})
            raise ConnectionError
        elif verb == "GET" and self.offers_stream:
            begin()
            event({"jsonrpc": "2.0", "id": "from-server", "method": "ping"})
            await asyncio.Event().wait()
        elif verb == "GET":
            plain(405)
        elif id is None or method is None:
            plain(202)
        elif method == "initialize":
            agreed = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "web"}}
            plain(200, json.dumps(result(agreed), indent=2).encode(), "Mcp-Session-Id: s-1\r\n")
        elif method == "tools/list":
            plain(200, json.dumps(result({"tools": TOOLS})).encode())
        elif self.refuses:
            plain(self.refuses)
        elif body["params"]["name"] == "slow":
            begin()
            progress = {"progressToken": 1, "progress": 1}
            event({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress}, "id: a\n")
            event(result(done), "id: b\n")
            raise ConnectionError
        elif body["params"]["name"] == "cut":
            self.cut = id
            begin()
            writer.write(b"id: c7\nretry: 1\ndata: \n\n")
            raise ConnectionError
        else:
            plain(200, json.dumps(result(done)).encode())


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    made = Web(tmp_path)
    yield made
    made.close()


Start = Callable[..., Any]


@pytest.fixture
def in_front(web: Web, proxied: Start) -> Start:
    """Start `thoth run --upstream` in front of the web server."""

    def start(*options: str, trusted: bool = True, **env: str) -> Any:
        ca = ["--ca", str(web.cert)] if trusted else []
        return proxied(POLICY, "--upstream", web.url, *ca, *options, env=env)

    return start


def text(result: dict[str, Any]) -> str:
    return "\n".join(part["text"] for part in result["content"])


def test_calls_pass_over_https_and_a_refused_one_never_reaches_the_server(web: Web, in_front: Start) -> None:
    proxy = in_front("--header-env", "Authorization=SECRET_OF_TEST", SECRET_OF_TEST="Bearer hush-1234")
    assert proxy.initialize()["result"]["serverInfo"]["name"] == "web"
    assert text(proxy.call(1, "echo", text="hi")) == "done"
    assert proxy.call(2, "delete", text="all")["isError"] is True
    assert text(proxy.call(3, "write", text="mine")) == "done"
    assert proxy.leave() == 0
    assert web.called() == [("echo", {"text": "hi"}), ("write", {"text": "changed"})]
    assert "mcp-session-id" not in web.headers_of("initialize")
    for method in ("notifications/initialized", "tools/call", "DELETE"):
        said = web.headers_of(method)
        assert (said["mcp-session-id"], said["mcp-protocol-version"]) == ("s-1", "2025-11-25")
    assert {said["authorization"] for _, said, _ in web.heard} == {"Bearer hush-1234"}
    assert web.headers_of("tools/call")["accept"] == "application/json, text/event-stream"
    assert [verb for verb, _, _ in web.heard].count("DELETE") == 1
    assert web.heard[-1][0] == "DELETE"
    assert "hush" not in proxy.said_on_stderr
    assert "of-nobody" not in proxy.said_on_stderr


def test_a_stream_gives_progress_and_then_the_result(web: Web, in_front: Start) -> None:
    web.offers_stream = False
    proxy = in_front()
    proxy.initialize()
    meta = {"progressToken": 1}
    proxy.says(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "slow", "arguments": {}, "_meta": meta}}
    )
    heard = [json.loads(proxy.line() or b"null") for _ in range(2)]
    assert heard[0]["method"] == "notifications/progress"
    assert text(heard[1]["result"]) == "done"


def test_a_broken_stream_is_taken_up_once_behind_its_last_event(web: Web, in_front: Start) -> None:
    web.offers_stream = False
    proxy = in_front()
    proxy.initialize()
    assert text(proxy.call(1, "cut")) == "done"
    assert [said["last-event-id"] for verb, said, _ in web.heard if "last-event-id" in said] == ["c7"]


def test_the_server_s_own_stream_reaches_the_client_and_its_answer_the_server(web: Web, in_front: Start) -> None:
    proxy = in_front()
    proxy.initialize()
    assert json.loads(proxy.line() or b"null") == {"jsonrpc": "2.0", "id": "from-server", "method": "ping"}
    proxy.says({"jsonrpc": "2.0", "id": "from-server", "result": {}})
    assert proxy.leave() == 0
    assert {"jsonrpc": "2.0", "id": "from-server", "result": {}} in [body for _, _, body in web.heard]


def test_a_server_that_is_away_gives_every_call_an_error_and_the_run_goes_on(web: Web, in_front: Start) -> None:
    proxy = in_front()
    proxy.initialize()
    proxy.call(1, "echo", text="hi")
    web.close()
    for id in (2, 3):
        answer = json.dumps(proxy.request(id, "prompts/list"))
        assert "cannot be reached" in answer
        assert "of-nobody" not in answer
    assert "error" in proxy.request(4, "tools/call", name="echo", arguments={"text": "hi"})
    assert proxy.leave() == 0


def test_a_status_without_a_message_is_put_into_words(web: Web, in_front: Start) -> None:
    proxy = in_front()
    proxy.initialize()
    proxy.call(1, "echo", text="hi")
    web.refuses = 401
    assert "--header-env" in json.dumps(proxy.request(2, "tools/call", name="echo", arguments={}))
    web.refuses = 404
    assert "ended the session" in json.dumps(proxy.request(3, "tools/call", name="echo", arguments={}))


def test_a_certificate_that_nobody_trusts_ends_it_before_a_word_is_said(web: Web, in_front: Start) -> None:
    proxy = in_front(trusted=False)
    answer = proxy.request(0, "initialize", protocolVersion="2025-11-25", capabilities={})
    assert "certificate is not trusted" in answer["error"]["message"]
    assert web.heard == []


def test_the_stateless_revision_has_its_headers_and_no_session(web: Web, in_front: Start) -> None:
    proxy = in_front()
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    proxy.request(1, "tools/list", _meta=meta)
    proxy.request(2, "tools/call", name="echo", arguments={"text": "grüße"}, _meta=meta)
    said = web.headers_of("tools/call")
    assert (said["mcp-protocol-version"], said["mcp-method"], said["mcp-name"]) == ("2026-07-28", "tools/call", "echo")
    assert said["mcp-param-text"] == "=?base64?Z3LDvMOfZQ==?="
    assert "mcp-session-id" not in said
    assert proxy.leave() == 0
    assert "DELETE" not in [verb for verb, _, _ in web.heard]


@pytest.mark.parametrize(
    "url",
    [
        "http://mcp.example/mcp",
        "https://ann:pw@mcp.example/",
        "ftp://127.0.0.1/",
        "https://",
        "https://h/#x",
        "https://h:x/",
        "https://h/a b",
        "http://127.0.0.1.example/",
        "http://localhost@mcp.example/",
    ],
)
def test_where_a_server_may_not_be(url: str) -> None:
    with pytest.raises(WrongAddress):
        origin_of(url)


def test_what_of_a_url_is_told() -> None:
    assert origin_of("https://mcp.example:8443/secret?key=1") == "https://mcp.example:8443"
    assert origin_of("http://[::1]:80/") == "http://[::1]:80"


@pytest.mark.parametrize("pair", ["X", "X=", "X=lacking", "Mcp-Session-Id=A", "host=A", "X Y=A", "X=BROKEN", "=A"])
def test_headers_that_may_not_be_given(pair: str) -> None:
    with pytest.raises(WrongAddress) as refused:
        headers_from([pair], {"A": "hush", "BROKEN": "hush\r\nX: y"})
    assert "hush" not in str(refused.value)


def test_marks_of_a_schema_that_mean_a_header() -> None:
    inner = {"type": "object", "properties": {"b": {"type": "integer", "x-mcp-header": "B"}}}
    properties = {
        "a": inner,
        "c": {"type": "number", "x-mcp-header": "C"},
        "d": {"type": "string", "x-mcp-header": "a b"},
    }
    assert mirrored_of({"properties": properties}) == {("a", "b"): "B"}
    assert mirrored_of([]) == {}
    assert [spelt(one) for one in ("a b", " a")] == ["a b", "=?base64?IGE=?="]
