"""Tools that are objects, and the places that hold tools: every way in is governed, and what is added later too.

An object gets a class of its own, under its old one, so it stays the same object: whoever holds it holds a governed
tool, and `tool(…)` asks as `tool.run(…)` does. A method that somebody bound before is the one thing that this does not
reach; it is looked for, and reported.
"""

from __future__ import annotations

import functools
import gc
import inspect
import types
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from .binding import Binding
from .violation import UngovernableTool
from .wrapping import GOVERNED, govern, governed_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .coverages import Coverage
    from .guard import Guard

WAYS: Final = (
    "__call__", "run", "_run", "arun", "_arun", "invoke", "ainvoke", "call", "acall", "execute", "aexecute",
    "stream", "astream", "forward",
)  # fmt: skip
FUNCTIONS: Final = ("func", "fn", "function", "coroutine", "handler", "callback", "on_invoke_tool")
NAMES: Final = ("name", "tool_name", "__name__")
PLAIN_DATA: Final = (str, bytes, int, float, bool, type(None))

_INSIDE: Final[ContextVar[tuple[Inside, ...]]] = ContextVar("thoth_inside", default=())


def name_of(tool: object) -> str:
    """Return the name by which a tool goes, "" where it has none."""
    for attribute in NAMES:
        name = inspect.getattr_static(tool, attribute, None)
        name = getattr(tool, attribute, None) if name is not None else None
        if isinstance(name, str) and name and name != "<lambda>":
            return name
    return ""


def is_function(tool: object) -> bool:
    """Whether a tool is something that can only be replaced, not changed: a function or a bound method."""
    return inspect.isroutine(tool) or isinstance(tool, types.FunctionType | types.MethodType | functools.partial)


class Wrapper:
    """Governs tools for one guard, and keeps the coverage."""

    def __init__(self, guard: Callable[[], Guard], coverage: Coverage, *, spread: bool = True) -> None:
        self.guard = guard
        self.coverage = coverage
        self.spread = spread

    def tool(self, tool: Any, name: str | None = None) -> Any:
        """Return a tool governed: a function as another function, an object as itself.

        Raises:
            UngovernableTool: there is a way to call it that cannot be governed, or none.
        """
        if is_function(tool):
            return self.function(tool, name)
        return self.object(tool, name)

    def function(self, function: Any, name: str | None = None, way: str = "function") -> Callable[..., Any]:
        """Return a function governed."""
        made = govern(function, self.guard, name=name or name_of(function), spread=self.spread)
        found = governed_by(made)
        assert found is not None, "what `govern` returns is governed"
        self.coverage.cover(found.name, way)
        return made

    def object(self, tool: Any, name: str | None = None, ways: Iterable[str] | None = None) -> Any:
        """Govern an object in place: its known ways in, or those that are named."""
        kind = type(tool)
        if isinstance(tool, (*PLAIN_DATA, dict, list, tuple, type)):
            raise UngovernableTool(
                f"`{name or tool!r:.60}` is a {kind.__name__}, which only describes a tool; give the function that runs"
            )
        name = name or name_of(tool) or kind.__name__
        found = [way for way in (ways or WAYS) if callable(inspect.getattr_static(kind, way, None))]
        found = [way for way in found if way != "__call__" or calls(kind)]
        functions = [] if ways is not None else [f for f in FUNCTIONS if is_function(vars_of(tool).get(f))]
        own = [way for way in (ways or WAYS) if way not in found and is_function(vars_of(tool).get(way))]
        if GOVERNED in kind.__dict__:  # then some ways are governed already: those that were asked for
            found = [way for way in found if not isinstance(inspect.getattr_static(kind, way), OwnWay)]
            functions, own = ([f for f in some if not governed_now(vars_of(tool)[f])] for some in (functions, own))
            if not (found or functions or own):
                return tool
        if not (found or functions or own):
            raise UngovernableTool(
                f"`{name}`, a {kind.__name__}, has none of the ways to call a tool that are known ({', '.join(WAYS)}); "
                "wrap the function that it runs, or name it: `thoth.instrument({...})`"
            )
        self._report_bound(tool, name, (*found, *own))
        members: dict[str, Any] = {"__slots__": (), "__module__": kind.__module__, "__qualname__": kind.__qualname__}
        for way in found:
            members[way] = OwnWay(self, tool, name, way)
        members[GOVERNED] = name
        try:
            made = types.new_class(kind.__name__, (kind,), exec_body=lambda space: space.update(members))
            object.__setattr__(tool, "__class__", made)
            for way in (*functions, *own):
                object.__setattr__(tool, way, self._method(tool, name, way, vars_of(tool)[way]))
        except (TypeError, AttributeError) as error:
            raise UngovernableTool(
                f"`{name}`, a {kind.__name__}, cannot be changed ({error}); wrap the function that it runs"
            ) from None
        self.coverage.cover(name, *found, *functions, *own)
        return tool

    def _method(self, tool: Any, name: str, way: str, bound: Callable[..., Any]) -> Callable[..., Any]:
        """Return one way into a tool, governed."""
        if governed_by(bound) is not None:
            return bound
        try:
            binding = Binding(bound, spread=self.spread)
        except (ValueError, TypeError) as error:
            raise UngovernableTool(f"`{name}.{way}` has no signature that can be read ({error})") from None
        if inspect.isgeneratorfunction(bound) or inspect.isasyncgenfunction(bound):
            return govern(bound, self.guard, name=name, binding=binding)
        way_in = WayIn(id(tool), way, bound, binding)
        return (
            way_in.asynchronous(self.guard, name)
            if inspect.iscoroutinefunction(bound)
            else way_in.plain(self.guard, name)
        )

    def _report_bound(self, tool: Any, name: str, ways: Iterable[str]) -> None:
        for reference in gc.get_referrers(tool):
            if not isinstance(reference, types.MethodType) or reference.__self__ is not tool:
                continue
            if reference.__name__ in ways:
                self.coverage.escapes.append(
                    f"`{name}.{reference.__name__}` was bound before it was wrapped, and somebody holds it; wrap the "
                    "tool before it is handed out"
                )


