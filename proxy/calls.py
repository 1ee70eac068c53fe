"""Tool calls: each is asked about before the server hears of it, and reported when it has ended.

Calls are decided one after another, in the order in which they came; what waits for a person or for the server keeps
nobody else. A call that the server got is reported once: completed, failed, cancelled or timed out.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from ..contract import Effect, Ending, Fault
from ..enforcer import UNTOLD, Enforcer, EnforcerAway, EnforcerRefused, Passed, Reply
from ..sessions import Session
from .catalog import Catalog
from .floor import FloorCheck
from .holding import Holding
from .log import Log
from .message import (
    INVALID_PARAMS,
    SERVER_GONE,
    TIMED_OUT,
    Malformed,
    Message,
    canonical,
    encode,
    error_message,
    joined,
    loosely,
    members,
    result_message,
    value_of,
)
from .refusals import notice, refusal
from .relay import Relay, Waiting
from .results import put_back, told
from .settings import Settings

PARAMS: Final = ("name", "arguments", "_meta", "inputResponses", "requestState", "task", "progressToken", "cursor")
VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
TURNS_MAX: Final = 256
TASKS_MAX: Final = 256
LET_THROUGH: Final = (Effect.ALLOW, Effect.MODIFY)


Keep: TypeAlias = Callable[[Reply, Ending, object, dict[str, Any]], bool]
"""Keeps the report of a call's end for later; False where it could not."""


