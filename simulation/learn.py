"""Learning a least-privilege policy and a baseline from recorded good behaviour.

The sessions are read twice: once for what was done, once for the digests of what it was done to, under declarations
that the first reading has found. Labels only pick the sessions.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ..contract import OperationError
from ..engine import Engine
from ..engine.checked import CheckedPolicy
from ..engine.learned import Baseline
from ..engine.testing import run_tests
from ..grammar import format, parse
from .baseline import Recorded, record, write_learned
from .calls import Call, RecordedSession
from .choose import Choice, chosen
from .learned_policy import declarations, policy_text, remarks, tests
from .observe import observe

SAMPLES_MAX: int = 20_000
"""Calls that are looked through for tests; tools are met early or are rare."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned: the policy's text, the learned file's text, and what could not be generalised."""

    policy: str
    learned: str
    recorded: Recorded
    remarks: tuple[str, ...]
    sessions: int
    calls: int
    tests: int


def learn(
    sessions: Iterable[RecordedSession], *, where: str = "", policy: CheckedPolicy | None = None, name: str = "learned"
) -> Learned:
    """Learn from the sessions that `where` picks; `policy` declares tools that need not be guessed.

    `sessions` is iterated over twice, so it must be something that can be. The policy that comes back is in
    canonical form, and its tests pass.

    Raises:
        OperationError: the condition is none, or no session is picked.
    """
    choice = Choice(where) if where else None
    observed = observe(chosen(sessions, choice))
    if not observed.ran:
        picked = f"`--where {where}` picks" if where else "the traces hold"
        raise OperationError(
            f"{picked} {observed.sessions} sessions with no call that ran and succeeded; nothing to learn"
        )
    found = declarations(observed, policy)
    odd = remarks(observed, found)
    bare = Engine.from_text(policy_text(observed, found, where, name, (), odd)).policy
    recorded, samples = Recorded(), list[Call]()
    met: set[tuple[str | None, object]] = set()
    for session in chosen(sessions, choice):
        recorded.add(bare, session)
        for call in session.calls:
            if len(samples) < SAMPLES_MAX and call.executed and call.tool_error is None:
                if (call.suite, call.tool_name) not in met or len(samples) < SAMPLES_MAX // 10:
                    samples.append(call)
                met.add((call.suite, call.tool_name))
    if recorded.unfit:
        unfit = sum(recorded.unfit.values())
        odd.append(
            f"{unfit:,} calls do not fit their declaration: {', '.join(f'`{t}`' for t in sorted(recorded.unfit)[:6])}"
        )
    written = _passing(policy_text(observed, found, where, name, (), odd), tests(samples, bare, observed))
    text = format(parse(policy_text(observed, found, where, name, written, odd), "learned.thoth"))
    return Learned(
        text, write_learned(recorded, where), recorded, tuple(odd), observed.sessions, observed.ran, len(written)
    )


def _passing(bare: str, written: Iterable[str]) -> list[str]:
    """Return the tests that hold: a recorded call may be one that the learned policy still holds or refuses."""
    kept = []
    for test in written:
        checked = Engine.from_text(f"{bare}\n{test}\n").policy
        if all(result.passed for result in run_tests(checked)):
            kept.append(test)
    return kept


def learn_baseline(policy: CheckedPolicy, sessions: Iterable[RecordedSession], where: str = "") -> Baseline:
    """Return the baseline alone, under a policy's own declarations."""
    return record(policy, chosen(sessions, Choice(where) if where else None)).baseline()
