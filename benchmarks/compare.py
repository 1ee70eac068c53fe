"""The same rules and requests through our engine, a handwritten evaluator and the peers that are installed.

    python benchmarks/compare.py            a few minutes: 10 to 10,000 rules
    python benchmarks/compare.py --wide     ten minutes: up to 100,000 rules, as few requests
    python benchmarks/compare.py --full     up to 100,000 rules and 100,000 requests; most of an hour with all peers
    python benchmarks/compare.py --quick    seconds: shows that everything works, measures nothing

Ours and the handwritten evaluator take turns in this process, every 256 requests, for five rounds; each call is timed
by itself and its decision is read (`loops.py`). Before anything is measured every request is decided by both and
compared. Peers run one after another, each in its own process and environment (`make peers`). The run is kept in
`benchmarks/runs/`: what was measured on, each round's percentiles, and a histogram of all calls.
"""

import argparse
import gc
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import workload
from extras import extras, show_extras
from handwritten import Handwritten
from loops import FACTS, NOW, ways

from thoth.engine import Engine
from thoth.engine.compile import DecisionTable, compile
from thoth.engine.decide import decide

HERE = Path(__file__).resolve().parent
BATCH = 256
ROUNDS = 5
REUSED_MAX = 2_048
FACTS_RULES_MAX = 10_000
PACKAGES = ("thoth-runtime", "msgspec", "google-re2", "Cython")


@dataclass(frozen=True)
class Plan:
    """How much is measured. `requests` is for all rounds together, and no request is used twice."""

    sizes: tuple[int, ...]
    nothing_sizes: tuple[int, ...]
    every_sizes: tuple[int, ...]
    peer_sizes: tuple[int, ...]
    requests: int
    peer_requests: int
    peer_seconds: float


PLANS = {
    "quick": Plan((10, 300), (10,), (10,), (10,), 500, 50, 2),
    "short": Plan((10, 1_000, 10_000), (1_000,), (1_000,), (10, 1_000), 10_000, 500, 10),
    "wide": Plan((10, 1_000, 10_000, 100_000), (1_000, 100_000), (1_000, 10_000), (10, 1_000), 10_000, 500, 10),
    "full": Plan(
        (10, 1_000, 10_000, 100_000),
        (1_000, 10_000, 100_000),
        (1_000, 10_000),
        (10, 1_000, 10_000),
        100_000,
        2_000,
        12,
    ),
}


def timer_cost() -> dict[str, int]:
    """Return what two looks at the clock take with nothing between them; it is part of every figure."""
    clock = time.perf_counter_ns
    taken = []
    for _ in range(200_000):
        begun = clock()
        taken.append(clock() - begun)
    return percentiles(taken)


# ---------------------------------------------------------------- one workload


@dataclass
class Measured:
    """All calls of one engine: each round's percentiles, and a histogram of all (ns to three digits)."""

    rounds: list[dict[str, int]] = field(default_factory=list)
    histogram: Counter[int] = field(default_factory=Counter)
    max: int = 0

    def add(self, taken: list[int]) -> None:
        self.rounds.append(percentiles(taken))
        self.histogram.update(map(three_digits, taken))
        self.max = max(self.max, *taken)

    def summary(self) -> dict[str, Any]:
        """Return the median of the rounds' p50 and how far they lie apart; p99 and max of all calls."""
        medians = [one["p50"] for one in self.rounds]
        return {
            "calls": self.histogram.total(),
            "p50_ns": round(statistics.median(medians)),
            "p50_ns_rounds": [min(medians), max(medians)],
            "p99_ns": quantile(self.histogram, 0.99),
            "max_ns": self.max,
            "rounds": self.rounds,
            "histogram": sorted(self.histogram.items()),
        }


