"""What recording a decision costs: `python benchmarks/evidence.py [SECONDS]`, about a minute; a table on stdout.

Real decisions of one small policy, three arguments each, by twenty users in thirty sessions, are recorded again and
again in mode `async`; between the runs a bare loop encodes the same records with msgspec and hashes each twice with
hashlib, the least that a tamper-evident log must do. Rounds are interleaved; medians, and the least and the most.

Flatters: one caller that does nothing but record, so commits are large; few subjects, so few keys; a warm cache. Leaves
out: deciding itself, and what a busy disk does. What a disk writes is no processor time of ours, and the table shows
both. Groups in mode `sync` are held against one `pwrite` and `fdatasync` of the same bytes into a zeroed file.
"""

import hashlib
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from thoth import evidence
from thoth.contract import Decision, Outcome
from thoth.engine import Engine
from thoth.evidence import FileStorage, Shard
from thoth.evidence.record import decision_draft

POLICY = """
policy desk
    approvers "boss"
tool pay(amount: number, currency: string, to: key string) is write
allow   *    as all
step_up pay  as large     when args.amount > 100
"""
ROUNDS = 5
GROUP = 256
VERIFIED = 200_000
clock = time.perf_counter


class Kept:
    """A recorder that keeps decisions in a list."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def decided(self, decision: Decision) -> None:
        self.decisions.append(decision)

    def ended(self, decision: Decision, outcome: Outcome) -> None: ...


def decisions(count: int = 1_000) -> list[Decision]:
    kept = Kept()
    engine = Engine.from_text(POLICY, recorder=kept)
    for number in range(count):
        amount = 110 if number % 10 == 0 else 50
        engine.decide(
            {
                "tool_name": "pay",
                "tool_args": {"amount": amount, "currency": "EUR", "to": f"ACME GmbH {number % 50}"},
                "tenant_id": "acme",
                "agent_id": "treasury-bot",
                "user_id": f"ann{number % 20}",
                "session_id": f"s-{number % 30}",
                "request_id": f"7f9c2ba4-e88f-4dd9-9c0a-{number:012x}",
                "environment": "prod",
            }
        )
    return kept.decisions


def bodies_of(made: list[Decision]) -> list[dict[str, Any]]:
    """The records as dicts, with what the log adds."""
    added = {
        "at_us": 1_767_225_600_000_000,
        "recording": "async",
        "sealed": {"box": "0" * 32, "key": f"{'0' * 32}/2026-01-01"},
    }
    return [decision_draft(decision, engine="thoth-runtime 0.1.0").body | added for decision in made]


def bare(bodies: list[dict[str, Any]], seconds: float) -> float:
    """Records a second of one encode and two hashes."""
    encode, chain, count, began = msgspec.json.Encoder().encode, bytes(32), 0, clock()
    while clock() - began < seconds:
        for body in bodies:
            leaf = hashlib.sha256(b"\0" + encode(body)).digest()
            chain = hashlib.sha256(b"\2" + chain + leaf).digest()
        count += len(bodies)
    return count / (clock() - began)


def asynchronous(made: list[Decision], seconds: float, keep_values: bool) -> dict[str, float]:
    """Records a second to the end of the drain, processor time, the drain, and what single calls took."""
    folder = Path(tempfile.mkdtemp())
    evidence.init(folder / "log")
    try:
        with evidence.open(folder / "log", keep_values=keep_values) as log:
            for decision in made:
                log.decided(decision)
            log.flush()
            count, cpu, began = 0, time.process_time(), clock()
            while clock() - began < seconds:
                for decision in made:
                    log.decided(decision)
                count += len(made)
            ended = clock()
            log.flush()
            drained, cpu = clock(), time.process_time() - cpu
            took = []
            for decision in made * 3:
                at = clock()
                log.decided(decision)
                took.append(clock() - at)
        took.sort()
        return {
            "rate": count / (drained - began),
            "cpu_us": 1e6 * cpu / count,
            "drain_ms": 1e3 * (drained - ended),
            "p50_us": 1e6 * took[len(took) // 2],
            "p99_us": 1e6 * took[len(took) * 99 // 100],
        }
    finally:
        shutil.rmtree(folder)


def groups(body: bytes, count: int = 200) -> tuple[float, float]:
    """Groups a second through a shard, and as bare writes of the same bytes."""
    folder = tempfile.mkdtemp()
    try:
        shard = Shard.open(FileStorage(), f"{folder}/log", create=True)
        began = clock()
        for _ in range(count):
            for _ in range(GROUP):
                shard.append(body)
            shard.commit()
        ours = count / (clock() - began)
        shard.close()
        data = os.urandom(GROUP * ((40 + len(body) + 7) // 8 * 8))
        file = os.open(f"{folder}/raw", os.O_RDWR | os.O_CREAT)
        os.pwrite(file, bytes(64 << 20), 0)
        os.fsync(file)
        began = clock()
        for number in range(count):
            os.pwrite(file, data, 4096 + number % 200 * len(data) % (60 << 20))
            os.fdatasync(file)
        raw = count / (clock() - began)
        os.close(file)
        return ours, raw
    finally:
        shutil.rmtree(folder)


def verifying(made: list[Decision]) -> dict[str, float]:
    """Records a second that each verifier reads: of processor time the native one, by the clock the plain one."""
    folder = Path(tempfile.mkdtemp())
    evidence.init(folder / "log")
    try:
        with evidence.open(folder / "log") as log:
            for _ in range(VERIFIED // len(made)):
                for decision in made:
                    log.decided(decision)
        cpu = time.process_time()
        found = evidence.audit(folder / "log")
        native = found.record_count / (time.process_time() - cpu)
        assert found.whole
        began = clock()
        subprocess.run(
            [sys.executable, "-m", "thoth.evidence.verify", str(folder / "log")], check=True, capture_output=True
        )
        return {"native": native, "plain": found.record_count / (clock() - began)}
    finally:
        shutil.rmtree(folder)


def spread(found: list[float], form: str = ",.0f") -> str:
    return f"{statistics.median(found):{form}} ({min(found):{form}} to {max(found):{form}})"


def main(seconds: float) -> None:
    say: Callable[[str], object] = print
    made = decisions()
    bodies = bodies_of(made)
    encoded = [msgspec.json.encode(body) for body in bodies]
    size = statistics.mean(map(len, encoded))
    machine = f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    say(f"{machine}; records of {size:.0f} bytes")
    rates: list[float] = []
    runs: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    for _ in range(ROUNDS):
        for keep_values in (True, False):
            rates.append(bare(bodies, seconds / 2))
            runs[keep_values].append(asynchronous(made, seconds, keep_values) | {"bare": rates[-1]})
    say(f"bare loop: {spread(rates)} records/s")
    for keep_values, found in runs.items():
        name = "vault on" if keep_values else "no values kept"
        say(f"async, {name}: {spread([run['rate'] for run in found])} records/s")
        say(f"    of the bare loop beside it   {spread([run['rate'] / run['bare'] for run in found], '.2f')}")
        for name in ("cpu_us", "p50_us", "p99_us", "drain_ms"):
            say(f"    {name:28} {spread([run[name] for run in found], '.2f')}")
    compared = [groups(encoded[0]) for _ in range(ROUNDS)]
    say(f"sync, groups of {GROUP}: {spread([GROUP * ours for ours, _ in compared])} records/s")
    say(f"    of bare writes               {spread([ours / raw for ours, raw in compared], '.2f')}")
    for name, rate in verifying(made).items():
        say(f"verify, {name}: {rate:,.0f} records/s")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)
