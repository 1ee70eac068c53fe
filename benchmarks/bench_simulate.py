"""How many recorded calls a second can be decided again: `python benchmarks/bench_simulate.py`, or within `make bench`.

Synthetic sessions of twenty calls under a thousand rules, of which every tenth asks what the session has done before
and every tenth what labels it holds; one core. *decoded* are calls in memory; *gzip* reads them from a packed file,
with what users said beside it; *provenance* lets every rule that restricts ask where a value comes from, with whole
results of 1 to 8 kB. Nothing is asked about conditions (`--no-coverage`), and nothing is written.

It flatters: sessions are short, calls come from one generator, and the same few shapes come again. It leaves out
starting Python and compiling the policy. `--memory --calls 10000000` is the run in which memory is watched.
"""

import argparse
import gzip
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thoth.engine import Engine
from thoth.engine.rerun import Rerun
from thoth.simulation.calls import RecordedSession
from thoth.simulation.simulate import Plan, simulate
from thoth.simulation.step import Replayer, replay_group
from thoth.simulation.traces import read_traces

SEED = 20_261
TOOLS, RULES, CALLS_IN_SESSION = 100, 1_000, 20
WORDS = [f"word{number:04}" for number in range(2_000)]


def policy_text(rules: int = RULES, provenance: bool = False) -> str:
    """Return a policy of so many rules over a hundred tools."""
    drawn = random.Random(SEED)
    lines = ["policy bench", '    approvers "owner"']
    for number in range(TOOLS):
        kind = ("read", "write", "send", "delete")[number % 4]
        label = f" yields label-{number % 7}" if number % 10 == 0 else ""
        lines.append(f"tool t{number}(id: key string, amount: number, note?: string) is {kind}{label}")
    lines.append("allow class read, class write, class send as declared")
    for number in range(rules - 1):
        tool = f"t{number % TOOLS}"
        effect = ("block", "step_up", "allow", "block")[number % 4]
        asked = [f"args.amount > {drawn.randrange(5_000, 10_000)}", f'agent is "bot-{drawn.randrange(200)}"']
        if number % 10 == 3:
            asked.append(f"calls(t{drawn.randrange(TOOLS)}) > {drawn.randrange(1, 4)}")
        if number % 10 == 7:
            asked.append(f"session.labels contains label-{drawn.randrange(7)}")
        unless = " unless args.key from user" if provenance and effect != "allow" else ""
        also = " and not (args.key from tool *)" if provenance and number % 4 == 0 else ""
        lines.append(f"{effect} {tool} as r{number} when {' and '.join(asked[:3])}{also}{unless}")
    if provenance:
        lines.append("step_up class send, class write as unasked unless args.key from user or args.key from tool *")
    return "\n".join(lines)


def rows(calls: int, results: bool = False) -> Iterator[dict[str, Any]]:
    """Return recorded calls as they stand in a file."""
    drawn = random.Random(SEED)
    for number in range(calls):
        session, seq = divmod(number, CALLS_IN_SESSION)
        tool = drawn.randrange(TOOLS)
        yield {
            "session_id": f"bench/{session:08}", "seq": seq, "ts": f"2026-03-{1 + session % 28:02}T09:{seq:02}:00.000Z",
            "agent_id": f"bot-{session % 200}", "suite": "bench", "tool_name": f"t{tool}",
            "tool_args": {"id": drawn.choice(WORDS), "amount": drawn.randrange(10_000), "note": "figures of the month"},
            "executed": True, "tool_error": None, "tool_result_excerpt": "ok",
            "result_sha": f"{drawn.randrange(1_000):04}" if results else None,
            "source": "bench", "run_kind": "benign", "is_injection_goal": False, "goal_role": None, "user_gt": "exact",
            "defense": "none",
        }  # fmt: skip


