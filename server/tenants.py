"""Many tenants in one process, each a folder with a policy, evidence, keys and holds of its own: `DIR/<tenant>/`.

Each has a socket of its own for frames, `<tenant>.sock` beside where `--socket` says. HTTP is taken in one place: the
key says whose a call is. Nothing of one tenant's is ever asked about another's call.
"""

import asyncio
import contextlib
import logging
import re
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from ..contract import OperationError
from ..native.heads import plain_post
from .counts import Counts, Sum
from .http import Asked, HttpConnection
from .keys import prefix_of
from .listeners import Listeners
from .load import Load
from .metrics import METRICS_TYPE, added, exposition
from .resend import digest_of
from .routes import ENFORCE, key_shown
from .settings import Approvers, Operator, Settings
from .sidecar import DRAIN_STEP_S, SWEEP_S, Sidecar
from .worker import Worker
from .worker_routes import WorkerRoutes

POLICY: Final = "policy.thoth"
TENANT: Final = "tenant.toml"
TARGET: Final = ENFORCE.encode()
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")

log = logging.getLogger(__name__)


class TenantFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `DIR/<tenant>/tenant.toml` may say: who answers its holds, and which users may connect to its socket."""

    approvers: dict[str, Approvers] = {}
    operators: dict[str, Operator] = {}
    uids: list[int] = []


def tenants_of(settings: Settings) -> dict[str, Settings]:
    """Return the settings of each tenant, by name.

    Raises:
        OperationError: the folder cannot be read, holds no tenant, or one with a name that is none.
    """
    folder = Path(settings.tenants)
    try:
        found = sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    except OSError as error:
        raise OperationError(f"`{folder}` cannot be read: {error.strerror or error}") from error
    if not found:
        raise OperationError(f"`{folder}` holds no tenant; make `{folder / 'acme' / POLICY}`, say")
    return {one.name: _settings_of(settings, one) for one in found}


def _settings_of(settings: Settings, folder: Path) -> Settings:
    if not NAME.fullmatch(folder.name):
        raise OperationError(f"`{folder}`: a tenant's name has 1 to 64 letters, digits, and `.`, `_`, `@`, `-`")
    if not (folder / POLICY).is_file():
        raise OperationError(f"tenant `{folder.name}` has no policy; write `{folder / POLICY}`")
    said = TenantFile()
    file = folder / TENANT
    if file.is_file():
        try:
            said = msgspec.convert(tomllib.loads(file.read_text("utf-8")), TenantFile)
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            raise OperationError(f"`{file}` cannot be read: {error}") from error
    return msgspec.structs.replace(
        settings,
        tenants="",
        policy=[str(folder / POLICY)],
        evidence="" if settings.recording == "none" else str(folder / "evidence"),
        state=str(folder / "state"),
        socket=str(settings.socket_path().with_name(f"{folder.name}.sock")),
        approvers=said.approvers,
        operators={**settings.operators, **said.operators},
        uids=said.uids,
        http="",
        http_socket="",
        tls_cert="",
        tls_key="",
    )


class Tenants:
    """The sidecars of all tenants, and the one HTTP door before them."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        worker: Worker | None = None,
        **wired: Any,
    ) -> None:
        """Open everything of every tenant; nothing is taken yet.

        Raises:
            PolicyError: with every mistake of the first policy that has any.
            OperationError: what cannot be opened.
        """
        self.settings, self.clock, self.monotonic, self.worker = settings, clock, monotonic, worker
        self.sidecars: dict[str, Sidecar] = {}
        self._open = contextlib.ExitStack()
        try:
            for tenant, own in tenants_of(settings).items():
                wired |= {"clock": clock, "monotonic": monotonic, "tenant": tenant, "worker": worker}
                self.sidecars[tenant] = one = Sidecar(own, **wired)
                self._open.callback(one.close)
            self.listeners = Listeners(settings) if worker is None else worker.listeners
            self._open.callback(self.listeners.close)
        except BaseException:
            self._open.close()
            raise

    @property
    def counts(self) -> Sum:
        """What all tenants together have counted."""
        return Sum([one.counts.values() for one in self.sidecars.values()] + [self.routes.counts.values()])

    def numbers(self) -> list[Any]:
        """Return what was counted and what is measured now."""
        return [vars(self.counts), self.gauges()]

    def gauges(self) -> dict[str, float]:
        """Return what is measured, of all tenants: the longest turn is that of one, everything else is added up."""
        return added(one.gauges() for one in self.sidecars.values())

    def not_ready(self) -> str:
        """Return why calls are not decided, or nothing; the tenant's name is nobody else's business."""
        return next(filter(None, (one.not_ready() for one in self.sidecars.values())), "")

    async def start(self) -> None:
        """Take what comes."""
        self.loop = loop = asyncio.get_running_loop()
        load = Load(self.monotonic, loop.call_soon)
        for one in self.sidecars.values():
            await one.start(load)
        self.routes = TenantRoutes(self)
        self.front: TenantRoutes | WorkerRoutes = self.routes
        if self.worker is not None:
            self.front = WorkerRoutes(self.worker, self.routes, self.monotonic, self.numbers)
        await self.listeners.start(self.front, loop, self.monotonic)
        self._sweeper = loop.call_later(SWEEP_S, self._sweep)
        log.info("serving_tenants count=%d", len(self.sidecars))

    def _sweep(self) -> None:
        self._sweeper = self.loop.call_later(SWEEP_S, self._sweep)
        self.listeners.web.sweep()

    def reload(self, told: Callable[[str], None] | None = None) -> None:
        """Read every policy again, and the certificate."""
        try:
            self.listeners.renew()
        except OperationError as error:
            log.error("certificate_refused", extra={"facts": {"problem": str(error)}})
        for one in self.sidecars.values():
            one.reload()

    async def watch(self, over: asyncio.Event) -> None:
        """Read a policy again whenever a file beside it changes, until this is cancelled or `over`."""
        await asyncio.gather(*(one.watch(over) for one in self.sidecars.values()))

    async def stop(self) -> None:
        """Answer what was read, and close everything."""
        self._sweeper.cancel()
        self.listeners.leave()
        deadline = self.monotonic() + self.settings.drain_s
        while not self.listeners.web.idle and self.monotonic() < deadline:  # noqa: ASYNC110 - as a sidecar's end
            await asyncio.sleep(DRAIN_STEP_S)
        await asyncio.gather(*(one.drain() for one in self.sidecars.values()))
        if self.worker is not None:
            await self.worker.drained(self.settings.drain_s)
        for one in self.sidecars.values():
            await one.finish()
        self.listeners.drop()
        await asyncio.sleep(0)
        self._open.close()


