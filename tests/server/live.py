"""A sidecar on a loop and a thread of its own, for tests that talk to it over real sockets."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from thoth.server import Settings, Sidecar, Tenants

T = TypeVar("T")
CONTEXT = {"agent_id": "bot", "user_id": "ann", "tenant_id": "acme", "environment": "prod"}


def first_request(tool: str, session: str = "s1", **args: object) -> dict[str, Any]:
    """Return a request that may open a session: its history holds only itself."""
    return {**CONTEXT, "tool_name": tool, "tool_args": args, "session_id": session, "session_tool_calls": [tool]}


class Clock:
    """Time that moves when it is told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Live:
    """A running sidecar. `on_loop` runs a function where the sidecar runs."""

    def __init__(self, sidecar: Sidecar | Tenants, runner: "asyncio.Runner") -> None:
        self.sidecar: Any = sidecar
        self._runner = runner
        self._thread = threading.Thread(target=self._run, name="sidecar")
        self._started: Future[None] = Future()
        self.mistakes: list[dict[str, Any]] = []
        """What was raised where nobody catches it."""

    def _run(self) -> None:
        async def serve() -> None:
            self.stopping = asyncio.Event()
            try:
                await self.sidecar.start()
            except BaseException as error:
                self._started.set_exception(error)
                raise
            self.sidecar.loop.set_exception_handler(lambda loop, told: self.mistakes.append(told))
            self._started.set_result(None)
            await self.stopping.wait()
            await self.sidecar.stop()

        with self._runner:
            self._runner.run(serve())

    def start(self) -> None:
        self._thread.start()
        self._started.result(10)

    def stop(self) -> None:
        self.sidecar.loop.call_soon_threadsafe(self.stopping.set)
        self._thread.join(20)
        assert not self._thread.is_alive()
        assert self.mistakes == []
        assert self.sidecar.counts.internal == 0

    def on_loop(self, function: Callable[..., T], *arguments: Any) -> T:
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(function(*arguments))
            except BaseException as error:  # noqa: BLE001 - it is raised where the test waits
                done.set_exception(error)

        self.sidecar.loop.call_soon_threadsafe(run)
        return done.result(10)

    @property
    def path(self) -> Path:
        path: Path = self.sidecar.socket.path
        return path


@contextmanager
def live(folder: Path, policy: str, **settings: Any) -> Iterator[Live]:
    """Serve a policy from a folder; settings as in `Settings`, and those of `Sidecar`."""
    file = folder / "policy.thoth"
    file.write_text(policy, "utf-8")
    wired = {name: settings.pop(name) for name in ("clock", "monotonic", "webhook_pauses_s") if name in settings}
    settings.setdefault("recording", "none")
    settings.setdefault("state", str(folder / "state"))
    told = Settings(policy=[str(file)], socket=str(folder / "run" / "s"), **settings)
    with served(Sidecar(told, **wired)) as running:
        yield running


@contextmanager
def served(sidecar: Sidecar | Tenants) -> Iterator[Live]:
    """Serve what was opened."""
    running = Live(sidecar, asyncio.Runner(loop_factory=uvloop.new_event_loop))
    running.start()
    try:
        yield running
    finally:
        running.stop()
