"""A server elsewhere, spoken to over Streamable HTTP: what `Child` is for a process, for a URL.

Each message is one POST with the bytes that came; its answer is one JSON body or a stream of events, each with one
message. Requests run beside each other; what is no request arrives in its order. A request that gets no answer gets an
error in its place, so nobody waits for a server that is away. Loaded where `--upstream` is used: it imports the client.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Final

import httpx2

from .http_headers import Mirrored, mirrored_of, stateless_headers, version_of
from .lines import LINE_BYTES_MAX, TooLong
from .log import Log
from .message import SERVER_GONE, Id, Malformed, Message, error_message, joined, loosely, read_batch, read_message
from .pipes import WRITE_HELD_BYTES

CONNECT_S: Final = 10.0
NOTICE_S: Final = 10.0
RETRY_S: Final = 1.0
RETRY_MAX_S: Final = 10.0
DELETE_S: Final = 1.0
PARALLEL_MAX: Final = 256
TOOLS_MAX: Final = 10_000
BODY_IGNORED_BYTES: Final = 64 * 1024
SESSION_CHARS_MAX: Final = 1024
ACCEPT: Final = "application/json, text/event-stream"
EVENTS: Final = "text/event-stream"
NO_EVENTS: Final = "the server ended its answer before the result"


class Unanswered(Exception):
    """No answer is to be had from the server; the text says why, in words for the client."""


class Post:
    """One message under way: the requests in it that have no answer yet, as the bytes of their ids."""

    __slots__ = ("lists_tools", "message", "open", "starts", "version")

    def __init__(self, messages: list[Message], message: Message | None) -> None:
        self.message = message
        self.open = {one.id: one.raw_id for one in messages if one.is_request and one.id is not None}
        self.version = None if message is None else version_of(message)
        self.starts = message is not None and message.method == "initialize"
        self.lists_tools = self.version is not None and message is not None and message.method == "tools/list"


class HttpServer:
    """A server at a URL, tied to the running loop by `attach`."""

    def __init__(self, url: str, origin: str, *, headers: dict[str, str], ca: str | None = None) -> None:
        """Nothing is sent yet. `origin` is what of the URL may be told; `ca` replaces the system's certificates.

        Raises:
            OSError: the file of certificates cannot be read, or holds none.
        """
        self._url = url
        self._origin = origin
        self._client = httpx2.AsyncClient(
            verify=ssl.create_default_context(cafile=ca),
            headers={"Accept-Encoding": "identity", "User-Agent": "thoth", **headers},
            timeout=httpx2.Timeout(None, connect=CONNECT_S, pool=CONNECT_S),
            limits=httpx2.Limits(max_connections=PARALLEL_MAX + 8, max_keepalive_connections=16),
            follow_redirects=False,
            trust_env=False,
        )
        self._session: str | None = None
        self._version: str | None = None
        self._mirrored: dict[str, Mirrored] = {}
        self._queue: asyncio.Queue[tuple[bytes, Post]] = asyncio.Queue()
        self._held = 0
        self._tasks: dict[asyncio.Task[None], Post] = {}
        self._listening: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._stopped = False
        self._may_read = asyncio.Event()
        self._may_read.set()

    async def attach(
        self,
        line: Callable[[bytes | TooLong], None],
        ended: Callable[[], None],
        log: Log,
        *,
        full: Callable[[], None],
        taken: Callable[[], None],
        bytes_max: int = LINE_BYTES_MAX,
    ) -> None:
        """Hand on what it says; `ended` is never called: a server that is away may come back."""
        self._line, self._log, self._full, self._taken, self._bytes_max = line, log, full, taken, bytes_max
        self._sending = asyncio.create_task(self._send())

    def line(self, line: bytes) -> bool:
        """Send it one message; False where it is to get no more."""
        if self._stopped:
            return False
        try:
            if line.startswith(b"["):
                post = Post([read_message(one) for one in read_batch(line)], None)
            else:
                message = read_message(line)
                post = Post([message], message)
        except Malformed:
            return False
        self._held += len(line)
        if self._held > WRITE_HELD_BYTES:
            self._full()
        self._queue.put_nowait((line, post))
        return True

    def pause(self) -> None:
        """Take no more from it for now."""
        self._may_read.clear()

    def resume(self) -> None:
        """Take from it again."""
        self._may_read.set()

    async def stop(self, hurry: asyncio.Event, *, grace_s: float) -> int:
        """Send what waits, end the session at the server, and let go of every connection; return 0.

        Takes at most `grace_s` + DELETE_S seconds and a moment.
        """
        self._stopped = True
        if not hurry.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._queue.join(), grace_s)
        running = [task for task in (self._sending, self._listening, *self._tasks) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._session is not None:
            try:
                async with asyncio.timeout(DELETE_S):
                    status = await self._tell("DELETE", self._own_headers())
                self._log.event("session_ended", status=status)
            except (httpx2.HTTPError, TimeoutError) as error:
                self._log.event("session_not_ended", why=type(error).__name__)
        await self._client.aclose()
        return 0

    # ------------------------------------------------------------ to the server

    async def _send(self) -> None:
        """Begin requests in their order, and wait for whatever is none: a call must not overtake `initialized`."""
        while True:
            line, post = await self._queue.get()
            try:
                if post.open and len(self._tasks) >= PARALLEL_MAX:
                    self._fail(post, f"more than {PARALLEL_MAX} requests are under way; ask again later")
                elif post.open:
                    task = asyncio.create_task(self._request(line, post))
                    self._tasks[task] = post
                    task.add_done_callback(self._done)
                elif not self._cancelled(post):
                    await self._notify(line, post)
            except Exception as error:  # noqa: BLE001 - one message that cannot be sent must not stop the others
                self._log.event("message_not_sent", why=type(error).__name__)
                self._fail(post, "the message cannot be sent")
            finally:
                self._queue.task_done()
                self._held -= len(line)
                if self._held <= WRITE_HELD_BYTES:
                    self._taken()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)

    async def _notify(self, line: bytes, post: Post) -> None:
        """POST a notification, or the client's answer to a question of the server."""
        method = None if post.message is None else post.message.method
        try:
            async with asyncio.timeout(NOTICE_S):
                status = await self._tell("POST", self._headers(post), line)
            if status >= 300:
                self._log.event("notification_refused", method=method, status=status)
        except (httpx2.HTTPError, TimeoutError) as error:
            self._log.event("notification_lost", method=method, why=type(error).__name__)
        if method == "notifications/initialized" and post.version is None and self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        if method == "notifications/cancelled":
            self._abort(post)

    async def _tell(self, method: str, headers: dict[str, str], content: bytes | None = None) -> int:
        """Send what has no answer but a status, and return that; a body is read within a bound, and means nothing."""
        async with self._client.stream(method, self._url, content=content, headers=headers) as answer:
            size = 0
            async for piece in answer.aiter_raw():
                size += len(piece)
                if size > BODY_IGNORED_BYTES:
                    break
            return answer.status_code

    def _cancelled(self, post: Post) -> bool:
        """The stateless revision has no message for it: closing the answer's stream is how a request is cancelled."""
        task = self._meant(post)
        if task is not None and self._tasks[task].version is not None:
            task.cancel()
            return True
        return False

    def _abort(self, post: Post) -> None:
        task = self._meant(post)
        if task is not None:
            task.cancel()

    def _meant(self, post: Post) -> asyncio.Task[None] | None:
        """Return the request that a cancellation means."""
        message = post.message
        if message is None or message.method != "notifications/cancelled":
            return None
        params = loosely(message.fields.get("params", b"{}"))
        id = params.get("requestId") if isinstance(params, dict) else None
        for task, other in self._tasks.items():
            if isinstance(id, int | str) and id in other.open and other.message is not None:
                return task
        return None

    async def _request(self, line: bytes, post: Post) -> None:
        """POST a request and hand on everything that comes of it; whatever it comes to, it is answered."""
        if post.starts:
            self._session = self._version = None
            if self._listening is not None:
                self._listening.cancel()
                self._listening = None
        why = NO_EVENTS
        try:
            last = ""
            retry_s = RETRY_S
            async with self._client.stream("POST", self._url, content=line, headers=self._headers(post)) as answer:
                if post.starts and answer.is_success:
                    self._keep_session(answer.headers.get("mcp-session-id"))
                if not _is_events(answer) or not answer.is_success:
                    await self._body(answer, post)
                    return
                try:
                    async for event in self._events(answer):
                        last = event.id or last
                        retry_s = RETRY_S if event.retry is None else min(event.retry / 1000, RETRY_MAX_S)
                        await self._event(event, post)
                        if not post.open:
                            return
                except httpx2.SSEError:
                    raise
                except httpx2.TransportError:
                    if not last:
                        raise
            if last:
                await asyncio.sleep(retry_s)
                await self._resume(last, post)
        except Unanswered as error:
            why = str(error)
        except httpx2.SSEError:
            why = "the server's answer is longer than this proxy takes"
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            why = f"the server at {self._origin} cannot be reached ({_shown(error)})"
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not leave a request without an answer
            self._log.event("request_failed", why=type(error).__name__)
            why = "the server's answer cannot be read"
        finally:
            self._fail(post, why)

    async def _resume(self, last: str, post: Post) -> None:
        """Take up a broken stream once, behind the last event that came."""
        headers = {**self._headers(post), "Accept": EVENTS, "Last-Event-ID": last}
        del headers["Content-Type"]
        async with self._client.stream("GET", self._url, headers=headers) as answer:
            if not answer.is_success or not _is_events(answer):
                raise Unanswered(NO_EVENTS)
            async for event in self._events(answer):
                await self._event(event, post)
                if not post.open:
                    return

    async def _listen(self) -> None:
        """Hear what the server says unasked, where it offers that; a stream that ends is opened again."""
        last, retry_s, fresh = "", RETRY_S, True
        while fresh:
            fresh = False
            headers = {**self._own_headers(), "Accept": EVENTS, **({"Last-Event-ID": last} if last else {})}
            try:
                async with self._client.stream("GET", self._url, headers=headers) as answer:
                    if not answer.is_success or not _is_events(answer):
                        if answer.status_code != 405:
                            self._log.event("no_stream_of_server", status=answer.status_code)
                        return
                    async for event in self._events(answer):
                        fresh = True
                        last = event.id or last
                        retry_s = retry_s if event.retry is None else min(event.retry / 1000, RETRY_MAX_S)
                        await self._event(event, None)
            except (httpx2.HTTPError, httpx2.StreamError) as error:
                self._log.event("stream_of_server_ended", why=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - a mistake of ours must not end the run
                self._log.event("stream_of_server_failed", why=type(error).__name__)
            await asyncio.sleep(max(retry_s, 0.1))

    # ------------------------------------------------------------ from the server

    def _events(self, answer: httpx2.Response) -> AsyncIterator[httpx2.ServerSentEvent]:
        answer.encoding = "utf-8"
        return aiter(httpx2.EventSource(answer, max_event_size=self._bytes_max))

    async def _event(self, event: httpx2.ServerSentEvent, post: Post | None) -> None:
        if event.event == "message" and event.data:
            await self._hand_on(one_line(event.data.encode("utf-8", "replace")), post)

    async def _body(self, answer: httpx2.Response, post: Post) -> None:
        """Take an answer that is one JSON body; errors of the protocol come with any status."""
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        pieces: list[bytes] = []
        size = 0
        if kind == "application/json":
            async for piece in answer.aiter_bytes():
                size += len(piece)
                if size > self._bytes_max:
                    raise Unanswered("the server's answer is longer than this proxy takes")
                pieces.append(piece)
            line = one_line(b"".join(pieces))
            try:
                message = None if line.startswith(b"[") else read_message(line)
            except Malformed:
                message = None
            if message is not None and message.is_response:
                if message.id is None and len(post.open) == 1:  # it could not read the id, but answers this request
                    line = joined({**message.fields, "id": next(iter(post.open.values()))})
                elif not answer.is_success and message.id not in post.open:
                    raise Unanswered(self._status(answer.status_code))
                await self._hand_on(line, post)
                return
            if answer.is_success and line.startswith(b"["):
                await self._hand_on(line, post)
                return
        raise Unanswered(self._status(answer.status_code))

    def _status(self, status: int) -> str:
        if status in (401, 403):
            return f"the server at {self._origin} wants to know who asks (HTTP {status}); see `--header-env`"
        if status == 404 and self._session is not None:
            return "the server has ended the session (HTTP 404); connect again"
        return f"the server at {self._origin} answered with HTTP {status} and no message"

    async def _hand_on(self, line: bytes, post: Post | None) -> None:
        await self._may_read.wait()
        if post is not None:
            try:
                messages = [read_message(one) for one in read_batch(line)] if line[:1] == b"[" else [read_message(line)]
            except Malformed:
                messages = []
            for message in messages:
                if message.is_response and message.id in post.open:
                    del post.open[message.id]
                    self._learn(message, post)
        self._line(line)

    def _learn(self, message: Message, post: Post) -> None:
        """Keep what later headers need: the version that was agreed, and which arguments a tool wants in headers."""
        if not (post.starts or post.lists_tools) or "result" not in message.fields:
            return
        result = loosely(message.fields["result"])
        if not isinstance(result, dict):
            return
        version, tools = result.get("protocolVersion"), result.get("tools")
        if post.starts and isinstance(version, str) and version.isascii() and version.isprintable():
            self._version = version[:32]
        if post.lists_tools and isinstance(tools, list):
            for tool in tools[:TOOLS_MAX]:
                if isinstance(tool, dict) and isinstance(tool.get("name"), str) and len(self._mirrored) < TOOLS_MAX:
                    self._mirrored[tool["name"]] = mirrored_of(tool.get("inputSchema"))

    def _fail(self, post: Post, why: str) -> None:
        """Answer what is still open with an error, as the server's."""
        still: dict[Id, bytes] = dict(post.open)
        post.open.clear()
        for raw_id in still.values():
            self._line(error_message(raw_id, SERVER_GONE, f"thoth: {why}"))

    # ------------------------------------------------------------ headers

    def _headers(self, post: Post) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": ACCEPT}
        if post.version is not None and post.message is not None:
            return {**headers, **stateless_headers(post.message, post.version, self._mirrored)}
        return headers if post.starts else {**headers, **self._own_headers()}

    def _own_headers(self) -> dict[str, str]:
        """Return what every request of the handshake era has, once it is known."""
        known = {"MCP-Protocol-Version": self._version, "Mcp-Session-Id": self._session}
        return {name: value for name, value in known.items() if value is not None}

    def _keep_session(self, said: str | None) -> None:
        if said and len(said) <= SESSION_CHARS_MAX and said.isascii() and said.isprintable() and " " not in said:
            self._session = said
        elif said:
            self._log.event("session_id_refused", chars=len(said))


def one_line(data: bytes) -> bytes:
    """Return JSON that came on several lines as one: a line's end stands between values only, where a space does."""
    data = data.strip()
    return data.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in data or b"\r" in data else data


def _is_events(answer: httpx2.Response) -> bool:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower() == EVENTS


def _shown(error: Exception) -> str:
    """Say what kind of failure it was; the client's own text may hold the URL."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
