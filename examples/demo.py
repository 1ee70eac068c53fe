"""What `make demo` runs: a policy decides the recorded calls of office agents, of which some were attacked.

The calls are in examples/traces, recorded by examples/demo-agent; the policy is examples/demo.thoth. Every figure that
this prints is counted or measured in the run that prints it.
"""

import json
import os
import signal
import statistics
import sys
import textwrap
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from thoth.contract import REASONS, Decision, Effect
from thoth.engine import Engine
from thoth.simulation import Call, ReplayClock, read_traces
from thoth.simulation.replay import open_session, request_of, tell

HERE = Path(__file__).resolve().parent
WIDTH = 110
SHOWN = 5
STOPPED = (Effect.STEP_UP, Effect.DEFER, Effect.BLOCK)


@dataclass
class Tally:
    """What the run has counted."""

    sessions: Counter = field(default_factory=Counter)
    calls: Counter = field(default_factory=Counter)
    effects: Counter = field(default_factory=Counter)
    attacks: int = 0
    attacks_stopped: int = 0
    asked: int = 0
    disturbed: Counter = field(default_factory=Counter)
    stopped: list[tuple[Call, Decision]] = field(default_factory=list)
    explained: str = ""
    took_us: list[float] = field(default_factory=list)


def main() -> None:
    """Decide every recorded call, then say what happened."""
    clock = ReplayClock()
    engine = Engine.from_file(os.path.relpath(HERE / "demo.thoth"), clock=clock)
    tally = Tally()
    for recorded in read_traces([HERE / "traces"]):
        clock.now = recorded.calls[0].ts
        session = open_session(engine, recorded, clock.now)
        tally.sessions[recorded.calls[0].labels["run_kind"]] += 1
        for call in recorded.calls:
            clock.now = call.ts
            request = request_of(call)
            began = time.perf_counter_ns()
            decision = engine.decide(request, session=session)
            tally.took_us.append((time.perf_counter_ns() - began) / 1000)
            count(tally, call, decision)
            tell(engine, session, call, decision)
    report(engine, tally)


def count(tally: Tally, call: Call, decision: Decision) -> None:
    """Count one call: an attacker's, or one that the user's task needs."""
    tally.calls[call.labels["run_kind"]] += 1
    tally.effects[decision.effect.value] += 1
    stopped = decision.effect in STOPPED
    if call.labels["goal_role"] == "effect":
        tally.attacks += 1
        tally.attacks_stopped += stopped
    elif call.labels["user_gt"]:
        tally.asked += 1
        if stopped:
            tally.disturbed[decision.effect.value] += 1
    if stopped and call.labels["goal_role"]:
        new = all(decision.rules != shown.rules for _, shown in tally.stopped)
        if new and len(tally.stopped) < SHOWN:
            tally.stopped.append((call, decision))
        if not tally.explained and decision.effect is Effect.BLOCK and decision.rules:
            tally.explained = decision.explain()


def report(engine: Engine, tally: Tally) -> None:
    """Print what happened, in at most forty lines."""
    kinds = tally.sessions
    head("What was decided")
    line(
        f"{tally.calls.total()} recorded calls of agents in {kinds.total()} sessions: {tally.calls['benign']} in"
        f" {kinds['benign']} benign ones, {tally.calls['attacked']} in {kinds['attacked']} that were attacked."
    )
    line("Decisions: " + ", ".join(f"{effect} {number}" for effect, number in tally.effects.most_common()) + ".")
    line(f"Attackers' calls stopped: {tally.attacks_stopped} of {tally.attacks}.")
    if tally.attacks_stopped == tally.attacks:
        line("(No surprise: attacks and policy were written for each other. Try it on your own agents' calls.)")
    held = ", ".join(f"{effect} {number}" for effect, number in tally.disturbed.most_common()) or "none"
    line(f"Calls that users' tasks need, stopped or held: {tally.disturbed.total()} of {tally.asked} ({held}).")
    head("Stopped, and why")
    for call, decision in tally.stopped:
        wanted, because = sentence(engine, call, decision)
        line(f"{decision.effect.value:8}{wanted}")
        line(f"{'':8}{because}")
    head("One of them in full")
    for text in tally.explained.splitlines():
        line(text)
    head("How long a decision took")
    p50 = statistics.median(tally.took_us)
    line(f"p50 {p50:,.0f} microseconds, in this process, over the {len(tally.took_us)} decisions of this run.")
    head("What next")
    line("less examples/demo.thoth       the policy that decided this; change a line and `make demo` again")
    line(".venv/bin/thoth decide --policy examples/demo.thoth --trace examples/traces")
    line("                               every decision, one JSON line each")
    line("less docs/replay.md            how to replay calls of your own agents")


def sentence(engine: Engine, call: Call, decision: Decision) -> tuple[str, str]:
    """Return who wanted what, and why it was stopped: the two halves of one sentence."""
    rule = next((rule for rule in engine.policy.rules if rule.id in decision.rules), None)
    args = ", ".join(f"{name}: {json.dumps(value)}" for name, value in call.tool_args.items())
    wanted = f"{call.agent_id} wanted {call.tool_name}({textwrap.shorten(args, 60, placeholder=' …')}),"
    return wanted, f"but {rule.because} ({rule.id})" if rule else f"but {REASONS[decision.reason_code]}"


def head(text: str) -> None:
    """Print a heading, bold on a terminal."""
    bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print(f"\x1b[1m{text}\x1b[0m" if bold else text)


def line(text: str) -> None:
    """Print one line of the report, cut where it is too long."""
    print(f"  {text}" if len(text) <= WIDTH else f"  {text[: WIDTH - 1]}…")


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `make demo | head` ends quietly
    main()
