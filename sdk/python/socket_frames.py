"""What both clients of the sidecar's socket share: how questions become frames, and frames answers."""

import os
import socket
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from thoth.contract import Decision, Ending, OperationError, Outcome, Request, RequestError
from thoth.contract import frames as wire
from thoth.contract.frames import DEADLINE, DEADLINE_STAMP, JSON, Kind
from thoth.contract.result import Result, decision_of

T = TypeVar("T")
CREDENTIALS: Final = struct.Struct("3i")
FIELDS: Final = Request.__struct_fields__
TIMEOUT_S: Final = 5.0

_encode = msgspec.msgpack.encode
_json = msgspec.json.encode
_result = msgspec.msgpack.Decoder(Result)
_results = msgspec.msgpack.Decoder(list[Result])
_welcome = msgspec.msgpack.Decoder(wire.Welcome)
_passed = msgspec.msgpack.Decoder(wire.Passed)
_problem = msgspec.msgpack.Decoder(wire.Problem)


class NotAnAnswer(OperationError):
    """Somebody answered, and it is no answer of a sidecar that is believed: never to be taken for its absence."""


class EndedBefore(RequestError):
    """The sidecar knows the end of this call already: it was recorded, and counts once."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A decision, and the token under which a held call waits: there for STEP_UP, empty otherwise."""

    decision: Decision
    hold_token: str = ""


def question(request: Mapping[str, Any] | Request, deadline_ns: int | None) -> tuple[int, bytes]:
    """Return flags and payload of a `decide`; the deadline is a moment of CLOCK_MONOTONIC.

    Raises:
        RequestError: a value in it is no JSON value.
    """
    flags = 0
    try:
        if isinstance(request, Request):
            request = {name: value for name in FIELDS if (value := getattr(request, name)) is not None}
        try:
            payload = _encode(request)
        except OverflowError:
            payload, flags = _json(request), JSON  # an integer that MessagePack cannot hold
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RequestError(f"the request cannot be sent: {error}") from None
    if deadline_ns is not None:
        return flags | DEADLINE, DEADLINE_STAMP.pack(deadline_ns) + payload
    return flags, payload


def plain_question(request: Mapping[str, Any] | Request) -> msgspec.Raw:
    """Return one request of a batch.

    Raises:
        RequestError: a value in it is no JSON value, or an integer that only JSON can hold; ask for it alone.
    """
    flags, payload = question(request, None)
    if flags:
        raise RequestError("an integer beyond 64 bits cannot be part of a batch; ask for this call alone")
    return msgspec.Raw(payload)


class Reply(NamedTuple):
    """The payload of an answer, and the flags that say how it is written."""

    flags: int
    payload: bytes


def answered(reply: Reply, request: Mapping[str, Any] | Request) -> Answered:
    """Return what a `result` says about the request that it answers."""
    result = _read(_result, reply)
    return Answered(decision_of(result, typed(request)), result.hold_token)


def answered_all(reply: Reply, requests: list[Mapping[str, Any] | Request]) -> list[Answered]:
    """Return what the `result` of a batch says."""
    results = _read(_results, reply)
    if len(results) != len(requests):
        raise NotAnAnswer("the sidecar answered another number of requests than it was asked")
    return [
        Answered(decision_of(result, typed(one)), result.hold_token)
        for result, one in zip(results, requests, strict=True)
    ]


def settled(reply: Reply, request: Mapping[str, Any] | Request | None) -> Decision | None:
    """Return the decision that ended a hold, None where it still waits."""
    result = _read(_result, reply)
    if not result.resolved:
        return None
    return decision_of(result, None if request is None else typed(request))


def outcome(reply: Reply, decision_id: str, ending: Ending) -> Outcome:
    """Return what the agent may see of a result."""
    passed = _read(_passed, reply)
    return Outcome(decision_id, ending, passed.result, passed.withheld, passed.rules, passed.labels)


def welcomed(payload: bytes) -> wire.Welcome:
    """Return what a server answers to a hello."""
    return _read(_welcome, Reply(0, payload))


def checked(kind: int, flags: int, payload: bytes) -> Reply:
    """Return an answer.

    Raises:
        EndedBefore: the sidecar knows the end of the call that was reported.
        RequestError: it is an error about the request.
    """
    if kind == Kind.ERROR:
        problem = _read(_problem, Reply(flags, payload))
        if problem.code == wire.ENDED_BEFORE:
            raise EndedBefore(f"{problem.message} ({problem.code})")
        raise RequestError(f"{problem.message} ({problem.code})")
    return Reply(flags, payload)


def _read(decoder: "msgspec.msgpack.Decoder[T]", reply: Reply) -> T:
    try:
        if reply.flags & JSON:
            return msgspec.json.decode(reply.payload, type=decoder.type)
        return decoder.decode(reply.payload)
    except (msgspec.MsgspecError, ValueError) as error:
        raise NotAnAnswer(f"the sidecar's answer cannot be read: {error}") from error


def ending(decision_id: str, how: Ending, result: Any, whole: bool) -> tuple[int, bytes]:
    """Return flags and payload of an `outcome`.

    Raises:
        RequestError: the result is no JSON value.
    """
    ended = wire.Ended(decision_id, how, result, whole)
    try:
        try:
            return 0, _encode(ended)
        except OverflowError:
            return JSON, _json(ended)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RequestError(f"the result cannot be sent: {error}") from None


def typed(request: Mapping[str, Any] | Request) -> Request:
    """Return a request as its sender knows it."""
    if isinstance(request, Request):
        return request
    return Request(**{name: request[name] for name in FIELDS if request.get(name) is not None})


def check_server(sock: socket.socket, path: str, uids: Collection[int]) -> None:
    """Make sure who listens.

    Raises:
        NotAnAnswer: it is somebody else.
    """
    _, uid, _ = CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
    if uid not in uids:
        raise NotAnAnswer(f"user {uid} listens on `{path}`, not {' or '.join(map(str, sorted(uids)))}")


def trusted_uids(server_uid: int | None) -> frozenset[int]:
    """Return whose sidecar is believed: the one named, or else our own and root's."""
    return frozenset({os.geteuid(), 0} if server_uid is None else {server_uid})


def default_path() -> str:
    """Return where a sidecar listens if nothing else is said.

    Raises:
        OperationError: there is no runtime folder.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if not runtime:
        raise OperationError("there is no XDG_RUNTIME_DIR to find the sidecar in; name its socket")
    return f"{runtime}/thoth/thoth.sock"
