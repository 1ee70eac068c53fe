"""The client of the sidecar's socket that blocks: several threads may use one, and answers come in any order.

Whoever waits for an answer reads for everybody. When the connection breaks, it is made again and everything that was
not answered is sent again under the same ids: the sidecar answers a repeated request as it did before.
"""

import contextlib
import itertools
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

import msgspec

from thoth.contract import Decision, Ending, OperationError, Outcome, Request
from thoth.contract import frames as wire
from thoth.contract.frames import Kind

from .socket_frames import (
    TIMEOUT_S,
    Answered,
    Reply,
    answered,
    answered_all,
    check_server,
    checked,
    default_path,
    ending,
    outcome,
    plain_question,
    question,
    settled,
    trusted_uids,
    welcomed,
)

READ_BYTES: Final = 64 * 1024
RETRY_S: Final = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
UNSET: Final = msgspec.UNSET


class SocketClient:
    """Asks a sidecar over its Unix socket. Safe to use from several threads, and after a fork."""

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, timeout_s: float = TIMEOUT_S, server_uid: int | None = None
    ) -> None:
        """Nothing is connected yet. `server_uid` is whose sidecar is believed; unsaid, our own user's and root's."""
        self.path = os.fspath(path) if path is not None else default_path()
        self.timeout_s = timeout_s
        self._uids = trusted_uids(server_uid)
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._name = secrets.token_hex(16)
        self._ids = itertools.count(1)
        self._link: tuple[socket.socket, wire.FrameReader] | None = None
        self._pending: dict[int, bytes] = {}
        self._answers: dict[int, tuple[int, int, bytes]] = {}
        self._reading = False
        self._welcome: wire.Welcome | None = None

    # ------------------------------------------------------------ asking

    def decide(self, request: Mapping[str, Any] | Request, *, timeout_s: float | None = None) -> Answered:
        """Have one call decided.

        Raises:
            RequestError: the request cannot be sent.
            OperationError: there was no answer in time; the call must not run.
        """
        deadline = self._deadline(timeout_s)
        flags, payload = question(request, int(deadline * 1e9))
        return answered(self._ask(Kind.DECIDE, payload, flags, deadline), request)

    def decide_batch(
        self, requests: Iterable[Mapping[str, Any] | Request], *, timeout_s: float | None = None
    ) -> list[Answered]:
        """Have up to 64 calls decided in their order, with one frame; see `decide`."""
        batch = list(requests)
        bodies = [plain_question(one) for one in batch]
        payload = msgspec.msgpack.encode(bodies)
        return answered_all(self._ask(Kind.DECIDE_BATCH, payload, 0, self._deadline(timeout_s)), batch)

    def decide_many(
        self, requests: Iterable[Mapping[str, Any] | Request], *, timeout_s: float | None = None
    ) -> list[Answered]:
        """Have any number of calls decided, a frame each, as many under way at once as the server allows."""
        deadline = self._deadline(timeout_s)
        asked = list(requests)
        frames = [question(one, int(deadline * 1e9)) for one in asked]
        ids: list[int] = []
        made: list[Answered] = []
        credits = self._connected(deadline).credits
        for place, one in enumerate(asked):
            while len(ids) < len(asked) and len(ids) - place < credits:
                flags, payload = frames[len(ids)]
                ids.append(self._send(Kind.DECIDE, payload, flags, deadline))
            made.append(answered(self._receive(ids[place], deadline), one))
        return made

    def said(self, session_id: str, text: str, *, tenant_id: str | None = None) -> None:
        """Tell what the user of a session said."""
        payload = msgspec.msgpack.encode(wire.Said(session_id, text, tenant_id))
        self._ask(Kind.SAID, payload, 0, self._deadline(None))

    def open_session(self, session_id: str, *, tenant_id: str | None = None, root: str | None = None) -> None:
        """Say that a session begins; `root` is the session whose user speaks for it."""
        hello = wire.Hello(self._name, session_id, tenant_id, root)
        self._ask(Kind.HELLO, msgspec.msgpack.encode(hello), 0, self._deadline(None))

    def ended(self, decision_id: str, how: Ending, result: Any = UNSET, *, whole: bool = True) -> Outcome:
        """Tell how a call ended, and what it returned; return what the agent may see of it."""
        flags, payload = ending(decision_id, how, result, whole)
        return outcome(self._ask(Kind.OUTCOME, payload, flags, self._deadline(None)), decision_id, how)

    def wait(self, token: str, seconds: float, request: Mapping[str, Any] | Request | None = None) -> Decision | None:
        """Wait for the answer to a held call, and return it; None where it has not come in `seconds`."""
        payload = msgspec.msgpack.encode(wire.HoldWait(token, seconds))
        return settled(self._ask(Kind.HOLD_WAIT, payload, 0, self._deadline(self.timeout_s + seconds)), request)

    def ping(self) -> None:
        """Return when the sidecar has answered."""
        self._ask(Kind.PING, b"", 0, self._deadline(None))

    def close(self) -> None:
        """Let go of the connection; the next question makes a new one."""
        with self._sending:
            self._disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------ frames out

    def _deadline(self, timeout_s: float | None) -> float:
        return time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)

    def _ask(self, kind: int, payload: bytes, flags: int, deadline: float) -> Reply:
        return self._receive(self._send(kind, payload, flags, deadline), deadline)

    def _send(self, kind: int, payload: bytes, flags: int, deadline: float) -> int:
        if self._pid != os.getpid():
            self._changed, self._sending = threading.Condition(), threading.Lock()
            self._begin()  # the connection is the parent's
        with self._sending:
            id = next(self._ids)
            data = wire.frame(kind, id, payload, flags)
            self._pending[id] = data
            try:
                if self._link is None:
                    self._connect(deadline)  # sends what is pending
                else:
                    self._write(data, deadline)
            except BaseException:
                self._pending.pop(id, None)
                raise
        return id

    def _write(self, data: bytes, deadline: float) -> None:
        assert self._link is not None
        sock, _ = self._link
        try:
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            sock.sendall(data)
        except TimeoutError:
            self._connect(deadline)  # part of a frame may have gone out
        except OSError:
            pass  # gone; but answers may lie in our buffer, so whoever reads comes to the end of them and connects

    def _connected(self, deadline: float) -> wire.Welcome:
        with self._sending:
            if self._link is None:
                self._connect(deadline)
            assert self._welcome is not None
            return self._welcome

    def _connect(self, deadline: float) -> None:
        """Make the connection anew and send everything that has no answer; the caller holds `_sending`."""
        self._disconnect()
        why: Exception | None = None
        for pause in itertools.chain(RETRY_S, itertools.repeat(RETRY_S[-1])):
            left = deadline - time.monotonic()
            if why is not None and left <= pause:
                break
            time.sleep(pause)
            try:
                self._try_connect(max(0.001, deadline - time.monotonic()))
            except OSError as error:
                why = error
            else:
                return
        raise OperationError(f"no sidecar answers on `{self.path}`: {why}") from why

    def _try_connect(self, timeout_s: float) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.settimeout(timeout_s)
            sock.connect(self.path)
            check_server(sock, self.path, self._uids)
            sock.sendall(wire.message(Kind.HELLO, 0, wire.Hello(self._name)))
            reader = wire.FrameReader()
            frames: list[tuple[int, int, int, bytes]] = []
            while not frames:
                data = sock.recv(READ_BYTES)
                if not data:
                    raise ConnectionResetError("the sidecar closed the connection")
                frames = reader.feed(data)
                if reader.failed is not None:
                    raise OperationError(f"`{self.path}` speaks another protocol: {reader.failed}")
            kind, _, _, payload = frames[0]
            if kind == Kind.GOAWAY:
                raise ConnectionResetError("the sidecar is leaving")
            self._welcome = welcomed(checked(kind, 0, payload).payload)
            sock.sendall(b"".join(data for _, data in sorted(self._pending.items())))
        except BaseException:
            sock.close()
            raise
        self._link = sock, reader

    def _disconnect(self) -> None:
        if self._link is not None:
            sock, _ = self._link
            self._link = None
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # whoever reads from it wakes up
            sock.close()

    # ------------------------------------------------------------ frames in

    def _receive(self, id: int, deadline: float) -> Reply:
        try:
            while True:
                with self._changed:
                    if id in self._answers:
                        return checked(*self._answers.pop(id))
                    left = deadline - time.monotonic()
                    if left <= 0:
                        raise OperationError(f"the sidecar on `{self.path}` did not answer in time")
                    if self._reading:
                        self._changed.wait(left)
                        continue
                    self._reading = True
                try:
                    self._read(left, deadline)
                finally:
                    with self._changed:
                        self._reading = False
                        self._changed.notify_all()
        finally:
            self._pending.pop(id, None)
            self._answers.pop(id, None)

    def _read(self, left: float, deadline: float) -> None:
        """Read once, for everybody."""
        link = self._link
        data, frames, failed = b"", [], False
        if link is not None:
            sock, reader = link
            try:
                sock.settimeout(left)
                data = sock.recv(READ_BYTES)
            except TimeoutError:
                return
            except OSError:
                pass
            frames = reader.feed(data)
            failed = not data or reader.failed is not None
        for kind, flags, id, payload in frames:
            if kind == Kind.GOAWAY:
                continue  # what is under way is still answered; then the connection ends
            if self._pending.pop(id, None) is not None:
                self._answers[id] = kind, flags, payload
        if failed or link is None:
            with self._sending:
                if self._link is link:
                    self._connect(deadline)
