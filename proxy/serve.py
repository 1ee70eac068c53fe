"""One run: a client on our standard streams, a server behind us, and what decides between them.

The server is started first and the client's handshake passes to it, while the policy is read beside; the first tool
call waits until somebody decides. Whatever ends first, the client hears of every request, the server's processes end,
and the evidence is written.
"""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from ..contract import Ending
from ..enforcer import Enforcer, Reply
from ..sessions import Session
from .calls import Calls
from .catalog import Catalog, PinPolicy
from .floor import Floor, FloorCheck
from .lines import TooLong
from .log import Log
from .message import SERVER_GONE, Malformed, error_message, read_message
from .pins import PinFile
from .pipes import Inlet, Outlet, listen, speak, standard
from .relay import Relay
from .server import Server
from .settings import Settings

NOT_STARTED_S: Final = 10.0
HEAD_START_S: Final = 0.1
LOAD_PATIENCE_S: Final = 10.0
CLOSE_GRACE_S: Final = 2.0
STEP_S: Final = 0.01
CLIENT_DONE: Final = "the client is done"
SERVER_ENDED: Final = "the server has ended"
FLUSH_S: Final = 5.0
NOT_FOUND: Final = 127


class Authority(Protocol):
    """Who decides, loaded while the server starts."""

    def load(self) -> None:
        """Read the policy, or find the enforcer. Runs on a thread of its own; raises where nobody can decide."""

    @property
    def enforcer(self) -> Enforcer:
        """Who decides calls, once `load` has returned."""

    @property
    def floor(self) -> Floor:
        """Who records what is refused before that."""

    def visible(self, tool: str) -> bool:
        """Say whether this agent could ever call a tool; in doubt it could."""

    def keep(self, reply: Reply, ending: Ending, result: object, request: dict[str, Any]) -> bool:
        """Keep the report of a call's end that the enforcer did not take; False where that is not possible."""

    def close(self) -> None:
        """Write what is still to be written."""


class Run:
    """A proxy between this process's standard streams and one server."""

    def __init__(
        self,
        child: Server,
        authority: Authority,
        settings: Settings,
        log: Log,
        *,
        pins: Path,
        pin_policy: PinPolicy = "first-use",
        session_id: str | None = None,
    ) -> None:
        self._child = child
        self._authority = authority
        self._settings = settings
        self._log = log
        self._pins = PinFile(pins)
        self._pin_policy = pin_policy
        self._session = Session(session_id)
        self._over: asyncio.Event
        self._hurry: asyncio.Event
        self._why = ""
        self._inlet: Inlet
        self._outlet: Outlet

    def run(self) -> int:
        """Serve until either side ends; return the exit code: the server's where it ended by itself."""
        return asyncio.run(self._run())

    async def _run(self) -> int:
        self._over = asyncio.Event()
        self._hurry = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._outlet = Outlet(self._child_pause, self._child_resume, lambda: self._stop("the client does not read"))
        relay = Relay(
            self._outlet, self._child, self._log, silence_s=self._settings.silence_s, start_s=self._settings.start_s
        )
        catalog = Catalog(
            relay,
            self._log,
            server=self._settings.server,
            pins=self._pins,
            policy=self._pin_policy,
            visible=self._authority.visible,
        )
        catalog.read_pins()
        self._session.memory.tenant = self._settings.fields.get("tenant_id")
        floor = FloorCheck(self._authority.floor, self._log)
        calls = Calls(relay, catalog, floor, self._log, self._session, self._settings)
        self._inlet = Inlet(relay.from_client, lambda: self._end(CLIENT_DONE), self._settings.line_bytes_max)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop, f"signal {number}")
        await speak(standard(1, "wb"), self._outlet)
        await self._child.attach(
            relay.from_server,
            lambda: self._end(SERVER_ENDED),
            self._log,
            full=self._inlet.pause,
            taken=self._inlet.resume,
            may_repeat=calls.may_repeat,
            bytes_max=self._settings.line_bytes_max,
        )
        await listen(standard(0, "rb"), self._inlet)
        loading = asyncio.create_task(self._load(calls, relay))
        watching = asyncio.create_task(relay.watch())
        await self._over.wait()
        self._inlet.pause()
        by_itself = self._why == SERVER_ENDED
        if self._why == CLIENT_DONE:
            await self._finish(calls, relay)
        watching.cancel()
        code = await self._child.stop(self._hurry, grace_s=0.5 if by_itself else CLOSE_GRACE_S)
        relay.lost(f"the server has ended (exit code {code})" if by_itself else "the proxy is stopping")
        self._log.event("ended", why=self._why, server_code=code)
        await calls.close()
        loading.cancel()
        await self._last_words()
        try:
            self._authority.close()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not be silent
            self._log.event("evidence_not_closed", why=type(error).__name__, problem=str(error)[:200])
        self._log.flush()
        return code if by_itself and code >= 0 else 1 if by_itself else 0

    async def _finish(self, calls: Calls, relay: Relay) -> None:
        """The client has said everything; what it asked for is still answered, for a bounded time."""
        await _until(lambda: self._hurry.is_set() or not calls.undecided, LOAD_PATIENCE_S)
        await _until(lambda: self._hurry.is_set() or not relay.at_server, CLOSE_GRACE_S)

    async def _load(self, calls: Calls, relay: Relay) -> None:
        await _until(lambda: relay.spoken, HEAD_START_S)  # the handshake first: loading would hold it up
        try:
            await asyncio.to_thread(self._authority.load)
        except Exception as error:  # noqa: BLE001 - without a policy every call is refused, with a reason
            self._log.event("policy_unreadable", problem=str(error)[:1000])
            calls.open(None)
            return
        calls.open(self._authority.enforcer, keep=self._authority.keep)

    async def _last_words(self) -> None:
        """Wait until the client has taken what waits for it, for a bounded time."""
        await _until(lambda: not self._outlet.waiting, FLUSH_S)

    def _stop(self, why: str) -> None:
        self._hurry.set()
        self._end(why)

    def _end(self, why: str) -> None:
        if not self._over.is_set():
            self._why = why
            self._over.set()

    def _child_pause(self) -> None:
        self._child.pause()

    def _child_resume(self) -> None:
        self._child.resume()


def refuse_all(problem: str, log: Log) -> int:
    """Answer every request of the client with why the server cannot be started; return the exit code.

    Ends with the client, or after ten seconds without a word from it.
    """
    log.event("not_started", problem=problem)
    asyncio.run(_refuse_all(problem))
    log.flush()
    return NOT_FOUND


async def _refuse_all(problem: str) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    heard = loop.time()
    outlet = Outlet(lambda: None, lambda: None, over.set)

    def line(line: bytes | TooLong) -> None:
        nonlocal heard
        heard = loop.time()
        try:
            message = None if isinstance(line, TooLong) else read_message(line)
        except Malformed:
            return
        if message is not None and message.is_request:
            outlet.line(error_message(message.raw_id, SERVER_GONE, f"thoth: {problem}"))

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, over.set)
    await speak(standard(1, "wb"), outlet)
    await listen(standard(0, "rb"), Inlet(line, over.set, 1 << 20))
    while not over.is_set() and loop.time() - heard < NOT_STARTED_S:
        try:
            await asyncio.wait_for(over.wait(), 0.1)
        except TimeoutError:
            pass
    await _until(lambda: not outlet.waiting, 1.0)


async def _until(over: Callable[[], bool], patience_s: float) -> None:
    """Wait until something holds, for a bounded time; nobody says when it begins to hold."""
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    while not over() and loop.time() < until:  # noqa: ASYNC110
        await asyncio.sleep(STEP_S)
