"""Asking without wrapping: `thoth.check` for people who run the call themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .contract import Ending
from .plain import plain, told
from .runs import seen
from .wrapping import ending_of, is_signal, message_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from .guard import Guard
    from .runs import Run


class Check:
    """A call that may run now, with `args`. Say how it ended, or use it in `with`: leaving it with an exception is
    `failed`, otherwise it has `completed`."""

    __slots__ = ("_guard", "_run")

    def __init__(self, guard: Guard, run: Run) -> None:
        self._guard = guard
        self._run = run

    @property
    def args(self) -> dict[str, Any]:
        """The arguments to run the call with: those that were given, or those that the enforcer made of them."""
        return self._run.args or {}

    @property
    def modified(self) -> bool:
        """Whether the arguments are not those that were given."""
        return self._run.modified

    @property
    def effect(self) -> str:
        """`ALLOW` or `MODIFY`; `UNGOVERNED` where the enforcer was away and `fail_open` is configured."""
        reply = self._run.reply
        return "UNGOVERNED" if reply is None else reply.effect.value

    @property
    def decision_id(self) -> str | None:
        """The id of the decision, under which it is in the evidence."""
        return None if self._run.reply is None else self._run.reply.id

    def completed(self, result: Any = None) -> Any:
        """Report what the call returned; return what the agent may see of it."""
        json, whole = told(result)
        return seen(result, self._guard.end(self._run, Ending.COMPLETED, json, whole=whole), json)

    def failed(self, error: BaseException | str) -> Any:
        """Report that the call failed; return the message as the agent may see it."""
        ending = Ending.FAILED if isinstance(error, str) else ending_of(error)
        message = error if isinstance(error, str) else message_of(error)
        if not isinstance(error, str) and is_signal(error):
            self._guard.end(self._run, ending)
            return message
        return seen(message, self._guard.end(self._run, ending, message), message)

    def cancelled(self) -> None:
        """Report that the call was cancelled."""
        self._guard.end(self._run, Ending.CANCELLED)

    def timed_out(self) -> None:
        """Report that the call did not end in time."""
        self._guard.end(self._run, Ending.TIMED_OUT)

    async def acompleted(self, result: Any = None) -> Any:
        """As `completed`, on an event loop."""
        json, whole = told(result)
        return seen(result, await self._guard.aend(self._run, Ending.COMPLETED, json, whole=whole), json)

    async def afailed(self, error: BaseException | str) -> Any:
        """As `failed`, on an event loop."""
        ending = Ending.FAILED if isinstance(error, str) else ending_of(error)
        message = error if isinstance(error, str) else message_of(error)
        if not isinstance(error, str) and is_signal(error):
            await self._guard.aend(self._run, ending)
            return message
        return seen(message, await self._guard.aend(self._run, ending, message), message)

    def __enter__(self) -> Check:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            self.failed(error)
        else:
            from .enforcer import UNTOLD

            self._guard.end(self._run, Ending.COMPLETED, UNTOLD)

    async def __aenter__(self) -> Check:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if error is not None:
            await self.afailed(error)
        else:
            from .enforcer import UNTOLD

            await self._guard.aend(self._run, Ending.COMPLETED, UNTOLD)


def checked(guard: Guard, tool_name: str, tool_args: Mapping[str, Any] | None) -> Check:
    """Ask for one call; return it once it may run, or raise `ThothPolicyViolation`."""
    return Check(guard, guard.begin(tool_name, _shown(tool_args)))


async def achecked(guard: Guard, tool_name: str, tool_args: Mapping[str, Any] | None) -> Check:
    """As `checked`, on an event loop."""
    return Check(guard, await guard.abegin(tool_name, _shown(tool_args)))


def _shown(tool_args: Mapping[str, Any] | None) -> dict[str, Any]:
    return {str(name): plain(value) for name, value in (tool_args or {}).items()}
