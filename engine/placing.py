"""Small changes of a situation: a value on a path, a field of the request, the time, a call in the past.

Each returns another situation, or a patch, a function that does.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any, TypeAlias

from . import checked as c
from .samples import matching, number
from .situation import Past, Situation

Patch: TypeAlias = Callable[[Situation], Situation]


def as_it_is(situation: Situation) -> Situation:
    """Change nothing."""
    return situation


def then(one: Patch, other: Patch) -> Patch:
    """Return two patches as one."""
    return lambda situation: other(one(situation))


def with_field(name: str, value: Any) -> Patch:
    """Return what sets a field of the request, or takes it away where the value is None."""
    return lambda situation: situation.with_field(name, value)


def at(now: float) -> Patch:
    """Return what sets the time."""
    return lambda situation: replace(situation, now=now)


def after(call: Past) -> Patch:
    """Return what adds a call to the past."""
    return lambda situation: replace(situation, past=(*situation.past, call))


def misses(situation: Situation, steps: tuple[Any, ...]) -> bool:
    """Say whether a call lacks an argument."""
    return str(steps[0]) not in situation.args


def as_number(value: Fraction) -> int | float:
    """Return an exact number as JSON has it."""
    return int(value) if value.denominator == 1 else float(value)


def undone(function: str, value: Any) -> Any:
    """Return what a function makes a value of."""
    if function == "size":
        return "x" * value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10_000 else "x"
    if function == "host":
        return f"https://{value}/a"
    return f"someone@{value}" if function == "domain" else value


def changeable(change: c.Change) -> Iterator[Any]:
    """Return values that a change has something to do with."""
    if change.kind == "redact" and change.pattern is not None:
        yield from matching(change.pattern)
    elif change.kind == "cap" and change.value is not None and not isinstance(change.value, str):
        yield number(change.value) + 1
        yield number(change.value)
    elif change.kind == "truncate" and isinstance(change.value, int):
        yield "x" * (change.value + 5)
    else:
        yield "a text"


def set_argument(situation: Situation, steps: tuple[Any, ...], value: Any) -> Situation:
    """Return a situation whose call carries a value on a path."""
    return replace(situation, args=placed(situation.args, steps, value))


def drop_argument(situation: Situation, steps: tuple[Any, ...]) -> Situation:
    """Return a situation whose call lacks an argument."""
    return replace(situation, args={name: kept for name, kept in situation.args.items() if name != steps[0]})


def placed(holder: Any, steps: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of a JSON value with something placed on a path; what stands in the way is replaced.

    A list that is asked about item by item keeps its other items: one of several decides often enough.
    """
    if not steps:
        return [value] if isinstance(holder, list) and not isinstance(value, list) else value
    step, rest = steps[0], steps[1:]
    if isinstance(step, str):
        members = copy.copy(holder) if isinstance(holder, dict) else {}
        members[step] = placed(members.get(step), rest, value)
        return members
    items = list(holder) if isinstance(holder, list) else []
    if isinstance(step, int):
        items += [None] * (step + 1 - len(items))
        items[step] = placed(items[step], rest, value)
        return items
    return [placed(items[0] if items else None, rest, value)]
