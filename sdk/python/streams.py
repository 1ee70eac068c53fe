"""Calls that are not over when they return: coroutines, generators, async generators.

What a stream yields is told when it ends, up to a bound; texts are told as one text, for a name may lie across two of
them. Where the policy may redact or withhold what a tool returns, the stream is kept until its end and then yielded as
it may be seen: what is out cannot be called back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .contract import Ending
from .plain import told
from .runs import WITHHELD, seen
from .sessions import CURRENT
from .wrapping import afailed, failed, guard_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Generator
    from contextvars import Token

    from .runs import Run
    from .sessions import Frame
    from .wrapping import Governed

CHARS_MAX: Final = 1024 * 1024


class Taken:
    """What a stream has yielded so far: one text, or a list of JSON values."""

    __slots__ = ("items", "left", "texts", "whole")

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.left = CHARS_MAX
        self.texts = True
        self.whole = True

    def add(self, item: Any) -> None:
        if self.left <= 0:
            self.whole = False
            return
        json, whole = told(item)
        self.whole = self.whole and whole
        self.texts = self.texts and isinstance(json, str)
        self.left -= len(json) if isinstance(json, str) else 64
        self.items.append(json)

    def result(self) -> Any:
        return "".join(self.items) if self.texts else self.items


def kept_back(run: Run) -> bool:
    """Whether the items of this call must wait for its end."""
    return guard_of(run).enforcer.filters(run.tool)


def after(taken: Taken, items: list[Any], value: Any, passed: Any, result: Any) -> tuple[list[Any], Any]:
    """Return what a stream yielded and what it returned as both may be seen, from what is passed on of the whole."""
    shown = seen((items, value), passed, result)
    if isinstance(shown, tuple):
        return items, value
    if shown is WITHHELD:
        return [WITHHELD], None if value is None else WITHHELD
    yielded, returned = shown, value
    if value is not None:
        yielded, returned = shown if taken.items else ([], shown)
    return yielded if isinstance(yielded, list) else [yielded], returned


def left(before: Token[Frame | None]) -> None:
    """Leave a tool's frame; one that is closed from elsewhere runs where it was never entered."""
    try:
        CURRENT.reset(before)
    except ValueError:
        pass


async def awaited(tool: Governed, run: Run, result: Awaitable[Any]) -> Any:
    """Return what an awaitable returns, reported; the tool's frame holds meanwhile."""
    before = CURRENT.set(run.seat.frame)
    try:
        value = await result
    except BaseException as error:
        left(before)
        instead = await afailed(run, error)
        if instead is error:
            raise
        raise instead from None
    CURRENT.reset(before)
    if hasattr(value, "__anext__") and hasattr(value, "aclose"):
        return async_stream(run, value)
    return await tool.acompleted(run, value)


def stream(run: Run, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Yield what a generator yields, and report its end; `send`, `throw` and `close` reach it."""
    taken, back = Taken(), kept_back(run)
    items: list[Any] = []
    step: Any = inner.send
    argument: Any = None
    value: Any = None
    ended = False
    try:
        while True:
            before = CURRENT.set(run.seat.frame)
            try:
                item = step(argument)
            except StopIteration as stop:
                value = stop.value
                break
            finally:
                CURRENT.reset(before)
            taken.add(item)
            if back:
                items.append(item)
                step, argument = inner.send, None
                continue
            try:
                argument = yield item
                step = inner.send
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as thrown:  # noqa: BLE001 - it is the generator's to catch
                step, argument = inner.throw, thrown
        ended = True
        result = taken.result()
        if value is not None:
            json, whole = told(value)
            result, taken.whole = [result, json] if taken.items else json, taken.whole and whole
        passed = guard_of(run).end(run, Ending.COMPLETED, result, whole=taken.whole)
        items, value = after(taken, items, value, passed, result)
        if back:
            yield from items
        return value
    except GeneratorExit:
        if not ended:
            guard_of(run).end(run, Ending.CANCELLED, taken.result(), whole=False)
        raise
    except BaseException as error:
        if ended:
            raise
        instead = failed(run, error)
        if instead is error:
            raise
        raise instead from None


async def async_stream(run: Run, inner: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    """As `stream`, for an async generator."""
    taken, back = Taken(), kept_back(run)
    items: list[Any] = []
    guard = guard_of(run)
    step: Any = inner.asend
    argument: Any = None
    ended = False
    try:
        while True:
            before = CURRENT.set(run.seat.frame)
            try:
                item = await step(argument)
            except StopAsyncIteration:
                break
            finally:
                CURRENT.reset(before)
            taken.add(item)
            if back:
                items.append(item)
                step, argument = inner.asend, None
                continue
            try:
                argument = yield item
                step = inner.asend
            except GeneratorExit:
                await inner.aclose()
                raise
            except BaseException as thrown:  # noqa: BLE001 - it is the generator's to catch
                step, argument = inner.athrow, thrown
        ended = True
        result = taken.result()
        passed = await guard.aend(run, Ending.COMPLETED, result, whole=taken.whole)
        if back:
            for item in after(taken, items, None, passed, result)[0]:
                yield item
    except GeneratorExit:
        if not ended:
            await guard.aend(run, Ending.CANCELLED, taken.result(), whole=False)
        raise
    except BaseException as error:
        if ended:
            raise
        instead = await afailed(run, error)
        if instead is error:
            raise
        raise instead from None
