"""A new policy for a running engine: compiled and tested in a process of its own, compared off the loop, then taken in
between two turns.

A policy with mistakes, a failing test, or an approver whom nobody stands behind is not taken: the last one goes on,
and says so. The calls that were decided last are decided under both, and the log says how many come out differently.
"""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ..contract import OperationError, Recorder, Request
from ..engine import Engine, bundle, load
from ..engine.checked import CheckedPolicy
from ..engine.collecting import not_collecting
from ..engine.evaluators import Evaluator, Native
from .bound import check_bound
from .compiler import CompilerProcess
from .counts import Counts
from .settings import Settings

RECENT_MAX: Final = 512
HANDED_OVER_S: Final = 2e-4
PAUSE_S: Final = 2e-4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fresh:
    """A policy that is ready to be taken: tested, laid out, and compared."""

    policy: CheckedPolicy
    evaluator: Evaluator
    tests: int
    replayed: int
    changed: int
    took_s: float


def first(settings: Settings, recorder: Recorder | None, clock: Callable[[], float]) -> Engine:
    """Return an engine of the settings' policy, which is kept as a bundle: the texts of rules stay packed.

    Raises:
        PolicyError: with every mistake of the policy.
        OperationError: a file cannot be read, or a name asks somebody whom nobody stands behind.
    """
    if len(settings.policy) == 1 and bundle.is_bundle(settings.policy[0]):
        engine = Engine.from_files(settings.policy, recorder=recorder, clock=clock)
        check_bound(engine.policy, settings)
        return engine
    with not_collecting():
        policy, _ = load(settings.policy, path=settings.path, learned=settings.learned or None)
        check_bound(policy, settings)
        read = bundle.load(bundle.build(policy, {}), settings.policy[0])
    over = Native.over(read.table, read.windows)
    return Engine(read.table.policy, recorder=recorder, evaluator=over, clock=clock, files=settings.policy)


def read_fresh(
    settings: Settings, compiler: CompilerProcess, old: Evaluator, recent: Iterable[Request], now: float
) -> Fresh:
    """Have the policy of the settings compiled in a process of its own, and make sure that it can be taken.

    Raises:
        OperationError: with what is wrong with the policy, or with compiling it.
    """
    began = time.monotonic()
    told, compiled = compiler.compile(settings)
    if told.trace:
        log.error("reload_failed", extra={"facts": {"error": told.trace}})
    if compiled is None:
        raise OperationError(told.problem)
    with giving_way():
        read = bundle.load(compiled, "the compiled policy")
        evaluator = Native.over(read.table, read.windows)
    replayed = changed = 0
    for request in recent:
        effects = [
            one.decide(request, session=None, ledger=None, now=now, approval=None, id="").effect
            for one in (old, evaluator)
        ]
        replayed += 1
        changed += effects[0] is not effects[1]
        time.sleep(PAUSE_S)  # nobody waits for this, and everybody for the loop
    return Fresh(read.table.policy, evaluator, told.tests, replayed, changed, time.monotonic() - began)


@contextlib.contextmanager
def giving_way() -> Iterator[None]:
    """Let the loop have the interpreter back almost at once while this thread needs it for long."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, HANDED_OVER_S))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Reloader:
    """Reads the policy again when it is asked to; one reading at a time, and one more if it was asked meanwhile."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        counts: Counts,
        clock: Callable[[], float],
        later: Callable[..., object],
        recent: Callable[[], list[Request]],
        adopted: Callable[[CheckedPolicy, str], None],
    ) -> None:
        """`later` runs a function on the loop from any thread; `adopted` is told the new policy and the old digest."""
        self._compiler = CompilerProcess()
        self._closed = False
        self._engine, self._settings, self._counts = engine, settings, counts
        self._clock, self._later, self._recent, self._adopted = clock, later, recent, adopted
        self._told: list[Callable[[str], None]] = []
        self._thread: threading.Thread | None = None
        self.problem = ""

    def ask(self, told: Callable[[str], None] | None = None) -> None:
        """Read the policy again; `told` is called on the loop with what is wrong with it, or nothing."""
        if told is not None:
            self._told.append(told)
        if self._thread is None:
            waiting, self._told = self._told, []
            arguments = (self._engine.evaluator, self._recent(), waiting)
            self._thread = threading.Thread(target=self._read, args=arguments, name="thoth-reload", daemon=True)
            self._thread.start()

    def _read(self, old: Evaluator, recent: list[Request], waiting: list[Callable[[str], None]]) -> None:
        fresh: Fresh | None = None
        problem = ""
        try:
            fresh = read_fresh(self._settings, self._compiler, old, recent, self._clock())
        except OperationError as error:
            problem = str(error)
        except Exception as error:
            log.exception("reload_failed")
            problem = f"the policy could not be taken ({type(error).__name__})"
        with contextlib.suppress(RuntimeError):  # the loop is gone, and so is everybody who waited
            self._later(self._take, fresh, problem, waiting)

    def close(self) -> None:
        """Stop: what is being compiled is given up, and no policy is taken any more."""
        self._closed = True
        self._compiler.close()

    def _take(self, fresh: Fresh | None, problem: str, waiting: list[Callable[[str], None]]) -> None:
        self._thread = None
        if self._closed:
            fresh, problem = None, "the server is stopping"
        self.problem = problem
        if fresh is None:
            self._counts.reloads_failed += 1
            log.error("policy_refused", extra={"facts": {"problem": problem}})
        elif fresh.policy.digest != self._engine.policy.digest:
            old = self._engine.policy.digest
            self._engine.adopt(fresh.policy, fresh.evaluator)
            self._counts.reloads += 1
            self._adopted(fresh.policy, old)
            log.info(
                "policy_swapped old=%s new=%s rules=%d tests=%d replayed=%d changed=%d took_ms=%.0f",
                old[:12], fresh.policy.digest[:12], len(fresh.policy.rules), fresh.tests, fresh.replayed,
                fresh.changed, fresh.took_s * 1e3,
            )  # fmt: skip
        for told in waiting:
            told(problem)
        if self._told:
            self.ask()
