"""Messages between one client and one server: what must not change is forwarded as the bytes that came.

Every request of the client is remembered until it is answered, by the server or by us, so that none waits for a server
that is gone. Tool calls and tool lists go to `Calls` and `Catalog`; everything else passes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from .lines import TooLong
from .log import Log
from .message import (
    INVALID_REQUEST,
    PARSE_ERROR,
    SERVER_GONE,
    TIMED_OUT,
    Id,
    Malformed,
    Message,
    error_message,
    loosely,
    read_batch,
    read_message,
)

OURS: Final = "thoth-"
"""How the ids of our own requests begin."""
CANCELLED_KEPT: Final = 1024
QUESTIONS_KEPT: Final = 1024
ID_CHARS_MAX: Final = 1024
LONG_LIVED: Final = frozenset(("subscriptions/listen", "tasks/result"))
STARTING: Final = frozenset(("initialize", "server/discover"))
STEP_S: Final = 0.25


class Upstream(Protocol):
    """The way to the server."""

    def line(self, line: bytes) -> bool:
        """Send one message; False where it cannot arrive."""


class Client(Protocol):
    """The way to the client."""

    def line(self, line: bytes) -> bool:
        """Send one message; False where nobody reads it."""


class Waiting:
    """One request of the client that has no answer yet. What is more than a request is a subclass's."""

    __slots__ = ("at_server", "message", "touched")

    def __init__(self, message: Message, now: float) -> None:
        self.message = message
        self.touched = now
        self.at_server = False

    def answered(self, message: Message) -> bytes | None:
        """Take in the server's response; return the line for the client, None where somebody else sends it."""
        return message.line

    def abandoned(self, code: int, why: str) -> bytes | None:
        """The server will not answer; return the line for the client in its place."""
        return error_message(self.message.raw_id, code, why)

    def cancelled(self) -> bool:
        """The client wants no answer any more; return whether the server must hear of it."""
        return True


class Handler(Protocol):
    """What takes a request of the client in place of plain forwarding."""

    def __call__(self, message: Message, /) -> None: ...


