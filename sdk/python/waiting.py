"""Calls that wait for a person, and the ways to answer them from the application that made them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .contract import Ask
    from .enforcer import Reply
    from .sessions import Session


class Hold:
    """One call that waits. `tool_args` are the arguments as they would run; `asks` says whose answers it waits for.

    `token` names it at the enforcer. `expires` is the end of its time, in epoch seconds, None where the enforcer said
    nothing of it. Answering it twice, or from several threads, does no harm.
    """

    def __init__(
        self,
        token: str,
        reply: Reply,
        request: dict[str, Any],
        session: Session,
        *,
        expires: float | None,
        answer: Callable[[str, str, bool], None],
    ) -> None:
        """For transports. `answer` takes (approver, principal, granted), and raises where that may not count."""
        self.token = token
        self.reply = reply
        self.request = request
        self.session = session
        self.expires = expires
        self.withdrawn = False
        self._answer = answer
        self._lock = threading.Lock()
        self._wakers: list[Callable[[], None]] = []

    @property
    def tool(self) -> str:
        """The name of the tool."""
        name: str = self.request["tool_name"]
        return name

    @property
    def tool_args(self) -> dict[str, Any]:
        """The arguments as they would run."""
        args = self.reply.args
        return args if args is not None else self.request["tool_args"]

    @property
    def asks(self) -> tuple[Ask, ...]:
        """Whose answers it waits for."""
        return self.reply.asks

    @property
    def approvers(self) -> tuple[str, ...]:
        """The names of all who may answer, sorted."""
        return tuple(sorted({name for ask in self.asks for name in ask.approvers}))

    def approve(self, approver: str, principal: str) -> None:
        """Say yes for `approver`, one of those asked; `principal` is who speaks, as your own login knows them.

        Raises:
            RequestError: nobody of that name was asked, or the hold is over.
            OperationError: this enforcer takes answers elsewhere.
        """
        self._answer(approver, principal, True)
        self.changed()

    def deny(self, approver: str, principal: str) -> None:
        """Say no; one no is enough."""
        self._answer(approver, principal, False)
        self.changed()

    def withdraw(self) -> None:
        """Give the call up: it will not run, whatever is answered."""
        self.withdrawn = True
        self.changed()

    # ------------------------------------------------------------ for transports

    def changed(self) -> None:
        """Wake whoever waits for it."""
        with self._lock:
            wakers = list(self._wakers)
        for wake in wakers:
            wake()

    def waking(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called after each change, from any thread; return what ends that."""
        with self._lock:
            self._wakers.append(wake)

        def end() -> None:
            with self._lock:
                self._wakers.remove(wake)

        return end


class OpenHolds:
    """The holds of this process that wait now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, Hold] = {}

    def add(self, hold: Hold) -> None:
        with self._lock:
            self._open[id(hold)] = hold

    def remove(self, hold: Hold) -> None:
        with self._lock:
            self._open.pop(id(hold), None)

    def all(self) -> tuple[Hold, ...]:
        with self._lock:
            return tuple(self._open.values())


OPEN = OpenHolds()


def holds() -> tuple[Hold, ...]:
    """Return the calls of this process that wait for a person now."""
    return OPEN.all()
