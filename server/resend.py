"""What each client was answered lately, so that a request that comes again is not decided twice.

A client is a uid and 128 random bits of its own; its request ids count upwards. An id that comes again with the same
payload gets the same answer, with another one `request_id_reused`. Ids that are older than what is remembered were
answered long ago, and are not decided again either.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from ..contract import Decision
from ..contract.frames import Kind, message
from ..contract.result import result_of
from ..native.replies import Replies, digest_of

if TYPE_CHECKING:
    from .frames import FrameConnection

__all__ = ["Client", "Clients", "Kept", "digest_of"]

ANSWERS_MAX: Final = 512
ANSWERS_BYTES_MAX: Final = 8 << 20
CLIENTS_MAX: Final = 1_024
KEPT_S: Final = 60.0


class Kept:
    """One request that is under way. `connection` is where the answer is to go."""

    __slots__ = ("client", "connection", "digest", "id")

    def __init__(self, id: int, digest: bytes, client: "Client", connection: "FrameConnection") -> None:
        self.id = id
        self.digest = digest
        self.client = client
        self.connection = connection

    def give(self, decision: Decision, token: str) -> None:
        """Send the decision that was waited for, where the client is now."""
        self.connection.answer(self, message(Kind.RESULT, self.id, result_of(decision, token)))


class Client:
    """The requests of one client that are remembered, by id: those under way, and the answers to others."""

    __slots__ = ("connections", "replies", "seen_at", "waiting")

    def __init__(self, now: float) -> None:
        self.waiting: dict[int, Kept] = {}
        self.replies = Replies(ANSWERS_MAX, ANSWERS_BYTES_MAX)
        self.connections = 0
        self.seen_at = now

    def begin(self, id: int, digest: bytes, connection: "FrameConnection") -> Kept:
        """Remember a request that is under way."""
        kept = self.waiting[id] = Kept(id, digest, self, connection)
        self.replies.note(id)
        return kept

    def answered(self, kept: Kept, answer: bytes, now: float) -> None:
        """Remember the answer to a request."""
        if self.waiting.pop(kept.id, None) is not None:
            self.replies.keep(kept.id, kept.digest, answer, now)


class Clients:
    """All clients that are remembered, the one heard last at the end."""

    def __init__(self) -> None:
        self._all: OrderedDict[tuple[int, str], Client] = OrderedDict()

    def find(self, uid: int, name: str, now: float) -> Client:
        """Return a client, new if it was never here, or not for a minute."""
        key = (uid, name)
        client = self._all.get(key)
        if client is None:
            client = self._all[key] = Client(now)
            if len(self._all) > CLIENTS_MAX:
                self._drop_one()
        self._all.move_to_end(key)
        client.seen_at = now
        return client

    def _drop_one(self) -> None:
        for key, client in self._all.items():
            if not client.connections:
                del self._all[key]
                return

    def sweep(self, now: float) -> None:
        """Forget what is older than a minute."""
        for key, client in list(self._all.items()):
            client.replies.forget(now - KEPT_S)
            if not client.connections and now - client.seen_at > KEPT_S:
                del self._all[key]