class Relay:
    """The two directions, and the requests under way."""

    def __init__(self, client: Client, upstream: Upstream, log: Log, *, silence_s: float, start_s: float) -> None:
        self.client = client
        self.upstream = upstream
        self.log = log
        self.silence_s = silence_s
        self.start_s = start_s
        self.waiting: dict[Id, Waiting] = {}
        self.handlers: dict[str, Handler] = {}
        self.heard: dict[str, Callable[[Message], None]] = {}  # notifications of the server, before they pass
        self.client_can: dict[str, Any] = {}
        self.gone: str | None = None
        self.spoken = False  # whether the server has said anything
        self._asked: dict[str, asyncio.Future[Message]] = {}  # requests of our own, to either side
        self._of_server: dict[Id, None] = {}
        self._cancelled: dict[Id, None] = {}
        self._numbers = 0
        self.now = asyncio.get_running_loop().time

    # ------------------------------------------------------------ from the client

    def from_client(self, line: bytes | TooLong) -> None:
        """Take one line of the client. Never raises."""
        try:
            if isinstance(line, TooLong):
                raise Malformed("the message is longer than this proxy takes", _id_in(line.head))
            if line.startswith(b"["):
                self._batch(line)
                return
            self._from_client(read_message(line))
        except Malformed as malformed:
            self.log.event("client_message_refused", problem=malformed.problem)
            code = PARSE_ERROR if malformed.problem.startswith("not ") else INVALID_REQUEST
            self.client.line(error_message(malformed.id, code, f"thoth: {malformed.problem}"))
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not let a message through, nor end the run
            self.log.event("client_message_failed", why=type(error).__name__, problem=str(error)[:200])

    def _from_client(self, message: Message) -> None:
        if message.is_response:
            self._response_of_client(message)
        elif not message.is_request:
            if message.method == "notifications/cancelled":
                self._cancel(message)
            elif message.method in self.handlers:
                # Nobody could be answered, so nobody asks about it; and there are servers that run it all the same.
                raise Malformed(f"a `{message.method}` needs an `id`")
            else:
                self.upstream.line(message.line)
        elif message.id is None:
            raise Malformed("`id` is a text or a whole number")
        elif message.id in self.waiting:
            raise Malformed("this `id` belongs to a request that is still under way", message.raw_id)
        elif message.id in self._cancelled:
            # The answer to that one may still come, and would be taken for the answer to this one.
            raise Malformed("this `id` belonged to a request that was given up; take a new one", message.raw_id)
        elif self.gone is not None:
            self.client.line(error_message(message.raw_id, SERVER_GONE, self.gone))
        else:
            if message.method == "initialize":
                self.client_can = capabilities(message)
            handler = self.handlers.get(message.method or "")
            if handler is not None:
                handler(message)
            else:
                self.forward(Waiting(message, self.now()), message.line)

    @property
    def at_server(self) -> bool:
        """Whether a request of the client waits for the server."""
        return any(request.at_server for request in self.waiting.values())

    def forward(self, request: Waiting, line: bytes) -> None:
        """Send a request to the server and remember it."""
        id = request.message.id
        assert id is not None
        request.touched = self.now()
        request.at_server = True
        self.waiting[id] = request
        if not self.upstream.line(line):
            self._abandon(id, request, SERVER_GONE, self.gone or "the server takes no more messages")

    def answer(self, request: Waiting, line: bytes) -> None:
        """Answer a request of the client's in the server's place."""
        id = request.message.id
        if id is not None and self.waiting.get(id) is request:
            del self.waiting[id]
        self.client.line(line)

    def _response_of_client(self, message: Message) -> None:
        if isinstance(message.id, str) and message.id in self._asked:
            self._settle(message)
            return
        if message.id is not None:
            self._of_server.pop(message.id, None)
        self.upstream.line(message.line)

    def _cancel(self, message: Message) -> None:
        id = message_id(message, "requestId")
        request = None if id is None else self.waiting.pop(id, None)
        if id is not None and request is not None:
            self._cancelled[id] = None
            while len(self._cancelled) > CANCELLED_KEPT:
                del self._cancelled[next(iter(self._cancelled))]
            if not request.cancelled():
                return
        self.upstream.line(message.line)

    def _batch(self, line: bytes) -> None:
        """A batch passes as it came where it only asks, for nothing that is decided; a decided call comes alone."""
        messages = [read_message(item) for item in read_batch(line)]
        decided = [one for one in messages if one.method in self.handlers]
        reused = [one for one in messages if one.id in self.waiting or one.id in self._cancelled if one.is_request]
        if decided or reused or not messages:
            for one in messages:
                if one.is_request:
                    text = "thoth: a batch may not hold this; send each request as a message of its own"
                    self.client.line(error_message(one.raw_id, INVALID_REQUEST, text))
            if not messages:
                raise Malformed("an empty batch")
            return
        if any(one.is_response or one.method == "notifications/cancelled" for one in messages):
            for one in messages:
                self._from_client(one)  # it ends something that is under way, which has to be known here
            return
        for one in messages:
            if one.is_request and one.id is not None:
                self.waiting[one.id] = batched = Waiting(one, self.now())
                batched.at_server = True
        self.upstream.line(line)

    # ------------------------------------------------------------ from the server

    def from_server(self, line: bytes | TooLong) -> None:
        """Take one line of the server. Never raises."""
        self.spoken = True
        try:
            if isinstance(line, TooLong):
                self._too_long(line)
            elif line.startswith(b"["):
                self._batch_of_server(line)
            else:
                self._from_server(read_message(line))
        except Malformed as malformed:
            self.log.event("server_line_dropped", problem=malformed.problem, bytes=_size(line))
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not end the run
            self.log.event("server_line_failed", why=type(error).__name__, problem=str(error)[:200])

    def _from_server(self, message: Message) -> None:
        if message.is_response:
            self._response_of_server(message)
            return
        if message.is_request:
            if message.id is None or (isinstance(message.id, str) and message.id.startswith(OURS)):
                raise Malformed("an `id` that a server may not use")
            if isinstance(message.id, str) and len(message.id) > ID_CHARS_MAX:
                raise Malformed("an `id` longer than a server may use")
            self._of_server[message.id] = None
            if len(self._of_server) > QUESTIONS_KEPT:
                del self._of_server[next(iter(self._of_server))]
        else:
            heard = self.heard.get(message.method or "")
            if heard is not None:
                heard(message)
            if message.method == "notifications/progress":
                self._progress(message)
        self.client.line(message.line)

    def _response_of_server(self, message: Message) -> None:
        id = message.id
        if isinstance(id, str) and id in self._asked:
            self._settle(message)
            return
        if id is not None and id not in self.waiting:
            id = _other_spelling(id, self.waiting)
        request = None if id is None else self.waiting.get(id)
        if request is not None and not request.at_server:
            request = None  # nobody has asked it yet
        if id is None or request is None:
            if message.id is None and "error" in message.fields:
                self.client.line(message.line)  # it could not read a message, and says so
            elif message.id is None or self._cancelled.pop(message.id, 0) == 0:
                self.log.event("response_dropped", id=message.raw_id.decode("utf-8", "replace")[:64])
            return
        del self.waiting[id]
        line = request.answered(message)
        if line is not None:
            self.client.line(line)

    def _batch_of_server(self, line: bytes) -> None:
        messages = [read_message(item) for item in read_batch(line)]
        if not messages:
            raise Malformed("an empty batch")
        plain = all(
            one.is_response and one.id is not None and type(self.waiting.get(one.id)) is Waiting for one in messages
        )
        if plain:
            for one in messages:
                assert one.id is not None
                self.waiting.pop(one.id, None)
            self.client.line(line)
            return
        for one in messages:
            self._from_server(one)

    def _too_long(self, line: TooLong) -> None:
        raw_id = _id_in(line.head)
        id = None if raw_id is None else loosely(raw_id)
        request = self.waiting.get(id) if isinstance(id, int | str) else None
        if request is not None and not request.at_server:
            request = None
        self.log.event("server_line_dropped", problem="longer than this proxy takes", known=request is not None)
        if isinstance(id, int | str) and request is not None:
            del self.waiting[id]
            self._say(request.abandoned(SERVER_GONE, "the server's answer is longer than this proxy takes"))

    def _progress(self, message: Message) -> None:
        """A sign of life: calls that may be meant are not silent."""
        now = self.now()
        for request in self.waiting.values():
            request.touched = now

    # ------------------------------------------------------------ requests of our own

    def new_id(self) -> str:
        """Return an id that nobody else uses."""
        self._numbers += 1
        return f"{OURS}{self._numbers}"

    async def ask(self, to: Client | Upstream, id: str, line: bytes, patience_s: float) -> Message:
        """Send a request of our own to either side and return the response.

        Raises:
            TimeoutError: none came in time.
            ConnectionError: none can come.
        """
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[id] = future
        try:
            if not to.line(line):
                raise ConnectionError("nobody reads the request")
            async with asyncio.timeout(patience_s):
                return await future
        finally:
            self._asked.pop(id, None)

    def _settle(self, message: Message) -> None:
        future = self._asked.pop(str(message.id), None)
        if future is not None and not future.done():
            future.set_result(message)

    # ------------------------------------------------------------ ends

    def lost(self, why: str) -> None:
        """The server is gone: everything that waits is answered now, and whatever comes later at once."""
        if self.gone is None:
            self.gone = why
        for id, request in list(self.waiting.items()):
            self._abandon(id, request, SERVER_GONE, self.gone)
        for future in self._asked.values():
            if not future.done():
                future.set_exception(ConnectionError(self.gone))
        self._asked.clear()

    def _abandon(self, id: Id, request: Waiting, code: int, why: str) -> None:
        self.waiting.pop(id, None)
        self._say(request.abandoned(code, why))

    def _say(self, line: bytes | None) -> None:
        if line is not None:
            self.client.line(line)

    async def watch(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Answer requests of whose server nothing is heard for too long; a question to the client stops the clock."""
        while True:
            await sleep(STEP_S)
            self.sweep()

    def sweep(self) -> None:
        """Give up every request that has been silent for too long."""
        if self._of_server:
            for request in self.waiting.values():
                request.touched = self.now()
            return
        for id, request in list(self.waiting.items()):
            method = request.message.method or ""
            patience = self.start_s if method in STARTING else self.silence_s
            silent = request.at_server and self.now() - request.touched > patience
            if silent and method not in LONG_LIVED:
                self.log.event("server_silent", method=method, seconds=round(patience))
                self._cancelled[id] = None
                if method not in STARTING:
                    self.upstream.line(_cancellation(request.message))
                self._abandon(id, request, TIMED_OUT, f"the server has been silent for {patience:.0f} seconds")


def capabilities(message: Message) -> dict[str, Any]:
    """Return what a client says it can do, in its first message of the handshake era."""
    params = loosely(message.fields.get("params", b"{}"))
    found = params.get("capabilities") if isinstance(params, dict) else None
    return found if isinstance(found, dict) else {}


def message_id(message: Message, name: str) -> Id | None:
    """Return a request id that stands in a message's parameters."""
    params = loosely(message.fields.get("params", b"{}"))
    id = params.get(name) if isinstance(params, dict) else None
    return id if isinstance(id, int | str) and not isinstance(id, bool) else None


def _other_spelling(id: Id, waiting: dict[Id, Waiting]) -> Id | None:
    """Some servers answer 7 with "7", or the other way round."""
    if isinstance(id, int):
        return str(id) if str(id) in waiting else None
    try:
        return int(id) if id.isascii() and id.isdigit() and int(id) in waiting else None
    except ValueError:
        return None


def _id_in(head: bytes) -> bytes | None:
    """Return the id of a message of which only the beginning is known, where that shows it beyond doubt."""
    import re

    match = re.match(rb'\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,15}|"[\w-]{1,100}")\s*,', head)
    return None if match is None else match[1]


def _size(line: bytes | TooLong) -> int:
    return len(line.head) if isinstance(line, TooLong) else len(line)


def _cancellation(message: Message) -> bytes:
    return (
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":'
        + message.raw_id
        + b',"reason":"no sign of life for too long"}}'
    )
