"""A sidecar at half of what it can take, for minutes: does its memory level off, and is all closed and recorded?

    python benchmarks/sidecar_soak.py [--minutes 10] [--full SECONDS] [--rate N] [--out out/sidecar_soak.json]

One `thoth serve` with `async` evidence on this machine. Three processes ask over frames and one over HTTP, in sessions
and connections that come and go: calls that are allowed (their ends are reported), calls that are blocked, and now and
then one that is held, approved by somebody else and ended. First all of them ask as fast as they can, then they keep to
half of that rate, or to `--rate` where the machine has other work to do. Sessions are forgotten after a minute, so that
what they hold levels off within the warm-up.

Resident memory and open descriptors come from /proc, every two seconds; drift is from the mean of minutes three and
four (the two before are warm-up) to the mean of the last two. From six minutes on it is judged, where
the load of both times was alike within a tenth; otherwise the run has failed. Descriptors and
`thoth_unrecorded_total` are always: no socket stays that was not there before the load, and no file beside those that
were open at the end of the full load. Exit 1 where a bound is broken.

What it leaves out: several workers, tenants, TLS. A held call is kept for an hour after it is over, on purpose, so they
come once in ten seconds and process; a minute that is much slower than another says that the machine had other work.
"""

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from thoth.contract import frames as wire
from thoth.contract.frames import Kind, message

POLICY = """
allow search as search
block wipe as wiped
step_up pay as large when args.amount > 100 ask "leads" within 10m
allow pay as small
"""
SETTINGS = '[approvers.leads]\nmembers = ["cfo"]\n'
FRAMES, CALLS, SESSIONS = 3, 16, 40
"""Processes that speak frames, calls of a session, sessions of a connection."""
HOLD_EACH_S = 10.0
EVERY_S = 2.0
EFFECTS = ("ALLOW", "BLOCK", "STEP_UP")
IDLE_S = 60
DRIFT_MAX = 0.02
UNEVEN_MAX = 0.1
JUDGED_FROM_MIN = 6.0
FD_MORE_MAX = 2
TAKEN = re.compile(rb"^thoth_(\w+?)(?:_total)?(?:\{.*effect=\"(\w+)\"\})? ([0-9.e+-]+)$", re.MULTILINE)
RESIDENT = re.compile(r"^(VmRSS|RssAnon):\s+(\d+) kB", re.MULTILINE)


class UnixHTTP(http.client.HTTPConnection):
    """A client of the HTTP door's Unix socket."""

    def __init__(self, path: Path, key: str = "") -> None:
        super().__init__("localhost", timeout=60)
        self.path, self.key = path, key

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(self.path))

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"x-api-key": self.key, "content-type": "application/json", "user-agent": "node"}
        self.request(method, path, None if body is None else msgspec.json.encode(body), headers if self.key else {})
        answer = self.getresponse()
        told = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {told[:200]!r}")
        is_json = answer.getheader("content-type", "").startswith("application/json")
        return msgspec.json.decode(told) if is_json else told


class Framed:
    """A connection that sends many frames at once and reads their answers."""

    def __init__(self, path: Path, name: str) -> None:
        self.sock, self.reader, self.ids = socket.socket(socket.AF_UNIX), wire.FrameReader(), 0
        self.sock.settimeout(60)
        self.sock.connect(str(path))
        self.ask([(Kind.HELLO, wire.Hello(name))])

    def ask(self, asked: list[tuple[Kind, Any]]) -> list[Any]:
        """Return the answers in the order of the questions."""
        first = self.ids + 1
        found: dict[int, Any] = {}
        self.ids += len(asked)
        self.sock.sendall(b"".join(message(kind, first + place, what) for place, (kind, what) in enumerate(asked)))
        while len(found) < len(asked):
            data = self.sock.recv(1 << 16)
            if not data:
                raise RuntimeError("the sidecar closed a connection")
            for kind, _, id, payload in self.reader.feed(data):
                found[id] = msgspec.msgpack.decode(payload)
                if kind == Kind.ERROR:
                    raise RuntimeError(f"the sidecar answered with an error: {found[id]}")
        return [found[first + place] for place in range(len(asked))]


class Pace:
    """How fast one process asks: as fast as it can until it is told a rate."""

    def __init__(self, rate: Any, count: Any) -> None:
        self._rate, self._count, self._next = rate, count, 0.0

    def done(self, calls: int) -> None:
        """Count decisions, and wait until the next ones are due."""
        self._count.value += calls
        rate, now = self._rate.value, time.monotonic()
        if rate:
            self._next = max(self._next, now - 1.0) + calls / rate  # what was missed longer ago is not made up for
            time.sleep(max(0.0, self._next - now))


