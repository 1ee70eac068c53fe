"""A new session in place of one that a server elsewhere has forgotten.

A server that answers HTTP 404 to a request with a session's id has not run the request, and wants the client to begin
again (the transports page of revision 2025-11-25). So the message with which the client began is sent once more, and
what missed the session may be repeated in the new one, once.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from .http_session import HttpSession, agreed
from .log import Log
from .message import Message, notification
from .posts import Post, post_of, readable
from .web_client import EVENTS, Answer, Unanswered, WebClient, body_of, events_of, line_of, media_type

RENEWAL_S: Final = 30.0
FORGOTTEN: Final = "the server has ended the session (HTTP 404)"
INITIALIZED: Final = "notifications/initialized"


class Forgotten(Exception):
    """The server does not know the session any more, so it has not run the request."""


class Renewal:
    """Begins sessions anew; `begun` is called after each."""

    def __init__(
        self, web: WebClient, session: HttpSession, log: Log, begun: Callable[[], None], *, bytes_max: int
    ) -> None:
        self._web = web
        self._session = session
        self._log = log
        self._begun = begun
        self._bytes_max = bytes_max
        self.task: asyncio.Task[None] | None = None

    async def in_place_of(self, known: str | None) -> None:
        """Begin a new session in place of the one that was `known`, once for all requests that miss it.

        Raises:
            Unanswered: that is not possible, or another one of `Failure`.
        """
        if self._session.id != known:
            return  # somebody has just done it
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._begin())
            self.task.add_done_callback(_heard)
        await asyncio.shield(self.task)  # whoever waits may be cancelled, and the others wait on

    async def _begin(self) -> None:
        session = self._session
        if session.hello is None:
            raise Unanswered(f"{FORGOTTEN}; connect again")
        line, message = session.hello
        post = Post([message], message)
        async with asyncio.timeout(RENEWAL_S):
            async with self._web.ask("POST", session.headers(post), line) as answer:
                found = await self._response(answer, post) if answer.is_success else None
                id = answer.headers.get("mcp-session-id")
            if found is None or agreed(found) is None:
                raise Unanswered(f"{FORGOTTEN}, and begins no new one (HTTP {answer.status_code}); connect again")
            if agreed(found) != session.version:
                raise Unanswered(f"{FORGOTTEN}, and speaks another version in a new one; connect again")
            session.id = None
            session.keep_id(id)
            began = notification(INITIALIZED, {})
            await self._web.tell("POST", session.headers(post_of(began)), began)
        self._log.event("session_renewed", server=self._web.origin)
        self._begun()

    async def _response(self, answer: Answer, post: Post) -> Message | None:
        """Return the response in an answer that nobody but us has asked for."""
        if media_type(answer) == EVENTS:
            async for event in events_of(answer, self._bytes_max):
                for message in readable(line_of(event) or b""):
                    if post.answers(message):
                        return message
        elif media_type(answer) == "application/json":
            for message in readable(await body_of(answer, self._bytes_max)):
                if post.answers(message):
                    return message
        return None


def _heard(task: "asyncio.Task[None]") -> None:
    """Whoever waited has the error; where nobody did any more, it is nobody's."""
    if not task.cancelled():
        task.exception()
