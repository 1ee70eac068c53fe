"""Checked policies as plain values that MessagePack writes, and back: each node a list that begins with its kind.

Whatever is unpacked is made of the kinds of this file and of nothing else, so a file can never name code to be run.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import msgspec

from ..contract import Effect, Mode
from ..grammar.syntax import EACH, Each, Span
from . import checked as c

OURS: Final = {name: k for name, k in vars(c).items() if is_dataclass(k) and k.__module__ == c.__name__}
KINDS: Final[tuple[Any, ...]] = (Span, *(OURS[name] for name in sorted(OURS)))
NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS)}
NAMES: Final = {kind: tuple(field.name for field in fields(kind)) for kind in KINDS}
INT_MAX: Final = 2**63

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(strict=True).decode


class PackingError(ValueError):
    """Bytes that no policy was packed into."""


def pack(value: object) -> bytes:
    """Return a checked node, or a tuple, set or dict of such, as bytes."""
    return _encode(_plain(value))


def unpack(packed: bytes | memoryview) -> Any:
    """Return what was packed.

    Raises:
        PackingError: nothing was.
    """
    try:
        return _made(_decode(packed))
    except (msgspec.DecodeError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise PackingError(f"a part cannot be read: {error}") from None


def _plain(value: Any) -> Any:
    kind = type(value)
    if value is None or kind is str or kind is bool or kind is float:
        return value
    if kind is int:
        return value if -INT_MAX <= value < INT_MAX else ["int", str(value)]
    if kind is tuple:
        return ["tuple", *map(_plain, value)]
    if kind is frozenset:
        return ["set", *sorted(map(_plain, value), key=repr)]
    if kind is dict:
        return ["dict", *([_plain(key), _plain(item)] for key, item in value.items())]
    number = NUMBERS.get(kind)
    if number is not None:
        return [number, *(_plain(getattr(value, name)) for name in NAMES[kind])]
    if kind is Each:
        return ["each"]
    for word, (one, spell, _) in SPELLED.items():
        if kind is one:
            return [word, spell(value)]
    raise AssertionError(kind)


SPELLED: Final[dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]]] = {
    "decimal": (Decimal, str, Decimal),
    "fraction": (Fraction, str, Fraction),
    "date": (date, date.isoformat, date.fromisoformat),
    "effect": (Effect, lambda effect: str(effect.value), Effect),
    "mode": (Mode, lambda mode: str(mode.value), Mode),
    "int": (int, str, int),
}


def _made(value: Any) -> Any:
    if type(value) is not list:
        if type(value) is dict or type(value) is bytes:
            raise PackingError("a value of no kind")
        return value
    kind, *rest = value
    if type(kind) is int:
        made = KINDS[kind] if kind >= 0 else None
        if made is None or len(rest) != len(NAMES[made]):
            raise PackingError("a node of no kind")
        return made(*[_made(item) for item in rest])
    if kind == "tuple":
        return tuple([_made(item) for item in rest])
    if kind == "set":
        return frozenset(_made(item) for item in rest)
    if kind == "dict":
        return {_made(key): _made(item) for key, item in rest}
    if kind == "each" and not rest:
        return EACH
    if len(rest) != 1 or type(rest[0]) is not str:
        raise PackingError("a value of no kind")
    return SPELLED[kind][2](rest[0])
