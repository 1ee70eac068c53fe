"""Whether the two evaluators agree on recorded calls: `python -m thoth.simulation.agreement TRACES`.

Every call is decided by the table and by the reference, each in an engine of its own that is told the same past, and
everything that two evaluations must agree on is compared. Exit code 0: they agree on every call; 1: they do not;
2: there is nothing to read, or the policy is not one.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import tee
from pathlib import Path
from typing import Any, Final

from ..contract import Decision, OperationError
from ..engine import Engine, load
from ..grammar import PolicyError
from .calls import Call, RecordedSession
from .replay import ReplayClock, replay
from .traces import Traces, read_traces

SHOWN_MAX: Final = 10
POLICY: Final = "policies/agents/recorded.thoth"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One call on which two evaluators differ: by fact, what each of them says."""

    call: Call
    facts: dict[str, tuple[Any, Any]]


@dataclass(slots=True)
class Agreement:
    """What a comparison has seen so far; `shown` holds the first ten of `disagreements`."""

    calls: int = 0
    sessions: int = 0
    disagreements: int = 0
    shown: list[Disagreement] = field(default_factory=list)
    effects: Counter[str] = field(default_factory=Counter)
    last_session: str = ""

    def add(self, call: Call, left: Decision, right: Decision) -> None:
        """Compare two decisions about one call."""
        self.calls += 1
        self.sessions += call.session_id != self.last_session
        self.last_session = call.session_id
        self.effects[left.effect.value] += 1
        differing = differences(left, right)
        if differing:
            self.disagreements += 1
            if len(self.shown) < SHOWN_MAX:
                self.shown.append(Disagreement(call, differing))


def differences(left: Decision, right: Decision) -> dict[str, tuple[Any, Any]]:
    """Return the facts in which two decisions differ, with the value of each."""
    one, other = left.facts(), right.facts()
    return {name: (one[name], other[name]) for name in one if spelled(one[name]) != spelled(other[name])}


def spelled(value: Any) -> str:
    """Return a fact as JSON, in which 1, 1.0 and true are three things."""
    return json.dumps(value, sort_keys=True)


def compare(
    left: Engine, right: Engine, sessions: Iterable[RecordedSession], clocks: tuple[ReplayClock, ReplayClock]
) -> Iterator[tuple[Call, Decision, Decision]]:
    """Replay the same sessions in two engines, call by call side by side."""
    one, other = tee(sessions)
    for (call, decided), (_, again) in zip(replay(left, one, clocks[0]), replay(right, other, clocks[1]), strict=True):
        yield call, decided, again


def run(traces: Traces, policy: Path, tick: Callable[[Agreement], None]) -> Agreement:
    """Replay all traces under a policy in both evaluators; `tick` is called after each call.

    Raises:
        PolicyError: with every mistake of the policy.
        OperationError: a file cannot be read.
    """
    checked, _ = load([policy])
    clocks = ReplayClock(), ReplayClock()
    native = Engine(checked, evaluator="native", clock=clocks[0])
    reference = Engine(checked, evaluator="reference", clock=clocks[1])
    agreement = Agreement()
    for call, left, right in compare(native, reference, traces, clocks):
        agreement.add(call, left, right)
        tick(agreement)
    return agreement


class _Progress:
    """Says on stderr how far a run is: one line rewritten on a terminal, elsewhere a line every 10,000 calls."""

    def __init__(self) -> None:
        self.began, self.said, self.terminal = time.monotonic(), time.monotonic(), sys.stderr.isatty()

    def __call__(self, agreement: Agreement) -> None:
        now = time.monotonic()
        if not (now - self.said >= 0.2 if self.terminal else agreement.calls % 10_000 == 0):
            return
        self.said = now
        rate = agreement.calls / max(now - self.began, 0.001)
        text = f"{agreement.calls:,} calls, {agreement.disagreements:,} disagreements, {rate:,.0f} calls/s"
        sys.stderr.write(f"\r\x1b[K{text}" if self.terminal else f"{text}\n")
        sys.stderr.flush()

    def close(self) -> None:
        if self.terminal:
            sys.stderr.write("\r\x1b[K")


def report(agreement: Agreement, traces: Traces, seconds: float) -> Iterator[str]:
    """Return the report of a run, line by line."""
    for one in agreement.shown:
        yield f"{one.call.session_id} call {one.call.seq}: {one.call.tool_name} {json.dumps(one.call.tool_args)}"
        for name, (left, right) in one.facts.items():
            yield f"  {name}: native {spelled(left)}"
            yield f"  {' ' * len(name)}  reference {spelled(right)}"
    if agreement.disagreements > len(agreement.shown):
        yield f"… and {agreement.disagreements - len(agreement.shown):,} more"
    yield from (f"not read: {problem}" for problem in traces.problems)
    if traces.problem_count > len(traces.problems):
        yield f"… and {traces.problem_count - len(traces.problems):,} more lines not read"
    effects = ", ".join(f"{effect} {count:,}" for effect, count in agreement.effects.most_common())
    yield f"calls          {agreement.calls:,}"
    yield f"sessions       {agreement.sessions:,}"
    yield f"decisions      {effects}"
    yield f"lines not read {traces.problem_count:,}"
    yield f"disagreements  {agreement.disagreements:,}"
    yield f"time           {seconds:.1f} s for both evaluators, reading included"


def find_policy() -> Path | None:
    """Return the policy for recorded agents, from here upwards."""
    return next((folder / POLICY for folder in (Path.cwd(), *Path.cwd().parents) if (folder / POLICY).is_file()), None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the evaluators on the traces that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m thoth.simulation.agreement", description=__doc__)
    parser.add_argument("traces", nargs="+", metavar="TRACES", help="a trace file, or a folder of them")
    parser.add_argument("--policy", type=Path, help=f"the policy to decide under; {POLICY} if unsaid")
    given = parser.parse_args(arguments)
    policy = given.policy or find_policy()
    progress = _Progress()
    try:
        if policy is None:
            raise OperationError(f"there is no `{POLICY}` here or above; name a policy with `--policy FILE`")
        traces = read_traces(given.traces)
        agreement = run(traces, policy, progress)
    except (OperationError, PolicyError) as error:
        progress.close()
        sys.stderr.write(f"{error}\n")
        return 2
    progress.close()
    sys.stdout.writelines(f"{line}\n" for line in report(agreement, traces, time.monotonic() - progress.began))
    if not agreement.calls:
        sys.stderr.write("there was no call to decide\n")
        return 2
    return 1 if agreement.disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
