"""The enforcer on this machine: a sidecar behind its Unix socket, as a transport of the enforcement point.

Results are told to it as they are, and what it withholds or redacts stays so. A session is opened with its first call.
Who answers a held call does so at the sidecar, with a key of their own; from here a hold can only be waited for.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from .contract import Ending, OperationError, RequestError
from .enforcer import UNTOLD, EnforcerAway, EnforcerRefused
from .socket_asyncio import AsyncSocketClient
from .socket_client import SocketClient
from .waiting import Hold

if TYPE_CHECKING:
    from collections.abc import Callable

    from .contract import Decision, Mode, Outcome
    from .enforcer import Reply
    from .sessions import Session
    from .socket_frames import Answered

SLICE_S: Final = 30.0
TOKENS_MAX: Final = 10_000
OPEN: Final = "open"


class SocketEnforcer:
    """Asks a sidecar over its socket. Safe to use from several threads and event loops."""

    immediate = False
    local = True

    def __init__(self, path: str, *, timeout_s: float, clock: Callable[[], float] = time.time) -> None:
        """Nothing is connected yet."""
        self.name = self.where = f"unix:{path}"
        self._path, self._timeout_s, self._clock = path, timeout_s, clock
        self._client = SocketClient(path, timeout_s=timeout_s)
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncSocketClient] = (
            weakref.WeakKeyDictionary()
        )
        self._tokens: OrderedDict[str, str] = OrderedDict()

    def _here(self) -> AsyncSocketClient:
        loop = asyncio.get_running_loop()
        client = self._loops.get(loop)
        if client is None:
            client = self._loops[loop] = AsyncSocketClient(self._path, timeout_s=self._timeout_s)
        return client

    # ------------------------------------------------------------ calls

    def check(self, request: dict[str, Any], session: Session) -> Decision:
        """Decide one call, in its session."""
        try:
            for one in _unopened(self, session):
                self._client.open_session(one.id, tenant_id=one.memory.tenant, root=_root_of(one))
                one.memory.handles[self] = OPEN
            return self._noted(self._client.decide(request))
        except (OperationError, RequestError) as error:
            raise _told(error) from None

    async def acheck(self, request: dict[str, Any], session: Session) -> Decision:
        """As `check`."""
        client = self._here()
        try:
            for one in _unopened(self, session):
                await client.open_session(one.id, tenant_id=one.memory.tenant, root=_root_of(one))
                one.memory.handles[self] = OPEN
            return self._noted(await client.decide(request))
        except (OperationError, RequestError) as error:
            raise _told(error) from None

    def _noted(self, answered: Answered) -> Decision:
        if answered.hold_token:
            self._tokens[answered.decision.id] = answered.hold_token
            if len(self._tokens) > TOKENS_MAX:
                self._tokens.popitem(last=False)
        return answered.decision

    def report(self, reply: Reply, ending: Ending, result: object = UNTOLD, *, whole: bool = True) -> Outcome | None:
        """Take in how a call ended; None where the sidecar has let it go, by a restart say."""
        try:
            return self._client.ended(reply.id, ending, _result(result), whole=whole)
        except RequestError:
            return None
        except OperationError as error:
            raise _told(error) from None

    async def areport(
        self, reply: Reply, ending: Ending, result: object = UNTOLD, *, whole: bool = True
    ) -> Outcome | None:
        """As `report`."""
        try:
            return await self._here().ended(reply.id, ending, _result(result), whole=whole)
        except RequestError:
            return None
        except OperationError as error:
            raise _told(error) from None

    def said(self, session: Session, text: str) -> None:
        """Take in what the user of a session said."""
        try:
            self._client.said(session.id, text, tenant_id=session.memory.tenant)
        except (OperationError, RequestError) as error:
            raise _told(error) from None

    async def asaid(self, session: Session, text: str) -> None:
        """As `said`."""
        try:
            await self._here().said(session.id, text, tenant_id=session.memory.tenant)
        except (OperationError, RequestError) as error:
            raise _told(error) from None

    def deliver(self, reports: list[dict[str, Any]]) -> None:
        """Take in reports that were kept while it was away: of calls that it still knows, how they ended."""
        for report in reports:
            decision_id, ending = report.get("decision_id"), report.get("ending")
            if isinstance(decision_id, str) and ending in set(Ending):
                try:
                    self._client.ended(decision_id, Ending(ending))
                except RequestError:
                    pass  # it came back without knowing of this call
                except OperationError as error:
                    raise _told(error) from None

    def filters(self, tool: str) -> bool:
        """Say yes: which results its policy changes is not known here."""
        return True

    def loosens(self, mode: Mode) -> str | None:
        """Say nothing: what its policy makes of a mode is not known here."""
        return None

    @property
    def unreported(self) -> int:
        """Nothing is kept here."""
        return 0

    # ------------------------------------------------------------ holds

    def hold(self, reply: Reply, request: dict[str, Any], session: Session) -> Hold:
        """Return the hold of a call; it is answered at the sidecar."""
        expires = None if reply.hold_s is None else self._clock() + reply.hold_s

        def answer(approver: str, principal: str, granted: bool) -> None:
            raise RequestError("a call that a sidecar holds is answered there: `thoth approvals approve`, with a key")

        return Hold(self._tokens.pop(reply.id, ""), reply, request, session, expires=expires, answer=answer)

    def look(self, hold: Hold) -> Decision | None:
        """Return what has become of a held call, None while it waits."""
        if hold.withdrawn:
            return hold.reply  # type: ignore[return-value]
        try:
            return self._client.wait(hold.token, 0, hold.request)
        except (OperationError, RequestError) as error:
            raise _told(error) from None

    async def alook(self, hold: Hold) -> Decision | None:
        """As `look`."""
        if hold.withdrawn:
            return hold.reply  # type: ignore[return-value]
        try:
            return await self._here().wait(hold.token, 0, hold.request)
        except (OperationError, RequestError) as error:
            raise _told(error) from None

    def wait(self, hold: Hold) -> Decision:
        """Wait until it is answered; the sidecar ends it when its time is over. While it is away, it is asked on."""
        while True:
            try:
                decision = self._client.wait(hold.token, SLICE_S, hold.request)
            except OperationError as error:
                if self._over(hold):
                    raise _told(error) from None
                continue
            except RequestError as error:
                raise _told(error) from None
            if decision is not None:
                return decision

    async def await_hold(self, hold: Hold) -> Decision:
        """As `wait`, on an event loop."""
        while True:
            try:
                decision = await self._here().wait(hold.token, SLICE_S, hold.request)
            except OperationError as error:
                if self._over(hold):
                    raise _told(error) from None
                continue
            except RequestError as error:
                raise _told(error) from None
            if decision is not None:
                return decision

    def _over(self, hold: Hold) -> bool:
        return hold.expires is None or self._clock() > hold.expires

    def withdraw(self, hold: Hold) -> None:
        """Take in that a held call will not run after all."""
        try:
            self._client.ended(hold.reply.id, Ending.CANCELLED)
        except (OperationError, RequestError):
            pass  # then its time runs out there

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
        for loop, client in list(self._loops.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(client.abandon)


def _unopened(enforcer: SocketEnforcer, session: Session) -> list[Session]:
    """Return the sessions that the sidecar has not heard of, the one whose user speaks first."""
    chain: list[Session] = []
    one: Session | None = session
    while one is not None and enforcer not in one.memory.handles:
        chain.append(one)
        one = one.root
    return chain[::-1]


def _root_of(session: Session) -> str | None:
    return None if session.root is None else session.root.id


def _result(result: object) -> object:
    return msgspec.UNSET if result is UNTOLD else result


def _told(error: Exception) -> Exception:
    return EnforcerAway(str(error)) if isinstance(error, OperationError) else EnforcerRefused(str(error))
