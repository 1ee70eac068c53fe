"""A tool call as somebody is about to make it, and the door through which it comes in.

`admit` turns whatever a caller hands over into a `Request` of plain JSON values, or says why it is
not well-formed. It never raises. What passes holds no lone surrogate, no NaN or infinity, no integer
beyond `INT_BITS_MAX` bits, nothing nested deeper than `DEPTH_MAX`, and shares no mutable value with
the caller.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final, NoReturn, TypeAlias, final

import msgspec

DEPTH_MAX: Final = 64
INT_BITS_MAX: Final = 4096
INT_DIGITS_MAX: Final = 1 + int(INT_BITS_MAX * math.log10(2)) + 1
VALUES_MAX: Final = 100_000
TEXT_CHARS_MAX: Final = 16 * 1024 * 1024

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=True):
    """One tool call, in the wire's field names. None means that the caller did not send the field."""

    tool_name: str
    tool_args: dict[str, Any] = {}
    tenant_id: str | None = None
    agent_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    session_tool_calls: list[str] | None = None
    approved_scope: list[str] | None = None
    enforcement_mode: str | None = None
    environment: str | None = None
    session_intent: str | None = None
    purpose: str | None = None
    data_classification: str | None = None
    task_context: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    server: str | None = None
    request_id: str | None = None


@final
class Fault(msgspec.Struct, frozen=True):
    """Why something is not a well-formed request: `path` names the place, `problem` what is wrong there."""

    problem: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


FIELDS: Final[tuple[str, ...]] = Request.__struct_fields__


class _Malformed(Exception):
    def __init__(self, problem: str, path: str) -> None:
        self.fault = Fault(problem, path)


def admit(given: object) -> Request | Fault:
    """Return `given` as a `Request` of plain values that nobody else holds, or the fault that forbids it.

    `given` is a mapping in the wire's field names (unknown fields are ignored) or a `Request`; a fault, from whoever
    read it off a wire, stays as it is. Cost: one pass over the fields that the engine reads.
    """
    if isinstance(given, Fault):
        return given
    try:
        return _admit(given)
    except _Malformed as malformed:
        return malformed.fault
    except Exception as error:  # noqa: BLE001 - a mapping, key or value with methods of its own can raise anything
        return Fault(f"cannot be read ({type(error).__name__})")


def _admit(given: object) -> Request:
    if isinstance(given, Request):
        fields: dict[str, object] = {name: getattr(given, name, None) for name in FIELDS}
    elif isinstance(given, Mapping):
        fields = {name: given[name] for name in FIELDS if name in given}
    else:
        raise _Malformed("a request is an object", "")
    budget = _Budget()
    plain: dict[str, Any] = {}
    for name, value in fields.items():
        if value is not None:
            plain[name] = _plain(value, name, 1, budget)
    tool = plain.get("tool_name")
    if not isinstance(tool, str) or not tool:
        raise _Malformed("a request names a tool, a text that is not empty", "tool_name")
    if not isinstance(plain.setdefault("tool_args", {}), dict):
        raise _Malformed("arguments are an object", "tool_args")
    return Request(**plain)


class _Budget:
    """How much of a request has been read: bounds the time that any one of them can take."""

    __slots__ = ("chars", "values")

    def __init__(self) -> None:
        self.values = 0
        self.chars = 0


def _plain(value: object, path: str, depth: int, budget: _Budget) -> Json:
    budget.values += 1
    if budget.values > VALUES_MAX:
        raise _Malformed(f"more than {VALUES_MAX:,} values", path)
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _text(value, path, budget)
    if isinstance(value, int):
        if value.bit_length() > INT_BITS_MAX:
            raise _Malformed(f"an integer of more than {INT_BITS_MAX:,} bits", path)
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _Malformed("a number that is not finite", path)
        return float(value)
    if depth > DEPTH_MAX:
        raise _Malformed(f"nested deeper than {DEPTH_MAX}", path)
    if isinstance(value, Mapping):
        members: dict[str, Json] = {}
        for key in value:
            if not isinstance(key, str):
                raise _Malformed("a key that is not a text", path)
            members[_text(key, path, budget)] = _plain(value[key], f"{path}.{key[:64]}", depth + 1, budget)
        return members
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{index}]", depth + 1, budget) for index, item in enumerate(value)]
    raise _Malformed(f"a {type(value).__name__} is not a JSON value", path)


def _text(value: str, path: str, budget: _Budget) -> str:
    budget.chars += len(value)
    if budget.chars > TEXT_CHARS_MAX:
        raise _Malformed(f"more than {TEXT_CHARS_MAX:,} characters", path)
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise _Malformed("a lone surrogate is no Unicode text", path) from None
    return str(value)


def admit_json(text: bytes | str) -> Request | Fault:
    """Read one request from JSON text, as `admit` does; duplicate keys and numbers out of range are faults too."""
    given = read_json(text)
    return given if isinstance(given, Fault) else admit(given)


def read_json(text: bytes | str) -> Json | Fault:
    """Read JSON (RFC 8259) strictly: no duplicate keys, NaN, or numbers beyond a double or 4,096 bits."""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        value: Json = _DECODER.decode(text.strip(" \t\n\r"))
    except _Malformed as malformed:
        return malformed.fault
    except (ValueError, RecursionError) as error:
        return Fault("nested too deep" if isinstance(error, RecursionError) else f"not JSON: {error}")
    return value


def _members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Malformed("a key that stands twice", key[:64])
            seen.add(key)
    return members


def _integer(digits: str) -> int:
    if len(digits) > INT_DIGITS_MAX:
        raise _Malformed(f"an integer of more than {INT_BITS_MAX:,} bits", "")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _Malformed("a number beyond a double", "")
    return number


def _constant(word: str) -> NoReturn:
    raise _Malformed(f"`{word}` is not JSON", "")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
