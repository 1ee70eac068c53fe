"""Malformed frames and requests, as many as asked for, against a live sidecar: it answers or closes, and goes on.

`python tests/server/fuzz.py 1000000` is the campaign of `make fuzz`; a short one is part of the suite.
"""

import contextlib
import random
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from thoth.contract import Effect
from thoth.contract import frames as wire
from thoth.contract.frames import Kind, frame, message
from thoth.server.keys import Keys
from thoth.socket_client import SocketClient

if __package__:
    from .live import CONTEXT, Live, live
else:
    sys.path.insert(0, str(Path(__file__).parent))
    from live import CONTEXT, Live, live  # type: ignore[import-not-found,no-redef]

POLICY = 'allow * as all\nblock wipe as wiped\nstep_up pay as large ask "leads"\n'
BURST = 100
REQUEST = {**CONTEXT, "tool_name": "search", "tool_args": {"q": "owls", "n": [1, 2.5, None, True]}, "session_id": "s"}
VALUES = (
    None,
    True,
    -1,
    2**63,
    2**64 - 1,
    1e308,
    float("nan"),
    "",
    "x" * 3000,
    b"\xff" * 9,
    [],
    {},
    [[[[]]]],
    {"": {}},
)


def bent(drawn: random.Random, data: bytes) -> bytes:
    """Some bytes changed, taken out or put in."""
    out = bytearray(data)
    for _ in range(drawn.randint(1, 4)):
        at = drawn.randrange(len(out) + 1)
        match drawn.randrange(4):
            case 0 if out:
                out[at % len(out)] = drawn.randrange(256)
            case 1:
                out[at:at] = drawn.randbytes(drawn.randint(1, 8))
            case 2:
                del out[at : at + drawn.randint(1, 8)]
            case _:
                out[at:] = out[at : at + drawn.randint(0, 40)]
    return bytes(out)


def any_value(drawn: random.Random) -> object:
    """A request whose fields may be anything."""
    if drawn.random() < 0.2:
        return drawn.choice(VALUES)
    names = [*REQUEST, "session_tool_calls", "approved_scope", "task_context", "metadata", "enforcement_mode"]
    return {name: drawn.choice([*VALUES, REQUEST.get(name)]) for name in drawn.sample(names, drawn.randint(0, 6))}


def bad_frame(drawn: random.Random, id: int) -> bytes:
    """One frame with something wrong, or at least odd."""
    kind = drawn.choice([*Kind, 0, 11, 255])
    match drawn.randrange(5):
        case 0:
            return bent(drawn, message(Kind.DECIDE, id, REQUEST))
        case 1:
            return frame(kind, id, drawn.randbytes(drawn.randint(0, 60)), drawn.choice([0, 1, 2, 3, 4, 65535]))
        case 2:
            return wire.HEADER.pack(drawn.choice([5, 1 << 20, 1 << 31]), drawn.choice([1, 1, 2]), kind, 0, id)
        case 3:
            return frame(Kind.DECIDE, id, bent(drawn, msgspec.msgpack.encode(REQUEST)), drawn.choice([0, 0, 1, 2, 3]))
        case _:
            return message(drawn.choice([Kind.DECIDE, Kind.OUTCOME, Kind.SAID, Kind.HOLD_WAIT]), id, any_value(drawn))


def http_head(key: str) -> str:
    return f"POST /v1/enforce HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n"


def bad_request(drawn: random.Random, key: str) -> bytes:
    """One HTTP request with something wrong, or at least odd."""
    path = drawn.choice(["/v1/enforce", "/v1/simulate", "/v1/explain", "/v1/events/batch", "/v1/sessions/s/said", "/x"])
    body = msgspec.json.encode(drawn.choice([REQUEST, [REQUEST], {"events": [REQUEST]}, any_value(drawn)]))
    head = http_head(key).replace("/v1/enforce", path)
    whole = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    match drawn.randrange(4):
        case 0:
            return bent(drawn, whole)
        case 1:
            return f"{head}transfer-encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + bent(drawn, body)
        case 2:
            return drawn.randbytes(drawn.randint(1, 200))
        case _:
            return whole


def burst(path: Path, make: Callable[[int], bytes], begin: bytes, count: int) -> None:
    """Send a burst on one connection and read until the sidecar has nothing more to say."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(path))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(begin)
            for number in range(count):
                sock.sendall(make(number + 1))
            sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(1 << 16):
                pass  # a time-out here is a stuck connection, and fails


def campaign(running: Live, count: int, seed: int) -> int:
    """Send about `count` bad frames and requests; return how many."""
    drawn = random.Random(seed)
    keys = Keys(Path(running.sidecar.settings.state) / "keys.db")
    key, _ = keys.create("fuzz", ("execute",), running.sidecar.clock())
    keys.close()
    web = Path(running.sidecar.settings.http_socket)
    sent = 0
    with SocketClient(running.path, timeout_s=20) as client:
        while sent < count:
            size = min(BURST, count - sent)
            hello = message(Kind.HELLO, 0, wire.Hello(f"{drawn.getrandbits(128):032x}"))
            burst(running.path, lambda id: bad_frame(drawn, id), hello if drawn.random() < 0.95 else b"", size)
            few = max(1, size // 10)
            burst(web, lambda _: bad_request(drawn, key), b"", few)
            sent += size + few
            assert client.decide({**CONTEXT, "tool_name": "wipe"}).decision.effect == Effect.BLOCK
    return sent


def main() -> None:
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    from thoth.server import Approvers

    with tempfile.TemporaryDirectory(prefix="thoth-fuzz-") as folder:
        told = {"approvers": {"leads": Approvers(["cfo"])}, "http_socket": f"{folder}/run/h"}
        with live(Path(folder), POLICY, **told) as running:
            sent = campaign(running, count, seed)
            assert not running.on_loop(lambda: running.sidecar.frames.in_flight)
            assert running.sidecar.counts.unrecorded == 0
            assert running.mistakes == []
    print(f"{sent:,} malformed frames and requests (seed {seed}): every connection ended, every good call was decided")


if __name__ == "__main__":
    main()
