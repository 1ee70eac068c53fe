"""The door for HTTP/1.1: an `asyncio.Protocol` around httptools, keep-alive and pipelining, answers in order.

What is read is bounded: 32 KiB of headers, 1 MiB of body, 10 s from the first byte of a request to its last. So is what
is answered: while a client does not read, or 64 of its requests are under way, its other requests wait to be taken up.
What a request means is said in `routes`; here are only bytes, and errors that end a connection.
"""

import asyncio
import resource
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol, cast

import httptools
import msgspec

from ..contract.envelope import ErrorBody
from ..native.sending import send_now
from .counts import Counts

HEADER_BYTES_MAX: Final = 32 * 1024
BODY_BYTES_MAX: Final = 1 << 20
UNDER_WAY_MAX: Final = 64
CONNECTIONS_MAX: Final = 4_096
"""So many connections at most, or half as many as the process may have files open: the log needs some, too."""
WRITE_BYTES_MAX: Final = 256 * 1024
REQUEST_S: Final = 10.0
SLOW_S: Final = 5.0
IDLE_S: Final = 120.0
LINGER_S: Final = 2.0
PHRASES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
JSON_TYPE: Final = b"application/json"
ONCE: Final = frozenset({b"x-api-key", b"authorization", b"content-type", b"user-agent"})
"""Headers by which we go. Of two, somebody before us may have gone by the other."""
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_json = msgspec.json.encode


class Asked:
    """One request, and where its answer goes. `answer` may be called later, from the loop, once."""

    __slots__ = (
        "at", "body", "close", "connection", "gone", "head_only", "headers", "method", "path", "query", "sent",
    )  # fmt: skip

    def __init__(self, connection: "HttpConnection", at: float) -> None:
        self.connection = connection
        self.at = at
        self.method = b""
        self.path = ""
        self.query = ""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.close = False
        self.head_only = False
        self.sent = b""
        self.gone: Callable[[], None] | None = None
        """Called when whoever asked has hung up before there was an answer."""

    def answer(self, status: int, body: bytes, content_type: bytes = JSON_TYPE, extra: bytes = b"") -> None:
        """Send an answer, as soon as those to earlier requests of the connection are sent."""
        if self.sent:
            return
        head = PHRASES[status] + b"content-type: " + content_type + b"\r\ncontent-length: %d\r\n" % len(body) + extra
        if self.close:
            head += b"connection: close\r\n"
        self.sent = head + b"\r\n" if self.head_only else head + b"\r\n" + body
        self.connection.answered(self)

    def send(self, sent: bytes) -> None:
        """Send an answer that is spelt already, as `answer` spells it."""
        if not self.sent:
            self.sent = sent
            self.connection.answered(self)

    def refuse(self, status: int, code: str, text: str, extra: bytes = b"") -> None:
        """Send an error, flat, as every public client reads it."""
        self.answer(status, _json(ErrorBody(code, text)), extra=extra)


class Takes(Protocol):
    """What requests are taken to."""

    counts: Counts

    def take(self, asked: Asked) -> None:
        """Answer a request, now or later."""

    def straight(self, connection: "HttpConnection", data: bytes) -> bytes | None:
        """Return the whole answer to a plain question that came whole; None where `take` has to be asked, empty where
        the answer was given otherwise, or comes later."""

    def failed(self, asked: Asked, error: Exception) -> None:
        """Answer a request that could not be answered otherwise."""


