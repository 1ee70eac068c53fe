"""The arguments of a call by their names, and the call that runs with them changed.

However a caller passes arguments, a policy sees one object: each parameter by name, defaults included, as the
function's signature says. Changed arguments go back the same way; what cannot be put back exactly is not run.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from .plain import SCALARS, is_plain, plain, told

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

POSITIONAL_ONLY = inspect.Parameter.POSITIONAL_ONLY
POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
KEYWORD = inspect.Parameter.KEYWORD_ONLY
MANY = inspect.Parameter.VAR_POSITIONAL
NAMED = inspect.Parameter.VAR_KEYWORD
ABSENT: Final = object()


class NotApplied(Exception):
    """Changed arguments that cannot be given to the function."""


class Binding:
    """How one function takes its arguments.

    `hidden` are parameters that are not the agent's to choose (a run context, say): they are neither shown to the
    policy nor changed. `spread`: where the only parameter is an object, a policy sees its members.
    `places` are the names of all parameters where each has its place and a scalar is shown as it is; else none.
    """

    __slots__ = (
        "_defaults",
        "_hidden",
        "_keywords",
        "_many",
        "_more",
        "_names",
        "_only",
        "_simple",
        "places",
        "signature",
        "spread",
    )

    def __init__(
        self, function: Callable[..., Any] | inspect.Signature, *, hidden: Collection[str] = (), spread: bool = False
    ) -> None:
        """Read the signature.

        Raises:
            ValueError: it has none that can be read.
            TypeError: it is not callable.
        """
        self.signature = function if isinstance(function, inspect.Signature) else inspect.signature(function)
        parameters = list(self.signature.parameters.values())
        self._names = tuple(p.name for p in parameters if p.kind in (POSITIONAL_ONLY, POSITIONAL))
        self._only = frozenset(p.name for p in parameters if p.kind is POSITIONAL_ONLY)
        self._keywords = frozenset(p.name for p in parameters if p.kind in (POSITIONAL, KEYWORD))
        self._many = next((p.name for p in parameters if p.kind is MANY), None)
        self._more = next((p.name for p in parameters if p.kind is NAMED), None)
        self._hidden = frozenset(hidden)
        self._defaults = {
            p.name: p.default
            for p in parameters
            if p.default is not p.empty and p.default is not None and p.name not in self._hidden and is_plain(p.default)
        }
        self._simple = not (self._only or self._many or self._more or self._hidden)
        shown = [p for p in parameters if p.name not in self._hidden]
        self.spread = spread and len(shown) == 1 and shown[0].kind in (POSITIONAL_ONLY, POSITIONAL, KEYWORD)
        by_place = self._simple and not self.spread and len(self._names) == len(parameters)
        self.places = self._names if by_place else ()

    # ------------------------------------------------------------ out

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return every argument by its parameter's name, as the values that they are; those by default are among them.

        Raises:
            TypeError: the call does not fit, as Python says it.
        """
        if self._simple and len(args) <= len(self._names):
            named = dict(zip(self._names, args, strict=False))
            if kwargs:
                if not kwargs.keys() <= self._keywords or (args and not named.keys().isdisjoint(kwargs)):
                    self.signature.bind(*args, **kwargs)
                named.update(kwargs)
            if self._defaults:
                for name, default in self._defaults.items():
                    if name not in named:
                        named[name] = default
            return named
        bound = self.signature.bind(*args, **kwargs).arguments
        named = dict(bound)
        for name, default in self._defaults.items():
            named.setdefault(name, default)
        return named

    def shown(self, named: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments as a policy sees them, JSON by name.

        A function of `*args` shows `{"args": […], "kwargs": {…}}`, the wire's form of arguments without names.
        """
        if self._simple and not self.spread:
            for value in named.values():
                if type(value) not in SCALARS:
                    break
            else:
                return named
        shown = {name: plain(value) for name, value in named.items() if name not in self._hidden}
        if self._many is not None and shown.get(self._many):
            many = shown.pop(self._many)
            more = shown.pop(self._more, {}) if self._more is not None else {}
            first = [shown.pop(name) for name in self._names if name in shown]
            return {"args": [*first, *many], "kwargs": {**shown, **more}}
        if self._many is not None:
            shown.pop(self._many, None)
        if self._more is not None:
            more = shown.pop(self._more, {})
            if shown.keys() & more.keys():  # a positional-only name, given again as a keyword
                return {"args": [shown.pop(name) for name in self._names if name in shown], "kwargs": {**shown, **more}}
            shown.update(more)
        if self.spread and len(shown) == 1:
            (value,) = shown.values()
            if isinstance(value, dict):
                return value
        return shown

    def unchanged(self, named: dict[str, Any], shown: dict[str, Any]) -> bool:
        """Say whether the arguments still are what a policy was shown."""
        return unchanged(named, shown, self.shown(named))

    # ------------------------------------------------------------ back

    def changed(self, named: dict[str, Any], shown: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments by name with which the call runs as `wanted`, where it was shown as `shown`.

        Values that did not change stay the very objects that the caller passed.

        Raises:
            NotApplied: some of it cannot be given to the function; it says which.
        """
        wanted = _by_name(wanted, shown)
        if self.spread and len(visible := [n for n in named if n not in self._hidden]) == 1:
            (name,) = visible
            value = named[name]
            if isinstance(value, dict) and shown == plain(value):
                return {**named, name: _typed(value, wanted)}
        result = {name: value for name, value in named.items() if name in self._hidden}
        if "args" in shown and isinstance(shown["args"], list) and self._many is not None:
            return result | self._many_changed(named, shown, wanted)
        more_before = named.get(self._more, {}) if self._more is not None else {}
        if shown.keys() == {"args", "kwargs"} and "args" not in named and "args" not in more_before:
            raise NotApplied("its positional arguments have no names")
        more: dict[str, Any] = {}
        for name, value in wanted.items():
            known = name in self._names or name in self._keywords
            before = named.get(name, ABSENT) if known else more_before.get(name, ABSENT)
            if before is ABSENT:
                after = value
            elif name in shown and same(shown[name], value):
                after = before
            else:
                after = _typed(before, value)
            if known and name not in self._hidden:
                result[name] = after
            elif self._more is not None and name not in self._hidden:
                more[name] = after
            else:
                raise NotApplied(f"it has no parameter `{name}`")
        if more and self._more is not None:
            result[self._more] = more
        if self._many is not None and named.get(self._many):
            raise NotApplied("its positional arguments have no names")
        return result

    def _many_changed(self, named: dict[str, Any], shown: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(wanted.get("args"), list) or not wanted.keys() <= {"args", "kwargs"}:
            raise NotApplied("its positional arguments have no names")
        first = [name for name in self._names if name in named and name not in self._hidden]
        before = [*(named[name] for name in first), *named[self._many or ""]]
        values = wanted["args"]
        if len(values) < len(first):
            raise NotApplied("positional arguments are missing")
        after = [
            before[place] if place < len(before) and same(shown["args"][place], value)
            else _typed(before[place], value) if place < len(before)
            else value
            for place, value in enumerate(values)
        ]  # fmt: skip
        result: dict[str, Any] = dict(zip(first, after, strict=False))
        result[self._many or ""] = tuple(after[len(first) :])
        asked, old = wanted.get("kwargs") or {}, shown.get("kwargs") or {}
        more_before = named.get(self._more, {}) if self._more is not None else {}
        more = {}
        for name, value in asked.items():
            was = named.get(name, more_before.get(name, ABSENT))
            kept = was is not ABSENT and name in old and same(old[name], value)
            new = was if kept else value if was is ABSENT else _typed(was, value)
            if name in self._keywords:
                result[name] = new
            elif self._more is not None:
                more[name] = new
            else:
                raise NotApplied(f"it has no parameter `{name}`")
        if more and self._more is not None:
            result[self._more] = more
        return result

    def call_of(self, named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return positional and keyword arguments that pass `named` to the function.

        Raises:
            NotApplied: one that it needs is missing.
        """
        try:
            bound = inspect.BoundArguments(self.signature, dict(named))
            args, kwargs = bound.args, bound.kwargs
            again = self.signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise NotApplied(str(error)) from None
        if not _alike(again, named):
            raise NotApplied("the signature takes them differently")
        return args, kwargs


def _by_name(wanted: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    """Return wanted arguments by name where an enforcer sent `{"args": [], "kwargs": {…}}` for an object of names."""
    positional_before = isinstance(shown.get("args"), list) and shown.keys() <= {"args", "kwargs"}
    sent_so = isinstance(wanted.get("args"), list) and isinstance(wanted.get("kwargs"), dict) and len(wanted) == 2
    if sent_so and not positional_before:
        if wanted["args"]:
            raise NotApplied("changed arguments came without names")
        return dict(wanted["kwargs"])
    return wanted


def _typed(before: Any, value: Any) -> Any:
    """Return a changed value in the type of the one before it.

    Raises:
        NotApplied: the type cannot be made from JSON.
    """
    if is_plain(before):
        return value
    kind = type(before)
    validate = getattr(kind, "model_validate", None)
    try:
        if validate is not None:
            after = validate(value)
        elif isinstance(before, tuple) and isinstance(value, list) and kind is tuple:
            after = tuple(value)
        elif isinstance(before, list | dict) and isinstance(value, kind):
            return value
        elif kind in (set, frozenset):
            after = kind(value)
        else:
            after = kind(value)
        fits = same(plain(after), value)
    except Exception as error:  # noqa: BLE001 - a type of the application's may raise anything
        raise NotApplied(f"a changed value does not make a {kind.__name__} ({type(error).__name__})") from None
    if not fits:
        raise NotApplied(f"a changed value does not make a {kind.__name__}")
    return after


def unchanged(named: dict[str, Any], shown: dict[str, Any], again: dict[str, Any]) -> bool:
    """Say whether arguments that were shown are still the same where they are shown `again`: a list may change.

    Of what has no form as JSON a policy saw a text at most, and that may read otherwise each time.
    """
    if same(again, shown):
        return True
    vague = {name for name, value in named.items() if name in shown and not told(value)[1]}
    return bool(vague) and same(*({k: v for k, v in one.items() if k not in vague} for one in (again, shown)))


def same(left: Any, right: Any) -> bool:
    """Equality in which 1, 1.0 and true are different."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return left is right or bool(left == right)


def _alike(again: dict[str, Any], named: dict[str, Any]) -> bool:
    """Whether two sets of bound arguments hold the very same objects."""

    def parts(arguments: dict[str, Any]) -> dict[tuple[str, int | str], int]:
        found: dict[tuple[str, int | str], int] = {}
        for name, value in arguments.items():
            if type(value) is tuple:
                found |= {(name, place): id(item) for place, item in enumerate(value)}
            elif type(value) is dict:
                found |= {(name, str(key)): id(item) for key, item in value.items()}
            else:
                found[(name, "")] = id(value)
        return found

    return parts(again) == parts(named)
