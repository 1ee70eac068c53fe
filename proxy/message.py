"""One JSON-RPC message, read so that every other reader reads the same.

Only the envelope is taken apart; what is inside stays the bytes that came. A message that two parsers could take for
two different ones (a key twice, a known key in other letters, invalid UTF-8) is none: somebody would judge one call
and run another.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from ..contract import Fault, Json, read_json

Id: TypeAlias = int | str
ENVELOPE: Final = ("jsonrpc", "id", "method", "params", "result", "error")
ID_MAX: Final = 2**53 - 1
"""Largest whole number that every JSON reader gives back as it came."""

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
INVALID_PARAMS: Final = -32602
SERVER_GONE: Final = -32000
TIMED_OUT: Final = -32001

_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT: Final = msgspec.json.Decoder(str)
_ID: Final = msgspec.json.Decoder(int | str)
_scan: Final[Any] = json.JSONDecoder().scan_once  # type: ignore[attr-defined] # reads one value at a place of a text, and returns where it ends


class Malformed(Exception):
    """Bytes that are no message, or not the same one for everybody; `problem` says why, in words for the sender."""

    def __init__(self, problem: str, id: bytes | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.id = id


class Message:
    """One message: `line` as it came. `id` is None for a notification; `raw_id` are its bytes, for the answer."""

    __slots__ = ("fields", "id", "line", "method", "raw_id")

    def __init__(self, line: bytes, fields: dict[str, bytes], method: str | None, id: Id | None) -> None:
        self.line = line
        self.fields = fields
        self.method = method
        self.id = id
        self.raw_id = fields.get("id", b"null")

    @property
    def is_request(self) -> bool:
        return self.method is not None and "id" in self.fields

    @property
    def is_response(self) -> bool:
        return self.method is None

    def params(self, known: Iterable[str] = ()) -> dict[str, bytes]:
        """Return the members of `params` as bytes.

        Raises:
            Malformed: they are no object, or one that can be read in two ways.
        """
        raw = self.fields.get("params")
        if raw is None or raw == b"null":
            return {}
        return members(raw, known, self.raw_id)

    def with_params(self, params: Mapping[str, bytes]) -> "Message":
        """Return the message with these parameters in place of its own, and all else as it came."""
        fields = {**self.fields, "params": joined(params)}
        return Message(joined(fields), fields, self.method, self.id)


def read_message(line: bytes) -> Message:
    """Read one line.

    Raises:
        Malformed: it is no JSON-RPC message that every reader reads alike.
    """
    fields = members(line, ENVELOPE, None)
    raw_id = fields.get("id")
    raw_method = fields.get("method")
    answers = ("result" in fields) + ("error" in fields)
    id: Id | None = None
    if raw_id is not None:
        try:
            id = _ID.decode(raw_id)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            if raw_id != b"null" or answers != 1:
                raise Malformed("`id` is a text or a whole number") from None
        if type(id) is int and not -ID_MAX <= id <= ID_MAX:
            raise Malformed("`id` is a whole number beyond 2^53, which not every reader keeps")
    if raw_method is not None:
        if answers:
            raise Malformed("a message is a request or a response, not both", raw_id)
        try:
            method = _TEXT.decode(raw_method)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise Malformed("`method` is a text", raw_id) from None
        return Message(line, fields, method, id)
    if answers != 1 or raw_id is None:
        raise Malformed("a message has a `method`, or an `id` and one of `result` and `error`", raw_id)
    return Message(line, fields, None, id)


def read_batch(line: bytes) -> list[bytes]:
    """Return the messages of a JSON-RPC batch.

    Raises:
        Malformed: it is no array.
    """
    try:
        return [bytes(item) for item in _ITEMS.decode(line)]
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from None


def members(raw: bytes, known: Iterable[str], id: bytes | None) -> dict[str, bytes]:
    """Return the members of an object, each value as its bytes, in their order.

    Raises:
        Malformed: it is no JSON object, a key stands twice in it, or one that differs from a known one in case only.
    """
    try:
        found = _MEMBERS.decode(raw)
        if not raw.isascii():
            raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("not UTF-8", id) from None
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Malformed(f"not a JSON object: {str(error)[:100]}", id) from None
    fields = {key: bytes(value) for key, value in found.items()}
    if not _plainly_unique(raw, fields):
        _refuse_doubles(raw.decode("utf-8"), id)
    for key in fields:
        if key not in known:
            for name in known:
                if key.casefold() == name.casefold():
                    raise Malformed(f"`{key[:32]}` is not `{name}`, and some readers take it for that", id)
    return fields


def _plainly_unique(raw: bytes, fields: Mapping[str, bytes]) -> bool:
    """Whether the members, written again with no or with regular spaces, give the very bytes: then no key stood
    twice."""
    return joined(fields) == raw or b"{" + b", ".join([encode(k) + b": " + v for k, v in fields.items()]) + b"}" == raw


def _refuse_doubles(text: str, id: bytes | None) -> None:
    """Walk over the members of an object that is known to be JSON."""
    seen: set[str] = set()
    at = _space(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = _scan(text, at)
        if key in seen:
            raise Malformed(f"the key `{str(key)[:32]}` stands twice", id)
        seen.add(key)
        at = _space(text, at)
        _, at = _scan(text, _space(text, at + 1))
        at = _space(text, at)
        if text[at] == ",":
            at = _space(text, at + 1)


def _space(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def value_of(raw: bytes) -> Json | Fault:
    """Return the value of JSON bytes, read strictly, or what is wrong with them."""
    return read_json(raw)


def loosely(raw: bytes) -> Any:
    """Return the value of JSON bytes where nothing hangs on doubles.

    Raises:
        Malformed: it is not JSON.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed(f"not JSON: {str(error)[:100]}") from None


def canonical(value: Any) -> str:
    """Return JSON with sorted keys, in which 1 and 1.0 differ: two calls with the same text have the same arguments."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


# ---------------------------------------------------------------- writing


def joined(fields: Mapping[str, bytes]) -> bytes:
    """Return an object of members that are JSON already."""
    return b"{" + b",".join([encode(key) + b":" + value for key, value in fields.items()]) + b"}"


def encode(value: object) -> bytes:
    """Return JSON."""
    return msgspec.json.encode(value)


def result_message(raw_id: bytes, result: object) -> bytes:
    """Return a response; `result` may be bytes that are JSON already."""
    body = result if isinstance(result, bytes) else encode(result)
    return b'{"jsonrpc":"2.0","id":' + raw_id + b',"result":' + body + b"}"


def error_message(raw_id: bytes | None, code: int, text: str, data: object = None) -> bytes:
    """Return an error response; without an id, where it is not known."""
    error: dict[str, object] = {"code": code, "message": text}
    if data is not None:
        error["data"] = data
    return b'{"jsonrpc":"2.0","id":' + (raw_id or b"null") + b',"error":' + encode(error) + b"}"


def notification(method: str, params: object) -> bytes:
    """Return a notification."""
    return encode({"jsonrpc": "2.0", "method": method, "params": params})


def request_message(id: str, method: str, params: object) -> bytes:
    """Return a request of our own."""
    return encode({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
