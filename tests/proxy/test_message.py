"""Messages that two readers could take for two different ones are refused: one would be judged, and the other would
run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.proxy.lines import Lines, TooLong
from thoth.proxy.message import Malformed, members, read_message

CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}'


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping"}',
        b'{"jsonrpc":"2.0","id":2,"method":"x","params":{},"id":1}',  # as long as with regular spaces
        b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "id": 2}',
        b'{"jsonrpc":"2.0","id":1,"m\\u0065thod":"ping","method":"tools/call"}',
        b'{"jsonrpc":"2.0","id":1,"Method":"tools/call"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","Params":{}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}',
        b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":[1],"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":["tools/call"]}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","result":{}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping"} {}',
        b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\xff"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"hello",
        b"",
        b"null",
    ],
)
def test_a_line_that_can_be_read_in_two_ways_is_no_message(line: bytes) -> None:
    with pytest.raises(Malformed):
        read_message(line)


@pytest.mark.parametrize(
    "line",
    [
        CALL,
        b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {}}',
        b'  { "jsonrpc" :"2.0", "id" : "a","method":"tools/call" , "x": {"id": 1, "id": 2} }  ',
        b'{"jsonrpc":"2.0","id":1,"method":"tools\\/call"}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"ä":"ü"}}'.encode(),
    ],
)
def test_spelling_that_means_the_same_to_everybody_passes(line: bytes) -> None:
    assert read_message(line).method == "tools/call"


def test_only_the_parameters_change_and_all_else_stays_the_bytes_that_came() -> None:
    line = (
        b'{"params": {"name":"a" ,"_meta":{"progressToken":1.50}, "arguments":{}} ,"id":"\\u0061","jsonrpc":"2.0",'
        b'"method":"m"}'
    )
    message = read_message(line)
    changed = message.with_params({**message.params(), "arguments": b'{"a":1}'})
    assert changed.line == (
        b'{"params":{"name":"a","_meta":{"progressToken":1.50},"arguments":{"a":1}},"id":"\\u0061","jsonrpc":"2.0",'
        b'"method":"m"}'
    )


KEYS = st.text(max_size=3)
RAW = st.sampled_from([b"1", b'"a"', b"{}", b"[1, 2]", b'{"a":1,"a":2}', b"null"])


@given(st.lists(st.tuples(KEYS, RAW), max_size=6), st.sampled_from([b"", b" ", b"\t", b"  "]))
def test_every_key_that_stands_twice_is_found(pairs: list[tuple[str, bytes]], space: bytes) -> None:
    """Whatever the spacing and the keys; and what has no key twice is read as it stands."""
    written = b"{" + (b"," + space).join([json.dumps(k).encode() + b":" + space + v for k, v in pairs]) + b"}"
    lone = any("\ud800" <= char <= "\udfff" for key, _ in pairs for char in key)
    if len({key for key, _ in pairs}) == len(pairs) and not lone:
        assert members(written, (), None) == dict(pairs)
    else:
        with pytest.raises(Malformed):
            members(written, (), None)


@given(st.binary(max_size=40), st.lists(st.integers(1, 7), max_size=20))
def test_lines_are_the_same_in_whatever_pieces_they_come(data: bytes, cuts: list[int]) -> None:
    whole = Lines()
    expected = [*whole.feed(data), *whole.end()]
    lines, found, rest = Lines(), [], data
    for cut in cuts:
        found += lines.feed(rest[:cut])
        rest = rest[cut:]
    found += [*lines.feed(rest), *lines.end()]
    assert found == expected
    assert not any(b"\n" in line or b"\r" in line for line in found if isinstance(line, bytes))


def test_a_line_beyond_the_bound_is_dropped_and_the_next_one_is_read() -> None:
    lines = Lines(bytes_max=10)
    first = lines.feed(b'{"id":7,' + b"x" * 100)
    second = lines.feed(b"x" * 100 + b"\nnext\n")
    assert first == []
    assert isinstance(second[0], TooLong)
    assert second[0].head.startswith(b'{"id":7,')
    assert second[1:] == [b"next"]
