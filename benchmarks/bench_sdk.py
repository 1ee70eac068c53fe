"""What wrapping costs: importing, one governed call, a thousand at once, ten thousand under an enforcer that restarts.

`python benchmarks/bench_sdk.py [import|call|concurrent|restart]…` prints machine, versions and figures. The call is a
no-op of three arguments under a policy of one rule, its engine in this process, evidence async with the vault on, two
records a call; calls come in bursts of 64 with 10 ms between, in five rounds, beside the bare function. The first call
of each burst is 1.6 % of them, so p99 is the time of such a one: the processor has slept, and any code is many times
slower, as a round trip through `json` beside it shows. So the figures without those calls, and without pauses, stand
below. Flatters: one small policy, one session, warm caches, a disk that nobody else uses. Leaves out: what a tool does.
The peer's `govern()` runs the same no-op in the same bursts in its own environment (`make peers`), with an audit trail
in memory and an empty policy that allows: it keeps no evidence on disk.
"""

import asyncio
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PEER = ROOT / ".venvs" / "peer-agt" / "bin" / "python"
ROUNDS, CALLS, BURST, PAUSE_S = 5, 6_400, 64, 0.01
POLICY = """
policy bench
    approvers "leads"
tool noop(a: int, b: string, c: number) is read
tool pay(amount: number) is write
allow * as all when tool in scope
step_up pay as large when args.amount > 100 ask "leads" within 15m
"""
PLAIN_POLICY = "tool noop(a: int, b: string, c: number) is read\nallow * as all when tool in scope\n"
WHO: dict[str, Any] = {"agent_id": "bench", "approved_scope": ["noop", "pay"], "tenant_id": "acme", "user_id": "ann"}
PEER_PROGRAM = """
import sys, time, warnings
warnings.simplefilter("ignore")
from agentmesh.governance import govern
POLICY = "apiVersion: governance.toolkit/v1\\nname: p\\nagents: ['*']\\ndefault_action: allow\\nrules: []\\n"
def noop(a, b, c): return None
g = govern(noop, policy=POLICY)
calls, burst, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
for _ in range(200): g(a=1, b="x", c=2.5)
took, cpu = [], time.process_time()
for i in range(calls):
    t = time.perf_counter_ns()
    g(a=i, b="hello", c=2.5)
    took.append(time.perf_counter_ns() - t)
    if i % burst == burst - 1: time.sleep(pause)
print(*sorted(took))
"""


