"""A new policy for a running engine: read, tested and compared off the loop, then taken in between two turns.

A policy with mistakes, a failing test, or an approver whom nobody stands behind is not taken: the last one goes on,
and says so. The calls that were decided last are decided under both, and the log says how many come out differently.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from ..contract import OperationError, Request
from ..engine import Engine, PolicyError, load
from ..engine.checked import CheckedPolicy
from ..engine.embed import prepare
from ..engine.evaluators import Evaluator
from ..engine.testing import run_tests
from .bound import check_bound
from .counts import Counts
from .settings import Settings

RECENT_MAX: Final = 512

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


def read_fresh(settings: Settings, old: Evaluator, recent: Iterable[Request], now: float) -> Fresh:
    """Read the policy of the settings and make sure that it can be taken.

    Raises:
        PolicyError: with every mistake of the policy.
        OperationError: a file cannot be read, a test fails, or a name asks somebody whom nobody stands behind.
    """
    began = time.monotonic()
    policy, _ = load(settings.policy, path=settings.path, learned=settings.learned or None)
    check_bound(policy, settings)
    results = run_tests(policy)
    failed = [result.test.name for result in results if not result.passed]
    if failed:
        raise OperationError(f"{len(failed)} of {len(results)} tests of the policy fail, `{failed[0]}` first")
    evaluator = prepare(policy)
    replayed = changed = 0
    for request in recent:
        effects = [
            one.decide(request, session=None, ledger=None, now=now, approval=None, id="").effect
            for one in (old, evaluator)
        ]
        replayed += 1
        changed += effects[0] is not effects[1]
    return Fresh(policy, evaluator, len(results), replayed, changed, time.monotonic() - began)


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
            fresh = read_fresh(self._settings, old, recent, self._clock())
        except PolicyError as error:
            problem = "; ".join(str(message) for message in error.messages[:3])
        except OperationError as error:
            problem = str(error)
        except Exception as error:
            log.exception("reload_failed")
            problem = f"the policy could not be taken ({type(error).__name__})"
        self._later(self._take, fresh, problem, waiting)

    def _take(self, fresh: Fresh | None, problem: str, waiting: list[Callable[[str], None]]) -> None:
        self._thread = None
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
