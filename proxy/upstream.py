"""A server elsewhere, spoken to over Streamable HTTP: what `Child` is for a process, for a URL.

Each message is one POST with the bytes that came; its answer is one JSON body or a stream of events, each with one
message. Requests run beside each other; what is no request arrives in its order. A request that gets no answer gets an
error in its place, so nobody waits for a server that is away. Loaded where `--upstream` is used: it imports the client.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from .challenge import refused
from .http_session import SESSION, HttpSession
from .lines import LINE_BYTES_MAX, TooLong
from .log import Log
from .message import SERVER_GONE, Id, Malformed, error_message, joined, notification
from .pipes import WRITE_HELD_BYTES
from .posts import Post, post_of, readable
from .renewal import FORGOTTEN, INITIALIZED, Forgotten, Renewal
from .server import MayRepeat, always
from .web_client import (
    EVENTS,
    PARALLEL_MAX,
    Answer,
    Broken,
    Failure,
    OversizeEvent,
    Unanswered,
    WebClient,
    body_of,
    events_of,
    line_of,
    media_type,
)

NOTICE_S: Final = 10.0
RETRY_S: Final = 1.0
RETRY_MAX_S: Final = 10.0
DELETE_S: Final = 1.0
NO_EVENTS: Final = "the server ended its answer before the result"


class HttpServer:
    """A server at a URL, tied to the running loop by `attach`."""

    def __init__(self, url: str, origin: str, *, headers: dict[str, str], ca: str | None = None) -> None:
        """Nothing is sent yet. `origin` is what of the URL may be told; `ca` replaces the system's certificates.

        Raises:
            OSError: the file of certificates cannot be read, or holds none.
        """
        self._web = WebClient(url, origin, headers=headers, ca=ca)
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
        may_repeat: MayRepeat = always,
        bytes_max: int = LINE_BYTES_MAX,
    ) -> None:
        """Hand on what it says; `ended` is never called: a server that is away may come back.

        `may_repeat` is asked before a request is sent again that the server has not run, in a new session.
        """
        self._line, self._log, self._full, self._taken, self._bytes_max = line, log, full, taken, bytes_max
        self._may_repeat = may_repeat
        self._session = HttpSession(log)
        self._renewal = Renewal(self._web, self._session, log, self._begun_anew, bytes_max=bytes_max)
        self._sending = asyncio.create_task(self._send())

    def line(self, line: bytes) -> bool:
        """Send it one message; False where it is to get no more."""
        if self._stopped:
            return False
        try:
            post = post_of(line)
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
        running = [one for one in (self._sending, self._listening, self._renewal.task, *self._tasks) if one is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._session.id is not None:
            try:
                async with asyncio.timeout(DELETE_S):
                    status = await self._web.tell("DELETE", self._session.own_headers())
                self._log.event("session_ended", status=status)
            except (*Failure, Unanswered) as error:
                self._log.event("session_not_ended", why=type(error).__name__)
        await self._web.close()
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
        try:
            async with asyncio.timeout(NOTICE_S):
                status = await self._web.tell("POST", self._session.headers(post), line)
            if status >= 300:
                self._log.event("notification_refused", method=post.method, status=status)
        except (*Failure, Unanswered) as error:
            self._log.event("notification_lost", method=post.method, why=type(error).__name__)
        if post.method == INITIALIZED and post.version is None and self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        task = self._meant(post)
        if task is not None:
            task.cancel()

    def _cancelled(self, post: Post) -> bool:
        """The stateless revision has no message for it: closing the answer's stream is how a request is cancelled."""
        task = self._meant(post)
        if task is not None and self._tasks[task].version is not None:
            task.cancel()
            return True
        return False

    def _meant(self, post: Post) -> asyncio.Task[None] | None:
        """Return the request that a cancellation means."""
        id = post.cancels
        for task, other in self._tasks.items():
            if id is not None and id in other.open and other.message is not None:
                return task
        return None

    async def _request(self, line: bytes, post: Post) -> None:
        """POST a request and hand on everything that comes of it; whatever it comes to, it is answered."""
        if post.starts:
            self._session.begin(line, post)
            self._hear(False)
        why = NO_EVENTS
        try:
            known = self._session.id
            try:
                await self._exchange(line, post)
            except Forgotten:
                why = FORGOTTEN
                await self._renewal.in_place_of(known)
                refusal = None if post.message is None else await self._may_repeat(post.message)
                if refusal is not None:
                    raise Unanswered(f"{FORGOTTEN}, and the request is not sent again: {refusal}") from None
                await self._exchange(line, post)
        except Forgotten:
            why = f"{FORGOTTEN}, and a new one at once as well; connect again"
        except (*Failure, Unanswered) as error:
            why = self._web.why(error)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not leave a request without an answer
            self._log.event("request_failed", why=type(error).__name__)
            why = "the server's answer cannot be read"
        finally:
            self._fail(post, why)

    async def _exchange(self, line: bytes, post: Post) -> None:
        """POST one message and hand on its answer; a stream that breaks is taken up once, behind its last event.

        Raises:
            Forgotten: the server has not run it.
            Unanswered: there is no answer, or another one of `Failure`.
        """
        last, retry_s = "", RETRY_S
        headers = self._session.headers(post)
        async with self._web.ask("POST", headers, line) as answer:
            if post.starts and answer.is_success:
                self._session.keep_id(answer.headers.get("mcp-session-id"))
            if media_type(answer) != EVENTS or not answer.is_success:
                await self._body(answer, post, in_session=SESSION in headers)
                return
            try:
                async for event in events_of(answer, self._bytes_max):
                    last = event.id or last
                    retry_s = RETRY_S if event.retry is None else min(event.retry / 1000, RETRY_MAX_S)
                    await self._hand_on(line_of(event), post)
                    if not post.open:
                        return
            except OversizeEvent:
                raise
            except Broken:
                if not last:
                    raise
        if last:
            await asyncio.sleep(retry_s)
            await self._resume(last, post)

    async def _resume(self, last: str, post: Post) -> None:
        headers = {**self._session.headers(post), "Accept": EVENTS, "Last-Event-ID": last}
        del headers["Content-Type"]
        async with self._web.ask("GET", headers) as answer:
            if not answer.is_success or media_type(answer) != EVENTS:
                raise Unanswered(NO_EVENTS)
            async for event in events_of(answer, self._bytes_max):
                await self._hand_on(line_of(event), post)
                if not post.open:
                    return

    # ------------------------------------------------------------ from the server

    def _hear(self, begin: bool) -> None:
        """Leave the server's own stream, and begin to hear it anew where that is wanted."""
        if self._listening is not None:
            self._listening.cancel()
        self._listening = asyncio.create_task(self._listen()) if begin else None

    def _begun_anew(self) -> None:
        """In a new session the tools may be others: the list that is known is none any more."""
        self._hear(self._listening is not None)
        self._line(notification("notifications/tools/list_changed", {}))

    async def _listen(self) -> None:
        """Hear what the server says unasked, where it offers that; a stream that ends is opened again."""
        last, retry_s, fresh = "", RETRY_S, True
        while fresh:
            fresh = False
            headers = {**self._session.own_headers(), "Accept": EVENTS, **({"Last-Event-ID": last} if last else {})}
            try:
                async with self._web.ask("GET", headers) as answer:
                    if not answer.is_success or media_type(answer) != EVENTS:
                        if answer.status_code != 405:
                            self._log.event("no_stream_of_server", status=answer.status_code)
                        return
                    async for event in events_of(answer, self._bytes_max):
                        fresh = True
                        last = event.id or last
                        retry_s = retry_s if event.retry is None else min(event.retry / 1000, RETRY_MAX_S)
                        await self._hand_on(line_of(event), None)
            except (*Failure, Unanswered) as error:
                self._log.event("stream_of_server_ended", why=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - a mistake of ours must not end the run
                self._log.event("stream_of_server_failed", why=type(error).__name__)
            await asyncio.sleep(max(retry_s, 0.1))

    async def _body(self, answer: Answer, post: Post, *, in_session: bool) -> None:
        """Take an answer that is one JSON body; errors of the protocol come with any status."""
        if media_type(answer) == "application/json":
            line = await body_of(answer, self._bytes_max)
            batch = line.startswith(b"[")
            messages = [] if batch else readable(line)
            message = messages[0] if messages and messages[0].is_response else None
            if answer.status_code == 404 and in_session and (message is None or message.id not in post.open):
                raise Forgotten
            if message is not None:
                if message.id is None and len(post.open) == 1:  # it could not read the id, but answers this request
                    line = joined({**message.fields, "id": next(iter(post.open.values()))})
                elif not answer.is_success and message.id not in post.open:
                    raise self._without_message(answer)
            if message is not None or (answer.is_success and batch):
                await self._hand_on(line, post)
                return
        if answer.status_code == 404 and in_session:
            raise Forgotten
        raise self._without_message(answer)

    def _without_message(self, answer: Answer) -> Unanswered:
        web = self._web
        return Unanswered(refused(web.origin, answer.status_code, answer.headers, identified=web.identified))

    async def _hand_on(self, line: bytes | None, post: Post | None) -> None:
        if line is None:
            return
        await self._may_read.wait()
        for message in readable(line) if post is not None else ():
            if post is not None and post.answers(message):
                self._session.learn(message, post)
        self._line(line)

    def _fail(self, post: Post, why: str) -> None:
        """Answer what is still open with an error, as the server's."""
        still: dict[Id, bytes] = dict(post.open)
        post.open.clear()
        for raw_id in still.values():
            self._line(error_message(raw_id, SERVER_GONE, f"thoth: {why}"))