def main() -> None:
    """Run what is named, or everything."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}")
    known = {"import": importing, "call": calling, "concurrent": concurrent, "restart": restarted}
    for name in sys.argv[1:] or known:
        known[name]()


# ---------------------------------------------------------------- importing


def importing() -> None:
    """21 processes each, interleaved, after one that warms the caches."""
    programs = {
        "pass": "pass",
        "import thoth": "import thoth",
        "from thoth import instrument": "from thoth import instrument",
    }
    took: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(22):
        for name, program in programs.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            if number:
                took[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) * 1e3 for name, values in took.items()}
    for name, median in medians.items():
        print(f"{name:30} {median:6.1f} ms, {median - medians['pass']:+6.1f}")


# ---------------------------------------------------------------- one call


def calling() -> None:
    """Bare and governed, interleaved in rounds; then the peer, in the same run."""
    import thoth

    def noop(a: int, b: str, c: float) -> None:
        return None

    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder, "bench.thoth")
        policy.write_text(POLICY)
        client = thoth.ThothClient(policy=policy, evidence=Path(folder, "evidence"), **WHO)
        governed = client.tool(noop)
        for number in range(2_000):
            governed(number, "warm", 2.5)
        rounds = []
        for _ in range(ROUNDS):
            bare, _ = paced(noop)
            yardstick, _ = paced(spelled_and_read)
            took, cpu = paced(governed)
            unpaced, unpaced_cpu = paced(governed, 0.0)
            rounds.append(
                {
                    "p50 added": quantile(sorted(took), 0.5) - quantile(sorted(bare), 0.5),
                    "p99": quantile(sorted(took), 0.99),
                    "max": max(took) / 1e3,
                    "process CPU": cpu,
                    "p99, but for the first of each burst": quantile(later(took), 0.99),
                    "p50 of the first of each burst": quantile(sorted(took[::BURST]), 0.5),
                    "p99 without pauses": quantile(sorted(unpaced), 0.99),
                    "process CPU without pauses": unpaced_cpu,
                    "json there and back, p50": quantile(sorted(yardstick), 0.5),
                    "json, p50 of the first of each burst": quantile(sorted(yardstick[::BURST]), 0.5),
                }
            )
        for name in rounds[0]:
            column = [one[name] for one in rounds]
            print(f"{name:38} {statistics.median(column):8.1f} µs   ({min(column):.1f} to {max(column):.1f})")
        assert client.audit().balanced
    if not PEER.exists():
        print("agent-governance-toolkit is not installed here; `make peers` installs it")
        return
    program = [str(PEER), "-c", PEER_PROGRAM, str(CALLS), str(BURST), str(PAUSE_S)]
    peers = [subprocess.run(program, capture_output=True, text=True, check=True).stdout.split() for _ in range(3)]
    p50s = [quantile([int(value) for value in peer], 0.5) for peer in peers]
    ours = statistics.median(one["p50 added"] for one in rounds)
    print(f"govern() p50 {statistics.median(p50s):8.1f} µs, {statistics.median(p50s) / ours:.1f} times ours")


def paced(call: Callable[[int, str, float], object], pause_s: float = PAUSE_S) -> tuple[list[int], float]:
    """Return the times of calls (ns), and the CPU time of each (µs), of all threads; what pausing takes is in it."""
    took = []
    begun = time.process_time()
    for number in range(CALLS):
        before = time.perf_counter_ns()
        call(number, "hello", 2.5)
        took.append(time.perf_counter_ns() - before)
        if pause_s and number % BURST == BURST - 1:
            time.sleep(pause_s)
    return took, (time.process_time() - begun) / CALLS * 1e6


def later(took: list[int]) -> list[int]:
    """Return the sorted times of the calls that no pause came before."""
    return sorted(one for number, one in enumerate(took) if number % BURST)


def spelled_and_read(a: int, b: str, c: float) -> object:
    """Do a little with the standard library alone: it shows what a pause does to any code on this machine."""
    return json.loads(json.dumps({"a": a, "b": b, "c": c, "d": [b, {"e": c}]}, sort_keys=True))


def quantile(took: list[int], part: float) -> float:
    """Return a quantile of sorted times (ns), in µs."""
    return took[int(len(took) * part)] / 1e3


# ---------------------------------------------------------------- many at once


def concurrent() -> None:
    """1,000 calls on one loop, 100 of them held; how long the other 900 take, beside 900 without any that are held."""
    import thoth

    async def pay(amount: float) -> float:
        await asyncio.sleep(0)
        return amount

    async def run(held: int) -> float:
        waiting: list[thoth.Hold] = []
        client = thoth.ThothClient(policy=policy, evidence="off", on_hold=waiting.append, **WHO)
        governed = client.tool(pay)
        slow = [asyncio.ensure_future(governed(1_000 + number)) for number in range(held)]
        began = time.perf_counter()
        await asyncio.gather(*(governed(number % 100) for number in range(900)))
        took = time.perf_counter() - began
        assert len(waiting) == held
        assert not any(task.done() for task in slow)
        for hold in waiting:
            hold.approve("leads", "bob")
        await asyncio.gather(*slow)
        assert client.audit().balanced
        return took

    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder, "bench.thoth")
        policy.write_text(POLICY)
        asyncio.run(run(0))
        free = [(asyncio.run(run(0)), asyncio.run(run(100))) for _ in range(ROUNDS)]
    without, with_held = (statistics.median(column) * 1e3 for column in zip(*free, strict=True))
    print(f"900 calls: {without:.1f} ms alone, {with_held:.1f} ms while 100 others are held")


# ---------------------------------------------------------------- an enforcer that is killed


def restarted() -> None:
    """10,000 calls over a sidecar's socket while the sidecar is killed and started again, four threads at once."""
    import thoth

    with tempfile.TemporaryDirectory() as folder:
        policy, path = Path(folder, "bench.thoth"), Path(folder, "run", "s")
        policy.write_text(PLAIN_POLICY)
        log = Path(folder, "evidence")
        command = [sys.executable, "-m", "thoth.cli"]
        subprocess.run([*command, "evidence", "init", str(log)], check=True, capture_output=True)
        serve = [*command, "serve", "--policy", str(policy), "--socket", str(path), "--evidence", str(log)]
        serve += ["--state", str(Path(folder, "state")), "--recording", "sync"]
        sidecar = [subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
        while not path.exists():
            assert sidecar[0].poll() is None, "the sidecar does not start"
            time.sleep(0.01)
        client = thoth.ThothClient(api_url=f"unix:{path}", spool=Path(folder, "spool"), **WHO)
        ran, refused, kills = [0] * 4, [0] * 4, 0
        over = threading.Event()

        def work(place: int) -> None:
            def noop(a: int, b: str, c: float) -> None:
                ran[place] += 1

            governed = client.tool(noop)
            for number in range(2_500):
                try:
                    governed(number, "hello", 2.5)
                except thoth.EnforcerUnavailable:
                    refused[place] += 1

        def kill() -> None:
            nonlocal kills
            for due in range(1_000, 10_000, 1_000):
                while sum(ran) + sum(refused) < due:
                    if over.wait(0.01):
                        return
                sidecar[-1].kill()
                sidecar[-1].wait()
                kills += 1
                sidecar.append(subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

        threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
        killer = threading.Thread(target=kill)
        for thread in (*threads, killer):
            thread.start()
        for thread in threads:
            thread.join()
        over.set()
        killer.join()
        left = 1
        deadline = time.monotonic() + 30
        while left and time.monotonic() < deadline:
            left = client.guard.spool.flush(final=True) if client.guard.spool else 0
            with contextlib.suppress(InterruptedError):
                time.sleep(0.2 if left else 0)
        audit = client.audit()
        print(f"killed {kills} times: {sum(ran):,} calls ran, {sum(refused):,} were refused, {left} reports are left")
        print(audit)
        assert sum(ran) == audit.executions == audit.decisions
        assert sum(ran) + sum(refused) == 10_000
        sidecar[-1].terminate()
        sidecar[-1].wait()
        shown = subprocess.run(
            [*command, "evidence", "show", str(log)], check=True, capture_output=True, text=True
        ).stdout
        outcomes = shown.count(" completed")
        print(f"in the log: {shown.count(' ALLOW ')} decisions, {outcomes:,} outcomes")
        assert outcomes == sum(ran), "every call that ran has its outcome in the evidence, once"
        assert audit.balanced


if __name__ == "__main__":
    main()
