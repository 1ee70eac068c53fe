"""Several workers behind the same sockets: starts them, starts again one that ends, and owns what they count together.

One process, one thread, no event loop, so that it can fork at any time. It decides nothing and reads no request. When
it is gone, its workers answer what they have read and end; when a worker is gone, the others go on, and calls of its
sessions are refused until it is back.
"""

import gc
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from ..contract import OperationError
from ..engine import Engine
from ..engine.ledger import Ledger
from ..evidence import open as open_log
from .bound import check_bound
from .holds import stored
from .listeners import Listeners
from .restore import restore
from .settings import Settings
from .shared_ledger import READ_BYTES, Asker, Ledgers
from .sockets import BoundSocket
from .store import Store, make_state
from .worker import CLOSE, DRAINED, READY, Worker

TURN_S: Final = 0.5
HOLDING_S: Final = 5.0
"""A worker that keeps the ledger for so long does not go on: it is killed, and started again."""
QUICK_S: Final = 2.0
PAUSE_S: Final = 1.0
"""A worker that ended within QUICK_S of its start is started again after PAUSE_S."""
FAREWELL_S: Final = 5.0

log = logging.getLogger(__name__)

Serve = Callable[[Settings, Worker], None]
"""Serves in a worker's process until told to stop."""


@dataclass(eq=False)
class _Child:
    index: int
    pid: int
    asker: Asker
    control: socket.socket
    started: float
    said: bytearray = field(default_factory=bytearray)
    ready: bool = False
    drained: bool = False


