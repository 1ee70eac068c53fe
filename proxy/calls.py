"""Tool calls: each is asked about before the server hears of it, and reported when it has ended.

Calls are decided one after another, in the order in which they came; what waits for a person or for the server keeps
nobody else. A call that the server got is reported once: completed, failed, cancelled or timed out.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from ..contract import Effect, Ending
from ..enforcer import UNTOLD, Enforcer, EnforcerAway, EnforcerRefused, Passed, Reply
from ..sessions import Session
from .call import Call
from .catalog import Catalog
from .floor import FloorCheck
from .holding import Holding
from .log import Log
from .message import INVALID_PARAMS, SERVER_GONE, Malformed, Message, encode, error_message, result_message
from .passing import passed_on, result_of
from .refusals import refusal
from .relay import Relay
from .results import told
from .settings import Settings
from .turns import CONTENT, Turns, task_of

LET_THROUGH: Final = (Effect.ALLOW, Effect.MODIFY)


Keep: TypeAlias = Callable[[Reply, Ending, object, dict[str, Any]], bool]
"""Keeps the report of a call's end for later; False where it could not."""


class Calls:
    """Decides the calls of one session."""

    def __init__(
        self,
        relay: Relay,
        catalog: Catalog,
        floor: FloorCheck,
        log: Log,
        session: Session,
        settings: Settings,
    ) -> None:
        self.relay = relay
        self.catalog = catalog
        self.floor = floor
        self.log = log
        self.session = session
        self.settings = settings
        self.enforcer: Enforcer | None = None
        self.keep: Keep | None = None
        self.holding = Holding(self)
        self.turns = Turns(self)
        self._opened = asyncio.Event()
        self._trouble: str | None = None  # why there is no enforcer
        self._queue: deque[Call] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._numbers = 0
        relay.handlers["tools/call"] = self.take

    def open(self, enforcer: Enforcer | None, trouble: str = "", *, keep: "Keep | None" = None) -> None:
        """Say who decides; without an enforcer every call is refused, because of `trouble`.

        `keep` takes in a report that the enforcer did not take, to be sent later.
        """
        self.enforcer = enforcer
        self.keep = keep
        self._trouble = None if enforcer is not None else trouble or "policy_unreadable"
        self._opened.set()
        self.catalog.open()
        self._go_on()

    # ------------------------------------------------------------ before

    def take(self, message: Message) -> None:
        """Take a `tools/call` of the client."""
        try:
            call = Call(self, message, self.relay.now())
        except Malformed as malformed:
            self.relay.client.line(error_message(message.raw_id, INVALID_PARAMS, f"thoth: {malformed.problem}"))
            self.log.event("call_refused", problem=malformed.problem)
            return
        assert message.id is not None
        self.relay.waiting[message.id] = call
        if self.turns.continued(call) or self.holding.continued(call):
            return
        self._queue.append(call)
        if self._worker is None:
            self._go_on()

    @property
    def undecided(self) -> bool:
        """Whether calls still wait for their decision."""
        return bool(self._queue) or self._worker is not None

    def _go_on(self) -> None:
        """Decide what can be decided now, and leave the rest to a task that waits."""
        while self._queue and self._worker is None:
            enforcer = self.enforcer
            if not self._opened.is_set():
                return
            if (enforcer is not None and not enforcer.immediate) or not self.catalog.ready:
                self._worker = self.spawn(self._work())
                return
            call = self._queue.popleft()
            if self._live(call):
                self._guarded(call)

    async def _work(self) -> None:
        try:
            while self._queue:
                call = self._queue.popleft()
                try:
                    if self._live(call):
                        await self.catalog.make_ready(self.params_meta(call))
                    if self._live(call):
                        await self._aask(call)
                except Exception as error:  # noqa: BLE001 - a mistake of ours must not leave a call without an answer
                    self._failed(call, error)
        finally:
            self._worker = None
            self._go_on()

    def _guarded(self, call: Call) -> None:
        try:
            self._ask(call)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not leave a call without an answer
            self._failed(call, error)

    def _failed(self, call: Call, error: Exception) -> None:
        self.log.event("call_failed", tool=call.tool, why=type(error).__name__, problem=str(error)[:200])
        if self._live(call):
            line = call.abandoned(SERVER_GONE, "it could not be decided")
            if line is not None:
                self.relay.answer(call, line)

    def params_meta(self, call: Call) -> bytes | None:
        return call.params.get("_meta") if call.modern else None

    def _live(self, call: Call) -> bool:
        assert call.message.id is not None
        return self.relay.waiting.get(call.message.id) is call

    def _facts(self, call: Call) -> dict[str, str]:
        """Return what is not fine about a call, before anybody is asked."""
        facts: dict[str, str] = dict(self.settings.standing)
        state = self.catalog.state(call.tool)
        if state != "pinned":
            facts["tool"] = state
        if isinstance(call.args, dict) and self.catalog.ambiguous(call.tool, call.args):
            facts["arguments"] = "ambiguous"
        intent = self.settings.fields.get("session_intent")
        if self.settings.intents and call.tool not in self.settings.intents.get(str(intent), frozenset()):
            facts["intent"] = "outside"
        if self._trouble is not None:
            facts["enforcer"] = self._trouble
        return facts

    def _prepared(self, call: Call) -> dict[str, str]:
        """Make the request of a call; return what is not fine about it."""
        self._numbers += 1
        call.request = {
            **self.settings.fields,
            "session_id": self.session.id,
            "request_id": f"{self.session.id}-{self._numbers}",
            "tool_name": call.tool,
            "tool_args": call.args,
            "server": self.settings.server,
        }
        if self.enforcer is not None and not self.enforcer.immediate:
            call.request["session_tool_calls"] = [*self.session.tool_calls, call.tool]
        return self._facts(call)

    def _ask(self, call: Call) -> None:
        facts = self._prepared(call)
        if facts:
            self._refuse_by_floor(call, facts)
            return
        assert self.enforcer is not None
        try:
            reply = self.enforcer.check(call.request, self.session)
        except Exception as error:  # noqa: BLE001 - no decision, no call
            self._undecided(call, error)
            return
        self.act(call, reply, self.enforcer)

    async def _aask(self, call: Call) -> None:
        if self.enforcer is None or self.enforcer.immediate:
            self._ask(call)
            return
        facts = self._prepared(call)
        if facts:
            self._refuse_by_floor(call, facts)
            return
        try:
            reply = await self.enforcer.acheck(call.request, self.session)
        except Exception as error:  # noqa: BLE001 - no decision, no call
            self._undecided(call, error)
            return
        if self._live(call):
            self.act(call, reply, self.enforcer)
        elif reply.effect in LET_THROUGH:
            call.reply, call.enforcer = reply, self.enforcer
            self.end(call, Ending.CANCELLED)

    def _undecided(self, call: Call, error: Exception) -> None:
        away = isinstance(error, EnforcerAway | EnforcerRefused)
        self.log.event("undecided", tool=call.tool, why=type(error).__name__, problem=str(error)[:200])
        kind = "away_ask" if away and self.settings.away == "step_up" else "away" if away else "failed"
        if isinstance(error, EnforcerRefused):
            kind = "away"  # it said no to us, which is nobody's to overrule
        self._refuse_by_floor(call, {"enforcer": kind})

    def _refuse_by_floor(self, call: Call, facts: dict[str, str]) -> None:
        reply, enforcer = self.floor.refuse(call.request, facts, self.session)
        self.act(call, reply, enforcer)

    # ------------------------------------------------------------ what was decided

    def act(self, call: Call, reply: Reply, enforcer: Enforcer | None) -> None:
        """Do what a reply says: send the call on, hold it, or refuse it."""
        call.reply, call.enforcer = reply, enforcer
        if reply.effect in LET_THROUGH and enforcer is not None:
            self.send(call, reply)
        elif reply.effect is Effect.STEP_UP and enforcer is not None:
            self.holding.hold(call, reply, enforcer)
        else:
            self.refuse(call, reply)

    def refuse(self, call: Call, reply: Reply, more: str = "", approvers: tuple[str, ...] = ()) -> None:
        """Answer a call with a refusal."""
        call.ended = True
        result = refusal(reply, modern=call.modern, more=more, approvers=approvers)
        self.relay.answer(call, result_message(call.message.raw_id, result))

    def send(self, call: Call, reply: Reply) -> None:
        """Send a call on to the server, with the arguments that the reply lets through.

        Where it has waited, the tools may be others by now: then it goes when its tool is known to be as approved.
        """
        if self.catalog.state(call.tool) == "pinned":
            self._forward(call, reply)
        else:
            self.spawn(self._look_again(call, reply))

    async def _look_again(self, call: Call, reply: Reply) -> None:
        try:
            await self.catalog.make_ready(self.params_meta(call))
            state = self.catalog.state(call.tool)
            if self._live(call) and state == "pinned":
                self._forward(call, reply)
            elif self._live(call):
                await self.aend(call, Ending.CANCELLED)
                if self._live(call):
                    call.ended = False
                    self._refuse_by_floor(call, {"tool": state})
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not leave a call without an answer
            self._failed(call, error)

    def _forward(self, call: Call, reply: Reply) -> None:
        message = call.message
        if reply.modified:
            message = message.with_params({**call.params, "arguments": encode(reply.args)})
        self.relay.forward(call, message.line)

    async def may_repeat(self, message: Message) -> str | None:
        """Say why a request that the server has not run may not be sent to it again; None where it may.

        The server was away, so a call's tool must be there again as it was approved.
        """
        call = None if message.id is None else self.relay.waiting.get(message.id)
        if not isinstance(call, Call):
            return None
        await self.catalog.make_ready(self.params_meta(call))
        if not self._live(call):
            return "it is not wanted any more"
        facts = self._facts(call)
        return f"its tool is now {facts.get('tool', 'another one')}" if facts else None

    # ------------------------------------------------------------ after

    def returned(self, call: Call, message: Message) -> bytes | None:
        """Take in the server's answer to a call; return the line for the client, None where it comes later."""
        try:
            result, ending = result_of(message)
        except Exception as error:  # noqa: BLE001 - an answer that cannot be read is not passed on
            self.log.event("result_unreadable", tool=call.tool, why=str(error)[:200])
            return call.abandoned(SERVER_GONE, "the server's answer cannot be read")
        if isinstance(result, dict) and ending is Ending.COMPLETED:
            kind = result.get("resultType", "complete")
            interim = result.keys().isdisjoint(CONTENT)
            if kind == "input_required" and interim:
                return self.turns.turn(call, result, message)
            if kind != "complete":
                return call.abandoned(
                    SERVER_GONE, f"the server answers with {ascii(kind)[:60]}, which nobody could check"
                )
            if interim and "task" in call.params and task_of(result) is not None:
                return self.turns.task(call, result, message)
        enforcer = call.enforcer
        if enforcer is None or enforcer.immediate:
            return passed_on(call, message, result, self.end(call, ending, told(result)))
        self.spawn(self._later(call, message, result, ending))
        return None

    async def _later(self, call: Call, message: Message, result: Any, ending: Ending) -> None:
        self.relay.client.line(passed_on(call, message, result, await self.aend(call, ending, told(result))))

    def end(self, call: Call, ending: Ending, result: Any = UNTOLD) -> Passed | Exception | None:
        """Report how a call ended, once; where the enforcer is elsewhere that goes on in the background."""
        if call.ended:
            return None
        if call.hold_task is not None:
            call.ended = True
            self.holding.give_up(call)
            return None
        enforcer, reply = call.enforcer, call.reply
        if reply is None or enforcer is None or reply.effect not in LET_THROUGH:
            call.ended = True
            return None
        if not enforcer.immediate:
            self.spawn(self.aend(call, ending, result))
            return None
        call.ended = True
        try:
            return enforcer.report(reply, ending, result)
        except Exception as error:  # noqa: BLE001 - the caller withholds what it cannot judge
            self.log.event("report_failed", tool=call.tool, why=type(error).__name__)
            return error

    async def aend(self, call: Call, ending: Ending, result: Any = UNTOLD) -> Passed | Exception | None:
        """As `end`, for an enforcer elsewhere."""
        enforcer, reply = call.enforcer, call.reply
        if call.ended or reply is None or enforcer is None:
            return None
        call.ended = True
        try:
            passed = await enforcer.areport(reply, ending, result if enforcer.local else UNTOLD)
        except Exception as error:  # noqa: BLE001 - the caller withholds what it cannot judge
            kept = self.keep is not None and self.keep(reply, ending, result, call.request)
            self.log.event("report_failed", tool=call.tool, why=type(error).__name__, kept=kept)
            return error
        if ending is Ending.COMPLETED:
            self.session.memory.tool_calls.append(call.tool)
        return passed

    def cancel(self, call: Call) -> bool:
        """The client gives a call up; return whether the server has heard of it."""
        self.turns.forget(call)
        at_server = call.at_server
        self.end(call, Ending.CANCELLED)
        return at_server

    # ------------------------------------------------------------ tasks of ours

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something beside; it is waited for at the end."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.event("task_failed", why=type(error).__name__, problem=str(error)[:200])

    async def close(self, patience_s: float = 2.0) -> None:
        """End what has not ended, and wait for reports under way, for a bounded time."""
        for call in self.turns.open:
            self.end(call, Ending.CANCELLED)
        self.holding.close()
        if self._worker is not None:
            self._worker.cancel()
        tasks = [task for task in self._tasks if task is not self._worker]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=patience_s)
            for task in late:
                task.cancel()