class HttpDoor:
    """What the connections of a listening socket share."""

    def __init__(self, routes: Takes, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self.routes, self.loop, self.clock = routes, loop, clock
        self.connections: set[HttpConnection] = set()
        self.leaving = False
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.connections_max = CONNECTIONS_MAX if files < 0 else min(CONNECTIONS_MAX, files // 2)

    def came(self, connection: "HttpConnection") -> None:
        """Take note of a connection; one that waits for no answer, and has been silent longest, makes room for it."""
        self.connections.add(connection)
        if len(self.connections) <= self.connections_max:
            return
        silent = [one for one in self.connections if not one.under_way and not one.untaken]
        oldest = min(silent, key=lambda one: one.began or one.quiet_since)
        self.connections.discard(oldest)
        if oldest.transport.get_write_buffer_size():
            oldest.transport.abort()  # it does not read, and nobody looks after it any more
        else:
            oldest.transport.close()

    def __call__(self) -> "HttpConnection":
        return HttpConnection(self)

    def sweep(self) -> None:
        """Close those who do not finish a request, do not read, or have nothing to say."""
        now = self.clock()
        for connection in list(self.connections):
            connection.sweep(now)

    def leave(self) -> None:
        """Answer what was read, and close."""
        self.leaving = True
        for connection in list(self.connections):
            connection.leave()

    @property
    def idle(self) -> bool:
        """Whether everything that was read has been answered."""
        return not any(connection.under_way or connection.untaken for connection in self.connections)


class HttpConnection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, door: HttpDoor) -> None:
        self.door = door
        self.parser = httptools.HttpRequestParser(self)
        self.under_way: deque[Asked] = deque()
        self.untaken: deque[Asked] = deque()
        """What was asked behind these, to be taken up when there is room for the answers."""
        self.unsent = 0
        """How many bytes of answers wait for earlier ones, or for the end of a turn."""
        self.reading: Asked | None = None
        self.url = b""
        self.parts: list[bytes] = []
        self.size = self.reads = 0
        self.began = self.slow_since = self.lingers_since = 0.0
        self.quiet_since = door.clock()
        self.failed = self.paused = self.corked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_BYTES_MAX)
        # What is sent past the transport would be sent past TLS.
        in_clear = self.transport.get_extra_info("ssl_object") is None
        self.descriptor = self.transport.get_extra_info("socket").fileno() if in_clear else -1
        self.door.came(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.connections.discard(self)
        for asked in self.under_way:
            if asked.gone is not None:
                asked.gone()
        self.under_way.clear()
        self.untaken.clear()

    def pause_writing(self) -> None:
        self.slow_since = self.door.clock()
        self._pause()

    def resume_writing(self) -> None:
        self.slow_since = 0.0
        self.send_answered()
        self._resume()

    def _pause(self) -> None:
        if not self.paused and not self.transport.is_closing():
            self.paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self.paused and self._room() and not self.untaken and not self.transport.is_closing():
            self.paused = False
            if self.began:
                self.began = self.door.clock()  # it could not go on with what it had begun
            self.transport.resume_reading()

    def _room(self) -> bool:
        """Say whether one more request may be taken up."""
        return not self.slow_since and len(self.under_way) < UNDER_WAY_MAX and self.unsent < WRITE_BYTES_MAX

    def sweep(self, now: float) -> None:
        """Close a client that is too slow, or has been silent for long."""
        if self.slow_since and now - self.slow_since > SLOW_S:
            self.door.routes.counts.slow_readers += 1
            self.transport.abort()
        elif self.lingers_since and now - self.lingers_since > LINGER_S:
            self.transport.close()
        elif self.began and not self.paused and now - self.began > REQUEST_S:
            self.fail(408, "timeout", f"a request comes whole within {REQUEST_S:.0f} s")
        elif not self.under_way and not self.began and now - self.quiet_since > IDLE_S:
            self.transport.close()

    def leave(self) -> None:
        """Close once what was read is answered."""
        if self.under_way or self.untaken:
            (self.untaken or self.under_way)[-1].close = True
        else:
            self.transport.close()

    # ------------------------------------------------------------ reading

    def data_received(self, data: bytes) -> None:
        if self.failed:
            return
        if self.reading is None and not self.under_way and not self.untaken and not self.door.leaving:
            self.reads += 1
            if self.straight(data):
                return
        if not self.began:
            self.began = self.door.clock()
        self.corked = True
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fail(400, "upgrade", "there is no other protocol to change to")
        except httptools.HttpParserError as error:
            if not self.failed:
                self.fail(400, "malformed", f"this is no HTTP/1.1 request: {_told(error)}")
        self.corked = False
        if self.reading is not None and not self.began:
            self.began = self.door.clock()  # behind a request that came whole another has begun
        self.send_answered()
        if self.untaken or not self._room():
            self._pause()

    def straight(self, data: bytes) -> bool:
        """Answer a plain question that came whole, without the parser; say whether it was one."""
        door = self.door
        try:
            answer = door.routes.straight(self, data)
        except Exception as error:  # noqa: BLE001 - the routes say what it was, as of any other request
            door.routes.failed(self.under_way[-1] if self.under_way else self.asked_for(b"", b"", 0.0), error)
            return True
        if answer is None:
            return False
        if answer:
            transport = self.transport
            past = self.descriptor >= 0 and not transport.get_write_buffer_size()
            done = send_now(self.descriptor, answer) if past else 0
            if done < len(answer) and not transport.is_closing():
                transport.write(answer[done:])
        self.quiet_since = door.clock()
        return True

    def asked_for(self, body: bytes, agent: bytes, at: float) -> Asked:
        """Return the request of a plain question, whose answer comes later or is not plain."""
        asked = Asked(self, at)
        asked.method, asked.path, asked.body, asked.headers = b"POST", "/v1/enforce", body, {b"user-agent": agent}
        self.under_way.append(asked)
        return asked

    def on_message_begin(self) -> None:
        self.reading = Asked(self, self.door.clock())
        self.url, self.parts, self.size = b"", [], 0

    def on_url(self, url: bytes) -> None:
        self.url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self.reading is not None
        self._count(len(name) + len(value))
        if self.reading.method:
            return  # behind the body, where whoever stands before us may not have looked (RFC 9110, 6.5.1)
        name = name.lower()
        if name in ONCE and name in self.reading.headers:
            self.fail(400, "malformed", f"`{name.decode()}` stands once in a request")
            raise ValueError("twice")
        self.reading.headers[name] = value

    def _count(self, size: int) -> None:
        self.size += size
        if self.size > HEADER_BYTES_MAX:
            self.fail(431, "too_large", f"request line and headers have at most {HEADER_BYTES_MAX:,} bytes")
            raise ValueError("too large")

    def on_headers_complete(self) -> None:
        asked = self.reading
        assert asked is not None
        self.size = 0
        asked.method = self.parser.get_method()
        if asked.headers.get(b"expect", b"").lower() == b"100-continue":
            self.transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        self.size += len(body)
        if self.size > BODY_BYTES_MAX:
            self.fail(413, "too_large", f"a body has at most {BODY_BYTES_MAX:,} bytes")
            raise ValueError("too large")
        self.parts.append(body)

    def on_message_complete(self) -> None:
        asked, self.reading = self.reading, None
        assert asked is not None
        self.began = 0.0
        asked.at = self.door.clock()
        target = self.url.decode("latin-1")
        asked.path, _, asked.query = target.partition("?")
        parts, self.parts = self.parts, []  # a connection that is idle holds no body
        asked.body = parts[0] if len(parts) == 1 else b"".join(parts)
        asked.head_only = asked.method == b"HEAD"
        asked.close = not self.parser.should_keep_alive() or self.door.leaving
        if self.untaken or not self._room():
            self.untaken.append(asked)
        else:
            self._take(asked)

    def _take(self, asked: Asked) -> None:
        self.under_way.append(asked)
        if not asked.sent:
            self.door.routes.take(asked)

    def fail(self, status: int, code: str, text: str) -> None:
        """Say what was wrong with the bytes, after the answers that are due, and close."""
        self.failed = True
        self.began = 0.0
        self.door.routes.counts.frame_errors += 1
        asked = Asked(self, 0.0)
        asked.close = True
        (self.untaken or self.under_way).append(asked)
        asked.refuse(status, code, text)

    # ------------------------------------------------------------ writing

    def answered(self, asked: Asked) -> None:
        """Take note that there is an answer, and send it when its turn has come."""
        self.unsent += len(asked.sent)
        self.send_answered()

    def send_answered(self) -> None:
        """Write the answers that are there in the order of their requests, and take up what waited for that."""
        if self.corked:
            return
        self._write_answered()
        while self.untaken and self._room() and not self.transport.is_closing():
            self.corked = True
            try:
                while self.untaken and self._room():
                    self._take(self.untaken.popleft())
            finally:
                self.corked = False
            self._write_answered()

    def _write_answered(self) -> None:
        under_way = self.under_way
        if not under_way or not under_way[0].sent:
            return
        out: list[bytes] = []
        close = False
        while under_way and under_way[0].sent and not close:
            asked = under_way.popleft()
            out.append(asked.sent)
            self.unsent -= len(asked.sent)
            close = asked.close
        if close:
            self.untaken.clear()
        if not self.transport.is_closing():
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))
            if close and not self.failed:
                self.transport.close()
            elif close:
                # Closed with bytes unread, the kernel would take the answer away again.
                self.lingers_since = self.door.clock()
                if self.transport.can_write_eof():  # TLS has no such thing; the sweep closes it
                    self.transport.write_eof()
        self.quiet_since = self.door.clock()
        if self.paused:
            self._resume()


def _told(error: Exception) -> str:
    return str(error)[:100] or type(error).__name__
