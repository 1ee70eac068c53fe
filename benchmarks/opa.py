"""OPA's server beside ours: the same 1,000 rules, the same requests over HTTP, interleaved in one run.

    python benchmarks/opa.py [--rounds 5] [--rules 1000] [--scale 1.0] [--out out/opa.json]

Both answer over a Unix socket, on connections that stay open, to load from `load.c`. OPA says one word, the effect;
ours gives the whole envelope to a caller with a key, recording nothing (`none`) and recording within 5 ms (`async`).

Translation: Rego has words for each kind of condition, so nothing is told as a fact. A tool is a package, an effect a
rule of it, written once for each rule here; equality, membership, prefixes and suffixes are tests of `input` that OPA
indexes, and they come first; sets that several rules compare are made once a question. `--layout one` asks all rules in
one package instead, with the tool as one more indexed test.

Answers to the first requests are compared before anything is timed; the run ends at the first effect that differs.
Requests that our rules step up are left out of the timing unless `--holds` is given: each opens a hold that is written
to disk before it is answered, and OPA has nothing of the kind.
"""

import argparse
import contextlib
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import workload
from sidecar import SESSIONS, write_records

HERE = Path(__file__).parent
OPA = HERE.parent / ".venvs" / "peer-opa" / "bin" / "opa"
KINDS = ("opa", "none", "async")
EFFECTS = ("block", "defer", "step_up", "allow")
"""The strictest first; what no rule allows is blocked."""
ORDER = ("is", "in", "at least", "at most", "between", "under", "like", "any in", "all in", "matches")
SHARED = """
path := concat("", [input.tool_args.path, "/"])
tags := {tag | some tag in input.tool_args.tags}
"""


# ---------------------------------------------------------------- the rules in Rego


def modules(one: workload.Workload, layout: str) -> dict[str, str]:
    """Return Rego modules by file name: `bench.rego` answers at `/v1/data/bench/effect`."""
    found = "data.bench.tools[input.tool_name]" if layout == "tools" else "data.bench.all"
    ladder = ['effect := "block" if not {found}.allow'.replace("{found}", found)]
    ladder += [f'else := "{effect}" if {found}.{effect}' for effect in EFFECTS[:-1]]
    made = {"bench.rego": "package bench\n" + SHARED + "\n".join(ladder) + '\nelse := "allow"\n'}
    by_package: dict[str, list[str]] = {}
    for rule in one.rules:
        tests = [test for c in sorted(rule.conditions, key=lambda c: ORDER.index(c.kind)) for test in spelled(c)]
        tests.sort(key=lambda test: "data.bench." in test or "regex." in test)
        if layout == "one":
            tests.insert(0, f"input.tool_name == {json.dumps(rule.tool)}")
        lines = by_package.setdefault(rule.tool if layout == "tools" else "all", [])
        lines.append(f"{rule.effect} if {{\n\t" + "\n\t".join(tests) + "\n}\n")
    for name, lines in by_package.items():
        package = f"bench.tools.{name}" if layout == "tools" else "bench.all"
        made[f"{name}.rego"] = f"package {package}\n\n" + "\n".join(lines)
    return made


def spelled(condition: workload.Condition) -> list[str]:
    """Return a condition as the expressions of a Rego rule."""
    it, value = "input." + ".".join(workload.PATHS[condition.attribute]), condition.value
    text = json.dumps(value)
    match condition.kind:
        case "is":
            return [f"{it} == {text}"]
        case "in":
            return [f"{it} in {braced(value)}"]
        case "between":
            return [f"{it} >= {value[0]}", f"{it} <= {value[1]}"]
        case "at least":
            return [f"{it} >= {value}"]
        case "at most":
            return [f"{it} <= {value}"]
        case "under":
            return [f"startswith({it}, {text})", f"startswith(data.bench.path, {json.dumps(value + '/')})"]
        case "like":
            first, _, last = value.partition("*")
            assert "*" not in last, value
            tests = [f"startswith({it}, {json.dumps(first)})"] if first else []
            return tests + ([f"endswith({it}, {json.dumps(last)})"] if last else [])
        case "matches":
            return [f"regex.match({text}, {it})"]
        case "any in":
            return [f"count(data.bench.tags & {braced(value)}) > 0"]
        case "all in":
            return [f"count(data.bench.tags - {braced(value)}) == 0"]
    raise AssertionError(condition.kind)


