"""What deciders notice of a policy of 10,000 rules that is exchanged: in process, and in the sidecar under load.

    python benchmarks/reload.py [--rounds 5] [--rules 10000] [--out out/reload.json]

*Replaced*: one rule of all is changed, added, taken away or moved; the time of `Compiler`, reading, checking and laying
out, beside that of the whole text. *In process*: one thread decides without a pause; p99.9 in the second before, and in
the second in whose middle another table is taken, which a process of its own has compiled and this one maps, checks and
takes meanwhile. *Sidecar*: eight connections, one question at a time each, from `load.c`; p99 of as many answers
without a reload, and with one: all of it, from the signal on, in which one rule changed, and once more where the
process that compiles is new and reads the whole policy. Runs without and with are interleaved, figures are medians.

What it flatters: one machine, and a policy without tests. What it leaves out: `sync` evidence, whose answers wait for
the disk anyway.
"""

import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections import defaultdict
from pathlib import Path

import msgspec
from sidecar import Bench, write_records
from workload import typical

from thoth.engine import Compiler, Engine
from thoth.server import Approvers, Settings
from thoth.server.compiler import CompilerProcess
from thoth.server.reload import read_fresh

HALF_S = 0.5
OPS = {"ops": Approvers(["ann"])}
CONNECTIONS = 8
WHOLE = 4
"""So many times as long as without one a reload is asked beside that reads the whole policy."""


def edited(text: str, how: str, number: int) -> str:
    """Return a policy of which one rule is another."""
    lines = text.splitlines()
    first = next(place for place, line in enumerate(lines) if " as r000000" in line)
    place = first + (len(lines) - first) * (number % 6) // 7
    match how:
        case "changed":
            lines[place] += f" and args.amount < {9_000 + number}"
        case "added":
            lines.insert(place, f"block tool_001 as new-{number} when args.amount > {number}")
        case "deleted":
            del lines[place]
        case "moved":
            lines.insert(first, lines.pop(place))
    return "\n".join(lines) + "\n"


def replaced(text: str, rounds: int) -> dict[str, list[float]]:
    """Seconds for one rule changed, and for the whole text: reading and checking, and laying out."""
    found: dict[str, list[float]] = {}
    for number in range(1, rounds + 1):
        compiler = Compiler()
        for how in ("whole", "changed", "added", "deleted", "moved"):
            began = time.perf_counter()
            policy = compiler.check(edited(text, how, number)).policy
            checked = time.perf_counter()
            compiler.compile(policy)
            ended = time.perf_counter()
            found.setdefault(how, []).append(ended - began)
            found.setdefault(f"{how}, lay-out", []).append(ended - checked)
    return found


def percentile(took: array, share: float) -> float:
    return sorted(took)[min(len(took) - 1, int(len(took) * share))] / 1e3


def in_process(text: str, rounds: int, folder: Path) -> dict[str, list[float]]:
    """p99.9 (µs) of one decider in the second before a swap and in the second around it."""
    file = folder / "p.thoth"
    file.write_text(text)
    engine = Engine.from_file(file)
    process, settings = CompilerProcess(), Settings(policy=[str(file)], approvers=OPS, state=str(folder))
    fresh = read_fresh(settings, process, engine.evaluator, [], time.time())
    engine.adopt(fresh.policy, fresh.evaluator)
    asked = [json.loads(one) for one in typical(10_000).first(20_000)]
    found: dict[str, list[float]] = defaultdict(list)
    took, over = [array("q"), array("q"), array("q")], threading.Event()
    part = 0

    def decide() -> None:
        clock, number = time.perf_counter_ns, 0
        while not over.is_set():
            request = dict(asked[number % len(asked)])
            number += 1
            began = clock()
            engine.decide(request)
            took[part].append(clock() - began)

    for number in range(1, rounds + 1):
        file.write_text(edited(text, "changed", number))
        took = [array("q"), array("q"), array("q")]
        over.clear()
        part = 2
        decider = threading.Thread(target=decide)
        decider.start()
        time.sleep(0.2)
        part = 0
        time.sleep(2 * HALF_S)
        part = 2
        told, content = process.compile(settings)  # the process works; what follows is ours
        assert content is not None, told
        part = 1
        time.sleep(HALF_S)
        ready = CompiledAlready(told, content)
        fresh = read_fresh(settings, ready, engine.evaluator, [], time.time())
        engine.adopt(fresh.policy, fresh.evaluator)
        time.sleep(HALF_S)
        over.set()
        decider.join()
        for name, one in (("before", took[0]), ("around", took[1])):
            found[f"{name}, p99.9 µs"].append(percentile(one, 0.999))
            found[f"{name}, decisions"].append(len(one))
    process.close()
    return found


class CompiledAlready:
    def __init__(self, *answer) -> None:
        self.answer = answer

    def compile(self, settings):
        return self.answer


