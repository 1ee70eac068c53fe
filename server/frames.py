"""The door for frames: an `asyncio.Protocol` on a Unix socket, which reads everything there is and writes once a turn.

Each frame of a read is decided as it is found; its answers leave in one write. An answer that waits for the disk or
for a hold comes later, under its id. Who sends nonsense is told so and closed; who does not read is told to go away.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from ..contract import Decision, Effect, Fault, OperationError, Request, RequestError
from ..contract import frames as wire
from ..contract.frames import CREDITS_MAX, DEADLINE_STAMP, Kind, frame, message, problem
from ..contract.result import decision_of, result_of
from ..engine.decide import PACKED_MAPS
from ..native.lane import Lane
from .counts import Counts
from .dispatch import Dispatcher, EndedBefore
from .holds import Hold
from .load import OVERLOADED, TOO_MUCH, Load
from .refusal import blocked
from .resend import Client, Clients, Kept, digest_of
from .sockets import peer_of

if TYPE_CHECKING:
    from collections.abc import Iterable

WRITE_BYTES_MAX: Final = 256 * 1024
IN_FLIGHT_MAX: Final = 4_096
SLOW_S: Final = 5.0
TORN_S: Final = 10.0
LINGER_S: Final = 2.0
WAIT_S_MAX: Final = 300.0
WAITS_MAX: Final = 1_024
"""For so many holds a connection waits at once; asked for more, it is told at once how each stands."""
HELLO, SAID, DECIDE, DECIDE_BATCH, RESULT, OUTCOME, HOLD_WAIT, PING, GOAWAY, ERROR = Kind
ANSWERED_ONCE: Final = frozenset({SAID, DECIDE, DECIDE_BATCH, OUTCOME})
SESSION_CHARS_MAX: Final = 512

log = logging.getLogger(__name__)
_decode = msgspec.msgpack.decode


class FrameDoor:
    """What the connections of one socket share."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        loop: asyncio.AbstractEventLoop,
        load: Load,
        *,
        uids: "Iterable[int]",
        clock: Callable[[], float],
        monotonic_ns: Callable[[], int],
        server: str,
    ) -> None:
        """`clock` times connections, in seconds; `monotonic_ns` is CLOCK_MONOTONIC, in which deadlines are told."""
        self.dispatcher, self.loop, self.load, self.clock = dispatcher, loop, load, clock
        self.monotonic_ns, self.server = monotonic_ns, server
        self.uids = frozenset(uids)
        self.counts: Counts = dispatcher.counts
        self.connections: set[FrameConnection] = set()
        self.clients = Clients()
        self.street = dispatcher.street(load)
        self.leaving = False

    def __call__(self) -> "FrameConnection":
        return FrameConnection(self)

    def sweep(self) -> None:
        """Close those who do not read, do not finish a frame, or never said who they are; forget old answers."""
        now = self.clock()
        for connection in list(self.connections):
            connection.sweep(now)
        self.clients.sweep(now)

    def leave(self) -> None:
        """Tell everybody to go: what was read is answered, nothing more is read."""
        self.leaving = True
        for connection in list(self.connections):
            connection.go_away("leaving", "this server is stopping; connect again and send what was not answered")

    @property
    def in_flight(self) -> int:
        """How many questions are not answered yet."""
        return self.street.in_flight

    @property
    def idle(self) -> bool:
        """Whether everything that was read has been answered."""
        return not self.in_flight


