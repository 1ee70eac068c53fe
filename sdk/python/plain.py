"""Values of Python as JSON, the form in which a policy sees them.

What has no JSON form, and says nothing of itself as text, becomes `[function]`, which tests cannot read: in doubt a
restriction applies.
"""

from __future__ import annotations

import sys
from typing import Any, Final

SCALARS: Final = frozenset((str, int, float, bool, type(None)))
DEPTH_MAX: Final = 60
TRUNCATED: Final = "[truncated]"
CIRCULAR: Final = "[circular]"
OPAQUE: Final = "[function]"
BYTES_MAX: Final = 65_536


def plain(value: Any) -> Any:
    """Return `value` as JSON; a new structure, but for what is scalar. Never raises."""
    return value if type(value) in SCALARS else told(value)[0]


def told(value: Any) -> tuple[Any, bool]:
    """Return `value` as JSON, and whether nothing of it is missing there."""
    if type(value) in SCALARS:
        return value, True
    reading = _Reading()
    try:
        return reading.plain(value, 0, ()), reading.whole
    except Exception:  # noqa: BLE001 - a value with methods of its own can raise anything
        return OPAQUE, False


def is_plain(value: Any) -> bool:
    """Say whether a value is JSON as it stands, so that it can come back changed and still be what the tool takes."""
    kind = type(value)
    if kind in SCALARS:
        return True
    if kind is list:
        return all(map(is_plain, value))
    return kind is dict and all(type(key) is str for key in value) and all(map(is_plain, value.values()))


class _Reading:
    """One value being read; `whole` is False once something of it was left out."""

    __slots__ = ("whole",)

    def __init__(self) -> None:
        self.whole = True

    def lost(self, marker: str) -> str:
        self.whole = False
        return marker

    def plain(self, value: Any, depth: int, above: tuple[int, ...]) -> Any:
        if type(value) in SCALARS:
            return value
        if depth >= DEPTH_MAX:
            return self.lost(TRUNCATED)
        if id(value) in above:
            return self.lost(CIRCULAR)
        above = (*above, id(value))
        if isinstance(value, dict):
            return {_key(key): self.plain(member, depth + 1, above) for key, member in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(item, depth + 1, above) for item in value]
        if isinstance(value, set | frozenset):
            return sorted((self.plain(item, depth + 1, above) for item in value), key=repr)
        return self.object(value, depth, above)

    def object(self, value: Any, depth: int, above: tuple[int, ...]) -> Any:
        """Return what is no container of JSON: the forms that are known, else its text."""
        if _is_enum(value):
            return self.plain(value.value, depth + 1, above)
        for kind in (str, int, float):
            if isinstance(value, kind):
                return kind(value) if kind is not str else str.__str__(value)
        if isinstance(value, type):
            return self.lost(OPAQUE)
        if hasattr(value, "model_dump"):
            return self.plain(value.model_dump(mode="json"), depth + 1, above)
        if hasattr(value, "__dataclass_fields__"):
            return {name: self.plain(getattr(value, name), depth + 1, above) for name in value.__dataclass_fields__}
        if isinstance(value, bytes | bytearray):
            return value.decode("utf-8") if len(value) <= BYTES_MAX else self.lost(TRUNCATED)
        if hasattr(value, "isoformat"):
            return value.isoformat()
        if hasattr(value, "__fspath__"):
            return self.plain(value.__fspath__(), depth + 1, above)
        self.whole = type(value).__module__ in ("decimal", "uuid", "fractions", "ipaddress") and self.whole
        return OPAQUE if callable(value) or _says_nothing(type(value)) else str(value)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str(key)
    return {None: "null", True: "true", False: "false"}[key] if key is None or key is True or key is False else str(key)


def _is_enum(value: Any) -> bool:
    enum = sys.modules.get("enum")
    return enum is not None and isinstance(value, enum.Enum)


def _says_nothing(kind: type) -> bool:
    """Whether the text of a value of this kind is only its address."""
    return not any({"__str__", "__repr__"} & vars(base).keys() for base in kind.__mro__ if base is not object)
