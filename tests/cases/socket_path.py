"""The third path through the house: a case's request goes over a live socket to a sidecar that is in the case's world.

What went before a case (session, counters, clock, approval) is put into the sidecar's engine; its request and its
decision travel as frames, through the same door and dispatcher as anybody's.
"""

import asyncio
import json
import os
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from thoth.contract import Approval, Decision, Request, read_json
from thoth.contract import frames as wire
from thoth.engine import Engine, Session
from thoth.engine import checked as c
from thoth.engine.decide import admitted_bytes
from thoth.engine.evaluators import Native
from thoth.native.lane import Street
from thoth.server.counts import Counts
from thoth.server.dispatch import Dispatcher
from thoth.server.frames import FrameDoor
from thoth.server.holds import Holds
from thoth.server.load import Load
from thoth.server.sockets import BoundSocket
from thoth.server.store import Store
from thoth.socket_client import SocketClient
from thoth.socket_frames import answered

NOTHING = Request(tool_name="?")


class CaseEngine(Engine):
    """An engine that decides in the world of one case."""

    around: dict[str, Any]

    def enter(self, evaluator: Native, around: dict[str, Any]) -> None:
        self.policy, self._evaluator, self.around = evaluator.table.policy, evaluator, around

    def decide(self, request: object, *, session: Session | None = None, approval: Approval | None = None) -> Decision:
        admitted = admitted_bytes(request) if isinstance(request, bytes | str) else self._evaluator.admit(request)
        return self._evaluator.decide(admitted, **self.around)


class CaseDispatcher(Dispatcher):
    """Asks the engine each time: its desk would decide in a world of its own."""

    def street(self, *parts: Any) -> Street:
        street = super().street(*parts)
        street.desk = None
        return street


class SocketPath:
    """One sidecar for all cases of a process, on a loop and a thread of its own."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="thoth-cases-")
        self.engine = CaseEngine(c.CheckedPolicy("cases"))
        self.socket = BoundSocket(Path(self.folder.name, "run", "s"))
        self.store = Store(Path(self.folder.name, "holds.db"))
        self.client = SocketClient(self.socket.path, timeout_s=30)
        started: Future[asyncio.AbstractEventLoop] = Future()
        self.thread = threading.Thread(target=self._run, args=[started], name="cases")
        self.thread.start()
        self.loop = started.result(10)

    def _run(self, started: "Future[asyncio.AbstractEventLoop]") -> None:
        async def serve() -> None:
            loop = asyncio.get_running_loop()
            holds = Holds(self.engine, self.store, {}, time.time, loop.call_soon_threadsafe, None)
            dispatcher = CaseDispatcher(self.engine, holds, None, Counts(), time.time)
            door = FrameDoor(
                dispatcher,
                loop,
                Load(time.monotonic, loop.call_soon),
                uids=[os.geteuid()],
                clock=time.monotonic,
                monotonic_ns=time.monotonic_ns,
                server="cases",
            )
            self.over = asyncio.Event()
            server = await loop.create_unix_server(door, sock=self.socket.socket)
            started.set_result(loop)
            await self.over.wait()
            server.close()
            door.leave()

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())

    def decide(self, policy: c.CheckedPolicy, payload: bytes, flags: int, **around: Any) -> Decision:
        """Send a payload as it is, and return the decision that comes back."""
        self.engine.enter(native(policy), around)  # the client waits for each answer, so nothing else is under way
        deadline = time.monotonic() + 30
        answer = self.client._ask(wire.Kind.DECIDE, payload, flags, deadline)
        return answered(answer, self.request_of(payload, flags)).decision

    @staticmethod
    def request_of(payload: bytes, flags: int) -> Request:
        """The request as its sender knows it, where it is one at all."""
        given = read_json(payload) if flags & wire.JSON else msgspec.msgpack.decode(payload)
        args = given.get("tool_args") if isinstance(given, dict) else None
        return Request(tool_name="?", tool_args=args) if isinstance(args, dict) else NOTHING

    def close(self) -> None:
        self.client.close()
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(10)
        self.store.close()
        self.socket.close()
        self.folder.cleanup()


_evaluators: dict[int, tuple[c.CheckedPolicy, Native]] = {}


def native(policy: c.CheckedPolicy) -> Native:
    if id(policy) not in _evaluators:
        _evaluators[id(policy)] = policy, Native(policy)
    return _evaluators[id(policy)][1]


def payload_of(document: dict[str, Any]) -> tuple[bytes, int]:
    """What a client sends for a case: its text as it is, else MessagePack, else JSON where only that holds it."""
    if "request_json" in document:
        return str(document["request_json"]).encode(), wire.JSON
    try:
        return msgspec.msgpack.encode(document["request"]), 0
    except (OverflowError, UnicodeEncodeError):
        return json.dumps(document["request"]).encode(), wire.JSON
