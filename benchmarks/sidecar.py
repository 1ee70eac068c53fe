"""The sidecar beside an echo, in one run and interleaved: what deciding, recording and HTTP cost over a Unix socket.

    python benchmarks/sidecar.py [--rounds 5] [--out out/sidecar.json]

Load comes from `load.c`, from requests that were encoded before. For the latency of one question after another both
sides share one core; for the rate the server has one and the load the other. The limit of all of it, an echo in C, is
printed first. What it flatters: one machine, requests of one size, a policy of few rules, warm sessions. What it
leaves out: network, TLS, several servers, disks other than this one.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

HERE = Path(__file__).parent
POLICY = """
tool search(query: string, page: int, filters: record) is read
tool pay(amount: number, to: string) is write
allow search as search
allow pay as small when args.amount <= 100 and env is prod
block pay as huge when args.amount > 10_000
block * as test when env is "test"
block shell as shell
modify export as short set args.rows = 10
"""
SESSIONS = 1_000
ORDER = ("c", "echo", "none", "async", "sync")
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 64; }}
http {{ access_log off; keepalive_requests 1000000000; default_type application/json;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen unix:{path}; location / {{ return 200 '{body}'; }} }} }}
"""


def requests() -> list[dict]:
    """A thousand questions of about 300 bytes, each of another session."""
    drawn = random.Random(7)
    return [
        {
            "agent_id": "support-bot",
            "user_id": "ann@acme.example",
            "tenant_id": "acme",
            "environment": "prod",
            "session_id": f"0b5a6c1e-7d7c-4b1c-9a39-{number:012d}",
            "approved_scope": ["search", "pay"],
            "tool_name": "search",
            "tool_args": {
                "query": f"{drawn.choice(['unpaid', 'open', 'late'])} invoices of customer {number}",
                "page": drawn.randrange(9),
                "filters": {"status": "open", "region": "emea"},
            },
        }
        for number in range(SESSIONS)
    ]