class Call(Waiting):
    """One tool call, from the client's request to its end."""

    __slots__ = (
        "args",
        "calls",
        "ended",
        "enforcer",
        "hold_task",
        "meta",
        "params",
        "raw_args",
        "reply",
        "request",
        "tool",
    )

    def __init__(self, calls: "Calls", message: Message, now: float) -> None:
        """Read it.

        Raises:
            Malformed: it is no tool call that every reader reads alike.
        """
        super().__init__(message, now)
        self.calls = calls
        self.params = message.params(PARAMS)
        name = loosely(self.params["name"]) if "name" in self.params else None
        if not isinstance(name, str) or not name:
            raise Malformed("`params.name` is a text: the tool's name", message.raw_id)
        self.tool = name
        self.meta = _meta(self.params.get("_meta"), message.raw_id)
        self.raw_args = self.params.get("arguments", b"{}")
        args = value_of(self.raw_args)
        self.args: Any = {} if args is None else str(args) if isinstance(args, Fault) else args
        self.request: dict[str, Any] = {}
        self.reply: Reply | None = None
        self.enforcer: Enforcer | None = None
        self.hold_task: asyncio.Task[None] | None = None
        self.ended = False

    @property
    def modern(self) -> bool:
        """Whether it came in the stateless era's envelope."""
        return VERSION_KEY in self.meta

    @property
    def progress_token(self) -> object:
        return self.meta.get("progressToken")

    def answered(self, message: Message) -> bytes | None:
        return self.calls.returned(self, message)

    def abandoned(self, code: int, why: str) -> bytes | None:
        text = f"The tool's outcome is not known: {why}."
        if self.reply is None or self.hold_task is not None:
            text = f"This call was not made: {why}."
        ending = Ending.TIMED_OUT if code == TIMED_OUT else Ending.FAILED
        self.calls.end(self, ending, UNTOLD if ending is Ending.TIMED_OUT else why)
        result = notice(text, {"effect": "ERROR", "reason_code": "server_gone"}, modern=self.modern)
        return result_message(self.message.raw_id, result)

    def cancelled(self) -> bool:
        return self.calls.cancel(self)


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
        self._opened = asyncio.Event()
        self._trouble: str | None = None  # why there is no enforcer
        self._queue: deque[Call] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._turns: dict[tuple[str, str, str | None], Call] = {}  # calls in which the server asks the client something
        self._of_task: dict[str, Call] = {}
        self._numbers = 0
        relay.handlers["tools/call"] = self.take
        relay.handlers["tasks/result"] = self._task_result

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
        if self._continued(call) or self.holding.continued(call):
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
            self._send(call, reply)
        elif reply.effect is Effect.STEP_UP and enforcer is not None:
            self.holding.hold(call, reply, enforcer)
        else:
            self.refuse(call, reply)

    def refuse(self, call: Call, reply: Reply, more: str = "", approvers: tuple[str, ...] = ()) -> None:
        """Answer a call with a refusal."""
        call.ended = True
        result = refusal(reply, modern=call.modern, more=more, approvers=approvers)
        self.relay.answer(call, result_message(call.message.raw_id, result))

    def _send(self, call: Call, reply: Reply) -> None:
        message = call.message
        if reply.modified:
            message = message.with_params({**call.params, "arguments": encode(reply.args)})
        self.relay.forward(call, message.line)

    # ------------------------------------------------------------ after

    def returned(self, call: Call, message: Message) -> bytes | None:
        """Take in the server's answer to a call; return the line for the client, None where it comes later."""
        try:
            result, ending = self._result(message)
        except Exception as error:  # noqa: BLE001 - an answer that cannot be read is not passed on
            self.log.event("result_unreadable", tool=call.tool, why=str(error)[:200])
            return call.abandoned(SERVER_GONE, "the server's answer cannot be read")
        if isinstance(result, dict) and ending is Ending.COMPLETED:
            kind = result.get("resultType", "complete")
            if kind == "input_required":
                return self._turn(call, result, message)
            if kind != "complete":
                return call.abandoned(
                    SERVER_GONE, f"the server answers with {ascii(kind)[:60]}, which nobody could check"
                )
            if "task" in call.params and _task_of(result) is not None:
                return self._task(call, result, message)
        enforcer = call.enforcer
        if enforcer is None or enforcer.immediate:
            return self._passed(call, message, result, self.end(call, ending, told(result)))
        self.spawn(self._later(call, message, result, ending))
        return None

    def _result(self, message: Message) -> tuple[Any, Ending]:
        if "error" in message.fields:
            return loosely(message.fields["error"]), Ending.FAILED
        result = loosely(message.fields["result"])
        failed = isinstance(result, dict) and result.get("isError") is True
        return result, Ending.FAILED if failed else Ending.COMPLETED

    async def _later(self, call: Call, message: Message, result: Any, ending: Ending) -> None:
        self.relay.client.line(self._passed(call, message, result, await self.aend(call, ending, told(result))))

    def _passed(self, call: Call, message: Message, result: Any, passed: Passed | Exception | None) -> bytes:
        """Return the answer as the client may see it: the bytes that came, where nothing of it was changed."""
        strict = self._filters(call)
        if strict and (passed is None or isinstance(passed, Exception)):
            return self._withheld(call, "what may be shown of the result is not known")
        if passed is None or isinstance(passed, Exception) or call.enforcer is None:
            return message.line
        if passed.withheld:
            return self._withheld(call, "the policy withholds what this tool returned", passed.rules)
        as_told = told(result)
        if not strict or passed.result == as_told:
            if strict and isinstance(value_of(message.fields.get("result", message.fields.get("error", b""))), Fault):
                return self._withheld(call, "the result can be read in two ways")
            return message.line
        name = "result" if "result" in message.fields else "error"
        try:
            return joined({**message.fields, name: encode(put_back(result, passed.result))})
        except ValueError:
            return self._withheld(call, "what may be shown of the result is not known")

    def _filters(self, call: Call) -> bool:
        try:
            return call.enforcer is None or call.enforcer.filters(call.tool)
        except Exception:  # noqa: BLE001 - in doubt it does
            return True

    def _withheld(self, call: Call, why: str, rules: tuple[str, ...] = ()) -> bytes:
        facts: dict[str, Any] = {"effect": "WITHHELD", "rules": list(rules)}
        if call.reply is not None:
            facts["decision_id"] = call.reply.id
        text = f"The tool has run, and its result is not shown: {why}."
        return result_message(call.message.raw_id, notice(text, facts, modern=call.modern))

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
        self._forget(call)
        at_server = call.at_server
        self.end(call, Ending.CANCELLED)
        return at_server

    # ------------------------------------------------------------ calls in several turns

    def _turn(self, call: Call, result: dict[str, Any], message: Message) -> bytes:
        """The server asks the client something first: the call goes on with the client's next request."""
        state = result.get("requestState")
        self._turns[self._turn_key(call, state if isinstance(state, str) else None)] = call
        while len(self._turns) > TURNS_MAX:
            oldest = self._turns.pop(next(iter(self._turns)))
            self.end(oldest, Ending.CANCELLED)
        return message.line

    def _turn_key(self, call: Call, state: str | None) -> tuple[str, str, str | None]:
        return call.tool, canonical(call.args), state

    def _continued(self, call: Call) -> bool:
        """Go on with a call whose server has asked something, where this is the client's answer to that very question:
        the same tool and arguments, and the state that the server gave."""
        if "inputResponses" not in call.params and "requestState" not in call.params:
            return False
        state = loosely(call.params["requestState"]) if "requestState" in call.params else None
        before = self._turns.pop(self._turn_key(call, state if isinstance(state, str) else None), None)
        if before is None or before.reply is None:
            return False
        call.reply, call.enforcer, call.request = before.reply, before.enforcer, before.request
        self._send(call, before.reply)
        return True

    def _task(self, call: Call, result: dict[str, Any], message: Message) -> bytes:
        """The server works on: the call's result will be asked for by the id of its task."""
        id = _task_of(result)
        assert id is not None
        self._of_task[id] = call
        while len(self._of_task) > TASKS_MAX:
            oldest = self._of_task.pop(next(iter(self._of_task)))
            self.end(oldest, Ending.CANCELLED)
        return message.line

    def _task_result(self, message: Message) -> None:
        """A result that is asked for by its task is a tool's result, and is governed as one."""
        try:
            id = loosely(message.params(("taskId",)).get("taskId", b"null"))
        except Malformed:
            id = None
        call = self._of_task.get(id) if isinstance(id, str) else None
        if call is None or call.ended:
            text = "thoth: this is not a task of this run, or its result was taken before"
            self.relay.client.line(error_message(message.raw_id, INVALID_PARAMS, text))
            return
        self.relay.forward(_TaskResult(self, call, message, self.relay.now()), message.line)

    def _forget(self, call: Call) -> None:
        self._turns = {key: one for key, one in self._turns.items() if one is not call}
        self._of_task = {id: one for id, one in self._of_task.items() if one is not call}

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
        for call in [*self._turns.values(), *self._of_task.values()]:
            self.end(call, Ending.CANCELLED)
        self.holding.close()
        if self._worker is not None:
            self._worker.cancel()
        tasks = [task for task in self._tasks if task is not self._worker]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=patience_s)
            for task in late:
                task.cancel()


class _TaskResult(Waiting):
    """A client's request for the result of a task."""

    __slots__ = ("_call", "_calls")

    def __init__(self, calls: Calls, call: Call, message: Message, now: float) -> None:
        super().__init__(message, now)
        self._calls = calls
        self._call = call

    def answered(self, message: Message) -> bytes | None:
        call = self._call
        call.message = self.message  # answers go to whoever asks now
        call.params = {**call.params}
        call.params.pop("task", None)
        return self._calls.returned(call, message)


def _meta(raw: bytes | None, id: bytes) -> dict[str, Any]:
    if raw is None or raw == b"null":
        return {}
    return {key: loosely(value) for key, value in members(raw, (), id).items()}


def _task_of(result: dict[str, Any]) -> str | None:
    task = result.get("task")
    id = task.get("taskId") if isinstance(task, dict) else None
    return id if isinstance(id, str) else None
