"""Millions of decisions in one process: what they leave behind in memory, which should be nothing.

    python benchmarks/soak.py [MILLIONS]        ten, if nothing is said; about a minute

Fresh requests are drawn as they are needed. Every thousandth decision is kept and looked at again at the end.
"""

import json
import sys
import time

import workload
from extras import resident_kib
from loops import NOW

from thoth.engine import Engine
from thoth.engine.compile import compile
from thoth.engine.decide import decide

TEXTS = 20_000
WARM = 100_000
GREW_MAX_KIB = 2_048


def main() -> None:
    count = round(float(sys.argv[1]) * 1_000_000) if len(sys.argv) > 1 else 10_000_000
    one = workload.typical(1_000)
    table = compile(Engine.from_text(one.policy()).policy)
    texts = one.first(TEXTS)
    kept: list[tuple[str, object]] = [("", None)] * (count // 1_000 + 1)
    seen = [json.dumps(decide(table, json.loads(text), now=NOW).facts()) for text in texts]
    begun, resident, blocks = 0.0, 0, 0
    for number in range(WARM + count):
        if number == WARM:
            begun, resident, blocks = time.perf_counter(), resident_kib(), sys.getallocatedblocks()
        decision = decide(table, json.loads(texts[number % TEXTS]), now=NOW)
        if number >= WARM and number % (1_000 + 7) == 0:
            kept[(number - WARM) // 1_000] = (seen[number % TEXTS], decision)
    took = time.perf_counter() - begun
    wrong = sum(decision is not None and json.dumps(decision.facts()) != facts for facts, decision in kept)  # type: ignore[attr-defined]
    held = sum(decision is not None for _, decision in kept)
    own = (sys.getallocatedblocks() - blocks) / max(1, held)
    kept.clear()
    grew, left = resident_kib() - resident, sys.getallocatedblocks() - blocks
    print(f"{count:,} decisions in {took:.0f} s; {held:,} kept, {own:.1f} blocks each, {wrong} changed since")
    print(f"resident memory grew by {grew:,} KiB, with what the kept ones took; {left:,} blocks are left")
    if wrong or left > 1_000 or grew > GREW_MAX_KIB + held * 3:
        raise SystemExit("memory is not flat")


if __name__ == "__main__":
    main()
