"""Requests as bytes: what can be read in one way only is read fast, and never otherwise than strictly."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies.decisions import requests
from thoth.contract import Fault, admit, admit_json
from thoth.engine.decide import INTAKE, WIRE, admitted_bytes
from thoth.native.packed import Packed

TEXTS = st.text(alphabet='ab:"\\{},é\u20ac\n', max_size=4)


class Pairs:
    """An object of which a key may stand twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(TEXTS, inner), max_size=3).map(Pairs),
    max_leaves=8,
)


def spelled(value: Any, ascii_only: bool) -> str:
    if isinstance(value, Pairs):
        members = (f"{json.dumps(k, ensure_ascii=ascii_only)} : {spelled(v, ascii_only)}" for k, v in value.pairs)
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return f"[{','.join(spelled(item, ascii_only) for item in value)}]"
    return json.dumps(value, ensure_ascii=ascii_only)


def packed(value: Any) -> bytes:
    if isinstance(value, Pairs):
        return bytes([0x80 + len(value.pairs)]) + b"".join(packed(k) + packed(v) for k, v in value.pairs)
    if isinstance(value, list):
        return bytes([0x90 + len(value)]) + b"".join(map(packed, value))
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        value = 7
    return msgspec.msgpack.encode(value)


def twice(value: Any) -> bool:
    """Say whether a key stands twice in some object."""
    if isinstance(value, Pairs):
        keys = [key for key, _ in value.pairs]
        return len(set(keys)) < len(keys) or any(twice(member) for _, member in value.pairs)
    return isinstance(value, list) and any(map(twice, value))


def call_of(args: Any, more: Any) -> Pairs:
    return Pairs([("tool_name", "t"), ("tool_args", Pairs([("x", args)])), ("agent_id", "a:b"), ("other", more)])


@given(VALUES, VALUES, st.booleans())
def test_json_is_read_as_the_strict_reader_reads_it(args: Any, more: Any, ascii_only: bool) -> None:
    """With keys that stand twice, escapes, and colons in texts."""
    text = spelled(call_of(args, more), ascii_only).encode()
    expected = admit_json(text)
    fast = WIRE.read(text)
    assert repr(admitted_bytes(text)) == repr(expected)
    assert fast is None or repr(fast) == repr(expected)
    assert isinstance(expected, Fault) == twice(call_of(args, more))


@given(VALUES, VALUES)
def test_messagepack_is_read_where_no_key_stands_twice(args: Any, more: Any) -> None:
    taken = admitted_bytes(packed(call_of(args, more)))
    assert isinstance(taken, Fault) == twice(call_of(args, more))


PACKED = Packed(INTAKE)
CALL = {
    "tool_name": "t",
    "tool_args": {
        "x": [1, -2, 300, -40_000, 2**40, -(2**40), 1.5, True, None, "\u00e9", "a" * 40, {"": {}}],
        "y": 2**64 - 1,
    },
    "agent_id": None,
    "session_id": "s" * 33,
}


@given(requests(), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=2), st.integers(0, 400))
def test_what_is_read_in_one_pass_is_what_the_plain_reader_reads(
    call: Any, changes: list[tuple[int, int]], cut: int
) -> None:
    """Bytes changed and cut anywhere: a request comes out as `admit` takes it in, or nothing does."""
    try:
        data = bytearray(msgspec.msgpack.encode(call))
    except OverflowError:
        data = bytearray(msgspec.msgpack.encode(CALL))
    for place, byte in changes:
        data[place % len(data)] = byte
    if cut < len(data) and changes:
        del data[cut:]
    read = PACKED.read(bytes(data))
    if read is not None:
        assert repr(read) == repr(admit(msgspec.msgpack.decode(bytes(data))))


def test_one_pass_reads_every_kind_of_value() -> None:
    short = b"\x81\xa1f\xca\x3f\xc0\0\0"  # a float of 32 bits, which our own encoder never writes
    data = msgspec.msgpack.encode(CALL)
    assert PACKED.read(data) == admit(CALL)
    assert PACKED.read(data + b"\0") is None
    data = msgspec.msgpack.encode({"tool_name": "t"}) + b"\xa9tool_args" + short
    assert PACKED.read(b"\x82" + data[1:]) == admit({"tool_name": "t", "tool_args": {"f": 1.5}})


@pytest.mark.parametrize("depth", [62, 63, 64, 65, 300])
def test_one_pass_reads_no_deeper_than_may_be(depth: int) -> None:
    args: Any = {}
    for _ in range(depth):
        args = {"a": args}
    call = {"tool_name": "t", "tool_args": args}
    read = PACKED.read(msgspec.msgpack.encode(call))
    assert (None if isinstance(admit(call), Fault) else admit(call)) == read


@given(st.binary(max_size=60))
def test_no_bytes_raise(data: bytes) -> None:
    admitted_bytes(data)
    admitted_bytes(b"\x82" + data)


@given(requests())
def test_a_call_is_taken_in_alike_as_a_dict_as_json_and_as_messagepack(call: Any) -> None:
    expected = repr(admit(call))
    assert repr(admitted_bytes(json.dumps(call))) == expected
    assert repr(admitted_bytes(json.dumps(call, ensure_ascii=False).encode())) == expected
    with contextlib.suppress(OverflowError):  # MessagePack has no integers beyond 64 bits
        assert repr(admitted_bytes(msgspec.msgpack.encode(call))) == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"tool_name": "t", "tool_name": "t"}',
        '{"tool_name": "t", "other": {"a": 1, "a": ":"}}',
        '{"tool_name": "t", "tool_args": {"x": 1e400}}',
        '{"tool_name": "t", "tool_args": {"x": NaN}}',
        '{"tool_name": "t", "tool_args": {"x": "\\ud800"}}',
        '{"tool_name": "t", "tool_args": {"x": ' + "9" * 2_000 + "}}",
        '{"tool_name": "t", "tool_args": ' + '{"x":' * 70 + "1" + "}" * 71,
        '{"tool_name": "t"} 1',
        '{"tool_name": "t",}',
        '{"tool_name": ""}',
        '["tool_name"]',
        "",
    ],
    ids=lambda text: text[:40],
)
def test_what_the_strict_reader_refuses_is_refused(text: str) -> None:
    assert WIRE.read(text) is None
    assert isinstance(admitted_bytes(text), Fault)
    assert isinstance(admitted_bytes(text.encode()), Fault)


@pytest.mark.parametrize(
    "value", [b"bytes", float("nan"), {1: 2}, msgspec.msgpack.Ext(1, b"x")], ids=["bytes", "nan", "key", "ext"]
)
def test_messagepack_that_is_no_json_is_refused(value: Any) -> None:
    data = msgspec.msgpack.encode({"tool_name": "t", "tool_args": {"x": value}})
    assert isinstance(admitted_bytes(data), Fault)
