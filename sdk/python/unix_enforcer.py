"""The enforcer beside the agent: a sidecar on a Unix socket of this machine, asked in binary frames.

Each held call waits on a connection of its own, so however many wait, none takes the place of a question. A stream is
kept until its end, for any result may be one that the policy redacts.
"""

from __future__ import annotations

import time
import weakref
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .contract import By, Decision, Effect, Ending, OperationError, RequestError
from .enforcer import UNTOLD, EnforcerAway, EnforcerRefused
from .loops import at_the_end
from .socket_asyncio import AsyncSocketClient
from .socket_client import SocketClient
from .socket_frames import EndedBefore, NotAnAnswer
from .waiting import Hold

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .config import ThothConfig
    from .contract import Mode, Outcome
    from .enforcer import Reply
    from .sessions import Session

T = TypeVar("T")
WAIT_S: Final = 20.0
TOKENS_MAX: Final = 10_000


class UnixEnforcer:
    """Asks a sidecar. Safe to use from several threads and event loops, and after a fork."""

    immediate = False
    local = True

    def __init__(self, path: str, *, step_up_timeout_s: float = 900.0) -> None:
        """Nothing is connected yet."""
        self.path = path
        self.name = self.where = f"unix:{path}"
        self._step_up_timeout_s = step_up_timeout_s
        self._client = SocketClient(path)
        self._loops: weakref.WeakKeyDictionary[Any, list[Any]] = weakref.WeakKeyDictionary()
        self._tokens: dict[str, str] = {}

    async def _here(self) -> AsyncSocketClient:
        import asyncio

        loop = asyncio.get_running_loop()
        found = self._loops.get(loop)
        if found is None:
            client = AsyncSocketClient(self.path)
            found = self._loops[loop] = [client]
            found.append(await at_the_end(client.close))
        made: AsyncSocketClient = found[0]
        return made

    # ------------------------------------------------------------ calls

    def _opening(self, session: Session) -> list[tuple[str, str | None, str | None]]:
        """Return the sessions to open before a call, the root first: id, tenant, and root's id."""
        memory = session.memory
        if self in memory.handles:
            return []
        memory.handles[self] = True
        if session.root is None:
            return [(memory.id, memory.tenant, None)]
        return [*self._opening(session.root), (memory.id, memory.tenant, session.root.id)]

    def check(self, request: dict[str, Any], session: Session) -> Decision:
        """Decide one call."""

        def ask() -> Decision:
            for id, tenant, root in self._opening(session):
                self._client.open_session(id, tenant_id=tenant, root=root)
            answer = self._client.decide(request)
            return self._kept(answer.decision, answer.hold_token)

        return _answer(ask)

    async def acheck(self, request: dict[str, Any], session: Session) -> Decision:
        """As `check`."""

        async def ask() -> Decision:
            client = await self._here()
            for id, tenant, root in self._opening(session):
                await client.open_session(id, tenant_id=tenant, root=root)
            answer = await client.decide(request)
            return self._kept(answer.decision, answer.hold_token)

        return await _aanswer(ask())

    def _kept(self, decision: Decision, token: str) -> Decision:
        if decision.effect is Effect.STEP_UP:
            if not token:
                raise NotAnAnswer("STEP_UP without a token")
            self._tokens[decision.id] = token
            if len(self._tokens) > TOKENS_MAX:
                self._tokens.pop(next(iter(self._tokens)), None)
        return decision

    def report(self, reply: Reply, ending: Ending, result: object = UNTOLD, *, whole: bool = True) -> Outcome | None:
        """Take in how a call ended; return what the agent may see of the result, None where the end was known."""
        told = () if result is UNTOLD else (result,)
        try:
            return _answer(lambda: self._client.ended(reply.id, ending, *told, whole=whole))
        except EnforcerRefused as refused:
            if isinstance(refused.__cause__, EndedBefore):
                return None
            raise

    async def areport(
        self, reply: Reply, ending: Ending, result: object = UNTOLD, *, whole: bool = True
    ) -> Outcome | None:
        """As `report`."""
        told = () if result is UNTOLD else (result,)
        try:
            return await _aanswer((await self._here()).ended(reply.id, ending, *told, whole=whole))
        except EnforcerRefused as refused:
            if isinstance(refused.__cause__, EndedBefore):
                return None
            raise

    def deliver(self, reports: list[dict[str, Any]]) -> int:
        """Take in reports that were kept; return how many the sidecar does not take.

        It takes none about a call that it does not know: one that is not in its log, or too far back. One whose end it
        knows already it has taken.
        """
        from .contract import Ending

        untaken = 0

        for report in reports:
            if report.get("kind") == "outcome" and report.get("decision_id"):
                id, ending = report["decision_id"], Ending(report["ending"])
                try:
                    _answer(partial(self._client.ended, id, ending))
                except EnforcerRefused as refused:
                    if not isinstance(refused.__cause__, RequestError):
                        raise
                    untaken += not isinstance(refused.__cause__, EndedBefore)
        return untaken

    def said(self, session: Session, text: str) -> None:
        """Take in what the user said."""

        def tell() -> None:
            for id, tenant, root in self._opening(session):
                self._client.open_session(id, tenant_id=tenant, root=root)
            self._client.said(session.id, text, tenant_id=session.memory.tenant)

        _answer(tell)

    async def asaid(self, session: Session, text: str) -> None:
        """As `said`."""

        async def tell() -> None:
            client = await self._here()
            for id, tenant, root in self._opening(session):
                await client.open_session(id, tenant_id=tenant, root=root)
            await client.said(session.id, text, tenant_id=session.memory.tenant)

        await _aanswer(tell())

    def filters(self, tool: str) -> bool:
        """Any result may be one that the policy redacts."""
        return True

    def loosens(self, mode: Mode) -> str | None:
        """The sidecar does not say which mode its policy asks for."""
        return None

    # ------------------------------------------------------------ holds

    def hold(self, reply: Reply, request: dict[str, Any], session: Session) -> Hold:
        """Return the hold of a call; it is answered at the sidecar."""
        token = self._tokens.pop(reply.id, "")

        def answer(approver: str, principal: str, granted: bool) -> None:
            raise OperationError(f"this call is held by the sidecar on `{self.path}`; answer it there, by its token")

        seconds = self._step_up_timeout_s if reply.hold_s is None else reply.hold_s
        return Hold(token, reply, request, session, expires=time.time() + seconds, answer=answer)

    def look(self, hold: Hold) -> Decision | None:
        """Return what has become of a held call."""
        if hold.withdrawn:
            return hold.reply  # type: ignore[return-value]
        found = _answer(lambda: self._client.wait(hold.token, 0.0, hold.request))
        return _over(hold) if found is None else found

    async def alook(self, hold: Hold) -> Decision | None:
        """As `look`."""
        if hold.withdrawn:
            return hold.reply  # type: ignore[return-value]
        found = await _aanswer((await self._here()).wait(hold.token, 0.0, hold.request))
        return _over(hold) if found is None else found

    def wait(self, hold: Hold) -> Decision:
        """Wait for the answer to a held call; while the sidecar is away it is asked again."""
        with SocketClient(self.path) as waiting:
            while True:
                if hold.withdrawn:
                    return hold.reply  # type: ignore[return-value]
                try:
                    found = _answer(lambda: waiting.wait(hold.token, _slice(hold), hold.request))
                except EnforcerAway:
                    found = None
                found = _over(hold) if found is None else found
                if found is not None:
                    return found

    async def await_hold(self, hold: Hold) -> Decision:
        """As `wait`, on an event loop."""
        async with AsyncSocketClient(self.path) as waiting:
            while True:
                if hold.withdrawn:
                    return hold.reply  # type: ignore[return-value]
                try:
                    found = await _aanswer(waiting.wait(hold.token, _slice(hold), hold.request))
                except EnforcerAway:
                    found = None
                found = _over(hold) if found is None else found
                if found is not None:
                    return found

    def withdraw(self, hold: Hold) -> None:
        """Take in that a held call will not run after all: what it reserved there is free again."""
        with suppress(OperationError, RequestError):  # then its time runs out there
            self._client.ended(hold.reply.id, Ending.CANCELLED)

    @property
    def unreported(self) -> int:
        """Nothing is kept here."""
        return 0

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


def connect(config: ThothConfig) -> UnixEnforcer:
    """Return the enforcer that a configuration names."""
    path = config.where.removeprefix("unix:")
    return UnixEnforcer(path.removeprefix("//"), step_up_timeout_s=config.step_up_timeout_minutes * 60)


def _answer(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except (NotAnAnswer, RequestError) as error:
        raise EnforcerRefused(str(error)) from error
    except OperationError as error:
        raise EnforcerAway(str(error)) from error


async def _aanswer(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except (NotAnAnswer, RequestError) as error:
        raise EnforcerRefused(str(error)) from error
    except OperationError as error:
        raise EnforcerAway(str(error)) from error


def _left(hold: Hold) -> float:
    return max(0.0, (hold.expires or 0.0) - time.time())


def _slice(hold: Hold) -> float:
    return min(WAIT_S, _left(hold))


def _over(hold: Hold) -> Decision | None:
    """Return BLOCK where the time of a hold is over, None while it is not."""
    if _left(hold) > 0:
        return None
    from dataclasses import replace

    decision: Any = hold.reply
    made: Decision = replace(decision, effect=Effect.BLOCK, by=By.APPROVAL, reason_code="approval_expired", rules=())
    return made
