"""The process: puts engine, evidence, holds and doors together, and serves until it is told to stop.

This file wires; what it wires knows nothing of it. Everything between `start` and `stop` happens on one loop.
"""

import asyncio
import contextlib
import gc
import importlib.metadata
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..contract import OperationError, Request
from ..engine.checked import CheckedPolicy
from ..engine.ledger import Ledger
from ..evidence import EvidenceLog
from ..evidence import open as open_log
from . import handover
from .commit import Commit
from .counts import Counts
from .dispatch import Dispatcher
from .frames import FrameDoor
from .glass import Glass
from .holds import KEPT_S, Holds, stored
from .keys import Keys
from .listeners import Listeners
from .load import Load
from .openapi import description
from .overrides import Overrides, check_operators
from .porter import PorterDoor
from .receipts import Receipts
from .reload import RECENT_MAX, Reloader, first
from .restore import Restored, restore
from .routes import Routes
from .settings import Settings
from .shared_ledger import SharedLedger
from .sockets import BoundSocket, Inherited
from .store import Store, make_state
from .tenant import TenantDispatcher
from .webhooks import PAUSES_S, Webhooks, hooks_of
from .worker import Worker
from .worker_routes import WorkerRoutes

VERSION: Final = importlib.metadata.version("thoth-runtime")
SWEEP_S: Final = 1.0
IDLE_LOOK_S: Final = 60.0
DRAIN_STEP_S: Final = 0.005
WATCHED: Final = (".thoth", ".thothb", ".json")
PROBE: Final = {"tool_name": "thoth.ready"}

log = logging.getLogger(__name__)