class Asker:
    """One process of the load."""

    def __init__(self, folder: Path, number: int, keys: dict[str, str]) -> None:
        self.folder, self.keys, self.drawn = folder, keys, random.Random(number)
        self.number, self.sessions, self.held_at = number, 0, time.monotonic()

    def calls(self) -> list[dict[str, Any]]:
        """The calls of a new session: two are blocked, and at times one is held."""
        self.sessions += 1
        now, drawn = time.monotonic(), self.drawn
        tools = ["search"] * (CALLS - 4) + ["pay", "pay", "wipe", "wipe"]
        drawn.shuffle(tools)
        made = [
            {
                "agent_id": "support-bot",
                "user_id": f"user{drawn.randrange(500)}@acme.example",
                "tenant_id": "acme",
                "environment": "prod",
                "session_id": f"{self.number}-{self.sessions}",
                "tool_name": tool,
                "tool_args": {"query": f"invoices of customer {drawn.randrange(10**9)}", "page": drawn.randrange(9)}
                if tool == "search"
                else {"amount": drawn.randrange(100), "to": "bob"},
            }
            for tool in tools
        ]
        if now - self.held_at > HOLD_EACH_S:
            self.held_at = now
            made[-1].update(tool_name="pay", tool_args={"amount": 500, "to": "bob"})
        return made

    def approve(self, token: str) -> None:
        approver = UnixHTTP(self.folder / "run" / "h", self.keys["cfo"])
        approver.ask("POST", f"/v1/approvals/{token}/resolve", {"decision": "approve"})
        approver.close()

    def frames(self, pace: Pace) -> None:
        while True:
            client = Framed(self.folder / "run" / "s", f"{self.number:08x}{self.sessions:024x}")
            for _ in range(SESSIONS):
                made = self.calls()
                client.ask([(Kind.SAID, wire.Said(made[0]["session_id"], "pay bob, and look after him", "acme"))])
                told = client.ask([(Kind.DECIDE, one) for one in made])
                for place, one in enumerate(told):
                    if one["decision"] == "STEP_UP":
                        self.approve(one["hold_token"])
                        (told[place],) = client.ask([(Kind.HOLD_WAIT, wire.HoldWait(one["hold_token"], 30.0))])
                let = [one["id"] for one in told if one["decision"] == "ALLOW"]
                client.ask([(Kind.OUTCOME, wire.Ended(id, "completed", {"rows": [1, 2, id]})) for id in let])
                pace.done(len(made))
            client.sock.close()

    def http(self, pace: Pace) -> None:
        while True:
            client = UnixHTTP(self.folder / "run" / "h", self.keys["support-bot"])
            for _ in range(SESSIONS):
                made = self.calls()
                for one in made:
                    told = client.ask("POST", "/v1/enforce", one)
                    if told["decision"] == "STEP_UP":
                        self.approve(told["hold_token"])
                        client.ask("GET", f"/v1/enforce/hold/{told['hold_token']}?wait=30")
                    pace.done(1)
                events = [
                    {
                        "event_id": f"{one['session_id']}/{place}",
                        "event_type": "TOOL_CALL_POST",
                        "tenant_id": "acme",
                        "session_id": one["session_id"],
                        "tool_name": one["tool_name"],
                        "metadata": {"result": {"rows": [1, 2, place]}},
                    }
                    for place, one in enumerate(made)
                    if one["tool_name"] != "wipe"
                ]
                client.ask("POST", "/v1/events/batch", events)
            client.close()


def run(folder: Path, number: int, keys: dict[str, str], rate: Any, count: Any) -> None:
    """One process of the load; what goes wrong ends it, which the soak sees."""
    asker, pace = Asker(folder, number, keys), Pace(rate, count)
    (asker.frames if number < FRAMES else asker.http)(pace)


