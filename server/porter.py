"""Brings each frame to the worker that decides it, where a sidecar has several: a session is always the same one's.

A client connects to whichever worker takes it. Its frames for that one are read there; any other goes on, as the
bytes that came, over a connection to the inner socket of the worker that keeps the session, hold or call, and the
answers come back. Request ids and the client's name stay, so what comes again is known where it was decided.
A worker that is gone is answered for: its calls are BLOCK `overloaded`, recorded here, until it is back.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from ..contract import Decision
from ..contract import frames as wire
from ..contract.frames import CREDITS_MAX, DEADLINE, JSON, Kind, frame, message, problem
from ..contract.result import Result, result_of
from .frames import IN_FLIGHT_MAX, TORN_S, FrameConnection, FrameDoor, decoded

if TYPE_CHECKING:
    from .worker import Worker

HELLO, SAID, DECIDE, DECIDE_BATCH, RESULT, OUTCOME, HOLD_WAIT, PING, GOAWAY, ERROR = Kind
SEEN_MAX: Final = 1_024
SILENT: Final = -1
"""In place of a worker: the answer to this id was given already."""
UID_BYTES: Final = 4
GONE: Final = "the worker that keeps this session is being restarted"


class _Named(msgspec.Struct):
    session_id: Any = None
    decision_id: Any = None
    token: Any = None


_packed = msgspec.msgpack.Decoder(_Named)
_spelt = msgspec.json.Decoder(_Named)
_batch = msgspec.msgpack.Decoder(list[msgspec.Raw])
_hello = msgspec.msgpack.Decoder(wire.Hello)


class PorterDoor:
    """What the porters of one socket share. `door` is that of this worker, `inner` the one for the other workers."""

    def __init__(self, door: FrameDoor, worker: "Worker", tenant: str) -> None:
        self.door, self.worker, self.tenant = door, worker, tenant
        self.porters: set[Porter] = set()
        self.inner = FrameDoor(
            door.dispatcher, door.loop, door.load,
            uids=door.uids, clock=door.clock, monotonic_ns=door.monotonic_ns, server=door.server,
        )  # fmt: skip
        self.inner.clients = door.clients

    def __call__(self) -> "Porter":
        return Porter(self)

    def inside(self) -> "Preface":
        """Return what speaks with another worker's porter."""
        return Preface(self.inner)

    def sweep(self) -> None:
        """Close those who do not finish a frame."""
        now = self.door.clock()
        self.inner.sweep()
        for porter in list(self.porters):
            porter.sweep(now)

    @property
    def idle(self) -> bool:
        """Whether everything that other workers' clients asked has been answered."""
        return self.inner.idle


class Preface(asyncio.Protocol):
    """Reads whose frames come, a uid, before they do; only a worker of ours gets so far."""

    def __init__(self, door: FrameDoor) -> None:
        self._door, self._data = door, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if len(self._data) >= UID_BYTES:
            uid = int.from_bytes(self._data[:UID_BYTES], "big")
            connection = Inside(self._door, uid)
            self._transport.set_protocol(connection)
            connection.connection_made(self._transport)
            if len(self._data) > UID_BYTES:
                connection.data_received(self._data[UID_BYTES:])


class Inside(FrameConnection):
    """A client's connection that another worker's porter took."""

    __slots__ = ("_whose",)

    def __init__(self, door: FrameDoor, whose: int) -> None:
        super().__init__(door)
        self._whose = whose

    def peer_uid(self) -> int:
        """Return who asks, as the porter's kernel said."""
        return self._whose


