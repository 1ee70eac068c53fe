"""The process: puts engine, evidence, holds and doors together, and serves until it is told to stop.

This file wires; what it wires knows nothing of it. Everything between `start` and `stop` happens on one loop.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from ..contract import OperationError
from ..contract.decision import USER
from ..engine import Engine
from ..engine.checked import CheckedPolicy
from ..evidence import EvidenceLog
from ..evidence import open as open_log
from .commit import Commit
from .counts import Counts
from .dispatch import Dispatcher
from .frames import FrameDoor
from .holds import Holds
from .load import Load
from .settings import Settings
from .sockets import BoundSocket
from .store import Store

SWEEP_S: Final = 1.0
DRAIN_STEP_S: Final = 0.005
SERVER: Final = "thoth"

log = logging.getLogger(__name__)


class Sidecar:
    """One decision sidecar on the running loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        engine: Engine | None = None,
    ) -> None:
        """Read the policy and open everything; nothing listens yet. `engine` is for a policy that is no file.

        Raises:
            PolicyError: with every mistake of the policy.
            OperationError: what cannot be opened, or an approver's name that nobody stands behind.
        """
        self.settings, self.clock, self.monotonic = settings, clock, monotonic
        self.counts = Counts()
        self._open = contextlib.ExitStack()
        try:
            self.evidence = self._open_evidence()
            self.shown: dict[str, set[str]]
            if engine is None:
                engine = Engine.from_files(
                    settings.policy,
                    path=settings.path,
                    learned=settings.learned or None,
                    recorder=self.evidence,
                    clock=clock,
                )
            self.engine = engine
            check_bound(engine.policy, settings)
            self.store = self._open_store()
            self.socket = BoundSocket(settings.socket_path())
            self._open.callback(self.socket.close)
        except BaseException:
            self._open.close()
            raise
        self._show(engine.policy)

    def _open_evidence(self) -> EvidenceLog | None:
        self.shown = {}
        if self.settings.recording == "none":
            return None
        evidence = open_log(self.settings.evidence, mode="async", shown=self.shown)
        self._open.callback(evidence.close)
        return evidence

    def _open_store(self) -> Store | None:
        if not self.settings.state:
            return None
        folder = Path(self.settings.state)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OperationError(f"`{folder}` cannot be made: {error.strerror or error}") from error
        store = Store(folder / "holds.db")
        self._open.callback(store.close)
        return store

    def _show(self, policy: CheckedPolicy) -> None:
        for name, declarations in policy.tools.items():
            self.shown[name] = {param.name for tool in declarations for param in tool.params if param.shown}
        if self.evidence is not None:
            self.evidence.policy_loaded(policy.digest, files=[str(file) for file in self.settings.policy])

    # ------------------------------------------------------------ serving

    async def start(self) -> None:
        """Listen."""
        self.loop = loop = asyncio.get_running_loop()
        later = loop.call_soon_threadsafe
        self.commit: Commit | None = None
        if self.evidence is not None and self.settings.recording == "sync":
            self.commit = Commit(self.evidence, later, loop.call_soon)
        members = {name: frozenset(bound.members) for name, bound in self.settings.approvers.items()}
        self.holds = Holds(
            self.engine,
            self.store,
            members,
            self.clock,
            later,
            self.evidence.answered if self.evidence is not None else None,
        )
        self.holds.restore()
        self.dispatcher = Dispatcher(self.engine, self.holds, self.commit, self.counts, self.clock)
        self.load = Load(self.monotonic, loop.call_soon)
        self.frames = FrameDoor(
            self.dispatcher,
            loop,
            self.load,
            uids=self.settings.uids or [os.geteuid()],
            clock=self.monotonic,
            monotonic_ns=time.monotonic_ns,
            server=SERVER,
        )
        self._servers = [await loop.create_unix_server(self.frames, sock=self.socket.socket)]
        self._sweeper = loop.call_later(SWEEP_S, self._sweep)
        log.info("serving socket=%s policy=%s", self.socket.path, self.engine.policy.digest[:12])

    def _sweep(self) -> None:
        self._sweeper = self.loop.call_later(SWEEP_S, self._sweep)
        self.sweep()

    def sweep(self) -> None:
        """Do what time brings: holds that are over, clients that are too slow, answers that can be forgotten."""
        self.holds.sweep()
        self.frames.sweep()

    async def stop(self) -> None:
        """Answer what was read, tell the clients to go, and close everything."""
        for server in self._servers:
            server.close()
        self.frames.leave()
        deadline = self.monotonic() + self.settings.drain_s
        while not self._idle() and self.monotonic() < deadline:  # noqa: ASYNC110 - many things can be under way
            await asyncio.sleep(DRAIN_STEP_S)
        self._sweeper.cancel()
        for connection in list(self.frames.connections):
            connection.transport.close()
        await asyncio.sleep(0)
        if self.commit is not None:
            self.commit.close()
        self._open.close()
        log.info("stopped")

    def _idle(self) -> bool:
        return self.frames.idle and (self.commit is None or self.commit.empty)


def check_bound(policy: CheckedPolicy, settings: Settings) -> None:
    """Stop before the first hold where a policy asks somebody whom nobody stands behind.

    Raises:
        OperationError: naming everybody who is missing, and what to write.
    """
    unbound = sorted(asked_by(policy) - {USER} - settings.approvers.keys())
    empty = sorted(name for name, bound in settings.approvers.items() if not bound.members)
    if unbound:
        names = ", ".join(f"`{name}`" for name in unbound)
        raise OperationError(
            f"the policy asks {names}, and the settings bind nobody to it; write [approvers.{unbound[0]}] "
            'with members = ["…"]'
        )
    if empty:
        raise OperationError(f"[approvers.{empty[0]}] has no members; name the principals who may answer")
    if asked_by(policy) and not settings.state:
        raise OperationError("the policy holds calls, and there is no folder to keep them in; write `--state DIR`")


def asked_by(policy: CheckedPolicy) -> set[str]:
    """Return every approver's name that a policy may ask."""
    rules: Iterable[Any] = policy.rules
    names = {name for rule in rules if rule.ask is not None for name in rule.ask.approvers}
    return names | set(policy.approvers)
