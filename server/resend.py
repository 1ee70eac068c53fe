"""What each client was answered lately, so that a request that comes again is not decided twice.

A client is a uid and 128 random bits of its own; its request ids count upwards. An id that comes again with the same
payload gets the same answer, with another one `request_id_reused`. Ids that are older than what is remembered were
answered long ago, and are not decided again either.
"""

from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from ..contract import Decision
from ..contract.frames import Kind, message
from ..contract.result import result_of

if TYPE_CHECKING:
    from .frames import FrameConnection

ANSWERS_MAX: Final = 512
CLIENTS_MAX: Final = 1_024
KEPT_S: Final = 60.0


class Kept:
    """One request and its answer: None while it is under way. `connection` is where the answer is to go."""

    __slots__ = ("answer", "at", "connection", "digest", "id")

    def __init__(self, id: int, digest: bytes, connection: "FrameConnection", at: float) -> None:
        self.id = id
        self.digest = digest
        self.connection = connection
        self.at = at
        self.answer: bytes | None = None

    def give(self, decision: Decision, token: str) -> None:
        """Send the decision that was waited for, where the client is now."""
        self.connection.answer(self, message(Kind.RESULT, self.id, result_of(decision, token)))


class Client:
    """The requests of one client that are remembered, by id."""

    __slots__ = ("answers", "connections", "forgotten", "seen_at")

    def __init__(self, now: float) -> None:
        self.answers: OrderedDict[int, Kept] = OrderedDict()
        self.forgotten = 0
        self.connections = 0
        self.seen_at = now

    def keep(self, id: int, kept: Kept) -> None:
        """Remember a request, and forget the oldest that was answered."""
        answers = self.answers
        answers[id] = kept
        if len(answers) > ANSWERS_MAX:
            self._forget_oldest()

    def _forget_oldest(self) -> bool:
        id = next(iter(self.answers))
        if self.answers[id].answer is None:
            self.answers.move_to_end(id)  # under way: it is answered first
            return False
        del self.answers[id]
        self.forgotten = max(self.forgotten, id)
        return True

    def forget(self, until: float) -> None:
        """Forget what was answered before a time."""
        while self.answers:
            oldest = next(iter(self.answers.values()))
            if oldest.at > until or not self._forget_oldest():
                return


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
            client.forget(now - KEPT_S)
            if not client.connections and now - client.seen_at > KEPT_S:
                del self._all[key]


def digest_of(payload: bytes) -> bytes:
    """Return what tells one request from another: 16 bytes of BLAKE2b."""
    return blake2b(payload, digest_size=16).digest()
