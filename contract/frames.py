"""Frames: how requests and answers lie on a Unix socket, byte by byte.

    u32 length | u8 version | u8 kind | u16 flags | u64 id | payload of `length` bytes

Integers are big-endian, as in MessagePack, which the payload is. An answer has the id of what it answers, and may
come before the answer to an earlier one. docs/sidecar.md shows each kind with its bytes.
"""

import struct
from enum import IntEnum
from typing import Any, Final

import msgspec

VERSION: Final = 1
HEADER: Final = struct.Struct(">IBBHQ")
HEADER_BYTES: Final = HEADER.size
DEADLINE_STAMP: Final = struct.Struct(">Q")
PAYLOAD_BYTES_MAX: Final = 1 << 20
BATCH_MAX: Final = 64
CREDITS: Final = 64
CREDITS_MAX: Final = 128
ID_MAX: Final = (1 << 64) - 1

DEADLINE: Final = 1
"""Flag: the payload begins with a u64, the moment (CLOCK_MONOTONIC, ns) after which nobody waits for an answer."""
JSON: Final = 2
"""Flag: the rest of the payload is JSON text, for integers that MessagePack cannot hold: decide, outcome, result."""
FLAGS: Final = DEADLINE | JSON


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 1
    SAID = 2
    DECIDE = 3
    DECIDE_BATCH = 4
    RESULT = 5
    OUTCOME = 6
    HOLD_WAIT = 7
    PING = 8
    GOAWAY = 9
    ERROR = 10


class FrameError(Exception):
    """Bytes that are no frame of ours: `code` as in an `error` frame. The connection cannot be read on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Hello(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first frame of a connection, and one more for each further session that the client opens.

    `client` is 128 random bits in hex, chosen once by a client and kept when it connects again: request ids count
    within it, upwards. `session_id` opens a session, for `tenant_id`; `root` is the session whose user speaks for it.
    """

    client: str
    session_id: str | None = None
    tenant_id: str | None = None
    root: str | None = None


class Welcome(msgspec.Struct, frozen=True):
    """The answer to a hello: how many requests may be under way at once, and which policy is in force."""

    server: str
    policy_digest: str
    credits: int = CREDITS


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the user of a session said; it feeds the session's memory and is kept nowhere else."""

    session_id: str
    text: str
    tenant_id: str | None = None


class Ended(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a call ended: `ending` is completed, failed, cancelled or timed_out; `result` what it returned, if told.

    `whole` is false where `result` is only a part.
    """

    decision_id: str
    ending: str
    result: Any = msgspec.UNSET
    whole: bool = True


class Passed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to an ending: the result as the agent may see it, and the rules and labels that it brought."""

    result: Any = None
    withheld: bool = False
    rules: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


class HoldWait(msgspec.Struct, frozen=True):
    """Wait for the answer to a held call, `wait_s` seconds at most."""

    token: str
    wait_s: float = 30.0


class Problem(msgspec.Struct, frozen=True):
    """What an `error` or `goaway` frame says: a stable code, and a sentence."""

    code: str
    message: str


ENDED_BEFORE: Final = "ended_before"
"""The code of the error that answers a report about a call whose end is known: it counts once, and is not lost."""
_encode = msgspec.msgpack.encode


def frame(kind: int, id: int, payload: bytes, flags: int = 0) -> bytes:
    """Return one frame.

    Raises:
        FrameError: the payload is too large.
    """
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise FrameError("too_large", f"a payload has at most {PAYLOAD_BYTES_MAX:,} bytes, this one {len(payload):,}")
    return HEADER.pack(len(payload), VERSION, kind, flags, id) + payload


def message(kind: int, id: int, value: Any) -> bytes:
    """Return one frame that holds `value` as MessagePack, or as JSON where an integer in it asks for that.

    Raises:
        FrameError: it is too large.
    """
    try:
        payload, flags = _encode(value), 0
    except OverflowError:
        payload, flags = msgspec.json.encode(value), JSON
    return frame(kind, id, payload, flags)


def problem(kind: int, id: int, code: str, text: str) -> bytes:
    """Return an `error` or `goaway` frame."""
    return message(kind, id, Problem(code, text))


class FrameReader:
    """Cuts a stream of bytes into frames. Cost: each byte is copied at most twice, however the stream is torn."""

    __slots__ = ("_rest", "_wanted", "failed")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._wanted = 0
        self.failed: FrameError | None = None
        """Set once what came was no frame, or of another version; nothing is read from then on."""

    @property
    def torn(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[tuple[int, int, int, bytes]]:
        """Return the frames that are complete now, as (kind, flags, id, payload); see `failed` for the end of them."""
        if self.failed is not None:
            return []
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        frames: list[tuple[int, int, int, bytes]] = []
        at, end = 0, len(data)
        while end - at >= HEADER_BYTES:
            length, version, kind, flags, id = HEADER.unpack_from(data, at)
            if version != VERSION:
                self.failed = FrameError("version", f"frames of version {VERSION} are spoken here, not {version}")
                return frames
            if length > PAYLOAD_BYTES_MAX:
                most = f"a payload has at most {PAYLOAD_BYTES_MAX:,} bytes, not {length:,}"
                self.failed = FrameError("too_large", most)
                return frames
            start = at + HEADER_BYTES
            if start + length > end:
                self._wanted = HEADER_BYTES + length
                break
            at = start + length
            frames.append((kind, flags, id, data[start:at]))
        else:
            self._wanted = HEADER_BYTES
        if at < end:
            self._rest += data[at:]
        return frames
