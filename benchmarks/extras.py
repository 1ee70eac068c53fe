"""What a decision costs beside its rules: in batches, long texts under many patterns, where a value was seen, memory.

Each figure is the median of five rounds, beside it the lowest and the highest; texts are fresh and used once.
"""

import gc
import json
import random
import statistics
import string
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import workload
from loops import HAS_ARROW, NOW, flat

from thoth.engine import Engine
from thoth.engine.batch import decide_batch, decide_many
from thoth.engine.compile import compile
from thoth.engine.decide import INTAKE, decide

LETTERS = string.ascii_lowercase
ROUNDS = 5
PATTERNS = 100
TEXT_BYTES = 2_048
SEEN_BYTES = 100 * 1024
BATCH_RULES = 1_000
BATCH_ROWS = 20_000


def extras(requests: int) -> dict[str, Any]:
    """Return all figures, by name."""
    return {
        "batches": batches(min(BATCH_ROWS, 2 * requests)),
        "patterns": patterns(max(20, requests // 500)),
        "provenance": provenance(),
        "memory": memory(requests),
    }


def spread(rounds: list[float], digits: int = 2) -> dict[str, Any]:
    low, middle, high = (round(one, digits) for one in (min(rounds), statistics.median(rounds), max(rounds)))
    return {"median": middle, "rounds": [low, high]}


def words(drawn: random.Random, size: int) -> str:
    made = ("".join(drawn.choices(LETTERS, k=drawn.randint(2, 9))) for _ in range(size // 5))
    return " ".join(made)[:size]


def timed(ask: Callable[[Any], Any], calls: list[Any]) -> float:
    """Return the median nanoseconds of a call."""
    clock, taken = time.perf_counter_ns, []
    for call in calls:
        begun = clock()
        ask(call)
        taken.append(clock() - begun)
    return statistics.median(taken)


def batches(rows: int) -> dict[str, Any]:
    """Millions of decisions a second under a thousand rules, asked all at once: a list of fresh dicts, an Arrow table.

    Decoding JSON and making the table are not measured; reading the answers is.
    """
    one = workload.typical(BATCH_RULES)
    table = compile(Engine.from_text(one.policy()).policy)
    texts = one.first(rows)
    found: dict[str, list[float]] = {}

    def timed_batch(name: str, ask: Callable[..., Any], given: Any) -> None:
        begun = time.perf_counter_ns()
        decided = ask(table, given, now=NOW)
        decided.effects, decided.reasons, decided.rules  # noqa: B018
        found.setdefault(name, []).append(1_000 * rows / (time.perf_counter_ns() - begun))

    for _ in range(ROUNDS):
        timed_batch("decide_many_m_s", decide_many, [json.loads(text) for text in texts])
        if HAS_ARROW:
            import pyarrow as pa

            columns = pa.RecordBatch.from_pylist([flat(json.loads(text)) for text in texts])
            timed_batch("decide_batch_m_s", decide_batch, columns)
    return {"rules": BATCH_RULES, "rows": rows} | {name: spread(rounds) for name, rounds in found.items()}


def patterns(calls: int) -> dict[str, Any]:
    """A hundred patterns over one argument of 2 KiB, none of which is found; `ns_per_byte` is beyond an empty text.

    `adversarial` is a text in which each pattern begins everywhere.
    """
    drawn = random.Random(workload.SEED)
    lines = ["tool scan(text: string)", "allow scan"]
    for number in range(PATTERNS):
        word = "".join(drawn.choices(LETTERS, k=8))
        lines.append(f'block scan as p{number:03} when args.text matches "({word}|a+{number % 10}x)[0-9]{{3}}"')
    table = compile(Engine.from_text("\n".join(lines) + "\n").policy)

    def ask(text: str) -> object:
        return decide(table, {"tool_name": "scan", "tool_args": {"text": text}}, now=NOW)

    base, long, hostile = [], [], []
    for _ in range(ROUNDS):
        base.append(timed(ask, [words(drawn, 5)[:1] for _ in range(calls)]))
        long.append(timed(ask, [words(drawn, 2 * TEXT_BYTES)[:TEXT_BYTES] for _ in range(calls)]))
        hostile.append(timed(ask, ["a" * (TEXT_BYTES - 4) + f"{drawn.randrange(10_000):04}" for _ in range(calls)]))
    return {
        "base_us": spread([ns / 1_000 for ns in base]),
        "text_us": spread([ns / 1_000 for ns in long]),
        "ns_per_byte": spread([(a - b) / TEXT_BYTES for a, b in zip(long, base, strict=True)]),
        "adversarial_ns_per_byte": spread([(a - b) / TEXT_BYTES for a, b in zip(hostile, base, strict=True)]),
    }


def provenance() -> dict[str, Any]:
    """Whether an argument stands in 100 KiB of results: asked the first time, and again; and taking results in."""
    policy = (
        "tool read() is read\ntool pay(to: key string) is write\nallow *\n"
        "block pay as seen when args.to from tool read\n"
    )
    drawn = random.Random(workload.SEED)
    first, again, intake = [], [], []
    for round_ in range(ROUNDS):
        engine = Engine.from_text(policy, clock=lambda: NOW)
        session = engine.session(f"s{round_}")
        texts = [words(drawn, 10_240) for _ in range(SEEN_BYTES // 10_240)]
        decisions = [engine.decide({"tool_name": "read"}, session=session) for _ in texts]
        begun = time.perf_counter_ns()
        for decision, text in zip(decisions, texts, strict=True):
            engine.completed(decision, text)
        intake.append(SEEN_BYTES / (time.perf_counter_ns() - begun) * 1_000)
        table = compile(engine.policy)
        calls = [{"tool_name": "pay", "tool_args": {"to": f"nobody {drawn.randrange(10**9)}"}} for _ in range(20)]

        def ask(call: Any, table: Any = table, session: Any = session) -> object:
            return decide(table, call, now=NOW, session=session)

        first.append(timed(ask, calls) / 1_000)
        again.append(timed(ask, json.loads(json.dumps(calls))) / 1_000)
    return {"first_us": spread(first), "again_us": spread(again), "results_mb_s": spread(intake, 0)}


def memory(requests: int) -> dict[str, Any]:
    """Python's memory blocks that a kept decision takes beside itself and the request that it holds; what many leave.

    A decision that several rules make holds a tuple of their ids, one that holds the call a digest and who is asked;
    any other shares all that it holds.
    """
    one = workload.typical(1_000)
    table = compile(Engine.from_text(one.policy()).policy)
    texts = one.first(min(requests, 2_000))
    kept: list[Any] = [None] * len(texts)
    gc.disable()  # what it frees would be counted
    for text in texts:
        decide(table, json.loads(text), now=NOW)

    def blocks(make: Callable[[Any], Any]) -> int:
        calls = [json.loads(text) for text in texts]
        gc.collect()
        before = sys.getallocatedblocks()
        for place, call in enumerate(calls):
            kept[place] = make(call)
        return sys.getallocatedblocks() - before

    requests_alone = blocks(INTAKE.read)
    kept[:] = [None] * len(texts)
    decided = blocks(lambda call: decide(table, call, now=NOW))
    holds = sum(decision.effect == "STEP_UP" for decision in kept)
    tuples = sum(len(decision.rules) > 1 for decision in kept)
    kept[:] = [None] * len(texts)
    before, resident = sys.getallocatedblocks(), resident_kib()
    for _ in range(5):
        for text in texts:
            decide(table, json.loads(text), now=NOW)
    gc.enable()
    return {
        "decisions": len(texts),
        "blocks_beside": decided - requests_alone - len(texts),
        "decisions_of_several_rules": tuples,
        "decisions_that_hold": holds,
        "blocks_left": sys.getallocatedblocks() - before,
        "resident_grew_kib": resident_kib() - resident,
    }


def resident_kib() -> int:
    """Return the resident memory of this process, 0 where the system does not say."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4 if statm.exists() else 0


def show_extras(found: dict[str, Any]) -> None:
    for name, figures in found.items():
        print(f"\n{name}")
        for what, figure in figures.items():
            told = figure
            if isinstance(figure, dict):
                low, high = figure["rounds"]
                told = f"{figure['median']:,} ({low:,}–{high:,})"
            print(f"  {what:40}{told}")
