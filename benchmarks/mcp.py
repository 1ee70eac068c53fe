"""What the MCP proxy costs: a warm tool call and the handshake, through `thoth run` and beside it.

One client, one server of a few lines, both in Python, one call after another; the policy is embedded and evidence
async, two records a call. It flatters us in that the server does nothing, so nothing competes for the processor, and
in that results are short; it leaves out many servers at once. Start-up is from the start of the process to the answer
to `initialize`; the policy is read beside that, and the first call waits for it.

`python benchmarks/mcp.py [ROUNDS]`; leave the machine alone meanwhile.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

SERVER: Final = Path(__file__).parents[1] / "tests" / "proxy" / "scripted_server.py"
CALLS: Final = 400
WARM: Final = 100
POLICY: Final = """\
policy bench
    default block
allow echo as echoing
block echo as no-secrets when args.text contains "secret"
on result echo as numbers redact result matching us_ssn with "[number]"
"""


class Talk:
    """One server process, spoken to a line at a time."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        began = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, bufsize=0
        )
        assert self.process.stdout is not None
        self.lines = self.process.stdout
        self.ask(0, "initialize", {"protocolVersion": "2025-11-25", "capabilities": {}})
        self.start_ms = (time.perf_counter() - began) * 1e3

    def ask(self, id: int, method: str, params: dict[str, Any]) -> bytes:
        assert self.process.stdin is not None
        self.process.stdin.write(
            json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode() + b"\n"
        )
        return self.lines.readline()

    def calls_us(self) -> list[float]:
        times = []
        for id in range(1, WARM + CALLS + 1):
            began = time.perf_counter()
            answer = self.ask(id, "tools/call", {"name": "echo", "arguments": {"text": f"number {id}"}})
            times.append((time.perf_counter() - began) * 1e6)
            assert b"number" in answer, answer
        return times[WARM:]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.lines.close()


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder, "policy.thoth")
        policy.write_text(POLICY)
        env = {**os.environ, "THOTH_HOME_DIR": f"{folder}/home", "XDG_STATE_HOME": f"{folder}/state"}
        direct = [sys.executable, str(SERVER)]
        run = [sys.executable, "-m", "thoth.cli", "run", "--policy", str(policy)]
        ways = {
            "direct": direct,
            "through": [*run, "--", *direct],
            "sync": [*run, "--recording", "sync", "--", *direct],
        }
        starts: dict[str, list[float]] = {way: [] for way in ways}
        calls: dict[str, list[list[float]]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, command in ways.items():
                talk = Talk(command, env)
                starts[way].append(talk.start_ms)
                calls[way].append(talk.calls_us())
                talk.close()
        for what, unit, found in (
            ("start-up", "ms", starts),
            ("warm call p50", "µs", {way: [statistics.median(one) for one in runs] for way, runs in calls.items()}),
            (
                "warm call p99",
                "µs",
                {way: [sorted(one)[int(len(one) * 0.99)] for one in runs] for way, runs in calls.items()},
            ),
        ):
            middle = {way: statistics.median(values) for way, values in found.items()}
            spread = {way: f"{min(values):,.0f}-{max(values):,.0f}" for way, values in found.items()}
            print(
                f"{what:14} direct {middle['direct']:8,.0f} {unit} ({spread['direct']})   "
                f"through {middle['through']:8,.0f} {unit} ({spread['through']})   "
                f"added {middle['through'] - middle['direct']:8,.0f} {unit}, "
                f"with --recording sync {middle['sync'] - middle['direct']:8,.0f} {unit} ({spread['sync']})"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
