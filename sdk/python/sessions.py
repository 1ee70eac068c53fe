"""Which conversation a call belongs to: its id, what its user said, which tools it has run, and whose agent it serves.

A session is found through a context variable, so tasks and copied contexts see the one that they were started in. What
an agent's tool starts while it runs belongs to a sub-session: the root's user speaks for it, and its scope is cut with
that of the agent that asked.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict, deque
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .guard import Guard

CALLS_KEPT: Final = 128
TURNS_CHARS_MAX: Final = 1024 * 1024
MEMORIES_MAX: Final = 10_000


class Memory:
    """What is kept of one session id in this process. `told` counts the turns that each enforcer has heard.

    `tenant` is that of the first agent that called in it; another tenant's agent has no place there.
    """

    __slots__ = ("handles", "id", "tenant", "told", "tool_calls", "turns", "turns_chars")

    def __init__(self, id: str) -> None:
        self.id = id
        self.tenant: str | None = None
        self.tool_calls: deque[str] = deque(maxlen=CALLS_KEPT)
        self.turns: list[str] = []
        self.turns_chars = 0
        self.told: dict[object, int] = {}
        self.handles: dict[object, Any] = {}


class _Memories:
    """Memories by session id; the longest unused goes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Memory] = OrderedDict()

    def of(self, id: str) -> Memory:
        with self._lock:
            memory = self._kept.get(id)
            if memory is None:
                memory = self._kept[id] = Memory(id)
                if len(self._kept) > MEMORIES_MAX:
                    self._kept.popitem(last=False)
            else:
                self._kept.move_to_end(id)
            return memory


_MEMORIES: Final = _Memories()


class Session:
    """One conversation. Two sessions of the same id share their memory.

    `fields` are wire fields that hold for its calls in place of the client's own, such as `purpose`. `root` is the
    session whose user speaks for this one, `scope` what an agent above leaves to it (None: everything), `chain` the
    agents above, first one first.
    """

    __slots__ = ("_children", "chain", "fields", "memory", "root", "scope", "seats")

    def __init__(
        self,
        id: str | None = None,
        *,
        root: Session | None = None,
        scope: frozenset[str] | None = None,
        chain: tuple[str, ...] = (),
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """`id` unsaid: a new one."""
        self.memory = _MEMORIES.of(id or str(uuid.uuid4()))
        self.root = root
        self.scope = scope
        self.chain = chain
        self.fields = dict(fields or {})
        self.seats: dict[object, Any] = {}
        self._children: dict[tuple[str, str, frozenset[str]], Session] = {}

    @property
    def id(self) -> str:
        """The id, as it is sent."""
        return self.memory.id

    session_id = id

    @property
    def tool_calls(self) -> list[str]:
        """The tools that have completed in it, the last 128."""
        return list(self.memory.tool_calls)

    def said(self, text: str) -> None:
        """Take in what the user said: the words of a person, not those of an agent, a tool or a prompt of yours.

        They are kept in memory, told to the enforcer before the next call is asked about, and logged nowhere. In a
        sub-session they count for nothing: there an agent speaks.
        """
        memory = self.memory
        if self.root is not None or not text:
            return
        if memory.turns_chars + len(text) <= TURNS_CHARS_MAX:
            memory.turns.append(text)
            memory.turns_chars += len(text)

    def child(self, agent: str, own: Iterable[str] | None, above: Guard) -> Session:
        """Return the sub-session in which `agent` serves this one, called from a tool of the agent `above`."""
        given = above.scope_in(self)
        scope = given if own is None else given & frozenset(own)
        key = (agent, above.agent_id, scope)  # another agent above leaves it another scope
        made = self._children.get(key)
        if made is None:
            made = Session(root=self.root or self, scope=scope, chain=(*self.chain, above.agent_id), fields=self.fields)
            made = self._children.setdefault(key, made)
        return made

    def __repr__(self) -> str:
        return f"Session({self.id!r})"


class Frame(NamedTuple):
    """Where a piece of code runs: in which session, and inside a tool of which guard, if in any."""

    session: Session
    guard: Guard | None = None


CURRENT: Final[ContextVar[Frame | None]] = ContextVar("thoth_session", default=None)


def get_current_session() -> Session | None:
    """Return the session that the code runs in: that of `with thoth.session(…)`, or of the tool call around it."""
    frame = CURRENT.get()
    return None if frame is None else frame.session


class SessionScope:
    """`with` or `async with`: the session that it was made for is the current one inside."""

    __slots__ = ("_token", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self._token: Token[Frame | None] | None = None

    def __enter__(self) -> Session:
        self._token = CURRENT.set(Frame(self.session))
        return self.session

    def __exit__(self, *_: object) -> None:
        token, self._token = self._token, None
        if token is not None:
            CURRENT.reset(token)

    async def __aenter__(self) -> Session:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()


def session(
    id: str | Session | None = None,
    *,
    user_id: str | None = None,
    session_intent: str | None = None,
    purpose: str | None = None,
    data_classification: str | None = None,
    task_context: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    enforcement_trace_id: str | None = None,
) -> SessionScope:
    """Return a context in which governed calls belong to one session; what is given holds in place of the client's own.

    `id` unsaid: a new session. An id that was used before goes on with the same one.

    Example: `with thoth.session("case-17", user_id="ann") as session: session.said("Pay ACME 25,000")`
    """
    if isinstance(id, Session):
        return SessionScope(id)
    given = {
        "user_id": user_id,
        "session_intent": session_intent,
        "purpose": purpose,
        "data_classification": data_classification,
        "task_context": task_context,
        "metadata": metadata,
        "enforcement_trace_id": enforcement_trace_id,
    }
    return SessionScope(Session(id, fields={name: value for name, value in given.items() if value is not None}))
