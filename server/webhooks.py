"""Tells approvers of a hold: a signed POST, sent again with longer pauses, and kept where nobody takes it.

One thread sends; the loop never waits for it. The signature is HMAC-SHA256 over `id.timestamp.body` under the secret
behind `whsec_`; the id stays the same when a message is sent again, so that whoever gets it twice can tell.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import contextlib
import hashlib
import heapq
import hmac
import http.client
import itertools
import logging
import queue
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from ..contract import OperationError
from .envelopes import view_of
from .holds import Hold
from .settings import Approvers
from .store import Store

PAUSES_S: Final = (0.0, 5.0, 30.0, 120.0, 600.0, 1800.0)
TIMEOUT_S: Final = 10.0
WAITING_MAX: Final = 10_000
WAITING_BYTES_MAX: Final = 64 << 20
"""So many messages wait to be sent, and so many bytes of them; what comes on top is kept as nobody has taken it."""
SECRET_MARK: Final = "whsec_"

log = logging.getLogger(__name__)


class Hook(msgspec.Struct, frozen=True):
    """Where the approvers behind a name are told, and the secret that signs it."""

    url: str
    secret: bytes


def hooks_of(approvers: Mapping[str, Approvers], environment: Mapping[str, str]) -> dict[str, Hook]:
    """Return the hook of each name that has one.

    Raises:
        OperationError: a hook is no HTTP address, or has no secret; which one, and what to write.
    """
    hooks = {}
    for name, bound in approvers.items():
        if bound.webhook is None:
            continue
        address = urlsplit(bound.webhook)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise OperationError(f"[approvers.{name}] webhook = `{bound.webhook}` is no http or https address")
        variable = bound.webhook_secret_env
        secret = environment.get(variable, "") if variable else ""
        if not secret.startswith(SECRET_MARK):
            raise OperationError(
                f"[approvers.{name}] has a webhook and no secret to sign with; name a variable that holds `whsec_…`, "
                'webhook_secret_env = "NAME"'
            )
        try:
            key = base64.b64decode(secret.removeprefix(SECRET_MARK), validate=True)
        except (binascii.Error, ValueError):
            raise OperationError(f"${variable} is not `whsec_` and base64 behind it") from None
        hooks[name] = Hook(bound.webhook, key)
    return hooks


def signature(secret: bytes, id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` of a message."""
    signed = b"%s.%d.%s" % (id.encode(), timestamp, body)
    return f"v1,{base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()}"


class _Message(msgspec.Struct):
    id: str
    hook: Hook
    body: bytes
    tries: int = 0


class Webhooks:
    """Sends messages, each until somebody takes it or the last try has failed."""

    def __init__(
        self,
        hooks: Mapping[str, Hook],
        store: Store,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        self._hooks, self._store, self._clock, self._monotonic = hooks, store, clock, monotonic
        self._pauses_s = pauses_s
        self._queue: queue.SimpleQueue[_Message | None] = queue.SimpleQueue()
        self._later: list[tuple[float, int, _Message]] = []
        self._numbers = itertools.count()
        self.undelivered = 0
        self._waiting = self._bytes = 0
        self._lock = threading.Lock()
        """Held to count what waits: the loop adds to it, and the thread takes away."""
        self._stopping = False
        self._sending: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, name="thoth-webhooks", daemon=True)
        self._thread.start()

    def opened(self, hold: Hold) -> None:
        """Tell everybody who is asked that a call waits."""
        names = {name for _, asked, _ in hold.decision.asks for name in asked}
        body = msgspec.json.encode({"type": "hold.opened", "timestamp": self._clock(), "data": view_of(hold)})
        for url in {self._hooks[name].url: self._hooks[name] for name in sorted(names) if name in self._hooks}.values():
            message = _Message(f"msg_{secrets.token_hex(12)}", url, body)
            if self._count(1, len(body)):
                self._queue.put(message)
            else:
                self._keep(message, "too many messages wait")

    def _count(self, more: int, size: int) -> bool:
        """Count messages that wait in or out; say whether there is room for them."""
        with self._lock:
            if more > 0 and (self._waiting >= WAITING_MAX or self._bytes + size > WAITING_BYTES_MAX):
                return False
            self._waiting += more
            self._bytes += size
            return True

    def close(self) -> None:
        """Stop sending; what was not delivered is kept."""
        self._stopping = True
        self._queue.put(None)
        sending = self._sending
        connected = None if sending is None else sending.sock
        if connected is not None:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)  # whoever does not answer now has had their time
        self._thread.join()

    def _run(self) -> None:
        while True:
            timeout = max(0.0, self._later[0][0] - self._monotonic()) if self._later else None
            try:
                message = self._queue.get(timeout=timeout)
            except queue.Empty:
                message = heapq.heappop(self._later)[2]
            if message is None:
                for _, _, left in self._later:
                    self._give_up(left, "the sidecar was stopped")
                return
            if self._stopping:
                self._give_up(message, "the sidecar was stopped")
            else:
                self._try(message)

    def _try(self, message: _Message) -> None:
        why = self._send(message)
        if not why:
            self._count(-1, -len(message.body))
            return
        message.tries += 1
        log.warning("webhook_failed id=%s try=%d why=%s", message.id, message.tries, why.replace(" ", "_"))
        if message.tries >= len(self._pauses_s):
            self._give_up(message, why)
        else:
            due = self._monotonic() + self._pauses_s[message.tries]
            heapq.heappush(self._later, (due, next(self._numbers), message))

    def _give_up(self, message: _Message, why: str) -> None:
        self._count(-1, -len(message.body))
        self._keep(message, why)

    def _keep(self, message: _Message, why: str) -> None:
        with self._lock:
            self.undelivered += 1
        self._store.undelivered(message.id, self._clock(), message.hook.url, message.body, why, lambda error: None)

    def _send(self, message: _Message) -> str:
        """Send once; return why it was not taken, or nothing."""
        address = urlsplit(message.hook.url)
        timestamp = int(self._clock())
        headers = {
            "content-type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(message.hook.secret, message.id, timestamp, message.body),
        }
        self._sending = connection = _connection(address)
        try:
            connection.request("POST", address.path or "/", message.body, headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            self._sending = None
            connection.close()
        return "" if 200 <= status < 300 else f"status {status}"


def _connection(address: SplitResult) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    return kind(address.hostname or "", address.port, timeout=TIMEOUT_S)