def write_records(file: Path, records: list[bytes]) -> None:
    file.write_bytes(b"".join(struct.pack(">I", len(one)) + one for one in records))


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.load = folder / "load"
        subprocess.run(["cc", "-O2", "-o", self.load, HERE / "load.c"], check=True)
        (folder / "policy.thoth").write_text(POLICY)
        payloads = [msgspec.msgpack.encode(one) for one in requests()]
        write_records(folder / "frames", payloads)
        self.request_bytes = sum(map(len, payloads)) // len(payloads)
        self.reply_bytes = self.reply()

    def reply(self) -> int:
        """The size of an answer, to be echoed."""
        from thoth.contract.result import result_of
        from thoth.engine import Engine

        return len(msgspec.msgpack.encode(result_of(Engine.from_text(POLICY).decide(requests()[0]))))

    @contextlib.contextmanager
    def server(self, kind: str, core: int):
        path = self.folder / kind / "run" / "s"
        shutil.rmtree(self.folder / kind, ignore_errors=True)
        path.parent.mkdir(mode=0o700, parents=True)
        python = ["taskset", "-c", str(core), sys.executable]
        if kind == "c":
            command = ["taskset", "-c", str(core), str(self.load), "echo", str(path), str(self.reply_bytes)]
        elif kind == "echo":
            command = [*python, str(HERE / "framed_echo.py"), str(path), str(self.reply_bytes)]
        else:
            command = [*python, "-m", "thoth.cli", "serve", "--policy", str(self.folder / "policy.thoth")]
            command += ["--socket", str(path), "--no-watch", "--recording", kind]
            if kind != "none":
                evidence = self.folder / kind / "evidence"
                made = [sys.executable, "-m", "thoth.cli", "evidence", "init", str(evidence)]
                subprocess.run(made, check=True, capture_output=True)
                command += ["--evidence", str(evidence)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            while not path.exists():
                assert process.poll() is None, f"{command} ended"
                time.sleep(0.01)
            time.sleep(0.1)
            yield path
        finally:
            process.terminate()
            process.wait(20)

    def ask(self, path: Path, core: int, connections: int, depth: int, count: int) -> dict:
        command = ["taskset", "-c", str(core), str(self.load), "ask", str(path), str(self.folder / "frames")]
        command += [str(connections), str(depth), str(count)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def http(self, scale: float) -> dict[str, float]:
        """p50 of `POST /v1/enforce` over a Unix socket, and of nginx's `return 200` with a body as large."""
        folder = self.folder / "http"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "run").mkdir(mode=0o700, parents=True)
        state, path = folder / "state", folder / "run" / "h"
        made = [sys.executable, "-m", "thoth.cli", "keys", "create", "--state", str(state), "--principal", "bench"]
        key = subprocess.run([*made, "--permissions", "execute"], check=True, capture_output=True, text=True).stdout
        whole = []
        for one in requests():
            body = json.dumps(one).encode()
            head = "POST /v1/enforce HTTP/1.1\r\nhost: x\r\nuser-agent: node\r\ncontent-type: application/json\r\n"
            head += f"x-api-key: {key.strip()}\r\ncontent-length: {len(body)}\r\n\r\n"
            whole.append(head.encode() + body)
        write_records(self.folder / "http-requests", whole)
        command = ["taskset", "-c", "0", sys.executable, "-m", "thoth.cli", "serve", "--recording", "none"]
        command += ["--no-watch", "--policy", str(self.folder / "policy.thoth"), "--socket", str(folder / "run" / "s")]
        command += ["--state", str(state), "--http-socket", str(path)]
        found = {"http_p50_us": self.ask_http(command, path, scale)}
        if shutil.which("nginx"):
            path = folder / "run" / "n"
            text = NGINX.format(folder=folder, path=path, body="x" * self.envelope_bytes(folder / "run"))
            (folder / "nginx.conf").write_text(text)
            command = ["taskset", "-c", "0", "nginx", "-c", str(folder / "nginx.conf")]
            found["nginx_p50_us"] = self.ask_http(command, path, scale)
        return found

    def envelope_bytes(self, folder: Path) -> int:
        """The size of an envelope, to be sent by nginx."""
        from thoth.contract.envelope import Envelope
        from thoth.engine import Engine
        from thoth.server.envelopes import NOTHING_TOLD, envelope_of

        engine = Engine.from_text(POLICY)
        envelope = envelope_of(engine, engine.decide(requests()[0]), None, NOTHING_TOLD, 0.000123)
        assert isinstance(envelope, Envelope)
        return len(msgspec.json.encode(envelope))

    def ask_http(self, command: list[str], path: Path, scale: float) -> float:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            while not path.exists():
                assert process.poll() is None, f"{command} ended"
                time.sleep(0.01)
            time.sleep(0.1)
            ask = ["taskset", "-c", "0", str(self.load), "http", str(path), str(self.folder / "http-requests")]
            subprocess.run([*ask, str(int(2_000 * scale))], check=True, capture_output=True)
            run = subprocess.run([*ask, str(int(10_000 * scale))], check=True, capture_output=True, text=True)
            return json.loads(run.stdout)["p50_us"]
        finally:
            process.terminate()
            process.wait(20)

    def round(self, kind: str, scale: float) -> dict[str, float]:
        """One server, one question after another, then 32 connections × 16."""
        found = {}
        with self.server(kind, 0) as path:
            self.ask(path, 0, 1, 1, int(2_000 * scale))
            found["p50_us"] = self.ask(path, 0, 1, 1, int((2_000 if kind == "sync" else 10_000) * scale))["p50_us"]
            many = {"c": 200_000, "echo": 200_000, "none": 60_000, "async": 30_000, "sync": 20_000}[kind]
            self.ask(path, 1, 32, 16, int(many * scale / 10))
            asked = self.ask(path, 1, 32, 16, int(many * scale))
            found["rate"], found["p99_us"] = asked["rate"], asked["p99_us"]
        return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in ORDER}
    web: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="thoth-bench-") as folder:
        bench = Bench(Path(folder))
        for _ in range(given.rounds):
            for kind in ORDER:
                runs[kind].append(bench.round(kind, given.scale))
            web.append(bench.http(given.scale))
    version = platform.python_version()
    print(f"{os.cpu_count()} cores, Python {version}, request {bench.request_bytes} B, reply {bench.reply_bytes} B")
    middle = {k: {name: statistics.median(r[name] for r in rs) for name in rs[0]} for k, rs in runs.items()}
    for kind in ORDER:
        m, rates = middle[kind], [run["rate"] for run in runs[kind]]
        print(
            f"{kind:6} p50 {m['p50_us']:8.1f} µs  {m['p50_us'] / middle['echo']['p50_us']:6.2f} × echo   "
            f"rate {m['rate']:9,.0f}/s  {m['rate'] / middle['echo']['rate']:5.3f} × echo  "
            f"({min(rates):,.0f} to {max(rates):,.0f})  p99 {m['p99_us']:,.0f} µs"
        )
    told = {name: statistics.median(one[name] for one in web) for name in web[0]}
    print("  ".join(f"{name} {value:.1f}" for name, value in told.items()))
    if "nginx_p50_us" in told:
        print(f"HTTP {told['http_p50_us'] / told['nginx_p50_us']:.2f} × nginx")
    if given.out is not None:
        given.out.parent.mkdir(exist_ok=True)
        given.out.write_text(json.dumps({**runs, "http": web}, indent=1))


if __name__ == "__main__":
    main()
