"""What each client was answered lately, so that a request that comes again is not decided twice.

A client is a uid and 128 random bits of its own; its request ids count upwards. An id that comes again with the same
payload gets the same answer, with another one `request_id_reused`. Ids that are older than what is remembered were
answered long ago, and are not decided again either.
"""

from collections import OrderedDict
from typing import Final

from ..native.clients import Client, Kept
from ..native.replies import digest_of

__all__ = ["Client", "Clients", "Kept", "digest_of"]

ANSWERS_MAX: Final = 512
ANSWERS_BYTES_MAX: Final = 8 << 20
CLIENTS_MAX: Final = 1_024
KEPT_S: Final = 60.0


class Clients:
    """All clients that are remembered, the one heard last at the end."""

    def __init__(self) -> None:
        self._all: OrderedDict[tuple[int, str], Client] = OrderedDict()

    def find(self, uid: int, name: str, now: float) -> Client:
        """Return a client, new if it was never here, or not for a minute."""
        key = (uid, name)
        client = self._all.get(key)
        if client is None:
            client = self._all[key] = Client(now, ANSWERS_MAX, ANSWERS_BYTES_MAX)
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