class Served:
    """A sidecar of a large policy, and load."""

    def __init__(self, bench: Bench, text: str, recording: str) -> None:
        self.bench, self.text, self.folder = bench, text, bench.folder / f"served-{recording}"
        (self.folder / "run").mkdir(parents=True, mode=0o700)
        (self.folder / "run").chmod(0o700)
        self.file, self.path = self.folder / "policy.thoth", self.folder / "run" / "s"
        self.file.write_text(text)
        (self.folder / "thoth.toml").write_text('[approvers.ops]\nmembers = ["ann"]\n')
        command = [sys.executable, "-m", "thoth.cli", "serve", "--policy", str(self.file), "--no-watch"]
        command += ["--config", str(self.folder / "thoth.toml"), "--state", str(self.folder / "state")]
        command += ["--socket", str(self.path), "--recording", recording]
        if recording != "none":
            evidence = str(self.folder / "evidence")
            subprocess.run(
                [sys.executable, "-m", "thoth.cli", "evidence", "init", evidence], check=True, capture_output=True
            )
            command += ["--evidence", evidence]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.said: list[dict] = []
        self.swapped = threading.Event()
        threading.Thread(target=self.listen, daemon=True).start()
        while not self.path.exists():
            assert self.process.poll() is None
            time.sleep(0.05)

    def listen(self) -> None:
        for line in self.process.stderr:
            self.said.append(json.loads(line))
            if self.said[-1]["event"] in ("policy_swapped", "policy_refused"):
                self.swapped.set()

    def ask(self, count: int) -> dict:
        command = [
            str(self.bench.load),
            "ask",
            str(self.path),
            str(self.bench.folder / "frames"),
            str(CONNECTIONS),
            "1",
        ]
        return json.loads(subprocess.run([*command, str(count)], check=True, capture_output=True, text=True).stdout)

    def reload(self, number: int) -> float:
        self.file.write_text(edited(self.text, "changed", number))
        self.swapped.clear()
        began = time.perf_counter()
        self.process.send_signal(signal.SIGHUP)
        assert self.swapped.wait(300)
        assert self.said[-1]["event"] == "policy_swapped", self.said[-1]
        return time.perf_counter() - began

    def asked_while(self, number: int, count: int) -> tuple[dict, float]:
        took: list[float] = []
        one = threading.Thread(target=lambda: took.append(self.reload(number)))
        one.start()
        found = self.ask(count)
        one.join()
        return found, took[0]

    def forget(self) -> None:
        """End the process that compiles, so that the next one reads everything."""
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        for pid in listed.stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.2)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def sidecar(text: str, rounds: int, folder: Path, recording: str, seconds: float) -> dict[str, list[float]]:
    """p99 (µs) of a sidecar's answers without a reload and with one, and how long the reload took (s)."""
    bench = Bench(folder)
    payloads = [msgspec.msgpack.encode(json.loads(one)) for one in typical(10_000).first(1_000)]
    write_records(folder / "frames", payloads)
    served = Served(bench, text, recording)
    found: dict[str, list[float]] = {}
    with contextlib.closing(served):
        rate = served.ask(5_000)["rate"]
        count = int(rate * seconds)
        served.reload(0)
        number = 0
        for _ in range(rounds):
            for how in ("without", "one rule", "without", "whole"):
                number += 1
                if how == "without":
                    asked = served.ask(count)
                elif how == "one rule":
                    asked, took = served.asked_while(number, count)
                    found.setdefault("one rule, reload s", []).append(took)
                else:
                    served.forget()
                    asked, took = served.asked_while(number, int(rate * seconds * WHOLE))
                    found.setdefault("whole, reload s", []).append(took)
                found.setdefault(f"{how}, p99 µs", []).append(asked["p99_us"])
                found.setdefault(f"{how}, rate", []).append(asked["rate"])
        rss = next(
            int(line.split()[1])
            for line in Path(f"/proc/{served.process.pid}/status").read_text().splitlines()
            if line.startswith("VmRSS")
        )
        found["resident MiB"] = [rss / 1024]
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--parts", nargs="*", default=["replaced", "process", "none", "async"])
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    text = typical(given.rules).policy()
    runs: dict[str, dict[str, list[float]]] = {}
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {given.rules:,} rules, {given.rounds} rounds")
    for part in given.parts:
        with tempfile.TemporaryDirectory(prefix="thoth-bench-") as folder:
            if part == "replaced":
                runs[part] = replaced(text, given.rounds)
            elif part == "process":
                runs[part] = in_process(text, given.rounds, Path(folder))
            else:
                runs[part] = sidecar(text, given.rounds, Path(folder), part, given.seconds)
        for name, values in runs[part].items():
            middle = statistics.median(values)
            print(f"{part:9} {name:20} {middle:10.3f}  ({min(values):.3f} to {max(values):.3f})", flush=True)
    if given.out is not None:
        given.out.parent.mkdir(exist_ok=True)
        given.out.write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
