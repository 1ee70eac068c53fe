"""What one worker of several knows of the others: which of them keeps a session, a hold or a call, and how to ask.

A session belongs to the worker that the hash of its id says. Everything that is about one call is done where its
session is: it is decided, held, approved and ended there. A call without a session is decided by whoever took it.
"""

import asyncio
import contextlib
import logging
import socket
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..contract import Request
from .links import Links
from .listeners import Listeners
from .shared_ledger import Owner, SharedLedger
from .tokens import route_in, route_of, token_for

if TYPE_CHECKING:
    from .dispatch import Dispatcher

READY: Final = b"ready\n"
DRAINED: Final = b"drained\n"
CLOSE: Final = b"close\n"
PREFIXES_MAX: Final = 4_096

log = logging.getLogger(__name__)


class Worker:
    """One of several processes that serve one sidecar; this one is number `index` of `count`."""

    def __init__(
        self,
        index: int,
        count: int,
        *,
        ledger: socket.socket,
        control: socket.socket,
        frames: dict[str, socket.socket],
        listeners: Listeners,
        base: Path,
    ) -> None:
        """`frames` are the listening sockets of each tenant, by name; the only one has none. Inner sockets lie beside
        `base`. `control` is a stream to the supervisor: its end is the end."""
        self.index, self.count = index, count
        self.owner = Owner(ledger)
        self.control = control
        self.frames, self.listeners, self.base = frames, listeners, base
        self.links = Links(index, [base.with_name(f"{base.name}.l{n}") for n in range(count)], {})
        self.dispatchers: dict[str, Dispatcher] = {}
        self._callers: OrderedDict[tuple[str, str], int] = OrderedDict()
        self.links.handlers["knows"] = self._knows

    async def start(self, loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
        """Answer the others, and call `stop` when the supervisor is gone or says so."""
        self.owner.soon = loop.call_soon
        await self.links.start(loop)
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self.control)
        self._over = asyncio.Event()
        self.stop = stop
        self._listening = loop.create_task(self._listen(stop))

    async def _listen(self, stop: Callable[[], None]) -> None:
        while (word := await self._reader.readline()) and word != CLOSE:
            log.warning("control word=%r", word)
        self._over.set()
        stop()

    def ready(self) -> None:
        """Tell the supervisor that calls are decided here."""
        self._writer.write(READY)

    async def drained(self, wait_s: float) -> None:
        """Tell the supervisor that everything read is answered; return when that is so of all workers, or late."""
        self._writer.write(DRAINED)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._over.wait()
        self._listening.cancel()
        self._writer.close()
        self.links.close()

    # ------------------------------------------------------------ whose something is

    def owner_of(self, session: object) -> int:
        """Return which worker keeps a session; this one where there is none."""
        return route_of(session) % self.count if isinstance(session, str) and session else self.index

    def is_owner_of(self, session: object) -> bool:
        """Say whether this worker keeps a session; what is in none is kept wherever it came."""
        return self.owner_of(session) == self.index

    def keeps(self, session: object, name: str) -> bool:
        """Say whether what an earlier process left is this worker's: by its session, or its name where it has none."""
        whose = session if isinstance(session, str) and session else name
        return route_of(whose) % self.count == self.index

    def owner_of_hold(self, token: object) -> int:
        """Return which worker keeps a hold."""
        route = route_in(token) if isinstance(token, str) else None
        return self.index if route is None else route % self.count

    def keeps_hold(self, token: str) -> bool:
        """Say whether a hold of an earlier process is this worker's."""
        route = route_in(token)
        return (route_of(token) if route is None else route) % self.count == self.index

    def token_for(self, request: Request) -> str:
        """Return a token for a hold of this worker's."""
        return token_for(request, self.index)

    def owner_of_call(self, tenant: str, decision_id: str) -> int | None:
        """Return which worker let a call through, None where that has to be asked."""
        dispatcher = self.dispatchers.get(tenant)
        if dispatcher is None or dispatcher.knows(decision_id) or self.count == 1:
            return self.index
        return self._callers.get((tenant, decision_id.partition("-")[0]))

    def find_call(self, tenant: str, decision_id: str, told: Callable[[int], None]) -> None:
        """Find out which worker let a call through; this one where nobody did, who says so."""

        def take(found: list[Any]) -> None:
            whose = next((worker for worker, knows in enumerate(found) if knows), None)
            if whose is not None and found[whose] == LET_THROUGH_HERE:
                self._callers[tenant, decision_id.partition("-")[0]] = whose
                if len(self._callers) > PREFIXES_MAX:
                    self._callers.popitem(last=False)
            told(self.index if whose is None else whose)

        self.links.gather("knows", [tenant, decision_id], take)

    def _knows(self, arguments: list[Any], answer: Callable[[Any], None]) -> None:
        tenant, decision_id = arguments
        dispatcher = self.dispatchers.get(tenant)
        if dispatcher is None or not dispatcher.knows(decision_id):
            answer(NO)
        else:
            mine = decision_id.partition("-")[0] == dispatcher.engine.id_prefix
            answer(LET_THROUGH_HERE if mine else LET_THROUGH_BEFORE)

    # ------------------------------------------------------------ what is shared

    def ledger_of(self, tenant: str) -> SharedLedger:
        """Return the ledger of a tenant, as this worker sees it."""
        return SharedLedger(self.owner, tenant)

    def inner_path(self, worker: int, tenant: str) -> Path:
        """Return where a worker takes the frames that others bring it."""
        return self.base.with_name(f"{tenant or self.base.name}.w{worker}")


NO: Final = 0
LET_THROUGH_HERE: Final = 1
LET_THROUGH_BEFORE: Final = 2
