"""A server's tools, asked for outside of any client: attached to, asked, and let go."""

import asyncio
from collections import deque
from typing import Any, Final

from ..contract import OperationError
from .lines import TooLong
from .log import Log
from .message import Malformed, Message, loosely, notification, read_message, request_message
from .server import Server

PAGES_MAX: Final = 1000
STDERR_BYTES_MAX: Final = 2000
GRACE_S: Final = 0.5
HANDSHAKE: Final = "2025-11-25"
STATELESS: Final = "2026-07-28"
US: Final = {"name": "thoth", "version": "1"}
META: Final = {
    "io.modelcontextprotocol/protocolVersion": STATELESS,
    "io.modelcontextprotocol/clientInfo": US,
    "io.modelcontextprotocol/clientCapabilities": {},
}


def tools_of(server: Server, *, patience_s: float = 60.0) -> list[dict[str, Any]]:
    """Return every tool that a server lists, and end it, or its session.

    Raises:
        OperationError: it ends, does not answer in time, or lists no tools; the text says which.
    """
    return asyncio.run(_tools_of(server, patience_s))


async def _tools_of(server: Server, patience_s: float) -> list[dict[str, Any]]:
    said = _Kept()
    asking = _Asking(server, patience_s)
    await server.attach(asking.heard, asking.end, said, full=_nothing, taken=_nothing)
    found = None
    try:
        found = await asking.tools()
    except Ended:
        pass
    finally:
        code = await server.stop(asyncio.Event(), grace_s=GRACE_S)
    if found is None:
        last = f"; it said last: {said.last}" if said.last else ""
        raise OperationError(f"the server has ended (exit code {code}){last}")
    return found


def _nothing() -> None:
    """What is asked here waits for its answer, so nothing piles up."""


class Ended(Exception):
    """The server says no more."""


class _Kept(Log):
    """What the server says on stderr is kept, for when it ends; nobody reads it otherwise."""

    def __init__(self) -> None:
        super().__init__(-1)
        self._pieces_kept: deque[bytes] = deque(maxlen=64)

    def event(self, event: str, **facts: object) -> None:
        """Nothing of ours is of interest here: what goes wrong is raised."""

    def pass_on(self, data: bytes) -> None:
        self._pieces_kept.append(data[-STDERR_BYTES_MAX:])

    @property
    def last(self) -> str:
        """The last line that is none of spaces."""
        text = b"".join(self._pieces_kept)[-STDERR_BYTES_MAX:].decode("utf-8", "replace")
        return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


class _Asking:
    def __init__(self, server: Server, patience_s: float) -> None:
        self._server = server
        self._patience_s = patience_s
        self._numbers = 0
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    def heard(self, line: bytes | TooLong) -> None:
        if isinstance(line, bytes):
            self._lines.put_nowait(line)

    def end(self) -> None:
        self._lines.put_nowait(None)

    async def tools(self) -> list[dict[str, Any]]:
        hello = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": US}
        stateless = "error" in (await self._ask("initialize", hello)).fields
        if not stateless:
            self._send(notification("notifications/initialized", {}))
        params: dict[str, Any] = {"_meta": META} if stateless else {}
        found: list[dict[str, Any]] = []
        for _ in range(PAGES_MAX):
            answer = await self._ask("tools/list", params)
            if "error" in answer.fields:
                raise OperationError(_why(answer))
            result = loosely(answer.fields["result"])
            tools = result.get("tools") if isinstance(result, dict) else None
            if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
                raise OperationError("the server's list of tools is none")
            found += tools
            cursor = result.get("nextCursor")
            if not isinstance(cursor, str):
                return found
            params = {**params, "cursor": cursor}
        raise OperationError(f"the server's list of tools has more than {PAGES_MAX:,} pages")

    def _send(self, line: bytes) -> None:
        if not self._server.line(line):
            raise Ended

    async def _ask(self, method: str, params: object) -> Message:
        self._numbers += 1
        id = f"thoth-{self._numbers}"
        self._send(request_message(id, method, params))
        try:
            async with asyncio.timeout(self._patience_s):
                while True:
                    line = await self._lines.get()
                    if line is None:
                        raise Ended
                    try:
                        message = read_message(line)
                    except Malformed:
                        continue
                    if message.is_response and message.id == id:
                        return message
        except TimeoutError:
            raise OperationError(f"the server does not answer `{method}` in {self._patience_s:.0f} seconds") from None


def _why(answer: Message) -> str:
    """Return why there is no list: our own words where we could not ask, the server's otherwise."""
    error = loosely(answer.fields["error"])
    text = error.get("message") if isinstance(error, dict) else None
    if not isinstance(text, str):
        return "the server lists no tools, and does not say why"
    ours = text.removeprefix("thoth: ")
    return ours if ours != text else f"the server lists no tools: {text[:200]!a}"
