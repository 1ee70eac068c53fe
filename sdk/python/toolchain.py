"""Nested toolchains: objects, dicts and lists of functions inside each other, each tool under its dotted name."""

from __future__ import annotations

import inspect
import types
from typing import TYPE_CHECKING, Any

from .objects import GovernedMap, Wrapper, calls, is_function, name_of, vars_of
from .wrapping import governed_by

if TYPE_CHECKING:
    from collections.abc import Iterator


class Toolchain:
    """Walks a toolchain and governs what it finds; a thing that is reached twice keeps its first name."""

    def __init__(self, wrapper: Wrapper, *, include_private: bool = False, max_depth: int | None = None) -> None:
        self.wrapper = wrapper
        self.include_private = include_private
        self.max_depth = max_depth
        self.functions: dict[str, Any] = {}
        self._seen: set[int] = set()

    def govern(self, thing: Any, name: str = "", depth: int = 0) -> Any:
        """Return a thing with all tools in it governed: an object as itself, a dict or list as a governed copy."""
        if is_function(thing):
            made = self.wrapper.function(thing, name or None)
            found = governed_by(made)
            self.functions.setdefault(found.name if found else name, made)
            return made
        if isinstance(thing, dict):
            if self._too_deep(thing, depth):
                return thing
            return GovernedMap(thing, lambda key, value: self._member(value, _join(name, str(key)), depth))
        if isinstance(thing, list | tuple):
            if self._too_deep(thing, depth):
                return thing
            return type(thing)([self._member(item, name, depth) for item in thing])
        if _is_data(thing) or self._too_deep(thing, depth):
            return thing
        for key, value in self._members(thing):
            path = _join(name, key)
            if is_function(value):
                self._method(thing, key, value, path)
                continue
            made = self._member(value, path, depth)
            if made is not value:
                object.__setattr__(thing, key, made)
        if calls(type(thing)):
            self.wrapper.object(thing, name or None, ("__call__",))
            self.functions.setdefault(name or name_of(thing), thing)
        return thing

    def _member(self, value: Any, name: str, depth: int) -> Any:
        return value if _is_data(value) else self.govern(value, name, depth + 1)

    def _too_deep(self, thing: Any, depth: int) -> bool:
        if id(thing) in self._seen or (self.max_depth is not None and depth > self.max_depth):
            return True
        self._seen.add(id(thing))
        return False

    def _members(self, thing: Any) -> Iterator[tuple[str, Any]]:
        """Yield what an object offers: its methods, and what it holds; properties are not asked."""
        names = dict.fromkeys((*vars_of(thing), *(name for kind in type(thing).__mro__[:-1] for name in vars(kind))))
        for name in names:
            if name.startswith("__") or (name.startswith("_") and not self.include_private):
                continue
            if isinstance(thing, types.ModuleType) and getattr(vars(thing)[name], "__module__", "") != thing.__name__:
                continue  # imported there from elsewhere
            static = inspect.getattr_static(thing, name)
            if isinstance(static, property) or (inspect.isdatadescriptor(static) and name not in vars_of(thing)):
                continue
            yield name, getattr(thing, name)

    def _method(self, thing: Any, key: str, value: Any, path: str) -> None:
        if governed_by(value) is not None:
            self.functions.setdefault(path, value)
            return
        if hasattr(thing, "__dict__"):
            made = self.wrapper.function(value, path, "method")
            object.__setattr__(thing, key, made)
        else:
            self.wrapper.object(thing, path, (key,))
            made = getattr(thing, key)
        self.functions[path] = made


def _join(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _is_data(thing: Any) -> bool:
    kind = type(thing)
    if isinstance(thing, str | bytes | int | float | bool | type | None | set | frozenset):
        return True
    if isinstance(thing, dict | list | tuple | types.ModuleType) or is_function(thing):
        return False
    return kind.__module__ in ("builtins", "datetime", "pathlib", "re", "logging", "threading", "_thread")
