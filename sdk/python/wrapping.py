"""Functions that are governed: each call is asked about before it runs, and its end is reported.

Sync and async functions, generators and async generators keep their kind. A plain function that returns an awaitable or
a generator is governed until that ends, for only then is the call over.
"""

from __future__ import annotations

import functools
import inspect
import types
from typing import TYPE_CHECKING, Any

from .binding import Binding, NotApplied
from .contract import Ending
from .plain import SCALARS, told
from .runs import ResultWithheld, seen
from .sessions import CURRENT
from .violation import UngovernableTool

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .guard import Guard
    from .runs import Run

COMPLETED, FAILED, CANCELLED, TIMED_OUT = Ending
STREAMS = (types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType)
GOVERNED = "__thoth_governed__"


def governed_by(function: object) -> Governed | None:
    """Return what governs a function, None where nothing does."""
    found = getattr(function, GOVERNED, None)
    return found if isinstance(found, Governed) else None


class Governed:
    """One tool: its name, the function that runs, how it takes its arguments, and who is asked.

    `guard` returns the guard, so that one can be named later than the tool.
    """

    __slots__ = ("binding", "function", "guard", "made", "name")

    def __init__(self, function: Callable[..., Any], name: str, guard: Callable[[], Guard], binding: Binding) -> None:
        self.function = function
        self.name = name
        self.guard = guard
        self.binding = binding
        self.made: Callable[..., Any] | None = None

    # ------------------------------------------------------------ before

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Run, tuple[Any, ...], dict[str, Any]]:
        """Ask for a call; return it with the arguments to run it with."""
        binding = self.binding
        named = binding.named(args, kwargs)
        shown = binding.shown(named)
        run = self.guard().begin(self.name, shown)
        self.still(run, named, shown)
        return (run, args, kwargs) if not run.modified else self.changed(run, named, shown)

    async def abegin(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Run, tuple[Any, ...], dict[str, Any]]:
        """As `begin`, on an event loop."""
        binding = self.binding
        named = binding.named(args, kwargs)
        shown = binding.shown(named)
        run = await self.guard().abegin(self.name, shown)
        self.still(run, named, shown)
        return (run, args, kwargs) if not run.modified else self.changed(run, named, shown)

    def still(self, run: Run, named: dict[str, Any], shown: dict[str, Any]) -> None:
        """Let a call go on whose arguments are those that it was asked about; raise where they are not any more."""
        if shown is not named and run.reply is not None and not self.binding.unchanged(named, shown):
            raise run.guard.not_the_same(run)

    def changed(
        self, run: Run, named: dict[str, Any], shown: dict[str, Any]
    ) -> tuple[Run, tuple[Any, ...], dict[str, Any]]:
        """Return a call with its arguments changed as the enforcer asks; it does not run where that cannot be done."""
        try:
            if not isinstance(run.args, dict):
                raise NotApplied("none were sent")
            args, kwargs = self.binding.call_of(self.binding.changed(named, shown, run.args))
        except NotApplied as error:
            raise run.guard.not_applied(run, str(error)) from None
        return run, args, kwargs

    # ------------------------------------------------------------ after

    def completed(self, run: Run, result: Any) -> Any:
        """Report what a call returned, and return what the agent may see of it."""
        json, whole = told(result)
        return seen(result, guard_of(run).end(run, COMPLETED, json, whole=whole), json)

    async def acompleted(self, run: Run, result: Any) -> Any:
        """As `completed`, on an event loop."""
        json, whole = told(result)
        return seen(result, await guard_of(run).aend(run, COMPLETED, json, whole=whole), json)


def guard_of(run: Run) -> Guard:
    """Return the guard that let a call through."""
    return run.guard