def recording(folder: Path, calls: int, results: bool = False) -> Path:
    """Write a recording and what lies beside it."""
    drawn = random.Random(SEED)
    with gzip.open(folder / "x.jsonl.gz", "wt", compresslevel=6) as stream:
        stream.writelines(json.dumps(row, separators=(",", ":")) + "\n" for row in rows(calls, results))
    with gzip.open(folder / "sessions.jsonl.gz", "wt", compresslevel=6) as stream:
        for session in range(-(-calls // CALLS_IN_SESSION)):
            prompt = f"please see to {' and '.join(drawn.sample(WORDS, 4))}"
            stream.write(json.dumps({"session_id": f"bench/{session:08}", "user_prompt": prompt}) + "\n")
    if results:
        with gzip.open(folder / "results.jsonl.gz", "wt", compresslevel=6) as stream:
            for number in range(1_000):
                text = " ".join(drawn.choices(WORDS, k=drawn.randrange(110, 880)))
                stream.write(json.dumps({"result_sha": f"{number:04}", "text": text}) + "\n")
    return folder / "x.jsonl.gz"


def decoded(folder: Path, calls: int) -> list[RecordedSession]:
    """Return sessions in memory."""
    return list(read_traces([recording(folder, calls)]))


def replayer(provenance: bool = False) -> Replayer:
    """Return a replayer under the policy of the benchmark."""
    return Replayer(Rerun(Engine.from_text(policy_text(provenance=provenance)).policy))


def rate(kind: str, calls: int, folder: Path) -> float:
    """Return the calls a second of one kind of run."""
    carry = replayer(kind == "provenance")
    if kind == "decoded":
        sessions: Any = decoded(folder, calls)
    else:
        sessions = read_traces([recording(folder, calls, results=kind == "provenance")])
    began = time.perf_counter()
    tally = replay_group(carry, sessions)
    return tally.calls / (time.perf_counter() - began)


@pytest.mark.parametrize("kind", ["decoded", "gzip", "provenance"])
def test_calls_a_second(benchmark: Any, tmp_path: Path, kind: str) -> None:
    calls = 20_000
    if kind == "decoded":
        sessions: Any = decoded(tmp_path, calls)
    else:
        sessions = read_traces([recording(tmp_path, calls, results=kind == "provenance")])
    policy = Engine.from_text(policy_text(provenance=kind == "provenance")).policy
    tally = benchmark.pedantic(
        lambda carry: replay_group(carry, sessions), setup=lambda: ((Replayer(Rerun(policy)),), {}), rounds=5
    )
    assert tally.calls == calls


def main() -> None:
    """Print the rates of five interleaved rounds, or watch the memory of one long run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000, help="calls in a run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="one run from gzip, and the memory that it took")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.memory:
            watch(folder, given.calls)
            return
        found: dict[str, list[float]] = {kind: [] for kind in ("decoded", "gzip", "provenance")}
        for _ in range(given.rounds):
            for kind, rates in found.items():
                rates.append(rate(kind, given.calls // (4 if kind == "provenance" else 1), folder))
        print(f"{RULES:,} rules, {given.calls:,} calls, seed {SEED}, Python {sys.version.split()[0]}, one core")
        for kind, rates in found.items():
            rates.sort()
            print(f"{kind:12} {rates[len(rates) // 2]:>10,.0f} calls/s  ({rates[0]:,.0f} – {rates[-1]:,.0f})")


def watch(folder: Path, calls: int) -> None:
    """Simulate many calls from a packed file, with coverage and a report's figures, and print what it took."""
    recording(folder, calls)
    (folder / "p.thoth").write_text(policy_text(), encoding="utf-8")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = simulate(Plan((folder / "p.thoth",), (str(folder),), out=folder / "decisions.jsonl.gz"))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{done.tally.calls:,} calls in {done.seconds:.0f} s, {done.tally.calls / done.seconds:,.0f} calls/s")
    print(f"resident at most {after / 1024:,.0f} MiB ({before / 1024:,.0f} before)")


if __name__ == "__main__":
    main()
