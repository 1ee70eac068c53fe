"""HTTP to one server: its requests, within one origin, and its answers, within bounds.

A redirect is followed where it stays at the same scheme, host and port and keeps the method (307, 308), for headers
hold keys that are meant for this server. Loads the HTTP client: only where a server elsewhere is spoken to.
"""

import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx2

CONNECT_S: Final = 10.0
PARALLEL_MAX: Final = 256
REDIRECTS_MAX: Final = 3
BODY_IGNORED_BYTES: Final = 64 * 1024
EVENTS: Final = "text/event-stream"
TOO_LONG: Final = "the server's answer is longer than this proxy takes"

Answer = httpx2.Response
Failure = (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, TimeoutError)
"""What a request can end with that is not an answer."""
TIMED_OUT = (httpx2.TimeoutException, TimeoutError)
Broken = httpx2.TransportError
"""An answer that breaks off; `OversizeEvent` is one of them, and coming again does not help."""
OversizeEvent = httpx2.SSEError


class Unanswered(Exception):
    """No answer is to be had from the server; the text says why, in words for the client."""


class WebClient:
    """One server's address and the connections to it."""

    def __init__(self, url: str, origin: str, *, headers: dict[str, str], ca: str | None = None) -> None:
        """Nothing is sent yet. `origin` is what of the URL may be told; `ca` replaces the system's certificates.

        Raises:
            OSError: the file of certificates cannot be read, or holds none.
        """
        self.origin = origin
        self.identified = any(name.lower() == "authorization" for name in headers)
        self._url = httpx2.URL(url)
        self._client = httpx2.AsyncClient(
            verify=ssl.create_default_context(cafile=ca),
            headers={"Accept-Encoding": "identity", "User-Agent": "thoth", **headers},
            timeout=httpx2.Timeout(None, connect=CONNECT_S, pool=CONNECT_S),
            limits=httpx2.Limits(max_connections=PARALLEL_MAX + 8, max_keepalive_connections=16),
            follow_redirects=False,
            trust_env=False,
        )

    @asynccontextmanager
    async def ask(self, method: str, headers: dict[str, str], content: bytes | None = None) -> AsyncIterator[Answer]:
        """Send one request; its answer can be read until the context is left.

        Raises:
            Unanswered: it is a redirect that is not followed.
            httpx2.HTTPError: there is no answer; see `Failure`.
        """
        url = self._url
        for _ in range(REDIRECTS_MAX + 1):
            async with self._client.stream(method, url, content=content, headers=headers) as answer:
                if not 300 <= answer.status_code < 400:
                    yield answer
                    return
                url = self._redirected(url, answer)
                if answer.status_code == 308:
                    self._url = url
        raise Unanswered(f"the server at {self.origin} redirects in a circle; write the address that it means")

    def _redirected(self, url: httpx2.URL, answer: Answer) -> httpx2.URL:
        status = f"HTTP {answer.status_code}"
        try:
            new = url.join(answer.headers["location"])
        except (KeyError, httpx2.InvalidURL):
            raise Unanswered(f"the server at {self.origin} redirects to no address ({status})") from None
        if _origin(new) != _origin(url):
            raise Unanswered(
                f"the server at {self.origin} redirects to another place ({status}), which is not followed, for the "
                "headers are meant for this one; write that place as `--upstream` if it is the server's"
            )
        if answer.status_code not in (307, 308):
            raise Unanswered(
                f"the server at {self.origin} redirects with {status}, which changes the method; write the address "
                "that it means as `--upstream`"
            )
        return new.copy_with(fragment=None)

    async def tell(self, method: str, headers: dict[str, str], content: bytes | None = None) -> int:
        """Send what has no answer but a status, and return that; a body is read within a bound, and means nothing."""
        async with self.ask(method, headers, content) as answer:
            size = 0
            async for piece in answer.aiter_raw():
                size += len(piece)
                if size > BODY_IGNORED_BYTES:
                    break
            return answer.status_code

    async def close(self) -> None:
        """Let go of every connection."""
        await self._client.aclose()

    def why(self, error: BaseException) -> str:
        """Say in words for the client why there is no answer."""
        if isinstance(error, Unanswered):
            return str(error)
        if isinstance(error, OversizeEvent):
            return TOO_LONG
        return f"the server at {self.origin} cannot be reached ({_shown(error)})"


def media_type(answer: Answer) -> str:
    """Return what an answer says that its body is."""
    said: str = answer.headers.get("content-type", "")
    return said.partition(";")[0].strip().lower()


def events_of(answer: Answer, bytes_max: int) -> AsyncIterator[httpx2.ServerSentEvent]:
    """Return the events of a stream as they come.

    Raises:
        httpx2.SSEError: one is longer than `bytes_max`.
        httpx2.TransportError: the stream breaks off.
    """
    answer.encoding = "utf-8"
    return aiter(httpx2.EventSource(answer, max_event_size=bytes_max))


def line_of(event: httpx2.ServerSentEvent) -> bytes | None:
    """Return the message of an event as one line, None where it has none."""
    return one_line(event.data.encode("utf-8", "replace")) if event.event == "message" and event.data else None


async def body_of(answer: Answer, bytes_max: int) -> bytes:
    """Return a whole body as one line.

    Raises:
        Unanswered: it is longer than `bytes_max`.
    """
    pieces: list[bytes] = []
    size = 0
    async for piece in answer.aiter_bytes():
        size += len(piece)
        if size > bytes_max:
            raise Unanswered(TOO_LONG)
        pieces.append(piece)
    return one_line(b"".join(pieces))


def one_line(data: bytes) -> bytes:
    """Return JSON that came on several lines as one: a line's end stands between values only, where a space does."""
    data = data.strip()
    return data.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in data or b"\r" in data else data


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _shown(error: BaseException) -> str:
    """Say what kind of failure it was; the client's own text may hold the URL."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, socket.gaierror):
            return "nobody knows a host of that name"
        code = cause.errno if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) else None
        if code is not None and code in errno.errorcode:
            return os.strerror(code).lower()
        cause = cause.__cause__ or cause.__context__
    return "it does not answer in time" if isinstance(error, TIMED_OUT) else type(error).__name__