class FrameConnection(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "asker", "client", "descriptor", "door", "failed", "lane", "lingers_since", "paused", "scheduled", "slow_since",
        "torn_since", "transport", "uid", "waits",
    )  # fmt: skip

    def __init__(self, door: FrameDoor) -> None:
        self.door = door
        self.client: Client | None = None
        self.scheduled = self.paused = False
        self.slow_since = self.torn_since = self.lingers_since = 0.0
        self.failed = False
        self.waits: set[Callable[[], None]] = set()
        self.uid = -1
        self.asker = ""

    # ------------------------------------------------------------ the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_BYTES_MAX)
        door = self.door
        self.descriptor = self.transport.get_extra_info("socket").fileno()
        self.uid = self.peer_uid()
        self.asker = f"uid:{self.uid}"
        self.lane = Lane(door.street, self.asker, self)
        door.connections.add(self)
        door.counts.connections += 1
        self.torn_since = door.clock()
        if self.uid not in door.uids:
            log.warning("refused_peer uid=%d", self.uid)
            self.go_away("not_allowed", f"user {self.uid} may not ask here")
        elif door.leaving:
            self.go_away("leaving", "this server is stopping")

    def peer_uid(self) -> int:
        """Return who is at the other end, as the kernel knows it."""
        with socket.socket(fileno=os.dup(self.descriptor)) as sock:
            return peer_of(sock).uid

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.connections.discard(self)
        if self.client is not None:
            self.client.connections -= 1
        for give_up in list(self.waits):
            give_up()

    def eof_received(self) -> bool:
        return False  # close, once what was asked is written

    def pause_writing(self) -> None:
        self.slow_since = self.door.clock()
        self._pause()

    def resume_writing(self) -> None:
        self.slow_since = 0.0
        self._resume()

    def _pause(self) -> None:
        if not self.paused and not self.transport.is_closing():
            self.paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        room = self.in_flight < CREDITS_MAX and self.door.in_flight < IN_FLIGHT_MAX
        if self.paused and room and not self.slow_since and not self.transport.is_closing():
            self.paused = False
            self.transport.resume_reading()

    def sweep(self, now: float) -> None:
        """Close a client that is too slow."""
        if self.slow_since and now - self.slow_since > SLOW_S:
            self.door.counts.slow_readers += 1
            self.go_away("slow", f"answers have waited {SLOW_S:.0f} s to be read")
            self.transport.abort()
        elif self.lingers_since:
            if now - self.lingers_since > LINGER_S:
                self.transport.close()
        elif self.torn_since and now - self.torn_since > TORN_S:
            self.go_away("slow", f"a frame, or the first hello, has not come whole in {TORN_S:.0f} s")
        elif self.paused:
            self._resume()

    def go_away(self, code: str, text: str) -> None:
        """Tell the client to leave, and close once that is written."""
        self.send(problem(GOAWAY, 0, code, text))
        self.flush()
        if not self.in_flight:
            self.transport.close()
        else:
            self._pause()

    @property
    def in_flight(self) -> int:
        """How many questions of this client are not answered yet."""
        return self.lane.in_flight

    # ------------------------------------------------------------ reading

    def data_received(self, data: bytes) -> None:
        if self.failed:
            return
        lane = self.lane
        before = lane.count
        try:
            if lane.took(data):
                self.flush()
                return
        except Exception:
            log.exception("internal id=%d", lane.id)
            self.mistaken(lane.id)
        while True:
            try:
                frame_of = lane.next()
                if frame_of is None:
                    break
                kind, flags, id, payload = frame_of
                if kind == DECIDE and self.client is not None:
                    self.decide(flags, id, payload)
                elif not self.take(kind, flags, id, payload):
                    break
            except Exception:
                log.exception("internal id=%d", lane.id)
                self.mistaken(lane.id)
        if lane.failed is not None:
            self.fail(0, *lane.failed)
        elif lane.torn:
            if lane.count != before or not self.torn_since:
                self.torn_since = self.door.clock()
        elif self.client is not None:
            self.torn_since = 0.0
        if lane.waiting and not self.failed:
            self.flush()
        if self.in_flight >= CREDITS_MAX or self.door.in_flight >= IN_FLIGHT_MAX:
            self._pause()

    def mistaken(self, id: int) -> None:
        """Answer a frame that we could not take because of a mistake of ours."""
        self.door.counts.internal += 1
        if self.client is not None:
            self.client.waiting.pop(id, None)
        self.lane.put(problem(ERROR, id, "internal", "this is a mistake of ours; the log has more of it"))

    def fail(self, id: int, code: str, text: str) -> None:
        """Say what was wrong with the bytes that came, and close: they cannot be read on."""
        if self.failed:
            return
        self.door.counts.frame_errors += 1
        self.send(problem(ERROR, id, code, text))
        self.flush()
        self.failed = True
        if not self.transport.is_closing():
            # Closed with bytes unread, the kernel would take the answer away again.
            self.lingers_since = self.door.clock()
            self.transport.write_eof()

    def take(self, kind: int, flags: int, id: int, payload: bytes) -> bool:
        """Take one frame that is no plain `decide`; say whether the connection goes on."""
        try:
            if kind == HELLO:
                self.hello(id, _decode(payload, type=wire.Hello))
                return True
            if self.client is None:
                self.fail(id, "hello_first", "the first frame of a connection is a hello")
                return False
            if flags & ~wire.FLAGS or (flags and kind != OUTCOME):
                self.fail(id, "flags", f"flags {flags:#x} are not known for this kind")
                return False
            if kind == PING:
                self.lane.put(frame(PING, id, payload))
            elif kind == HOLD_WAIT:
                self.hold_wait(id, _decode(payload, type=wire.HoldWait))
            elif kind in ANSWERED_ONCE:
                self.once(kind, flags, id, payload)
            elif kind != GOAWAY:
                self.fail(id, "kind", f"a server takes no frame of kind {kind}")
                return False
        except msgspec.MsgspecError as error:
            self.door.counts.frame_errors += 1
            self.lane.put(problem(ERROR, id, "malformed", f"this is no {Kind(kind).name.lower()}: {error}"))
        except (RequestError, OperationError) as error:
            self.lane.put(problem(ERROR, id, "refused", str(error)))
        return True

    def hello(self, id: int, hello: wire.Hello) -> None:
        door = self.door
        if len(hello.client) != 32 or set(hello.client) - set("0123456789abcdef"):
            self.fail(id, "malformed", "`client` is 32 hexadecimal digits, chosen at random once")
            return
        if self.client is None:
            self.client = door.clients.find(self.uid, hello.client, door.clock())
            self.client.connections += 1
            self.lane.client = self.client
        if hello.session_id is not None:
            if not 0 < len(hello.session_id) <= SESSION_CHARS_MAX:
                raise RequestError(f"a session's id has 1 to {SESSION_CHARS_MAX} characters")
            engine = door.dispatcher.engine
            root = engine.session(hello.root, tenant_id=hello.tenant_id, begins=False) if hello.root else None
            engine.session(hello.session_id, root=root, tenant_id=hello.tenant_id)
        digest = door.dispatcher.engine.policy.digest
        self.lane.put(message(HELLO, id, wire.Welcome(door.server, digest)))

    # ------------------------------------------------------------ deciding

    def decide(self, flags: int, id: int, payload: bytes) -> None:
        """Decide one call, or answer again what was answered before."""
        if flags & ~wire.FLAGS:
            self.fail(id, "flags", f"flags {flags:#x} are not known for this kind")
            return
        door, client = self.door, self.client
        assert client is not None
        if self.came_before(DECIDE, id, payload):
            return
        kept = client.begin(id, digest_of(payload), self.lane)

        dispatcher = door.dispatcher
        late = False
        if flags & wire.DEADLINE:
            late = len(payload) < 8 or DEADLINE_STAMP.unpack_from(payload)[0] < door.monotonic_ns()
            payload = payload[8:]
        given: Any = payload if flags & wire.JSON or payload[:1] in PACKED_MAPS else decoded(payload)
        if late or door.load.arrive():
            door.counts.tally.shed += 1
            why = "the deadline had passed" if late else TOO_MUCH
            decision = dispatcher.refuse(given, OVERLOADED, why, kept.give)
        else:
            decision = dispatcher.decide(given, self.asker, kept.give)
        self.settled(kept, decision)

    def settled(self, kept: Kept, decision: Decision | None) -> None:
        """Answer a question that is decided, or count it as under way."""
        if decision is not None:
            answer = self.spelt(kept.id, decision)
            kept.client.answered(kept, answer, self.door.clock())
            self.lane.put(answer)
        elif kept.id in kept.client.waiting:
            self.took_up()

    def at_leisure(self, id: int, payload: bytes, decision: Decision) -> None:
        """Settle a decision of the lane's whose answer is not plain."""
        assert self.client is not None
        kept = self.client.begin(id, digest_of(payload), self.lane)
        self.settled(kept, self.door.dispatcher.settle(decision, self.asker, kept.give))

    def shed(self, id: int, payload: bytes, decision: Decision) -> None:
        """Give out a refusal of the lane's that it cannot spell."""
        assert self.client is not None
        kept = self.client.begin(id, digest_of(payload), self.lane)
        self.settled(kept, self.door.dispatcher.refused(decision, kept.give))

    def batch(self, id: int, kept: Kept, payload: bytes) -> None:
        """Decide several calls, in their order, and answer all at once."""
        given = _decode(payload, type=list[Any])
        if not 0 < len(given) <= wire.BATCH_MAX:
            raise RequestError(f"a batch holds 1 to {wire.BATCH_MAX} requests")
        made_of: list[Any] = [None] * len(given)
        missing = len(given)

        def take(place: int, decision: Decision, token: str) -> None:
            nonlocal missing
            made_of[place] = decision, token
            missing -= 1
            if not missing:
                self.answer(kept, self.spelt_all(id, made_of))

        self.took_up()
        try:
            for place, one in enumerate(given):
                made = self.door.dispatcher.decide(
                    one,
                    self.asker,
                    lambda decision, token, place=place: take(place, decision, token),  # type: ignore[misc]
                )
                if made is not None:
                    take(place, made, "")
        except BaseException:
            missing = -1  # what is still to come finds nobody
            self.released()
            raise

    def spelt(self, id: int, decision: Decision, token: str = "") -> bytes:
        """Return the frame that answers a question; BLOCK, and the call does not run, where no frame can say it."""
        try:
            return message(RESULT, id, result_of(decision, token))
        except wire.FrameError:
            return message(RESULT, id, result_of(self.withdrawn(decision)))

    def spelt_all(self, id: int, made_of: "list[tuple[Decision, str]]") -> bytes:
        """Return the frame that answers a batch; where it is too large, what was changed is BLOCK."""
        try:
            return message(RESULT, id, [result_of(*one) for one in made_of])
        except wire.FrameError:
            results = [result_of(self.withdrawn(one[0])) if one[0].modified else result_of(*one) for one in made_of]
            return message(RESULT, id, results)

    def withdrawn(self, decision: Decision) -> Decision:
        """Return the refusal of a call whose changed arguments are too many bytes for a frame; it does not run."""
        refusal = blocked(decision, "modification_failed", "the changed arguments are too large for an answer")
        dispatcher = self.door.dispatcher
        if decision.effect is Effect.STEP_UP:
            dispatcher.holds.withdraw(decision.id, self.asker)
        dispatcher.withdraw(decision, refusal)
        return refusal

    def once(self, kind: int, flags: int, id: int, payload: bytes) -> None:
        """Take a frame whose effect must not be had twice."""
        door, client = self.door, self.client
        assert client is not None
        if self.came_before(kind, id, payload):
            return
        kept = client.begin(id, digest_of(payload), self.lane)
        try:
            if kind == DECIDE_BATCH:
                self.batch(id, kept, payload)
            elif kind == OUTCOME:
                self.ended(flags, id, kept, payload)
            else:
                answer = message(RESULT, id, self.said(payload))
                client.answered(kept, answer, door.clock())
                self.lane.put(answer)
        except BaseException:
            client.waiting.pop(id, None)  # it had no effect
            raise

    def said(self, payload: bytes) -> wire.Passed:
        said = _decode(payload, type=wire.Said)
        self.door.dispatcher.said(said.session_id, said.text, said.tenant_id)
        return wire.Passed()

    def ended(self, flags: int, id: int, kept: Kept, payload: bytes) -> None:
        """Take in how a call ended, and answer when that is recorded."""
        decode = msgspec.json.decode if flags & wire.JSON else _decode
        ended: wire.Ended = decode(payload, type=wire.Ended)
        dispatcher = self.door.dispatcher
        try:
            outcome = dispatcher.ended(ended.decision_id, ended.ending, ended.result, ended.whole, self.asker)
        except EndedBefore as before:
            answer = problem(ERROR, id, wire.ENDED_BEFORE, str(before))
        else:
            passed = wire.Passed(outcome.result, outcome.withheld, outcome.rules, outcome.labels)
            try:
                answer = message(RESULT, id, passed)
            except wire.FrameError:  # what rules made of it is larger than what came
                answer = message(RESULT, id, wire.Passed(None, True, outcome.rules, outcome.labels))

        def give(error: Exception | None) -> None:
            text = f"the ending could not be recorded ({type(error).__name__})"
            self.answer(kept, answer if error is None else problem(ERROR, id, "refused", text))

        self.took_up()
        dispatcher.recorded([ended.decision_id], give)

    def came_before(self, kind: int, id: int, payload: bytes) -> bool:
        """Answer a request id that came before: the same answer to the same request, BLOCK to another one."""
        assert self.client is not None
        client, replies = self.client, self.client.replies
        if id > replies.newest:
            return False
        held, told = client.waiting.get(id), replies.find(id)
        if held is None and told is None and id > replies.forgotten:
            return False
        digest = digest_of(payload)
        if told is not None and told[0] == digest:
            self.door.counts.resent += 1
            self.send(told[1])
        elif held is not None and held.digest == digest:
            self.door.counts.resent += 1
            if held.lane is not self.lane:
                held.lane.connection.released()
                held.lane = self.lane  # under way: its answer goes where the client is now
                self.took_up()
        elif kind == DECIDE:
            refuse = self.door.dispatcher.refuse

            def give(decision: Decision, token: str) -> None:
                self.send(self.spelt(id, decision, token))

            decision = refuse(None, "request_id_reused", "this request id was used for another request", give)
            if decision is not None:
                give(decision, "")
        else:
            self.lane.put(problem(ERROR, id, "request_id_reused", "this id was used for another request"))
        return True

    def took_up(self) -> None:
        """Count one request more under way."""
        self.lane.in_flight += 1
        self.door.street.in_flight += 1

    def released(self) -> None:
        """Count one request less under way."""
        self.lane.in_flight -= 1
        self.door.street.in_flight -= 1
        if self.paused:
            self._resume()

    def answer(self, kept: Kept, answer: bytes) -> None:
        """Give out an answer that was waited for, where its client is now."""
        to: FrameConnection = kept.lane.connection
        kept.client.answered(kept, answer, to.door.clock())
        to.send(answer)
        if to.in_flight:
            to.released()
        if to.door.leaving and not to.in_flight:
            to.flush()
            to.transport.close()

    def give(self, kept: Kept, decision: Decision, token: str) -> None:
        """Give out a decision that was waited for."""
        self.answer(kept, self.spelt(kept.id, decision, token))

    def gave(self) -> None:
        """Write the answers that are durable now, which the lane has, and read on."""
        self.flush()
        if self.paused:
            self._resume()
        if self.door.leaving and not self.in_flight:
            self.transport.close()

    # ------------------------------------------------------------ waiting for a person

    def hold_wait(self, id: int, wait: wire.HoldWait) -> None:
        """Answer when a held call is answered, or when the time is over."""
        holds = self.door.dispatcher.holds
        hold = holds.find(wait.token)
        if hold is None or hold.asker != self.asker:
            raise RequestError("there is no such hold; it was never opened here, or was answered over an hour ago")
        if hold.outcome is not None:
            self.lane.put(spelt_hold(id, hold))
            return
        waits = self.waits
        # No number is more than none, and neither is one that is no number.
        seconds = min(wait.wait_s, WAIT_S_MAX) if wait.wait_s > 0 else 0.0
        if not seconds or len(waits) >= WAITS_MAX:
            self.lane.put(spelt_hold(id, hold))
            return

        def done(hold: Hold) -> None:
            timer.cancel()
            waits.discard(give_up)
            self.send(spelt_hold(id, hold))

        def late() -> None:
            give_up()
            done(hold)

        def give_up() -> None:
            timer.cancel()
            waits.discard(give_up)
            if forget is not None:
                forget()

        timer = self.door.loop.call_later(seconds, late)
        forget = holds.wait(wait.token, done)
        waits.add(give_up)

    # ------------------------------------------------------------ writing

    def send(self, data: bytes) -> None:
        """Write at the end of this turn."""
        self.lane.put(data)
        if not self.scheduled:
            self.scheduled = True
            self.door.loop.call_soon(self._flush_scheduled)

    def _flush_scheduled(self) -> None:
        self.scheduled = False
        self.flush()

    def flush(self) -> None:
        """Write what there is; to a closed or failed client nothing, for the loop would raise."""
        lane, transport = self.lane, self.transport
        if lane.waiting:
            if self.failed or transport.is_closing():
                lane.taken()
            elif transport.get_write_buffer_size():
                transport.write(lane.taken())
            elif left := lane.send(self.descriptor):
                transport.write(left)  # the loop waits until there is room, or finds out what is wrong


def spelt_hold(id: int, hold: Hold) -> bytes:
    """Return the frame that says how a hold stands; BLOCK where it is answered, and no frame can say how."""
    if hold.outcome is None:
        return message(RESULT, id, msgspec.structs.replace(hold.decision, resolved=False, args=None))
    try:
        return message(RESULT, id, hold.outcome)
    except wire.FrameError:
        decision = decision_of(hold.outcome, Request(**hold.request))
        problem = "the changed arguments are too large for an answer"
        return message(RESULT, id, result_of(blocked(decision, "modification_failed", problem)))


def decoded(payload: bytes) -> object:
    """Return what a payload says, or the fault that makes its decision BLOCK `request_invalid`."""
    try:
        return _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        return Fault(f"not MessagePack: {error}")
