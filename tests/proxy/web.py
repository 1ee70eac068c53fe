"""A scripted MCP server over Streamable HTTP and TLS, on a thread of its own, which keeps what it was told."""

import asyncio
import datetime as dt
import ipaddress
import json
import ssl
import threading
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

POLICY = """\
policy p
    default block
allow echo as e
allow slow as s
allow cut as c
allow huge as h
allow write as w
modify write as m
    set args.text = "changed"
"""
SCHEMA = {"type": "object", "properties": {"text": {"type": "string", "x-mcp-header": "Text"}}}
TOOLS = [{"name": name, "inputSchema": SCHEMA} for name in ("echo", "slow", "cut", "write", "delete", "away", "huge")]
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
        self.says_why = ""  # header lines that go with it
        self.session = 1
        self.forgets = b""  # the body with which it says that it knows no such session
        self.begins_anew = True
        self.tools: list[dict[str, Any]] = TOOLS
        self.agrees = "2025-11-25"
        self.moved = ""  # where every request to another path is sent, and how
        self.moves = 307
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

    def called_in(self, session: str) -> list[Any]:
        """The calls that came with a session's id."""
        found = [(head, body) for _, head, body in self.heard if body and body.get("method") == "tools/call"]
        return [body for head, body in found if head.get("mcp-session-id") == session]

    def headers_of(self, method: str) -> dict[str, str]:
        return next(h for verb, h, body in self.heard if verb == method or (body and body.get("method") == method))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:-2])}
                raw = await reader.readexactly(int(headers.get("content-length", "0")))
                self.heard.append((head[0].split()[0], headers, json.loads(raw) if raw else None))
                if self.moved and not head[0].split()[1].startswith("/new"):
                    line = f"HTTP/1.1 {self.moves} x\r\nLocation: {self.moved}\r\nContent-Length: 0\r\n\r\n"
                    writer.write(line.encode())
                    self.heard.pop()
                    continue
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
        if headers.get("mcp-session-id", f"s-{self.session}") != f"s-{self.session}":
            plain(404, self.forgets)
        elif verb == "DELETE":
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
        elif method == "initialize" and self.session > 1 and not self.begins_anew:
            plain(503)
        elif method == "initialize":
            agreed = {"protocolVersion": self.agrees, "capabilities": {"tools": {}}, "serverInfo": {"name": "web"}}
            plain(200, json.dumps(result(agreed), indent=2).encode(), f"Mcp-Session-Id: s-{self.session}\r\n")
        elif method == "tools/list":
            plain(200, json.dumps(result({"tools": self.tools})).encode())
        elif self.refuses:
            plain(self.refuses, more=self.says_why)
        elif body["params"]["name"] == "slow":
            begin()
            progress = {"progressToken": 1, "progress": 1}
            event({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress}, "id: a\n")
            event(result(done), "id: b\n")
            raise ConnectionError
        elif body["params"]["name"] == "huge":
            begin()
            event(result({"content": [{"type": "text", "text": "h" * body["params"]["arguments"]["bytes"]}]}))
            await writer.drain()
            raise ConnectionError
        elif body["params"]["name"] == "cut":
            self.cut = id
            begin()
            writer.write(b"id: c7\nretry: 1\ndata: \n\n")
            raise ConnectionError
        else:
            plain(200, json.dumps(result(done)).encode())