def ending_of(error: BaseException) -> Ending:
    """Return how a call ended that raised: cancelled and timed out are said by the kind of the exception."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"CancelledError", "Cancelled", "GeneratorExit", "KeyboardInterrupt", "SystemExit", "GraphBubbleUp"}:
        return CANCELLED
    return TIMED_OUT if isinstance(error, TimeoutError) else FAILED


def is_signal(error: BaseException) -> bool:
    """Say whether an exception steers the program and must arrive as it is; every other one has a text to be judged."""
    return not isinstance(error, Exception) or any(kind.__name__ == "GraphBubbleUp" for kind in type(error).__mro__)


def message_of(error: BaseException) -> str:
    """Return an exception as the agent would see it, with what a traceback shows beside it: notes, causes, members."""
    lines: list[str] = []
    left, met = [error], {id(error)}
    while left:
        one = left.pop()
        try:
            lines.append(f"{type(one).__name__}: {one}")
            lines += map(str, getattr(one, "__notes__", ()))
        except Exception:  # noqa: BLE001 - an exception of the application's can raise when it is asked for its text
            lines.append(type(one).__name__)
        beside = [one.__cause__ if one.__cause__ is not None or one.__suppress_context__ else one.__context__]
        beside += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        for other in beside:
            if other is not None and id(other) not in met:
                met.add(id(other))
                left.append(other)
    return "\n".join(lines)


def failed(run: Run, error: BaseException) -> BaseException:
    """Report that a call raised, and return what to raise: the same, or its text as the policy lets it be seen."""
    ending = ending_of(error)
    if is_signal(error):
        guard_of(run).end(run, ending)
        return error
    message = message_of(error)
    after = seen(message, guard_of(run).end(run, ending, message), message)
    return error if after is message else ResultWithheld(str(after))


async def afailed(run: Run, error: BaseException) -> BaseException:
    """As `failed`, on an event loop."""
    if isinstance(error, GeneratorExit):
        guard_of(run).closed(run)
        return error
    ending = ending_of(error)
    if is_signal(error):
        await guard_of(run).aend(run, ending)
        return error
    message = message_of(error)
    after = seen(message, await guard_of(run).aend(run, ending, message), message)
    return error if after is message else ResultWithheld(str(after))


# ---------------------------------------------------------------- the functions


def govern(
    function: Callable[..., Any],
    guard: Callable[[], Guard],
    *,
    name: str | None = None,
    hidden: Collection[str] = (),
    spread: bool = False,
    binding: Binding | None = None,
) -> Callable[..., Any]:
    """Return a function that runs `function` once the guard has let the call through.

    One that is governed already is returned as it is; so is one around it that goes by the same name, as decorators
    make them. One that only says of itself, under another name, that it wraps a governed one is asked about itself.

    Raises:
        UngovernableTool: it has no signature to bind arguments by, or no name.
    """
    from .streams import async_stream, awaited, stream

    name = name or getattr(function, "__name__", "") or getattr(getattr(function, "func", None), "__name__", "")
    if not callable(function):
        raise UngovernableTool(f"`{name or function!r}` is a {type(function).__name__} and cannot be called")
    if not name or name == "<lambda>":
        raise UngovernableTool(f"{function!r} has no name; give it one, e.g. {{'search': {name or 'function'}}}")
    before = governed_by(function)
    if before is not None and (getattr(function, "__func__", function) is before.made or name == before.name):
        return function
    if binding is None:
        try:
            binding = Binding(function, hidden=hidden, spread=spread)
        except (ValueError, TypeError) as error:
            raise UngovernableTool(
                f"`{name}` has no signature that can be read ({error}); wrap it in a function with named parameters"
            ) from None
    tool = Governed(function, name, guard, binding)
    called = function if inspect.isroutine(function) or inspect.isfunction(function) else _unwrapped(function)
    wrapper: Callable[..., Any]
    if inspect.isasyncgenfunction(called):

        async def governed_async_generator(*args: Any, **kwargs: Any) -> Any:
            run, args, kwargs = await tool.abegin(args, kwargs)
            inner = async_stream(run, function(*args, **kwargs))
            step: Any = inner.asend
            argument: Any = None
            try:
                while True:
                    try:
                        item = await step(argument)
                    except StopAsyncIteration:
                        return
                    try:
                        argument = yield item
                        step = inner.asend
                    except GeneratorExit:
                        raise
                    except BaseException as thrown:  # noqa: BLE001 - it is the generator's to catch
                        step, argument = inner.athrow, thrown
            finally:
                await inner.aclose()

        wrapper = governed_async_generator
    elif inspect.iscoroutinefunction(called):

        async def governed_coroutine(*args: Any, **kwargs: Any) -> Any:
            run, args, kwargs = await tool.abegin(args, kwargs)
            return await awaited(tool, run, function(*args, **kwargs))

        wrapper = governed_coroutine
    elif inspect.isgeneratorfunction(called):

        def governed_generator(*args: Any, **kwargs: Any) -> Any:
            run, args, kwargs = tool.begin(args, kwargs)
            return (yield from stream(run, function(*args, **kwargs)))

        wrapper = governed_generator
    else:
        wrapper = _plain_function(tool, function)
    try:
        functools.update_wrapper(wrapper, function)
    except AttributeError:
        wrapper.__name__ = name
    wrapper.__dict__.update({"__signature__": binding.signature, GOVERNED: tool})
    tool.made = wrapper
    return wrapper


def _plain_function(tool: Governed, function: Callable[..., Any]) -> Callable[..., Any]:
    from .streams import async_stream, awaited, stream

    reset, set_frame, binding, name, find = CURRENT.reset, CURRENT.set, tool.binding, tool.name, tool.guard
    named_of, shown_of = binding.named, binding.shown
    places, scalars = binding.places, SCALARS.issuperset
    count = len(places)

    def governed(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and count and len(args) == count and scalars(map(type, args)):
            named = shown = dict(zip(places, args))  # noqa: B905 - they are as many
        else:
            named = named_of(args, kwargs)
            shown = shown_of(named)
        run = find().begin(name, shown)
        if shown is not named:
            tool.still(run, named, shown)
        if run.modified:
            run, args, kwargs = tool.changed(run, named, shown)
        before = set_frame(run.seat.frame)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            reset(before)
            after = failed(run, error)
            if after is error:
                raise
            raise after from None
        reset(before)
        kind = type(result)
        if kind in SCALARS:
            return seen(result, run.guard.end(run, COMPLETED, result), result)
        if kind in STREAMS or hasattr(result, "__await__"):
            if kind is types.GeneratorType:
                return stream(run, result)
            if kind is types.AsyncGeneratorType:
                return async_stream(run, result)
            return awaited(tool, run, result)
        return tool.completed(run, result)

    return governed


def _unwrapped(function: Any) -> Any:
    """Return the function that a partial or a callable object runs."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__
