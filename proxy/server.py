"""The server behind the proxy: what a process and a server at a URL both can."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from .lines import LINE_BYTES_MAX, TooLong
from .log import Log
from .message import Message

MayRepeat: TypeAlias = Callable[[Message], Awaitable[str | None]]
"""Says why a request that the server has not run may not be sent to it again; None where it may."""


async def always(message: Message) -> str | None:
    """Any request may be sent again."""
    return None


class Server(Protocol):
    """One server, and the way to it."""

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
        """Hand on what it says; `ended` is called once it will say no more.

        While more than a bound waits to be sent, `full` has been called, and then `taken`.
        """

    def line(self, line: bytes) -> bool:
        """Send it one message; False where it cannot arrive."""

    def pause(self) -> None:
        """Take no more from it for now."""

    def resume(self) -> None:
        """Take from it again."""

    async def stop(self, hurry: asyncio.Event, *, grace_s: float) -> int:
        """End it, within a bounded time; return its exit code."""