class Upstream(asyncio.Protocol):
    """A porter's connection to a worker, for one client."""

    def __init__(self, porter: "Porter", worker: int, client: str) -> None:
        self._porter, self._worker = porter, worker
        hello = message(HELLO, 0, wire.Hello(client))
        self._unsent: list[bytes] = [porter.local.uid.to_bytes(UID_BYTES, "big"), hello]
        self._reader = wire.FrameReader()
        self._welcomed = False
        self.transport: asyncio.Transport | None = None
        self.pending: dict[int, tuple[int, int, bytes]] = {}
        """What was not answered yet, by id, as (kind, flags, payload)."""

    def send(self, kind: int, flags: int, id: int, payload: bytes) -> None:
        """Ask the worker; its answer goes to the porter."""
        if id in self.pending:
            return  # it came again while it is under way: one answer is enough
        self.pending[id] = kind, flags, payload
        self._porter.asked()
        data = frame(kind, id, payload, flags)
        if self.transport is None:
            self._unsent.append(data)
        else:
            self.transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(b"".join(self._unsent))

    def pause_writing(self) -> None:
        self._porter.pause()

    def resume_writing(self) -> None:
        self._porter.resume()

    def data_received(self, data: bytes) -> None:
        for kind, flags, id, payload in self._reader.feed(data):
            if not self._welcomed and kind == HELLO:
                self._welcomed = True
            elif kind == GOAWAY:
                self._porter.close()  # the client comes back, and sends again what was not answered
            elif self.pending.pop(id, None) is not None:
                self._porter.answered(self._worker, kind, flags, id, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self._porter.lost(self._worker, self)


class Porter(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, door: PorterDoor) -> None:
        self.door = door
        self.local = FrameConnection(door.door)
        self._reader = wire.FrameReader()
        self._upstreams: dict[int, Upstream] = {}
        self._batches: dict[int, _Batch] = {}
        self._seen: OrderedDict[int, int] = OrderedDict()
        self._client = ""
        self._torn_since = 0.0
        self.transport: asyncio.Transport

    # ------------------------------------------------------------ the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.door.porters.add(self)
        self.local.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.porters.discard(self)
        for upstream in list(self._upstreams.values()):
            upstream.pending.clear()
            if upstream.transport is not None:
                upstream.transport.close()
        self.local.connection_lost(exc)

    def eof_received(self) -> bool:
        return self.local.eof_received()

    def pause_writing(self) -> None:
        """The client does not read: nobody answers it any more until it does."""
        self.local.pause_writing()
        for upstream in self._upstreams.values():
            if upstream.transport is not None:
                upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        self.local.resume_writing()
        for upstream in self._upstreams.values():
            if upstream.transport is not None:
                upstream.transport.resume_reading()

    def pause(self) -> None:
        """Read no further: the client has enough under way, or somebody does not keep up."""
        self.local._pause()

    def resume(self) -> None:
        """Read on, where there is room."""
        self.local._resume()

    def asked(self) -> None:
        """Count one question more under way: it is one of the connection's, wherever it is answered."""
        self.local.took_up()
        if self.local.in_flight >= CREDITS_MAX or self.door.door.in_flight >= IN_FLIGHT_MAX:
            self.pause()

    def _told(self, data: bytes) -> None:
        local = self.local
        local.send(data)
        local.released()
        if self.door.door.leaving and not local.in_flight:
            local.flush()
            self.close()

    def sweep(self, now: float) -> None:
        """Close a client that does not finish a frame."""
        if self._torn_since and now - self._torn_since > TORN_S:
            self.local.go_away("slow", f"a frame has not come whole in {TORN_S:.0f} s")

    def close(self) -> None:
        """End the connection; the client makes a new one."""
        if not self.transport.is_closing():
            self.transport.close()

    # ------------------------------------------------------------ frames in

    def data_received(self, data: bytes) -> None:
        if self.local.failed:
            return
        here: list[bytes] = []
        for kind, flags, id, payload in self._reader.feed(data):
            worker = self._owner(kind, flags, id, payload)
            if worker == self.door.worker.index:
                here.append(frame(kind, id, payload, flags))
                continue
            if here:
                self._take(here)
                here = []
            if worker is not None:
                self._forward(worker, kind, flags, id, payload)
        if here:
            self._take(here)
        if self._reader.failed is not None:
            self.local.fail(0, self._reader.failed.code, str(self._reader.failed))
        torn = self._reader.torn and self._reader.failed is None
        self._torn_since = (self._torn_since or self.door.door.clock()) if torn else 0.0

    def _take(self, frames: list[bytes]) -> None:
        self.local.data_received(b"".join(frames))

    def _owner(self, kind: int, flags: int, id: int, payload: bytes) -> int | None:
        """Return which worker a frame is for; None where it is on its way already, or is found out."""
        worker = self.door.worker
        here = worker.index
        if kind == HELLO:
            return self._greeted(id, payload)
        if not self._client or kind in (PING, GOAWAY, RESULT, ERROR) or kind not in Kind._value2member_map_:
            return here
        before = self._seen.get(id, SILENT)
        if before != SILENT:
            return before  # it is known there, or is refused there because it is another one now
        if kind == DECIDE_BATCH:
            return self._split(id, payload)
        named = _named(flags, payload)
        if named is None:
            return here
        found: int | None = here
        if kind == HOLD_WAIT:
            found = worker.owner_of_hold(named.token)
        elif kind == OUTCOME:
            found = self._reported(named.decision_id, kind, flags, id, payload)
        else:
            found = worker.owner_of(named.session_id)
        if found is not None:
            self._note(id, found)
        return found

    def _note(self, id: int, worker: int) -> None:
        self._seen[id] = worker
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)

    def _greeted(self, id: int, payload: bytes) -> int | None:
        try:
            hello = _hello.decode(payload)
        except msgspec.MsgspecError:
            return self.door.worker.index
        first, self._client = not self._client, self._client or hello.client
        worker = self.door.worker.owner_of(hello.session_id)
        if worker == self.door.worker.index or not first:
            return worker
        # Who it is says the first hello, here; the session that it opens is opened where it is kept.
        self._take([message(HELLO, id, wire.Hello(hello.client))])
        if self.local.client is not None:
            self._upstream(worker).send(HELLO, 0, id, payload)  # its answer is left out: the client has one
            self._seen[id] = SILENT
        return None

    def _reported(self, decision_id: Any, kind: int, flags: int, id: int, payload: bytes) -> int | None:
        """Find out who let a call through; None while that takes a question."""
        if not isinstance(decision_id, str):
            return self.door.worker.index
        known = self.door.worker.owner_of_call(self.door.tenant, decision_id)
        if known is not None:
            return known
        self.asked()

        def told(worker: int) -> None:
            self.local.released()
            if self.transport.is_closing():
                return
            self._note(id, worker)
            if worker == self.door.worker.index:
                self._take([frame(kind, id, payload, flags)])
            else:
                self._forward(worker, kind, flags, id, payload)

        self.door.worker.find_call(self.door.tenant, decision_id, told)
        return None

    # ------------------------------------------------------------ to another worker, and back

    def _upstream(self, worker: int) -> Upstream:
        upstream = self._upstreams.get(worker)
        if upstream is None:
            upstream = self._upstreams[worker] = Upstream(self, worker, self._client)
            self.door.door.loop.create_task(self._connect(worker, upstream))
        return upstream

    async def _connect(self, worker: int, upstream: Upstream) -> None:
        path = self.door.worker.inner_path(worker, self.door.tenant)
        try:
            await self.door.door.loop.create_unix_connection(lambda: upstream, os.fspath(path))
        except OSError:
            self.lost(worker, upstream)

    def _forward(self, worker: int, kind: int, flags: int, id: int, payload: bytes) -> None:
        self._upstream(worker).send(kind, flags, id, payload)

    def answered(self, worker: int, kind: int, flags: int, id: int, payload: bytes) -> None:
        """Give out what another worker has answered."""
        batch = self._batches.get(id)
        if batch is None:
            silent = self._seen.get(id) == SILENT
            self._told(b"" if silent else frame(kind, id, payload, flags))
            return
        batch.answered(worker, kind, flags, payload)
        if batch.missing:
            self._told(b"")
        else:
            del self._batches[id]
            self._told(batch.answer(id))

    def lost(self, worker: int, upstream: Upstream) -> None:
        """A worker is gone, or was not there. What it may have decided the client asks again; the rest is refused."""
        if self._upstreams.get(worker) is upstream:
            del self._upstreams[worker]
        pending, upstream.pending = upstream.pending, {}
        if not pending or self.transport.is_closing():
            return
        if upstream.transport is not None:
            self.close()
            return
        for id, (kind, flags, payload) in pending.items():
            self._seen.pop(id, None)
            self._refuse(worker, kind, flags, id, payload)

    def _refuse(self, worker: int, kind: int, flags: int, id: int, payload: bytes) -> None:
        results: list[Result] = []
        calls: list[bytes] = []

        def give(decision: Decision, token: str) -> None:
            results.append(result_of(decision, token))
            if len(results) == len(calls):
                told = results[0] if kind == DECIDE else results
                self.answered(worker, RESULT, 0, id, msgspec.msgpack.encode(told))

        if kind == DECIDE:
            calls = [payload[8:] if flags & DEADLINE else payload]
        elif kind == DECIDE_BATCH:
            calls = [bytes(call) for call in _batch.decode(payload)]
        else:
            self.answered(worker, ERROR, 0, id, msgspec.msgpack.encode(wire.Problem("refused", GONE)))
        for call in calls:
            given: Any = call if flags & JSON else decoded(call)
            decision = self.door.door.dispatcher.refuse(given, "overloaded", GONE, give)
            if decision is not None:
                give(decision, "")

    # ------------------------------------------------------------ batches

    def _split(self, id: int, payload: bytes) -> int | None:
        """Return who decides all calls of a batch; None where several do, and each is on its way to whom it is for."""
        here = self.door.worker.index
        if id in self._batches:
            return None  # it came again while it is under way
        try:
            calls = _batch.decode(payload)
            owners = [self.door.worker.owner_of(_packed.decode(call).session_id) for call in calls]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return here
        several = sorted(set(owners))
        if len(several) < 2 or len(calls) > wire.BATCH_MAX:
            found = owners[0] if several else here
            self._note(id, found)
            return found
        self._batches[id] = _Batch(owners)
        for worker in several:
            part = [call for call, owner in zip(calls, owners, strict=True) if owner == worker]
            self._forward(worker, DECIDE_BATCH, 0, id, msgspec.msgpack.encode(part))
        return None


