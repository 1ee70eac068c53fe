"""The client of the sidecar's socket for asyncio: one connection for a loop, any number of questions under way.

As the blocking one it connects again when the connection breaks, and sends again what was not answered.
"""

import asyncio
import itertools
import os
import secrets
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self, cast

import msgspec

from thoth.contract import Decision, Ending, OperationError, Outcome, Request
from thoth.contract import frames as wire
from thoth.contract.frames import Kind

from .socket_frames import (
    TIMEOUT_S,
    Answered,
    Reply,
    answered,
    answered_all,
    check_server,
    checked,
    default_path,
    ending,
    outcome,
    plain_question,
    question,
    settled,
    trusted_uids,
    welcomed,
)

RETRY_S: Final = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)


class AsyncSocketClient:
    """Asks a sidecar over its Unix socket, on the loop that first uses it."""

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, timeout_s: float = TIMEOUT_S, server_uid: int | None = None
    ) -> None:
        """Nothing is connected yet. `server_uid` is whose sidecar is believed; unsaid, our own user's and root's."""
        self.path = os.fspath(path) if path is not None else default_path()
        self.timeout_s = timeout_s
        self._uids = trusted_uids(server_uid)
        self._name = secrets.token_hex(16)
        self._ids = itertools.count(1)
        self._link: _Link | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._pending: dict[int, tuple[bytes, asyncio.Future[tuple[int, int, bytes]]]] = {}
        self._room: deque[asyncio.Future[None]] = deque()
        self._closed = False

    # ------------------------------------------------------------ asking

    async def decide(self, request: Mapping[str, Any] | Request, *, timeout_s: float | None = None) -> Answered:
        """Have one call decided.

        Raises:
            RequestError: the request cannot be sent.
            OperationError: there was no answer in time; the call must not run.
        """
        seconds = self.timeout_s if timeout_s is None else timeout_s
        flags, payload = question(request, time.monotonic_ns() + int(seconds * 1e9))
        return answered(await self._ask(Kind.DECIDE, payload, flags, seconds), request)

    async def decide_batch(
        self, requests: Iterable[Mapping[str, Any] | Request], *, timeout_s: float | None = None
    ) -> list[Answered]:
        """Have up to 64 calls decided in their order, with one frame; see `decide`."""
        batch = list(requests)
        payload = msgspec.msgpack.encode([plain_question(one) for one in batch])
        seconds = self.timeout_s if timeout_s is None else timeout_s
        return answered_all(await self._ask(Kind.DECIDE_BATCH, payload, 0, seconds), batch)

    async def said(self, session_id: str, text: str, *, tenant_id: str | None = None) -> None:
        """Tell what the user of a session said."""
        await self._ask(Kind.SAID, msgspec.msgpack.encode(wire.Said(session_id, text, tenant_id)), 0, self.timeout_s)

    async def open_session(self, session_id: str, *, tenant_id: str | None = None, root: str | None = None) -> None:
        """Say that a session begins; `root` is the session whose user speaks for it."""
        hello = wire.Hello(self._name, session_id, tenant_id, root)
        await self._ask(Kind.HELLO, msgspec.msgpack.encode(hello), 0, self.timeout_s)

    async def ended(self, decision_id: str, how: Ending, result: Any = msgspec.UNSET, *, whole: bool = True) -> Outcome:
        """Tell how a call ended, and what it returned; return what the agent may see of it."""
        flags, payload = ending(decision_id, how, result, whole)
        return outcome(await self._ask(Kind.OUTCOME, payload, flags, self.timeout_s), decision_id, how)

    async def wait(
        self, token: str, seconds: float, request: Mapping[str, Any] | Request | None = None
    ) -> Decision | None:
        """Wait for the answer to a held call, and return it; None where it has not come in `seconds`."""
        payload = msgspec.msgpack.encode(wire.HoldWait(token, seconds))
        return settled(await self._ask(Kind.HOLD_WAIT, payload, 0, self.timeout_s + seconds), request)

    async def close(self) -> None:
        """Let go of the connection; whoever still waits hears that there is no answer."""
        self.abandon()

    def abandon(self) -> None:
        """As `close`, for a caller that cannot wait; on the client's own loop."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._link is not None:
            self._link.transport.close()
        self._fail(OperationError("the client was closed"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ------------------------------------------------------------ frames

    async def _ask(self, kind: int, payload: bytes, flags: int, seconds: float) -> Reply:
        try:
            async with asyncio.timeout(seconds):
                return checked(*await self._answer(kind, payload, flags))
        except TimeoutError:
            raise OperationError(f"the sidecar on `{self.path}` did not answer in time") from None

    async def _answer(self, kind: int, payload: bytes, flags: int) -> tuple[int, int, bytes]:
        loop = asyncio.get_running_loop()
        while len(self._pending) >= wire.CREDITS:
            turn = loop.create_future()
            self._room.append(turn)
            await turn
        id = next(self._ids)
        data = wire.frame(kind, id, payload, flags)
        future: asyncio.Future[tuple[int, int, bytes]] = loop.create_future()
        self._pending[id] = data, future
        try:
            if self._link is not None:
                self._link.send(data)
            else:
                self._reconnect()
            return await future
        finally:
            self._pending.pop(id, None)
            while self._room and len(self._pending) < wire.CREDITS:
                turn = self._room.popleft()
                if not turn.done():
                    turn.set_result(None)
                    break

    def _reconnect(self) -> None:
        if self._closed:
            self._fail(OperationError("the client was closed"))
        elif self._connecting is None or self._connecting.done():
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        for pause in itertools.chain(RETRY_S, itertools.repeat(RETRY_S[-1])):
            await asyncio.sleep(pause)
            if not self._pending:
                return  # whoever asked has given up
            try:
                _, link = await loop.create_unix_connection(lambda: _Link(self), self.path)
                sock = link.transport.get_extra_info("socket")
                check_server(sock, self.path, self._uids)
                link.transport.write(wire.message(Kind.HELLO, 0, wire.Hello(self._name)))
                await link.welcome
            except OSError:
                continue
            except OperationError as error:
                self._fail(error)
                return
            self._link = link
            link.transport.write(b"".join(data for _, (data, _) in sorted(self._pending.items())))
            return

    def arrived(self, kind: int, flags: int, id: int, payload: bytes) -> None:
        """Take one answer."""
        found = self._pending.get(id)
        if found is not None and not found[1].done():
            found[1].set_result((kind, flags, payload))

    def lost(self, link: "_Link") -> None:
        """Connect again, if anybody waits."""
        if self._link is link:
            self._link = None
            if self._pending:
                self._reconnect()

    def _fail(self, error: Exception) -> None:
        for _, future in self._pending.values():
            if not future.done():
                future.set_exception(error)


class _Link(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, client: AsyncSocketClient) -> None:
        self.client = client
        self.reader = wire.FrameReader()
        self.welcome: asyncio.Future[wire.Welcome] = asyncio.get_running_loop().create_future()
        self.out: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def send(self, data: bytes) -> None:
        """Write at the end of this turn, with everything else of it."""
        if not self.out:
            asyncio.get_running_loop().call_soon(self._flush)
        self.out.append(data)

    def _flush(self) -> None:
        out, self.out = self.out, []
        if not self.transport.is_closing():
            self.transport.write(b"".join(out))

    def data_received(self, data: bytes) -> None:
        for kind, flags, id, payload in self.reader.feed(data):
            if kind == Kind.GOAWAY:
                continue  # what is under way is still answered; then the connection ends
            if not self.welcome.done():
                try:
                    self.welcome.set_result(welcomed(payload))
                except OperationError as error:
                    self.welcome.set_exception(error)
            else:
                self.client.arrived(kind, flags, id, payload)
        if self.reader.failed is not None:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.welcome.done():
            self.welcome.set_exception(ConnectionResetError("the sidecar closed the connection"))
        self.client.lost(self)
