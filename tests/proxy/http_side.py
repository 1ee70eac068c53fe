"""A server over plain HTTP on the loop of the test itself, in any state that a server elsewhere can be in."""

import asyncio
import json
from typing import Any

from thoth.proxy.upstream import HttpServer

AWAY, HANGS, RUBBISH, BROKEN, FORGETS, REFUSES, REDIRECTS, FULL, WELL = (
    "away",
    "hangs",
    "rubbish",
    "broken",
    "forgets",
    "refuses",
    "redirects",
    "full",
    "well",
)


class HttpSide:
    """The far end, and the proxy's way to it: takes the place of a server's end of a pipe in a world."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.state = WELL
        self.session = 1
        self.messages: list[dict[str, Any]] = []  # what reached the server
        self.react: Any = None
        self._streams: list[asyncio.StreamWriter] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def begin(self) -> None:
        """Listen, and put the proxy's own HTTP side in place of the pipe."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        world = self.world
        self.way = HttpServer(f"{origin}/mcp", origin, headers={})
        world.relay.upstream = self.way
        nothing = lambda: None  # noqa: E731
        await self.way.attach(
            world.relay.from_server, nothing, world.log, full=nothing, taken=nothing, may_repeat=world.calls.may_repeat
        )

    def leave(self) -> None:
        """Be away: nobody listens any more, and every connection is gone."""
        self.state = AWAY
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    def tell(self, message: Any) -> None:
        """Say something unasked, on the server's own stream."""
        for writer in self._streams:
            writer.write(b"data: " + json.dumps(message).encode() + b"\n\n")

    async def end(self) -> None:
        hurry = asyncio.Event()
        hurry.set()
        self.state = WELL
        await self.way.stop(hurry, grace_s=0)
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:-2])}
                raw = await reader.readexactly(int(headers.get("content-length", "0")))
                await self._answer(head[0].split()[0], headers, json.loads(raw) if raw else {}, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, verb: str, headers: dict[str, str], body: Any, writer: asyncio.StreamWriter) -> None:
        def plain(status: int, data: bytes = b"", more: str = "") -> None:
            kind = "Content-Type: application/json\r\n" if data else ""
            writer.write(f"HTTP/1.1 {status} x\r\n{kind}{more}Content-Length: {len(data)}\r\n\r\n".encode() + data)

        def events(data: bytes) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + data)

        method, id = body.get("method"), body.get("id")
        known = headers.get("mcp-session-id", f"s-{self.session}") == f"s-{self.session}"
        if verb == "GET" and self.state == WELL:
            events(b"")
            self._streams.append(writer)
            await asyncio.Event().wait()
        if verb in ("GET", "DELETE"):
            plain(405)
        elif self.state == HANGS:
            await asyncio.Event().wait()
        elif self.state == RUBBISH:
            rubbish = [b"hello", b"[]", b'{"id":1,"id":2,"result":{}}', b"\xff\x00"]
            plain(200, rubbish[len(self.messages) % 4]) if id is not None else events(b"data: {\n\n")
        elif self.state == BROKEN:
            events(b"id: 1\nretry: 1\ndata: \n\n")
            raise ConnectionError
        elif self.state == REFUSES:
            plain(401, more="WWW-Authenticate: Bearer\r\n")
        elif self.state == REDIRECTS:
            plain(307, more="Location: http://127.0.0.1:9/mcp\r\n")
        elif self.state == FULL:
            plain(503)
        elif not known:
            plain(404)
        else:
            self.messages.append(body)
            result = self._result(method, body)
            answer = {"jsonrpc": "2.0", "id": id, "result": result}
            session = f"Mcp-Session-Id: s-{self.session}\r\n" if method == "initialize" else ""
            plain(202) if id is None else plain(200, json.dumps(answer).encode(), session)

    def _result(self, method: str, body: Any) -> Any:
        if method == "initialize":
            return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {"listChanged": True}}}
        if method == "tools/list":
            return {"tools": self.world.tools}
        return {"content": [{"type": "text", "text": "done"}]}