class Soak:
    """A sidecar, the load at it, and what is read of both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "run").mkdir(mode=0o700)
        (folder / "policy.thoth").write_text(POLICY)
        (folder / "thoth.toml").write_text(SETTINGS)
        self.cli("evidence", "init", str(folder / "evidence"))
        create = ("keys", "create", "--state", str(folder / "state"), "--principal")
        self.keys = {
            "support-bot": self.cli(*create, "support-bot", "--permissions", "execute").strip(),
            "cfo": self.cli(*create, "cfo", "--permissions", "read", "write").strip(),
        }
        command = [sys.executable, "-m", "thoth.cli", "serve", "--config", str(folder / "thoth.toml")]
        command += ["--policy", str(folder / "policy.thoth"), "--evidence", str(folder / "evidence")]
        command += ["--state", str(folder / "state"), "--socket", str(folder / "run" / "s")]
        command += ["--http-socket", str(folder / "run" / "h"), "--no-watch"]
        self.log = (folder / "log").open("wb")
        environment = {**os.environ, "THOTH_SESSION_IDLE_S": str(IDLE_S)}
        self.server = subprocess.Popen(command, stderr=self.log, env=environment)
        until = time.monotonic() + 60
        while not (folder / "run" / "h").exists():
            if self.server.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the sidecar did not start: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.01)
        self.rates = [multiprocessing.Value("d", 0.0, lock=False) for _ in range(FRAMES + 1)]
        self.counts = [multiprocessing.Value("q", 0, lock=False) for _ in range(FRAMES + 1)]
        self.opened_before = self.opened()
        self.load = [
            multiprocessing.Process(target=run, args=(folder, n, self.keys, self.rates[n], self.counts[n]), daemon=True)
            for n in range(FRAMES + 1)
        ]

    def cli(self, *given: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "thoth.cli", *given], check=True, capture_output=True, text=True
        ).stdout

    def memory(self) -> Counter[str]:
        """Resident KiB, all of it and by kind."""
        text = Path(f"/proc/{self.server.pid}/status").read_text()
        return Counter({name: int(kib) for name, kib in RESIDENT.findall(text)})

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.server.pid}/fd"))  # noqa: PTH208 - a number is enough

    def opened(self) -> Counter[str]:
        """What the descriptors are, without their numbers."""
        found: Counter[str] = Counter()
        for one in Path(f"/proc/{self.server.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found[re.sub(r"[0-9]+", "N", str(one.readlink()).removeprefix(str(self.folder)))] += 1
        return found

    def processor_s(self) -> float:
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def asked(self) -> int:
        return sum(count.value for count in self.counts)

    def alive(self) -> None:
        if self.server.poll() is not None:
            raise SystemExit(f"the sidecar ended: {(self.folder / 'log').read_text()[-2000:]}")
        for one in self.load:
            if one.exitcode is not None:
                raise SystemExit("a process of the load ended; what it says is above")

    def metrics(self) -> dict[str, float]:
        """Every counter and gauge; those with an effect under its name."""
        client = UnixHTTP(self.folder / "run" / "h")
        text = client.ask("GET", "/metrics")
        client.close()
        return {(effect or name).decode(): float(value) for name, effect, value in TAKEN.findall(text)}

    def sample(self, begun: float) -> dict[str, float]:
        self.alive()
        at, memory = time.monotonic() - begun, self.memory()
        fds, processor = self.descriptors(), self.processor_s()
        return {"s": at, "fds": fds, "asked": self.asked(), "processor_s": processor, **memory}

    def fill(self) -> None:
        """Fill the memory of events that were seen, 65,536 of them, which HTTP alone would do for minutes."""
        client = UnixHTTP(self.folder / "run" / "h", self.keys["support-bot"])
        event = {"event_type": "LLM_INVOCATION", "tenant_id": "acme", "session_id": "none"}
        for first in range(0, 66_000, 1_000):
            events = [{**event, "event_id": f"none/{first + place}"} for place in range(1_000)]
            client.ask("POST", "/v1/events/batch", events)
        client.close()

    def full(self, seconds: float) -> list[float]:
        """Ask as fast as can be; return the decisions a second of each process."""
        time.sleep(seconds / 4)  # its first second is slower
        before, begun = [one.value for one in self.counts], time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - begun
        self.alive()
        return [(one.value - had) / took for one, had in zip(self.counts, before, strict=True)]

    def soak(self, minutes: float, full_s: float, asked_rate: float | None) -> dict[str, Any]:
        for one in self.load:
            one.start()
        self.fill()
        full = self.full(full_s)
        shed, warm = self.metrics()["shed"], self.opened()
        part = 0.5 if asked_rate is None else asked_rate / sum(full)
        for rate, most in zip(self.rates, full, strict=True):
            rate.value = max(1.0, most * part)
        told(f"full load {sum(full):,.0f} decisions/s, from here on {sum(full) * part:,.0f}; {minutes:g} min")
        begun, samples = time.monotonic(), []
        while (last := self.sample(begun))["s"] < minutes * 60:
            samples.append(last)
            if len(samples) % round(30 / EVERY_S) == 0:
                told(f"{last['s'] / 60:5.1f} min  {last['VmRSS'] / 1024:7.1f} MiB  {last['fds']} descriptors")
            time.sleep(EVERY_S)
        metrics = self.metrics()
        for one in self.load:
            one.terminate()
            one.join(20)
        time.sleep(3.0)  # a sweep of the server sees that they are gone
        left = self.opened()
        self.server.terminate()
        code = self.server.wait(60)
        self.log.close()
        return {
            "minutes": minutes,
            "full_rate": sum(full),
            "samples": samples,
            "metrics": metrics,
            "opened_before": self.opened_before,
            "opened_warm": Counter({name: count for name, count in warm.items() if not name.startswith("socket")}),
            "opened_after": left,
            "shed_full": shed,
            "exit": code,
        }

    def close(self) -> None:
        for one in self.load:
            if one.is_alive():
                one.kill()
        if self.server.poll() is None:
            self.server.kill()
            self.server.wait()


def told(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def mean(samples: list[dict[str, float]], name: str, begin: float, end: float) -> float:
    """The mean of what was sampled from one minute to another."""
    return statistics.fmean(one[name] for one in samples if begin * 60 <= one["s"] < end * 60)


def rate_in(samples: list[dict[str, float]], begin: float, end: float) -> float:
    """Decisions a second from one minute to another."""
    some = [one for one in samples if begin * 60 <= one["s"] < end * 60]
    return (some[-1]["asked"] - some[0]["asked"]) / (some[-1]["s"] - some[0]["s"])


def judge(found: dict[str, Any]) -> list[str]:
    """Print the table, and return which bounds are broken."""
    samples, minutes, metrics = found["samples"], found["minutes"], found["metrics"]
    print("minute resident MiB anonymous descriptors decisions/s processor")
    for minute in range(int(minutes)):
        some = [one for one in samples if minute * 60 <= one["s"] < (minute + 1) * 60]
        took = some[-1]["s"] - some[0]["s"] or 1.0
        rate, part = ((some[-1][name] - some[0][name]) / took for name in ("asked", "processor_s"))
        resident, anonymous = (statistics.fmean(one[name] for one in some) / 1024 for name in ("VmRSS", "RssAnon"))
        fds = max(one["fds"] for one in some)
        print(f"{minute + 1:>6} {resident:>12.1f} {anonymous:>9.1f} {fds:>11.0f} {rate:>11,.0f} {part:>9.0%}")
    kinds = ", ".join(f"{metrics.get(name, 0):,.0f} {name}" for name in EFFECTS)
    print(f"full load {found['full_rate']:,.0f} decisions/s; decisions: {kinds}")
    before, after = found["opened_before"], found["opened_after"]
    more = after - (before | found["opened_warm"])
    print(f"descriptors: {before.total()} before the load, {after.total()} after it")
    print(f"unrecorded {metrics['unrecorded']:.0f}  internal {metrics['internal']:.0f}", end="  ")
    print(f"shed {found['shed_full']:.0f} at full load, {metrics['shed'] - found['shed_full']:.0f} since")
    broken = [f"`{name}` is {metrics[name]:.0f}, not 0" for name in ("unrecorded", "internal") if metrics[name]]
    if more.total() > FD_MORE_MAX:
        broken.append(f"descriptors stayed open: {dict(more)}")
    if minutes >= 1 and not all(metrics.get(name) for name in EFFECTS):
        broken.append("calls of one kind were missing")
    if found["exit"]:
        broken.append(f"the sidecar ended with {found['exit']}")
    if minutes >= JUDGED_FROM_MIN:
        early, late = mean(samples, "VmRSS", 2, 4), mean(samples, "VmRSS", minutes - 2, minutes)
        then, now = rate_in(samples, 2, 4), rate_in(samples, minutes - 2, minutes)
        found["drift"] = late / early - 1
        print(f"resident memory: {early / 1024:.1f} MiB in minutes 3 and 4, {late / 1024:.1f} MiB in the last two")
        print(
            f"drift {found['drift']:+.2%}, at most {DRIFT_MAX:.0%}; {then:,.0f} decisions/s then, {now:,.0f} at the end"
        )
        if not 1 - UNEVEN_MAX < now / max(1.0, then) < 1 + UNEVEN_MAX:
            broken.append("the load was uneven, so memory was not judged; leave the machine alone, and measure again")
        elif found["drift"] > DRIFT_MAX:
            broken.append(f"memory drifted by {found['drift']:+.2%}")
    else:
        print(f"memory is judged from {JUDGED_FROM_MIN:g} minutes on")
    return broken


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--full", type=float, default=15.0)
    parser.add_argument("--rate", type=float, default=None)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    with tempfile.TemporaryDirectory(prefix="thoth-soak-") as folder:
        soak = Soak(Path(folder))
        try:
            found = soak.soak(given.minutes, given.full, given.rate)
        finally:
            soak.close()
    broken = judge(found)
    if given.out is not None:
        given.out.parent.mkdir(exist_ok=True)
        given.out.write_text(json.dumps(found, indent=1))
    if broken:
        raise SystemExit("; ".join(broken))


if __name__ == "__main__":
    main()