def braced(items: list[str]) -> str:
    return "{" + ", ".join(map(json.dumps, items)) + "}"


# ---------------------------------------------------------------- the servers


class Bench:
    """A folder with the policies, the load program and the key, and the two servers that are started from it."""

    def __init__(self, folder: Path, rules: int, layout: str) -> None:
        self.folder, self.load = folder, folder / "load"
        subprocess.run(["cc", "-O2", "-o", self.load, HERE / "load.c"], check=True)
        self.workload = workload.typical(rules)
        (folder / "policy.thoth").write_text(self.workload.policy())
        (folder / "thoth.toml").write_text('[approvers.ops]\nmembers = ["ann@acme.example"]\n')
        (folder / "rego").mkdir()
        for name, text in modules(self.workload, layout).items():
            (folder / "rego" / name).write_text(text)
        made = [sys.executable, "-m", "thoth.cli", "keys", "create", "--state", str(folder / "state")]
        made += ["--principal", "bench", "--permissions", "execute"]
        self.key = subprocess.run(made, check=True, capture_output=True, text=True).stdout.strip()

    def requests(self, count: int) -> list[dict[str, Any]]:
        """Return the first requests, in a thousand sessions; without ids, because each is sent more than once."""
        made = []
        for number, text in enumerate(self.workload.first(count)):
            request = json.loads(text)
            del request["request_id"]
            made.append(request | {"session_id": f"0b5a6c1e-7d7c-4b1c-9a39-{number % SESSIONS:012d}"})
        return made

    def whole(self, kind: str, request: dict[str, Any]) -> bytes:
        """Return a request as it goes over the wire; head and body differ by what each server asks for."""
        body = json.dumps({"input": request} if kind == "opa" else request, separators=(",", ":")).encode()
        at = "/v1/data/bench/effect" if kind == "opa" else "/v1/enforce"
        head = f"POST {at} HTTP/1.1\r\nhost: x\r\nuser-agent: node\r\ncontent-type: application/json\r\n"
        head += "" if kind == "opa" else f"x-api-key: {self.key}\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    def command(self, kind: str, path: Path) -> list[str]:
        if kind == "opa":
            command = [str(OPA), "run", "--server", "--addr", f"unix://{path}", "--log-level", "error"]
            return [*command, "--disable-telemetry", str(self.folder / "rego")]
        command = [sys.executable, "-m", "thoth.cli", "serve", "--config", str(self.folder / "thoth.toml")]
        command += ["--policy", str(self.folder / "policy.thoth")]
        command += ["--socket", str(path.with_name("s")), "--http-socket", str(path), "--no-watch"]
        state, evidence = path.parent.parent / "state", path.parent.parent / "evidence"
        shutil.copytree(self.folder / "state", state)
        command += ["--state", str(state), "--recording", kind]
        if kind != "none":
            made = [sys.executable, "-m", "thoth.cli", "evidence", "init", str(evidence)]
            subprocess.run(made, check=True, capture_output=True)
            command += ["--evidence", str(evidence)]
        return command

    @contextlib.contextmanager
    def server(self, kind: str) -> Iterator[Path]:
        path = self.folder / kind / "run" / "h"
        shutil.rmtree(self.folder / kind, ignore_errors=True)
        path.parent.mkdir(mode=0o700, parents=True)
        command = ["taskset", "-c", "0", *self.command(kind, path)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 60
            while not answers(path):
                assert process.poll() is None, f"{command} ended"
                assert time.monotonic() < until, f"{command} does not answer"
                time.sleep(0.05)
            yield path
        finally:
            process.terminate()
            process.wait(20)

    def ask(self, kind: str, path: Path, core: int, count: int, connections: int) -> dict[str, float]:
        command = ["taskset", "-c", str(core), str(self.load), "http", str(path), str(self.folder / f"asked-{kind}")]
        run = subprocess.run([*command, str(count), str(connections)], check=True, capture_output=True, text=True)
        found: dict[str, float] = json.loads(run.stdout)
        return found

    def effects(self, kind: str, requests: list[dict[str, Any]]) -> list[str]:
        """Ask each request once and return the effects."""
        found = []
        with self.server(kind) as path, contextlib.closing(connected(path)) as link:
            for request in requests:
                link.sock.sendall(self.whole(kind, request))
                reply = http.client.HTTPResponse(link.sock)
                reply.begin()
                answer = json.loads(reply.read())
                found.append(answer["result"] if kind == "opa" else answer["decision"].lower())
        return found

    def round(self, kind: str, scale: float, connections: int) -> dict[str, float]:
        """One server: one question after another on a core that both share, then many with a core each."""
        one, many = {"opa": (3_000, 10_000), "none": (10_000, 50_000), "async": (10_000, 30_000)}[kind]
        with self.server(kind) as path:
            self.ask(kind, path, 0, int(one * scale / 3), 1)
            alone = self.ask(kind, path, 0, int(one * scale), 1)
            self.ask(kind, path, 1, int(many * scale / 5), connections)
            crowd = self.ask(kind, path, 1, int(many * scale), connections)
        return {"p50": alone["p50_us"], "p99": alone["p99_us"], "rate": crowd["rate"], "crowd_p99": crowd["p99_us"]}


def connected(path: Path) -> http.client.HTTPConnection:
    link = http.client.HTTPConnection("x")
    link.sock = socket.socket(socket.AF_UNIX)
    link.sock.settimeout(10)
    link.sock.connect(str(path))
    return link


def answers(path: Path) -> bool:
    """Say whether anything listens there."""
    try:
        connected(path).sock.close()
    except OSError:
        return False
    return True


# ---------------------------------------------------------------- the run


def check(bench: Bench, requests: list[dict[str, Any]]) -> list[str]:
    """Compare both servers' effects and return them; the first difference ends the run."""
    theirs, ours = (bench.effects(kind, requests) for kind in ("opa", "none"))
    for request, their, our in zip(requests, theirs, ours, strict=True):
        assert their == our, f"OPA says {their}, ours {our}: {json.dumps(request)}"
    counted = ", ".join(f"{ours.count(effect)} {effect}" for effect in EFFECTS)
    print(f"{len(requests)} requests, the same effects from both: {counted}")
    return ours


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure OPA's server and ours on the same rules and requests.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rules", type=int, default=1_000)
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--scale", type=float, default=1.0, help="how many questions of the usual number")
    parser.add_argument("--layout", choices=("tools", "one"), default="tools", help="a package a tool, or one for all")
    parser.add_argument("--holds", action="store_true", help="time requests that are stepped up as well")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    if not OPA.exists():
        sys.exit("OPA is not installed; write `make peers` (it needs Go)")
    version = subprocess.run([OPA, "version"], check=True, capture_output=True, text=True).stdout.split("\n")[0]
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="thoth-opa-") as folder:
        bench = Bench(Path(folder), given.rules, given.layout)
        requests = bench.requests(given.requests)
        told = zip(requests, check(bench, requests), strict=True)
        timed = [request for request, effect in told if given.holds or effect != "step_up"]
        for kind in KINDS:
            write_records(bench.folder / f"asked-{kind}", [bench.whole(kind, one) for one in timed])
        for _ in range(given.rounds):
            for kind in KINDS:
                runs[kind].append(bench.round(kind, given.scale, given.connections))
    print(
        f"OPA {version.removeprefix('Version: ')}, {given.rules:,} rules, {os.cpu_count()} cores; {len(timed)} requests"
    )
    table(runs, given.connections)
    if given.out is not None:
        given.out.parent.mkdir(exist_ok=True)
        given.out.write_text(json.dumps({"opa": version, "runs": runs}, indent=1))


def table(runs: dict[str, list[dict[str, float]]], connections: int) -> None:
    """Print medians of the rounds, the lowest and the highest rate, and each beside OPA."""
    middle = {k: {name: statistics.median(one[name] for one in rs) for name in rs[0]} for k, rs in runs.items()}
    print(f"| | p50 µs | p99 µs | rate /s, {connections} connections | p99 µs of it | rate ÷ OPA | p99 ÷ OPA | of it |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    theirs = middle["opa"]
    for kind, m in middle.items():
        rates = [one["rate"] for one in runs[kind]]
        print(
            f"| {'OPA' if kind == 'opa' else f'ours, `{kind}`'} | {m['p50']:,.0f} | {m['p99']:,.0f} "
            f"| {m['rate']:,.0f} ({min(rates):,.0f}–{max(rates):,.0f}) | {m['crowd_p99']:,.0f} "
            f"| {m['rate'] / theirs['rate']:.1f} | 1/{theirs['p99'] / m['p99']:.1f} "
            f"| 1/{theirs['crowd_p99'] / m['crowd_p99']:.1f} |"
        )


if __name__ == "__main__":
    main()