class _Batch:
    """The answers to the parts of a batch, until all are there."""

    def __init__(self, owners: list[int]) -> None:
        self._owners = owners
        self._parts: dict[int, Iterator[Any]] = {}
        self._error: tuple[int, bytes] | None = None
        self.missing = len(set(owners))

    def answered(self, worker: int, kind: int, flags: int, payload: bytes) -> None:
        self.missing -= 1
        if kind == RESULT:
            decode = msgspec.json.decode if flags & JSON else msgspec.msgpack.decode
            self._parts[worker] = iter(decode(payload))
        else:
            self._error = kind, payload

    def answer(self, id: int) -> bytes:
        """Return one frame with all results in the order of the calls, or with what was wrong with a part."""
        if self._error is not None:
            return frame(self._error[0], id, self._error[1])
        try:
            return message(RESULT, id, [next(self._parts[owner]) for owner in self._owners])
        except wire.FrameError:  # each part had room, and all of them have none
            return problem(ERROR, id, "too_large", "the answers to this batch are too large for a frame; ask for fewer")


def _named(flags: int, payload: bytes) -> _Named | None:
    """Return what a frame names; None where it cannot be read, and whoever gets it will say so."""
    body = payload[8:] if flags & DEADLINE else payload
    try:
        return (_spelt if flags & JSON else _packed).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return None