def vars_of(thing: object) -> dict[str, Any]:
    """Return what an object holds itself, without asking any code of it."""
    try:
        held = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return {}
    return held if isinstance(held, dict) else {}


def calls(kind: type) -> bool:
    """Say whether what is of this class can be called itself."""
    return any("__call__" in base.__dict__ for base in kind.__mro__ if base is not object)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for member in value.values():
            yield from _leaves(member)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield f"{type(value).__name__} {value}"


class OwnWay(staticmethod):  # type: ignore[type-arg] # one to the frameworks that read classes
    """One way into a tool, as the tool's own class has it. A copy of the tool has that class, too, and gets its own."""

    def __init__(self, wrapper: Wrapper, tool: Any, name: str, way: str) -> None:
        super().__init__(wrapper._method(tool, name, way, getattr(tool, way)))
        self.wrapper, self.tool, self.kind, self.name, self.way = wrapper, tool, type(tool), name, way

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None or instance is self.tool:
            return super().__get__(instance, owner)
        bound = inspect.getattr_static(self.kind, self.way).__get__(instance, type(instance))
        return self.wrapper._method(instance, self.name, self.way, bound)


class Inside:
    """A call of a tool that was asked about and is under way: which way it came, with which values, and which other
    ways of the tool have carried it on."""

    __slots__ = ("carried", "ended", "tool", "values", "way")

    def __init__(self, tool: int, way: str, values: list[str]) -> None:
        self.tool = tool
        self.way = way
        self.values = values
        self.carried: dict[str, object] = {}
        self.ended = False


