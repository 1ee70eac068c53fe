"""Connections to one host that are kept alive: for threads, and for event loops.

A kept connection may have been closed meanwhile; then the request goes out once more on a new one. That is safe here:
every request of ours has an id under which it counts once.
"""

from __future__ import annotations

import os
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from .config import told_url
from .enforcer import EnforcerAway, EnforcerRefused
from .http_wire import Malformed, Response, ResponseReader, request_bytes
from .loops import at_the_end
from .violation import ConfigurationError

if TYPE_CHECKING:
    import asyncio
    import ssl

CONNECT_S: Final = 2.0
READ_S: Final = 5.0
KEPT_MAX: Final = 16
AT_ONCE: Final = 64
READ_BYTES: Final = 65_536
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class Host:
    """Where the enforcer is: `https://enforce.acme.example`, or plain `http://` on this machine alone."""

    def __init__(self, url: str) -> None:
        wrong = f"`api_url` is `https://host` with an optional port and path, not `{told_url(url)}`"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigurationError(wrong) from None
        if not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigurationError(wrong)
        self.secure = parts.scheme == "https"
        self.name = parts.hostname
        self.port = port or (443 if self.secure else 80)
        self.prefix = parts.path.rstrip("/")
        self.header = parts.netloc
        if not self.secure and self.name not in LOOPBACK:
            raise ConfigurationError(
                f"`{told_url(url)}` would send the API key in clear; write `https://{parts.netloc}`"
            )
        self._context: ssl.SSLContext | None = None

    @property
    def context(self) -> ssl.SSLContext | None:
        """The TLS context, None where there is no TLS."""
        if self.secure and self._context is None:
            import ssl

            self._context = ssl.create_default_context()
        return self._context


class _Stale(Exception):
    """A kept connection that was closed before it gave any answer."""


class Connections:
    """Kept connections for threads; each thread that asks has one to itself."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._idle: list[socket.socket] = []
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None, *, seconds: float = READ_S
    ) -> Response:
        """Return the response.

        Raises:
            EnforcerAway: there was none in time.
            EnforcerRefused: what came is no response.
        """
        data = request_bytes(method, self.host.prefix + path, self.host.header, headers, body)
        try:
            kept = self._take()
            if kept is not None:
                try:
                    return self._exchange(kept, data, seconds, kept=True)
                except _Stale:
                    pass
            return self._exchange(self._connect(), data, seconds)
        except Malformed as error:
            raise EnforcerRefused(f"malformed answer: {error}") from error
        except OSError as error:
            raise EnforcerAway(_why(error)) from error

    def _take(self) -> socket.socket | None:
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._idle = []  # the parent's
            return self._idle.pop() if self._idle else None

    def _connect(self) -> socket.socket:
        made = socket.create_connection((self.host.name, self.host.port), CONNECT_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = self.host.context
        return context.wrap_socket(made, server_hostname=self.host.name) if context is not None else made

    def _exchange(self, link: socket.socket, data: bytes, seconds: float, *, kept: bool = False) -> Response:
        reader, began = ResponseReader(), False
        link.settimeout(seconds)
        try:
            link.sendall(data)
            while True:
                part = link.recv(READ_BYTES)
                if not part and not began:
                    raise ConnectionResetError("closed without an answer")
                began = True
                response = reader.feed(part)
                if response is not None:
                    break
        except BaseException as error:
            link.close()
            if kept and not began and isinstance(error, ConnectionError):
                raise _Stale from None
            raise
        with self._lock:
            if response.keep and len(self._idle) < KEPT_MAX:
                self._idle.append(link)
                return response
        link.close()
        return response

    def close(self) -> None:
        """Let go of what is kept."""
        with self._lock:
            idle, self._idle = self._idle, []
        for link in idle:
            link.close()


class LoopConnections:
    """Kept connections of one event loop; at most 64 questions are under way, and polls of holds beside them."""

    def __init__(self, host: Host) -> None:
        import asyncio

        self.host = host
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._places = asyncio.Semaphore(AT_ONCE)
        self._until_the_end: Any = None

    async def _close(self) -> None:
        while self._idle:
            self._idle.pop()[1].close()

    async def ask(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None,
        *,
        seconds: float = READ_S,
        waits: bool = False,
    ) -> Response:
        """As `Connections.ask`; one that `waits` for a person takes nobody's place."""
        import asyncio

        data = request_bytes(method, self.host.prefix + path, self.host.header, headers, body)
        if self._until_the_end is None:
            self._until_the_end = True
            self._until_the_end = await at_the_end(self._close)
        if not waits:
            await self._places.acquire()
        try:
            while self._idle:
                try:
                    return await self._exchange(self._idle.pop(), data, seconds, kept=True)
                except _Stale:
                    continue
            async with asyncio.timeout(CONNECT_S):
                link = await asyncio.open_connection(self.host.name, self.host.port, ssl=self.host.context)
            return await self._exchange(link, data, seconds)
        except Malformed as error:
            raise EnforcerRefused(f"malformed answer: {error}") from error
        except OSError as error:
            raise EnforcerAway(_why(error)) from error
        finally:
            if not waits:
                self._places.release()

    async def _exchange(self, link: Any, data: bytes, seconds: float, *, kept: bool = False) -> Response:
        import asyncio

        reader, writer = link
        answer, began = ResponseReader(), False
        try:
            async with asyncio.timeout(seconds):
                writer.write(data)
                await writer.drain()
                while True:
                    part = await reader.read(READ_BYTES)
                    if not part and not began:
                        raise ConnectionResetError("closed without an answer")
                    began = True
                    response = answer.feed(part)
                    if response is not None:
                        break
        except BaseException as error:
            writer.transport.abort()
            if kept and not began and isinstance(error, ConnectionError):
                raise _Stale from None
            raise
        if response.keep and len(self._idle) < AT_ONCE:
            self._idle.append(link)
        else:
            writer.transport.abort()
        return response


class EveryLoop:
    """The connections of each event loop of the process."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._loops: weakref.WeakKeyDictionary[Any, LoopConnections] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def here(self) -> LoopConnections:
        """Return those of the running loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        with self._lock:
            found = self._loops.get(loop)
            if found is None:
                found = self._loops[loop] = LoopConnections(self.host)
            return found


def _why(error: OSError) -> str:
    return (
        "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error) or type(error).__name__
    )