def percentiles(taken: list[int]) -> dict[str, int]:
    ordered = sorted(taken)
    last = len(ordered) - 1
    return {"p50": ordered[last // 2], "p99": ordered[round(last * 0.99)], "max": ordered[-1]}


def three_digits(ns: int) -> int:
    unit = 10 ** max(0, len(str(ns)) - 3)
    return round(ns / unit) * unit


def quantile(histogram: Counter[int], share: float) -> int:
    left = share * histogram.total()
    for ns, count in sorted(histogram.items()):
        left -= count
        if left <= 0:
            return ns
    raise AssertionError("an empty histogram")


def measure(one: workload.Workload, requests: int) -> dict[str, Any]:
    """Compare, then time, ours and handwritten over one workload."""
    begun = time.perf_counter()
    engine = Engine.from_text(one.policy())
    load_s = time.perf_counter() - begun
    begun = time.perf_counter()
    table = compile(engine.policy)
    lay_out_s = time.perf_counter() - begun
    by_hand = Handwritten(one.rules)
    facts = None
    if one.near and len(one.attributes) == len(workload.SEVEN) and len(one.rules) <= FACTS_RULES_MAX:
        facts = compile(Engine.from_text(one.policy() + FACTS).policy)
    engines = ways(engine, table, facts, by_hand)
    # The comparison runs over what is measured, drawn again rather than kept, and warms all of it up.
    checked = compared(table, by_hand, islice(one.requests(), requests))
    fresh, reused = ({name: Measured() for name in engines} for _ in range(2))
    upcoming = one.requests()
    gc.collect()
    gc.freeze()
    for number in range(ROUNDS):
        texts = list(islice(upcoming, requests // ROUNDS))
        first_to_last = list(engines.items())
        for kind, measured in (("fresh", fresh), ("reused", reused)):
            taken: dict[str, list[int]] = {name: [] for name in engines}
            # Asked again the calls differ little: a few thousand of them say as much as all.
            for start in range(0, len(texts) if kind == "fresh" else min(len(texts), REUSED_MAX), BATCH):
                first_to_last.append(first_to_last.pop(0))  # nobody always comes first
                for name, (run, decode) in first_to_last:
                    batch = [decode(text) for text in texts[start : start + BATCH]]
                    if kind == "reused":
                        run(batch)
                    taken[name] += run(batch)
            for name, ns in taken.items():
                measured[name].add(ns)
        print(f"  {one.name}: round {number + 1} of {ROUNDS}", file=sys.stderr)
    gc.unfreeze()
    return {
        "workload": one.name,
        "rules": len(one.rules),
        "attributes": len(one.attributes) + 1,
        "load_s": round(load_s, 2),
        "lay_out_s": round(lay_out_s, 2),
        "checked": checked,
        "engines": {name: {"fresh": fresh[name].summary(), "reused": reused[name].summary()} for name in engines},
    }


def compared(table: DecisionTable, by_hand: Handwritten, texts: Iterable[str]) -> dict[str, Any]:
    """Decide each request both ways, and stop at the first that differs."""
    effects: Counter[str] = Counter()
    count = hits = 0
    for text in texts:
        ours, theirs = decide(table, json.loads(text), now=NOW), by_hand.decide(json.loads(text))
        if (ours.effect.value, ours.rules, ours.rules_more, ours.reason_code) != theirs:
            raise SystemExit(f"ours and handwritten disagree about {text}:\n{ours}\n{theirs}")
        effects[ours.effect.value] += 1
        hits += bool(ours.rules)
        count += 1
    return {"requests": count, "mismatches": 0, "decided_by_a_rule": round(hits / count, 3), "effects": dict(effects)}


# ---------------------------------------------------------------- peers


def peers() -> dict[str, Path]:
    """Return each peer of `peers.txt` that is installed, with its interpreter."""
    found = {}
    for line in (HERE / "peers.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name = line.split()[0]
            python = HERE.parent / ".venvs" / f"peer-{name}" / "bin" / "python"
            if python.exists():
                found[name] = python
            else:
                print(f"the peer `{name}` is not installed; write `make peers`", file=sys.stderr)
    return found


def measure_peers(one: workload.Workload, plan: Plan, pythons: dict[str, Path]) -> dict[str, Any]:
    """Run each peer's driver over one workload."""
    texts = one.first(plan.peer_requests)
    # By tool, as `applying` over all rules would take minutes at 10,000.
    of_tool: dict[str, list[workload.Rule]] = {}
    for rule in one.rules:
        of_tool.setdefault(rule.tool, []).append(rule)
    applying = []
    for text in texts:
        request = json.loads(text)
        rules = tuple(of_tool.get(request["tool_name"], ()))
        own = workload.Workload(one.name, one.attributes, one.tools, rules, one.seed)
        applying.append(workload.applying(own, request))
    folder = HERE.parent / "out" / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    given = one.neutral() | {"requests": texts, "applying": applying}
    given |= {"rounds": ROUNDS, "seconds_max": plan.peer_seconds}
    (folder / "workload.json").write_text(json.dumps(given))
    results: dict[str, Any] = {}
    for name, python in pythons.items():
        print(f"  {one.name}: {name}", file=sys.stderr)
        result = folder / f"{name}.json"
        result.unlink(missing_ok=True)
        driver = HERE / "peers" / f"drive_{name}.py"
        try:
            ran = subprocess.run(
                [python, "-W", "ignore", driver, folder / "workload.json", result],
                capture_output=True,
                text=True,
                timeout=60 + plan.peer_seconds * 8,
                check=False,
            )
        except subprocess.TimeoutExpired:
            results[name] = {"problem": "was stopped: it took too long to load"}
            continue
        if ran.returncode:
            results[name] = {"problem": (ran.stderr.strip().splitlines() or ["?"])[-1]}
            continue
        found = json.loads(result.read_text())
        measured = Measured()
        for taken in found.pop("rounds"):
            measured.add(taken)
        results[name] = found | measured.summary()
    return {"workload": one.name, "rules": len(one.rules), "peers": results}


# ---------------------------------------------------------------- the run


def machine() -> dict[str, Any]:
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else ""
    commit = ""
    if shutil.which("git"):
        git = ["git", "describe", "--always", "--dirty", "--exclude=*"]
        commit = subprocess.run(git, cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}, {platform.python_compiler()}",
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES if installed(name)},
        "commit": commit,
    }


def installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def us(ns: float) -> str:
    return f"{ns / 1_000:,.2f}" if ns < 100_000 else f"{ns / 1_000:,.0f}"


def show(result: dict[str, Any]) -> None:
    if "engines" in result:
        checked = result["checked"]
        print(
            f"\n{result['workload']}: {result['rules']:,} rules, {result['attributes']} attributes; "
            f"{checked['requests']:,} requests, {checked['decided_by_a_rule']:.0%} decided by a rule, no mismatch"
        )
        print(f"  {'µs for each call':40}{'p50':>9} {'(rounds)':>18}{'p99':>10}{'max':>10}{'re-used p50':>13}")
        for name, measured in result["engines"].items():
            fresh, reused = measured["fresh"], measured["reused"]
            spread = "–".join(us(ns) for ns in fresh["p50_ns_rounds"])
            row = f"{us(fresh['p50_ns']):>9} {spread:>18}{us(fresh['p99_ns']):>10}{us(fresh['max_ns']):>10}"
            print(f"  {name:40}{row}{us(reused['p50_ns']):>13}")
        return
    print(f"\n{result['workload']}: peers, {result['rules']:,} rules")
    for name, found in result["peers"].items():
        if "problem" in found:
            print(f"  {name:34}{found['problem']}")
            continue
        spread = "–".join(us(ns) for ns in found["p50_ns_rounds"])
        row = f"{us(found['p50_ns']):>9} {spread:>18}{us(found['p99_ns']):>10}{us(found['max_ns']):>10}"
        wrong = f"{found['mismatches']} mismatches of {found['checked']}" if found["mismatches"] else ""
        print(f"  {found['package'] + ' ' + found['version']:34}{row} {wrong}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure our engine beside a handwritten evaluator and the peers.")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--full", action="store_const", const="full", dest="plan", help="up to 100,000 rules")
    kind.add_argument("--wide", action="store_const", const="wide", dest="plan", help="the same, few requests")
    kind.add_argument("--quick", action="store_const", const="quick", dest="plan", help="show that everything works")
    parser.add_argument("--no-peers", action="store_true", help="leave the peers out")
    parser.add_argument("--note", default="", help="what to say about this run, e.g. that the machine was busy")
    parser.add_argument("--out", type=Path, help="where to keep the run (benchmarks/runs/TIME-PLAN.json)")
    asked = parser.parse_args()
    name = asked.plan or "short"
    plan = PLANS[name]
    begun = datetime.now(UTC)
    run: dict[str, Any] = {
        "begun": begun.isoformat(timespec="seconds"),
        "plan": name,
        "note": asked.note,
        "seed": workload.SEED,
        "machine": machine(),
        "timer_ns": timer_cost(),
        "results": [],
        "extras": {},
        "peers": [],
    }
    told = run["machine"]
    print(f"{told['cpu']}, {told['cores']} cores, load {told['load_average']}; {told['system']}; {told['python']}")
    print(f"{told['packages']}; commit {told['commit']}; seed {run['seed']}; the timer itself: {run['timer_ns']} ns")

    workloads = [workload.typical(size, attributes) for size in plan.sizes for attributes in (7, 15)]
    workloads += [workload.nothing_selective(size) for size in plan.nothing_sizes]
    workloads += [workload.every_rule(size) for size in plan.every_sizes]
    for one in workloads:
        # Where every rule is asked a call takes long, and calls differ little.
        requests = plan.requests if one.near else min(plan.requests, 2_000)
        if len(one.attributes) > len(workload.SEVEN):
            requests //= 4
        result = measure(one, requests)
        run["results"].append(result)
        show(result)
    run["extras"] = extras(plan.requests)
    show_extras(run["extras"])
    pythons = {} if asked.no_peers else peers()
    for size in plan.peer_sizes if pythons else ():
        result = measure_peers(workload.typical(size), plan, pythons)
        run["peers"].append(result)
        show(result)

    run["took_s"] = round((datetime.now(UTC) - begun).total_seconds())
    run["machine"]["load_average_at_end"] = [round(load, 2) for load in os.getloadavg()]
    file = asked.out or HERE / "runs" / f"{begun:%Y%m%dT%H%M%SZ}-{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(run, separators=(",", ":")) + "\n")
    print(f"\nthe run is kept in {os.path.relpath(file)}; `python benchmarks/plot.py` makes table and plot of it")


if __name__ == "__main__":
    main()
