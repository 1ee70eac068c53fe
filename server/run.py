"""Runs a sidecar until a signal ends it: SIGTERM and SIGINT drain, SIGHUP reads the policy again."""

import asyncio
import contextlib
import gc
import signal
from typing import Final

import uvloop

from .settings import Settings
from .sidecar import Sidecar
from .supervisor import Supervisor
from .tenants import Tenants, tenants_of
from .worker import Worker

YOUNG: Final = 10_000
YOUNGER_TO_OLDER: Final = 5
NEVER: Final = 1 << 30


def run(settings: Settings) -> None:
    """Serve until told to stop; what was read is answered before this returns.

    Raises:
        PolicyError: with every mistake of the policy.
        OperationError: what cannot be opened.
    """
    if settings.workers > 1:
        each = tenants_of(settings) if settings.tenants else {"": settings}
        Supervisor(settings, each, _work).run()
    else:
        _run(Tenants(settings) if settings.tenants else Sidecar(settings), None)


def _work(settings: Settings, worker: Worker) -> None:
    _run((Tenants if settings.tenants else Sidecar)(settings, worker=worker), worker)


def _run(sidecar: Sidecar | Tenants, worker: Worker | None) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sidecar, worker))


async def _serve(sidecar: Sidecar | Tenants, worker: Worker | None) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    if worker is not None:
        await worker.start(loop, over.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    await sidecar.start()
    if worker is not None:
        worker.ready()
    loop.add_signal_handler(signal.SIGHUP, sidecar.reload)
    watching = loop.create_task(sidecar.watch(over)) if sidecar.settings.watch else None
    gc.collect()
    gc.freeze()  # what was loaded stays; the collector need not look at it again
    # Decisions, calls and answers hold each other in no circle, so counting references frees them. A look at all that
    # is alive, which takes long where sessions are many, happens when there is nothing else to do: see `sweep`.
    gc.set_threshold(YOUNG, YOUNGER_TO_OLDER, NEVER)
    try:
        await over.wait()
    finally:
        if watching is not None:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        await sidecar.stop()
