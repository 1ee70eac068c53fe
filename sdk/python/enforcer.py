"""What asks, and what answers: the protocol that every transport of the enforcement point speaks.

An enforcer decides calls, keeps the ones that wait, and takes in how those that ran have ended. There are three: the
engine in this process (`embedded.py`), binary frames on a Unix socket, and HTTP. Each method has an `a…` twin for event
loops; where `immediate` holds, the plain one waits for nobody and may be called on a loop as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from .contract import Ask, Effect, Ending, Mode
    from .sessions import Session
    from .waiting import Hold


class Untold:
    """In place of a result: the call ended, and what it returned is not told."""

    def __repr__(self) -> str:
        return "UNTOLD"


UNTOLD: Final = Untold()


class EnforcerAway(Exception):
    """The enforcer did not answer: nothing is known of the call. The one error for which `fail_open` is asked."""


class EnforcerRefused(Exception):
    """The enforcer answered, and the answer is no decision: a bad key, or something malformed. Never let through."""


class Reply(Protocol):
    """What an enforcer says about one call; `contract.Decision` is one, and is what comes from an engine in process.

    `args` are the arguments as they are to run, by name; `modified` says that they are not those that were sent.
    """

    @property
    def id(self) -> str: ...
    @property
    def effect(self) -> Effect: ...
    @property
    def reason_code(self) -> str: ...
    @property
    def args(self) -> dict[str, Any] | None: ...
    @property
    def modified(self) -> bool: ...
    @property
    def rules(self) -> tuple[str, ...]: ...
    @property
    def asks(self) -> tuple[Ask, ...]: ...
    @property
    def hold_s(self) -> int | None: ...
    @property
    def retry_after_s(self) -> int | None: ...
    @property
    def tells(self) -> tuple[tuple[str, str], ...]: ...


class Passed(Protocol):
    """What the agent may see of a result: `result` as it is passed on, None where it is `withheld`."""

    @property
    def result(self) -> object: ...
    @property
    def withheld(self) -> bool: ...
    @property
    def rules(self) -> tuple[str, ...]: ...


class Enforcer(Protocol):
    """Decides calls. `request` holds the wire's fields; a repeated `request_id` is the same call, sent again.

    Any method that asks may raise `EnforcerAway` or `EnforcerRefused`, and nothing else.
    """

    name: str
    """Where it is, as configured: `embedded`, `unix:/run/thoth/thoth.sock`, `https://…`."""

    immediate: bool
    """Whether `check`, `report` and `said` wait for nobody."""

    local: bool
    """Whether it is in this process or on this machine, so that results are told to it as they are."""

    def check(self, request: dict[str, Any], session: Session) -> Reply:
        """Decide one call, in its session; the first call of a session opens it."""

    def report(self, reply: Reply, ending: Ending, result: object = UNTOLD, *, whole: bool = True) -> Passed | None:
        """Take in how a call ended that was let through; return what the agent may see of the result.

        `result` is JSON, and only a part of it where it is not `whole`. Another machine gets its size and digest,
        unless the client is configured to tell more.
        """

    def hold(self, reply: Reply, request: dict[str, Any], session: Session) -> Hold:
        """Return the hold of a call that was answered STEP_UP."""

    def look(self, hold: Hold) -> Reply | None:
        """Return what has become of a held call, None while it waits; returns at once."""

    def wait(self, hold: Hold) -> Reply:
        """Return what becomes of a held call, once it is known: no STEP_UP any more, and BLOCK when its time is
        over. Only the calling thread waits."""

    def withdraw(self, hold: Hold) -> None:
        """Take in that a held call will not run after all; never raises."""

    def said(self, session: Session, text: str) -> None:
        """Take in what the user of a session said."""

    def filters(self, tool: str) -> bool:
        """Say whether a result of this tool may be changed or withheld, so that a stream must be kept until its end."""

    def deliver(self, reports: list[dict[str, Any]]) -> int:
        """Take in reports that were kept while it was away, each once; return how many it does not take."""

    def loosens(self, mode: Mode) -> str | None:
        """Return None where the policy lets a request in this mode be decided so, otherwise what it does, in words."""

    @property
    def unreported(self) -> int:
        """How many reports it holds that are not recorded yet."""

    def close(self) -> None:
        """Let go of everything."""

    async def acheck(self, request: dict[str, Any], session: Session) -> Reply: ...
    async def areport(
        self, reply: Reply, ending: Ending, result: object = UNTOLD, *, whole: bool = True
    ) -> Passed | None: ...
    async def alook(self, hold: Hold) -> Reply | None: ...
    async def await_hold(self, hold: Hold) -> Reply: ...
    async def asaid(self, session: Session, text: str) -> None: ...