class Supervisor:
    """The process that `thoth serve --workers N` starts as."""

    def __init__(self, settings: Settings, each: dict[str, Settings], serve: Serve) -> None:
        """Listen, and take from the evidence what was counted. `each` are the settings by tenant's name, one of none.

        Raises:
            PolicyError: with every mistake of a policy.
            OperationError: what cannot be opened.
        """
        self.settings, self._serve = settings, serve
        self._children: dict[int, _Child] = {}
        self._again: dict[int, float] = {}
        self._stopping = self._failed = False
        self._select = selectors.DefaultSelector()
        self._open = ExitStack()
        try:
            self.frames: dict[str, BoundSocket] = {}
            for name, own in each.items():
                self.frames[name] = bound = BoundSocket(own.socket_path())
                self._open.callback(bound.close)
            self.listeners = Listeners(settings)
            self._open.callback(self.listeners.close)
            self._ledgers = Ledgers({name: counted(own) for name, own in each.items()}, time.monotonic)
        except BaseException:
            self._open.close()
            raise

    # ------------------------------------------------------------ running

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            OperationError: a worker could not start; its log lines say why.
        """
        wakes, waker = socket.socketpair()
        wakes.setblocking(False)
        waker.setblocking(False)
        signals: list[int] = []
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        before = {number: signal.signal(number, lambda number, stack: signals.append(number)) for number in numbers}
        before_fd = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        self._select.register(wakes, selectors.EVENT_READ, None)
        self._not_for_children = [wakes, waker]
        gc.collect()
        gc.freeze()  # what is there stays, and children share its memory
        try:
            for index in range(self.settings.workers):
                self._start(index)
            while self._children or (self._again and not self._stopping):
                for key, _ in self._select.select(TURN_S):
                    if key.data is None:
                        with suppress(BlockingIOError):
                            wakes.recv(4096)
                    else:
                        key.data()
                taken, signals[:] = list(signals), []
                for number in taken:
                    self._signalled(number)
                self._reap()
                self._watch()
        finally:
            signal.set_wakeup_fd(before_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            for child in self._children.values():
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
            wakes.close()
            waker.close()
            self._select.close()
            self._open.close()
        log.info("stopped_workers")
        if self._failed:
            raise OperationError("a worker could not start; what it logged says why")

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._tell(signal.SIGHUP)
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._stop()

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._stop_by = time.monotonic() + self.settings.drain_s + FAREWELL_S
            self._again.clear()
            self._tell(signal.SIGTERM)

    def _tell(self, number: int) -> None:
        for child in self._children.values():
            with suppress(ProcessLookupError):
                os.kill(child.pid, number)

    # ------------------------------------------------------------ workers

    def _start(self, index: int) -> None:
        ledger, its_ledger = socket.socketpair()
        control, its_control = socket.socketpair()
        pid = os.fork()
        if not pid:
            self._be(index, its_ledger, its_control, [ledger, control])
        its_ledger.close()
        its_control.close()
        ledger.settimeout(TURN_S)
        child = _Child(index, pid, Asker(ledger), control, time.monotonic())
        self._children[pid] = child
        self._select.register(ledger, selectors.EVENT_READ, lambda: self._counted(child))
        self._select.register(control, selectors.EVENT_READ, lambda: self._heard(child))
        log.info("worker_started worker=%d pid=%d", index, pid)

    def _be(self, index: int, ledger: socket.socket, control: socket.socket, others: list[socket.socket]) -> NoReturn:
        """Be a worker, in its own process, and end with it."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            self._select.close()
            for sock in (*others, *self._not_for_children, *self._ends()):
                sock.close()
            worker = Worker(
                index,
                self.settings.workers,
                ledger=ledger,
                control=control,
                frames={name: bound.socket for name, bound in self.frames.items()},
                listeners=self.listeners.inherited(),
                base=self.settings.socket_path(),
            )
            self._serve(self.settings, worker)
            code = 0
        except BaseException as error:
            log.exception("worker_failed worker=%d error=%s", index, type(error).__name__)
        finally:
            os._exit(code)

    def _ends(self) -> Iterable[socket.socket]:
        for child in self._children.values():
            yield child.asker.sock
            yield child.control

    def _counted(self, child: _Child) -> None:
        try:
            data = child.asker.sock.recv(READ_BYTES)
        except OSError:
            data = b""
        if data:
            self._ledgers.take(child.asker, data)
        else:
            self._select.unregister(child.asker.sock)
            self._ledgers.leave(child.asker)
            child.asker.sock.close()

    def _heard(self, child: _Child) -> None:
        try:
            data = child.control.recv(4096)
        except OSError:
            data = b""
        if not data:
            self._select.unregister(child.control)
            child.control.close()
            return
        child.said += data
        if READY in child.said and not child.ready:
            child.ready = True
            if all(one.ready for one in self._children.values()) and len(self._children) == self.settings.workers:
                log.info("serving_workers count=%d", self.settings.workers)
        if DRAINED in child.said and not child.drained:
            child.drained = True
            self._close_drained(child)

    def _close_drained(self, child: _Child) -> None:
        """Let a worker close that has answered everything: at the end of all only when the others need it no more."""
        if not self._stopping:
            self._close(child)
        elif all(one.drained for one in self._children.values()):
            for one in self._children.values():
                self._close(one)

    def _close(self, child: _Child) -> None:
        with suppress(OSError):
            child.control.sendall(CLOSE)

    def _reap(self) -> None:
        for pid, child in list(self._children.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self._children[pid]
            for sock, leave in ((child.asker.sock, True), (child.control, False)):
                if sock.fileno() >= 0:
                    self._select.unregister(sock)
                    sock.close()
                    if leave:
                        self._ledgers.leave(child.asker)
            code = os.waitstatus_to_exitcode(status)
            now = time.monotonic()
            log.log(
                logging.INFO if self._stopping else logging.ERROR, "worker_ended worker=%d code=%d", child.index, code
            )
            if self._stopping:
                self._close_rest()
            elif not child.ready and not any(one.ready for one in self._children.values()):
                self._failed = True
                self._stop()
            else:
                self._again[child.index] = now if now - child.started > QUICK_S else now + PAUSE_S

    def _close_rest(self) -> None:
        rest = list(self._children.values())
        if rest and all(one.drained for one in rest):
            for one in rest:
                self._close(one)

    def _watch(self) -> None:
        now = time.monotonic()
        for index, at in list(self._again.items()):
            if now >= at and not self._stopping:
                del self._again[index]
                self._start(index)
        holder = self._ledgers.holder
        if holder is not None and now - self._ledgers.held_since > HOLDING_S:
            for child in self._children.values():
                if child.asker is holder:
                    log.error("worker_stuck worker=%d", child.index)
                    os.kill(child.pid, signal.SIGKILL)
        if self._stopping and now > self._stop_by:
            self._tell(signal.SIGKILL)


def counted(settings: Settings) -> Ledger:
    """Return what one tenant's evidence says that limits have spent, the ladder counted, and approvals used up.

    Raises:
        PolicyError: with every mistake of the policy.
        OperationError: what cannot be opened.
    """
    engine = Engine.from_files(settings.policy, path=settings.path, learned=settings.learned or None)
    check_bound(engine.policy, settings)
    now = time.time()
    held = []
    if settings.state:
        store = Store(make_state(Path(settings.state)) / "holds.db")
        try:
            held = stored(store, now)
        finally:
            store.close()
    if settings.recording != "none":
        with ExitStack() as logs:
            for _ in range(settings.workers):  # what a crash left is mended before it is read
                logs.enter_context(open_log(settings.evidence))
        waiting = frozenset(hold.decision.id for hold in held if hold.waiting)
        restore(engine, Path(settings.evidence), now, 0.0, waiting)
    return engine.ledger