class WayIn:
    """One way into a tool: it asks, unless it carries on a call of the same tool that was asked about.

    It carries on where another way into the same tool called it with the same values, once and while that call runs:
    one decision is for one call.
    """

    __slots__ = ("binding", "bound", "tool", "way")

    def __init__(self, tool: int, way: str, bound: Callable[..., Any], binding: Binding) -> None:
        self.tool = tool
        self.way = way
        self.bound = bound
        self.binding = binding

    def values(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
        return sorted(_leaves(self.binding.shown(self.binding.named(args, kwargs))))

    def begun(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Inside:
        """Return the call that runs now, with its values: what was let through, changed ones if so."""
        return Inside(self.tool, self.way, self.values(args, kwargs))

    def carries_on(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        inside = _INSIDE.get()
        if not inside:
            return False
        call = inside[-1]
        if call.ended or call.tool != self.tool or call.way == self.way or call.values != self.values(args, kwargs):
            return False
        once = object()
        return call.carried.setdefault(self.way, once) is once  # one step, so of two threads one is asked about

    def plain(self, guard: Callable[[], Guard], name: str) -> Callable[..., Any]:
        @functools.wraps(self.bound)
        def inside(*args: Any, **kwargs: Any) -> Any:
            call = self.begun(args, kwargs)
            token = _INSIDE.set((*_INSIDE.get(), call))
            try:
                return self.bound(*args, **kwargs)
            finally:
                call.ended = True
                _INSIDE.reset(token)

        governed = govern(inside, guard, name=name, binding=self.binding)

        @functools.wraps(governed)
        def once(*args: Any, **kwargs: Any) -> Any:
            return (self.bound if self.carries_on(args, kwargs) else governed)(*args, **kwargs)

        return once

    def asynchronous(self, guard: Callable[[], Guard], name: str) -> Callable[..., Any]:
        @functools.wraps(self.bound)
        async def inside(*args: Any, **kwargs: Any) -> Any:
            call = self.begun(args, kwargs)
            token = _INSIDE.set((*_INSIDE.get(), call))
            try:
                return await self.bound(*args, **kwargs)
            finally:
                call.ended = True
                _INSIDE.reset(token)

        governed = govern(inside, guard, name=name, binding=self.binding)

        @functools.wraps(governed)
        async def once(*args: Any, **kwargs: Any) -> Any:
            return await (self.bound if self.carries_on(args, kwargs) else governed)(*args, **kwargs)

        return once


# ---------------------------------------------------------------- places that hold tools


class GovernedList(list[Any]):
    """A list of tools; one that is added is governed, or cannot be added."""

    def __init__(self, tools: Iterable[Any], govern: Callable[[Any], Any]) -> None:
        self._govern = govern
        super().__init__(map(govern, tools))

    def append(self, tool: Any) -> None:
        super().append(self._govern(tool))

    def extend(self, tools: Iterable[Any]) -> None:
        super().extend(list(map(self._govern, tools)))

    def insert(self, place: Any, tool: Any) -> None:
        super().insert(place, self._govern(tool))

    def __setitem__(self, place: Any, tool: Any) -> None:
        super().__setitem__(place, list(map(self._govern, tool)) if isinstance(place, slice) else self._govern(tool))

    def __iadd__(self, tools: Iterable[Any]) -> GovernedList:  # type: ignore[misc]
        self.extend(tools)
        return self

    def __reduce__(self) -> Any:
        return list, (list(self),)


class GovernedMap(dict[str, Any]):
    """Tools by name; one that is added is governed, or cannot be added."""

    def __init__(self, tools: Any, govern: Callable[[str, Any], Any]) -> None:
        self._govern = govern
        super().__init__({name: govern(name, tool) for name, tool in dict(tools).items()})

    def __setitem__(self, name: str, tool: Any) -> None:
        super().__setitem__(name, self._govern(name, tool))

    def setdefault(self, name: str, tool: Any = None) -> Any:
        if name not in self:
            self[name] = tool
        return self[name]

    def update(self, *tools: Any, **more: Any) -> None:
        for name, tool in dict(*tools, **more).items():
            self[name] = tool

    def __ior__(self, tools: Any) -> GovernedMap:  # type: ignore[override, misc]
        self.update(tools)
        return self

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


def governed_now(tool: object) -> bool:
    """Say whether a tool is governed, by any guard."""
    return governed_by(tool) is not None or GOVERNED in type(tool).__dict__