class TenantRoutes:
    """Takes each request to the tenant whose key it shows."""

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants
        self._all = tuple(tenants.sidecars.values())
        self.counts = Counts()

    def take(self, asked: Asked) -> None:
        """Answer a request, now or later."""
        tell = {"/metrics": self._metrics, "/readyz": self._readyz}.get(asked.path)
        if tell is None or asked.method not in (b"GET", b"HEAD"):
            self._of(asked).routes.take(asked)
            return
        self.counts.tally.http_requests += 1
        tell(asked)

    def straight(self, connection: HttpConnection, data: bytes) -> bytes | None:
        """Answer a plain question with the key of a tenant; None where nothing was done, and `take` has to be asked."""
        found = plain_post(data, TARGET)
        if found is None:
            return None
        digest = digest_of(found[0])
        for one in self._all:
            if one.keys is not None and digest in one.keys.askers:
                return one.routes.straight(connection, data)
        return None

    def failed(self, asked: Asked, error: Exception) -> None:
        """Answer a request that could not be answered otherwise."""
        self._all[0].routes.failed(asked, error)

    def _metrics(self, asked: Asked) -> None:
        asked.answer(200, exposition(self._tenants.counts, self._tenants.gauges()), METRICS_TYPE)

    def _readyz(self, asked: Asked) -> None:
        problem = self._tenants.not_ready()
        if problem:
            asked.refuse(503, "not_ready", problem)
        else:
            asked.answer(200, b'{"status":"ready"}')

    def _of(self, asked: Asked) -> Sidecar:
        """Return whom a request is for. Without a tenant's key it is anybody's, who will say that a key is missing."""
        shown = key_shown(asked)
        if shown is not None:
            prefix = prefix_of(shown)
            for fresh in (False, True):
                for one in self._all:
                    if one.keys is None:
                        continue
                    if fresh:
                        one.keys.refresh()
                    if one.keys.has(prefix):
                        return one
        return self._all[0]
