"""What must be let go of when an event loop ends: a loop ends its async generators first, so one waits for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable


async def at_the_end(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, Any]:
    """Have `close` awaited when the running loop is shut down; keep what is returned for as long as that is wanted."""
    import asyncio

    async def waiting() -> AsyncGenerator[None, Any]:
        try:
            yield
        finally:
            await close()
            await asyncio.sleep(0)  # a transport that was closed says so to the loop, which has to look once more

    generator = waiting()
    await anext(generator)
    return generator