class Sidecar:
    """One decision sidecar on the running loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        webhook_pauses_s: tuple[float, ...] = PAUSES_S,
        tenant: str | None = None,
        worker: Worker | None = None,
    ) -> None:
        """Read the policy and open everything; nothing is taken yet. With `tenant` calls of that tenant alone.

        `worker` says which of several processes this is, and has the sockets that all of them listen on.

        Raises:
            PolicyError: with every mistake of the policy.
            OperationError: what cannot be opened, or an approver's name that nobody stands behind.
        """
        self.settings, self.clock, self.monotonic, self.tenant = settings, clock, monotonic, tenant
        self.worker = worker
        self.counts = Counts()
        self._open = contextlib.ExitStack()
        try:
            self.evidence = self._open_evidence()
            self.engine = first(settings, self.evidence, clock)
            if worker is not None:
                self.engine.ledger = worker.ledger_of(self.name)
            self._open_state(webhook_pauses_s)
            self._restore()
            self._open_doors()
        except BaseException:
            self._open.close()
            raise
        self._loaded(self.engine.policy, "")

    # ------------------------------------------------------------ opening

    def _open_evidence(self) -> EvidenceLog | None:
        if self.settings.recording == "none":
            return None
        # In either mode a thread commits; with `sync` an answer waits for that, and its record says so.
        evidence = open_log(self.settings.evidence, mode="async", recording=self.settings.recording)
        self._open.callback(evidence.close)
        return evidence

    @property
    def name(self) -> str:
        """The tenant's name, empty where there is but one."""
        return self.tenant or ""

    def _open_doors(self) -> None:
        worker = self.worker
        self.socket: BoundSocket | Inherited
        if worker is None:
            self.socket = BoundSocket(self.settings.socket_path())
        else:
            self.socket = Inherited(self.settings.socket_path(), worker.frames[self.name])
            self._inner = BoundSocket(worker.inner_path(worker.index, self.name))
            self._open.callback(self._inner.close)
        self._open.callback(self.socket.close)
        # Several tenants have their HTTP door in common, and so it is not here.
        self.listeners = worker.listeners if worker is not None and self.tenant is None else Listeners(self.settings)
        self._open.callback(self.listeners.close)

    def _open_state(self, webhook_pauses_s: tuple[float, ...]) -> None:
        self.store: Store | None = None
        self.keys: Keys | None = None
        self.webhooks: Webhooks | None = None
        self.overrides: Overrides | None = None
        operators = {name: operator.public_key for name, operator in self.settings.operators.items()}
        check_operators(operators)
        if operators and (self.evidence is None or not self.settings.state):
            raise OperationError(
                "operators are named, and what they override must be kept and recorded; write `--state DIR` and "
                "`--evidence DIR`"
            )
        hooks = hooks_of(self.settings.approvers, os.environ)
        if not self.settings.state:
            return
        folder = make_state(Path(self.settings.state))
        self.store = Store(folder / "holds.db")
        self._open.callback(self.store.close)
        self.keys = Keys(folder / "keys.db", self.tenant)
        self._open.callback(self.keys.close)
        if operators:
            self.overrides = Overrides(folder / "overrides.db", operators)
            self._open.callback(self.overrides.close)
        if hooks:
            self.webhooks = Webhooks(hooks, self.store, self.clock, self.monotonic, webhook_pauses_s)
            self._open.callback(self.webhooks.close)

    def _restore(self) -> None:
        """Take from the evidence what an earlier process knew, but for what its holds keep themselves."""
        self._restored = Restored()
        if self.evidence is None:
            return
        now = self.clock()
        held = [] if self.store is None else stored(self.store, now)
        waiting = frozenset(hold.decision.id for hold in held if hold.waiting)
        directory = Path(self.settings.evidence)
        worker, back_s = self.worker, self.settings.sessions_back_s
        if worker is None:
            restored = restore(self.engine, directory, now, back_s, waiting)
        else:  # what was spent the owner of the ledgers knows
            keeps = worker.keeps
            restored = restore(self.engine, directory, now, back_s, waiting, ledger=Ledger(), keeps=keeps)
        self._restored = restored
        place, taken = self._left(), 0
        if worker is None or worker.index == 0:
            handover.drop(self.settings.socket_path(), None if worker is None else worker.count)
        if self.settings.hand_over:
            taken = handover.take(place, self.engine, now)
        else:
            place.unlink(missing_ok=True)
        log.info("restored records=%d under_way=%d taken_over=%d", restored.count, len(restored.under_way), taken)

    def _left(self) -> Path:
        return handover.place_of(self.settings.socket_path(), None if self.worker is None else self.worker.index)

    def _loaded(self, policy: CheckedPolicy, previous: str) -> None:
        """Note that a policy is in force."""
        if self.evidence is not None:
            files = [str(file) for file in self.settings.policy]
            self.evidence.policy_loaded(policy.digest, previous=previous, files=files)

    # ------------------------------------------------------------ serving

    async def start(self, load: Load | None = None) -> None:
        """Take what comes; `load` is that of the loop, where others serve on it."""
        self.loop = loop = asyncio.get_running_loop()
        later = loop.call_soon_threadsafe
        self.commit: Commit | None = None
        if self.evidence is not None and self.settings.recording == "sync":
            self.commit = Commit(self.evidence, later, loop.call_soon)
        self.holds = Holds(
            self.engine,
            self.store,
            {name: frozenset(bound.members) for name, bound in self.settings.approvers.items()},
            self.clock,
            later,
            self.evidence.answered if self.evidence is not None else None,
            self.webhooks.opened if self.webhooks is not None else None,
            *(() if self.worker is None else (self.worker.token_for, self.worker.keeps_hold)),
        )
        if self.keys is not None:
            self.holds.principal_behind = self.keys.principal_behind
        self._restore_holds()
        parts = self.engine, self.holds, self.commit, self.counts, self.clock
        self.dispatcher = Dispatcher(*parts) if self.tenant is None else TenantDispatcher(self.tenant, *parts)
        self.dispatcher.overrides = self.overrides
        self.dispatcher.take_over(self._restored.under_way, self._restored.ended)
        self._restored = Restored()
        self.reloader = Reloader(self.engine, self.settings, self.counts, self.clock, later, self._recent, self._loaded)
        self.receipts = None if self.evidence is None else Receipts(self.evidence, later)
        self.load = load or Load(self.monotonic, loop.call_soon)
        self.frames = FrameDoor(
            self.dispatcher,
            loop,
            self.load,
            uids=self.settings.uids or [os.geteuid()],
            clock=self.monotonic,
            monotonic_ns=time.monotonic_ns,
            server=f"thoth {VERSION}",
        )
        self.routes = Routes(
            self.dispatcher,
            self.keys,
            self.load,
            clock=self.clock,
            monotonic=self.monotonic,
            later=loop.call_later,
            ready=self.not_ready,
            reload=self.reload,
            gauges=self.gauges,
            description=description(VERSION),
            receipts=self.receipts,
            glass=Glass(self.overrides, self.evidence, self.clock) if self.overrides is not None else None,
        )
        if self.worker is None:
            self._servers = [await loop.create_unix_server(self.frames, sock=self.socket.socket)]
            await self.listeners.start(self.routes, loop, self.monotonic)
        else:
            await self._start_worker(self.worker)
        self._asked_before = self._collected_at = 0
        self._idle_looked_at = 0.0
        self._sweeper = loop.call_later(SWEEP_S, self._sweep)
        log.info("serving socket=%s policy=%s", self.socket.path, self.engine.policy.digest[:12])

    def _restore_holds(self) -> None:
        ledger = self.engine.ledger
        if self.worker is None or not isinstance(ledger, SharedLedger):
            self.holds.restore()
            return
        ledger.again = True
        self.holds.restore()
        ledger.again = False
        self.worker.owner.done()

    async def _start_worker(self, worker: Worker) -> None:
        if self.routes.posts is not None:
            self.routes.posts.mine = worker.is_owner_of
        self.porters = PorterDoor(self.frames, worker, self.name)
        worker.dispatchers[self.name] = self.dispatcher
        self._servers = [
            await self.loop.create_unix_server(self.porters, sock=self.socket.socket),
            await self.loop.create_unix_server(self.porters.inside, sock=self._inner.socket),
        ]
        if self.tenant is None:
            self.front = WorkerRoutes(worker, self.routes, self.monotonic, self.numbers)
            await self.listeners.start(self.front, self.loop, self.monotonic)
        else:
            await self.listeners.start(self.routes, self.loop, self.monotonic)

    def numbers(self) -> list[Any]:
        """Return what was counted and what is measured now."""
        return [self.counts.values(), self.gauges()]

    def _recent(self) -> list[Request]:
        return self.dispatcher.recent(RECENT_MAX)

    def _sweep(self) -> None:
        self._sweeper = self.loop.call_later(SWEEP_S, self._sweep)
        self.sweep()

    def sweep(self) -> None:
        """Do what time brings: holds that are over, clients that are too slow, answers that can be forgotten."""
        self.holds.sweep()
        self.frames.sweep()
        if self.worker is not None:
            self.porters.sweep()
            if self.worker.owner.broken:
                self.worker.stop()  # nothing can be counted any more; another one is started in its place
        self.listeners.web.sweep()
        asked = self.dispatcher.asked
        if asked == self._asked_before and asked != self._collected_at:
            gc.collect()  # nobody asks: a good time to look for circles
            self._collected_at = asked
        self._asked_before = asked
        self._forget_idle()
        if self.overrides is not None:
            self.overrides.pass_by(self.clock())
        if self.keys is not None:
            self.keys.refresh()
        if self.store is not None:
            self.store.forget(self.clock() - KEPT_S, _ignore)

    def _forget_idle(self) -> None:
        """Forget idle sessions; looked at ten times within the time, or once a minute."""
        idle_s, now = self.settings.session_idle_s, self.clock()
        if not 0 <= now - self._idle_looked_at < min(IDLE_LOOK_S, idle_s / 10):
            self._idle_looked_at = now
            forgotten = self.engine.forget_idle(idle_s)
            if forgotten:
                log.info("sessions_forgotten count=%d", forgotten)

    def not_ready(self) -> str:
        """Return why calls are not decided, or nothing: one is, now."""
        if self.frames.leaving:
            return "the server is stopping"
        try:
            self.engine.weigh(PROBE)
        except Exception as error:  # noqa: BLE001 - whatever it is, this is where it is told
            return f"a decision failed ({type(error).__name__})"
        return ""

    def gauges(self) -> dict[str, float]:
        """Return what is measured when somebody asks."""
        load = self.load
        longest, load.longest = load.longest, 0.0
        return {
            "evidence_lag_seconds": 0.0 if self.evidence is None else self.evidence.lag_s,
            "holds_waiting": self.holds.waiting,
            "overrides_open": 0 if self.overrides is None else len(self.overrides.open_at(self.clock())),
            "frames_in_flight": self.frames.in_flight,
            "longest_turn_seconds": longest,
            "webhooks_undelivered": 0 if self.webhooks is None else self.webhooks.undelivered,
        }

    def reload(self, told: Callable[[str], None] | None = None) -> None:
        """Read policy and certificate again; `told` is called with what is wrong with them, or nothing."""
        try:
            self.listeners.renew()
        except OperationError as error:
            log.error("certificate_refused", extra={"facts": {"problem": str(error)}})
            if told is not None:
                told(str(error))
            return
        self.reloader.ask(told)

    async def watch(self, over: asyncio.Event) -> None:
        """Read the policy again whenever a file beside it changes, until this is cancelled or `over`."""
        from watchfiles import awatch

        async for changes in awatch(*self._folders(), stop_event=over, recursive=False):
            if any(Path(name).suffix in WATCHED for _, name in changes):
                self.reloader.ask()

    def _folders(self) -> set[Path]:
        folders = {Path(file).resolve().parent for file in (*self.settings.policy, self.settings.learned) if file}
        return folders | {Path(folder).resolve() for folder in self.settings.path}

    # ------------------------------------------------------------ the end

    async def stop(self) -> None:
        """Answer what was read, tell the clients to go, and close everything."""
        await self.drain()
        if self.worker is not None:
            await self.worker.drained(self.settings.drain_s)
        await self.finish()

    async def drain(self) -> None:
        """Answer what was read, and tell the clients to go."""
        for server in self._servers[:1]:
            server.close()
        self.reloader.close()
        self.frames.leave()
        self.listeners.leave()
        deadline = self.monotonic() + self.settings.drain_s
        while not self._idle() and self.monotonic() < deadline:  # noqa: ASYNC110 - many things can be under way
            await asyncio.sleep(DRAIN_STEP_S)

    async def finish(self) -> None:
        """Close everything."""
        for server in self._servers[1:]:
            server.close()
        self._sweeper.cancel()
        for connection in list(self.frames.connections):
            connection.transport.close()
        self.listeners.drop()
        await asyncio.sleep(0)
        if self.receipts is not None:
            self.receipts.close()
        if self.commit is not None:
            self.commit.close()
        if self.evidence is not None and self.settings.hand_over:
            handover.leave(self._left(), self.engine.sessions(), self.clock())
        self._open.close()
        log.info("stopped")

    def close(self) -> None:
        """Let go of everything that was opened; `stop` does, too."""
        self._open.close()

    def _idle(self) -> bool:
        return (
            self.frames.idle
            and (self.worker is None or self.porters.idle)
            and self.listeners.web.idle
            and (self.commit is None or self.commit.empty)
        )


def _ignore(error: Exception | None) -> None:
    pass
