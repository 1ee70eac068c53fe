"""Calls that take several requests: the server asks the client something first, or works on and is asked again.

Such a call is decided once and ends once. It goes on only with the client's answer to that very question, for the same
tool and arguments, or by the id of its own task; anything else is a new call.
"""

from typing import TYPE_CHECKING, Any, Final

from ..contract import Ending
from .call import Call
from .message import INVALID_PARAMS, Malformed, Message, canonical, error_message, loosely
from .relay import Waiting

if TYPE_CHECKING:
    from .calls import Calls

TURNS_MAX: Final = 256
TASKS_MAX: Final = 256
CONTENT: Final = frozenset(("content", "structuredContent"))
"""Members of a result that is one: an answer with them is no step on the way."""


class Turns:
    """The calls of one run that are between two requests."""

    def __init__(self, calls: "Calls") -> None:
        self._calls = calls
        self._turns: dict[tuple[str, str, str | None], Call] = {}
        self._of_task: dict[str, Call] = {}
        calls.relay.handlers["tasks/result"] = self._task_result

    @property
    def open(self) -> list[Call]:
        """The calls that have not ended."""
        return [*self._turns.values(), *self._of_task.values()]

    def turn(self, call: Call, result: dict[str, Any], message: Message) -> bytes:
        """The server asks the client something first: the call goes on with the client's next request."""
        state = result.get("requestState")
        self._turns[_key(call, state if isinstance(state, str) else None)] = call
        while len(self._turns) > TURNS_MAX:
            oldest = self._turns.pop(next(iter(self._turns)))
            self._calls.end(oldest, Ending.CANCELLED)
        return message.line

    def continued(self, call: Call) -> bool:
        """Go on with a call whose server has asked something, where this is the client's answer to that very question:
        the same tool and arguments, and the state that the server gave."""
        if "inputResponses" not in call.params and "requestState" not in call.params:
            return False
        state = loosely(call.params["requestState"]) if "requestState" in call.params else None
        before = self._turns.pop(_key(call, state if isinstance(state, str) else None), None)
        if before is None or before.reply is None:
            return False
        call.reply, call.enforcer, call.request = before.reply, before.enforcer, before.request
        self._calls.send(call, before.reply)
        return True

    def task(self, call: Call, result: dict[str, Any], message: Message) -> bytes:
        """The server works on: the call's result will be asked for by the id of its task."""
        id = task_of(result)
        assert id is not None
        self._of_task[id] = call
        while len(self._of_task) > TASKS_MAX:
            oldest = self._of_task.pop(next(iter(self._of_task)))
            self._calls.end(oldest, Ending.CANCELLED)
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
            self._calls.relay.client.line(error_message(message.raw_id, INVALID_PARAMS, text))
            return
        self._calls.relay.forward(_TaskResult(self._calls, call, message, self._calls.relay.now()), message.line)

    def forget(self, call: Call) -> None:
        self._turns = {key: one for key, one in self._turns.items() if one is not call}
        self._of_task = {id: one for id, one in self._of_task.items() if one is not call}


def _key(call: Call, state: str | None) -> tuple[str, str, str | None]:
    return call.tool, canonical(call.args), state


class _TaskResult(Waiting):
    """A client's request for the result of a task."""

    __slots__ = ("_call", "_calls")

    def __init__(self, calls: "Calls", call: Call, message: Message, now: float) -> None:
        super().__init__(message, now)
        self._calls = calls
        self._call = call

    def answered(self, message: Message) -> bytes | None:
        call = self._call
        call.message = self.message  # answers go to whoever asks now
        call.params = {**call.params}
        call.params.pop("task", None)
        return self._calls.returned(call, message)


def task_of(result: dict[str, Any]) -> str | None:
    task = result.get("task")
    id = task.get("taskId") if isinstance(task, dict) else None
    return id if isinstance(id, str) else None
