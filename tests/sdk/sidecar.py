"""The office behind a sidecar on a Unix socket."""

import tempfile
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import thoth
from thoth.server import Approvers
from thoth.server.holds import Principal
from thoth.unix_enforcer import UnixEnforcer

from ..server.live import live
from .office import POLICY, World


class UnixWorld(World):
    """The same office, inside a sidecar that runs on a thread of its own and records where the tests look."""

    def __init__(self, policy: str = POLICY, mode: str = "", http: str = "") -> None:
        super().__init__(policy, mode)
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        bound = {"finance-leads": Approvers(["bob"])}
        text = policy.replace("{mode}", mode)
        self.live = self._stack.enter_context(
            live(folder, text, approvers=bound, clock=self.clock, monotonic=self.clock, http=http)
        )
        self.engine = self.live.sidecar.engine
        self.live.on_loop(setattr, self.engine, "recorder", self.recorder)
        self.enforcer: Any = UnixEnforcer(str(self.live.path))

    def _answer(self, hold: thoth.Hold, granted: bool) -> None:
        durable: Future[Exception | None] = Future()
        bob = Principal("bob", "key:bob")
        self.live.on_loop(self.live.sidecar.holds.answer, hold.token, bob, granted, "", durable.set_result)
        assert durable.result(10) is None

    def approve(self, hold: thoth.Hold) -> None:
        self._answer(hold, True)

    def deny(self, hold: thoth.Hold) -> None:
        self._answer(hold, False)

    def expire(self, hold: thoth.Hold) -> None:
        hold.expires = 0.0

    def close(self) -> None:
        self.enforcer.close()
        self._stack.close()
