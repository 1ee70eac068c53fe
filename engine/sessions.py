"""The sessions that one engine keeps: opened, found again, and forgotten when there are too many or they are idle.

Not locked: whoever asks holds the engine's lock.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from ..contract import Request
from .forgotten import Forgotten
from .session import Session

SESSIONS_MAX: Final = 10_000
ID_CHARS_MAX: Final = 512
"""A call that names a session with a longer id is in none that is known: the ids of sessions are kept."""


class KeptSessions:
    """At most so many, those that were asked for last; `kept` has them by id, the last one at the end."""

    __slots__ = ("_clock", "_forgotten", "_idle", "kept")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.kept: OrderedDict[str, Session] = OrderedDict()
        self._clock = clock
        self._forgotten = Forgotten()
        self._idle: dict[str, tuple[int, float]] = {}

    def open(
        self, id: str, root: Session | None, tenant: str | None, *, begins: bool, provenance_bytes: int
    ) -> Session:
        """Return the session of an id. One that was forgotten is continued, and so is any that does not begin now."""
        session = self.kept.get(id)
        if session is None:
            begun = begins and id not in self._forgotten
            session = Session(id, self._clock(), begun, tenant, root, provenance_bytes=provenance_bytes)
            self.kept[id] = session
            while len(self.kept) > SESSIONS_MAX:
                self._forgotten.add(self.kept.popitem(last=False)[0])
        self.kept.move_to_end(id)
        return session

    def of(self, request: Request, provenance_bytes: int) -> Session | None:
        """Return the session that a request names: a first call whose history holds only itself opens it."""
        id = request.session_id
        if not isinstance(id, str) or not 0 < len(id) <= ID_CHARS_MAX:
            return None
        if request.tenant_id is not None and type(request.tenant_id) is not str:
            return None  # nobody's session
        begins = request.session_tool_calls == [request.tool_name]
        session = self.open(id, None, request.tenant_id, begins=begins, provenance_bytes=provenance_bytes)
        if session.tenant is not None and session.tenant != request.tenant_id:
            return None  # another tenant's session says nothing about this call
        return session

    def forget_idle(self, seconds: float) -> int:
        """Forget those in which nothing has happened for so long; return how many."""
        now = self._clock()
        idle: dict[str, tuple[int, float]] = {}
        forgotten = 0
        for id, session in list(self.kept.items()):
            version, since = self._idle.get(id, (-1, now))
            if version != session.version:
                version, since = session.version, now
            if now - since < seconds:
                idle[id] = version, since
            else:
                del self.kept[id]
                self._forgotten.add(id)
                forgotten += 1
        self._idle = idle
        return forgotten
