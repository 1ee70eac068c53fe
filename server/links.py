"""Words between the workers of one sidecar: each asks the others over their own sockets, which only we can reach.

u32 length | MessagePack [id, word, arguments…]          an answer is [id, value], a refusal [id, null, why]
"""

import asyncio
import itertools
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import msgspec

from .shared_ledger import Messages, packed
from .sockets import BoundSocket, peer_of

ANSWER_S: Final = 2.0
"""How long a worker may take to answer a word, but for one that says how long it waits."""

Answer: TypeAlias = Callable[[Any], None]
Handler: TypeAlias = Callable[[list[Any], Answer], None]
"""Takes what was asked, and where the answer goes: at once or later, once."""
Told: TypeAlias = Callable[[Any, str], None]
"""Takes an answer, or None and why there is none."""

log = logging.getLogger(__name__)


class Links:
    """A worker's connections with the others."""

    def __init__(self, index: int, paths: list[Path], handlers: dict[str, Handler]) -> None:
        """`paths` are the sockets of all workers, in their order."""
        self.index, self.paths, self.handlers = index, paths, handlers
        self._calls: dict[int, _Calls] = {}

    async def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer the others."""
        self.loop = loop
        self._bound = BoundSocket(self.paths[self.index])
        self._server = await loop.create_unix_server(lambda: _Answers(self), sock=self._bound.socket)

    def call(self, worker: int, word: str, arguments: list[Any], told: Told, answer_s: float = ANSWER_S) -> None:
        """Ask another worker, or ourselves; `told` is called once, whatever becomes of it."""
        if worker == self.index:
            self.handlers[word](arguments, lambda value: told(value, ""))
            return
        calls = self._calls.get(worker)
        if calls is None or calls.lost:
            calls = self._calls[worker] = _Calls(self.loop)
            self.loop.create_task(self._connect(worker, calls))
        calls.ask(word, arguments, told, answer_s)

    def gather(self, word: str, arguments: list[Any], told: Callable[[list[Any]], None]) -> None:
        """Ask every worker; `told` gets the answers in the order of the workers, None where there is none."""
        found: list[Any] = [None] * len(self.paths)
        missing = len(found)

        def take(worker: int, value: Any) -> None:
            nonlocal missing
            found[worker] = value
            missing -= 1
            if not missing:
                told(found)

        for worker in range(len(found)):
            self.call(worker, word, arguments, lambda value, why, worker=worker: take(worker, value))  # type: ignore[misc]

    async def _connect(self, worker: int, calls: "_Calls") -> None:
        try:
            await self.loop.create_unix_connection(lambda: calls, os.fspath(self.paths[worker]))
        except OSError as error:
            calls.lose(f"worker {worker} does not answer ({error.strerror or type(error).__name__})")

    def close(self) -> None:
        """Let go of everything."""
        self._server.close()
        for calls in self._calls.values():
            calls.close()
        self._bound.close()


class _Calls(asyncio.Protocol):
    """Our questions to one worker."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ids = itertools.count(1)
        self._read = Messages()
        self._unsent: list[bytes] = []
        self._told: dict[int, tuple[Told, asyncio.TimerHandle]] = {}
        self._transport: asyncio.Transport | None = None
        self.lost = False

    def ask(self, word: str, arguments: list[Any], told: Told, answer_s: float) -> None:
        id = next(self._ids)
        data = packed([id, word, *arguments])
        self._told[id] = (
            told,
            self._loop.call_later(answer_s, self._tell, id, None, "the worker did not answer in time"),
        )
        if self._transport is None:
            self._unsent.append(data)
        else:
            self._transport.write(data)

    def _tell(self, id: int, value: Any, why: str) -> None:
        found = self._told.pop(id, None)
        if found is not None:
            told, timer = found
            timer.cancel()
            told(value, why)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"".join(self._unsent))
        self._unsent = []

    def data_received(self, data: bytes) -> None:
        for id, value, *why in self._read.feed(data):
            self._tell(id, value, why[0] if why else "")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lose("the worker is gone")

    def lose(self, why: str) -> None:
        self.lost = True
        for id in list(self._told):
            self._tell(id, None, why)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Answers(asyncio.Protocol):
    """Another worker's questions to us."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._read = Messages()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as sock:
            if peer_of(sock).uid != os.geteuid():
                self._transport.abort()

    def data_received(self, data: bytes) -> None:
        for id, word, *arguments in self._read.feed(data):
            try:
                self._links.handlers[word](arguments, lambda value, id=id: self._send([id, value]))  # type: ignore[misc]
            except Exception as error:
                log.exception("internal word=%s", word)
                self._send([id, None, type(error).__name__])

    def _send(self, answer: list[Any]) -> None:
        if not self._transport.is_closing():
            try:
                data = packed(answer)
            except (OverflowError, TypeError, msgspec.MsgspecError) as error:
                data = packed([answer[0], None, str(error)])
            self._transport.write(data)
