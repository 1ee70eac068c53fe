"""Tables are exchanged while others decide: each decision is from one of them, and none from both."""

import random
import threading
from typing import Any

from tests.strategies.decisions import NOW
from thoth.contract import Effect
from thoth.engine import Compiler, Engine, bundle
from thoth.engine import checked as c
from thoth.engine.compile import DecisionTable, compile
from thoth.engine.decide import decide

THREADS, SWAPS = 8, 60
TOOL = (c.ToolPattern("name", "t"),)
VALUES = [f"v{number}" for number in range(40)]


def policy_of(generation: int) -> c.CheckedPolicy:
    """Allow the values whose number leaves this remainder; the digest says which."""
    rules = tuple(
        c.Rule(
            f"g{generation}-{value}", Effect.ALLOW, TOOL, c.Test(c.Compare(c.Argument(("x",)), "is", c.Constant(value)))
        )
        for number, value in enumerate(VALUES)
        if number % 3 == generation % 3
    )
    tool = c.Tool("t", None, (c.Param("x", c.Type("string")),))
    return c.CheckedPolicy("p", tools={"t": (tool,)}, rules=rules, digest=str(generation))


def test_eight_threads_decide_while_tables_are_swapped() -> None:
    current: list[DecisionTable] = [compile(policy_of(0))]
    wrong: list[Any] = []
    decided = [0] * THREADS
    ended = threading.Event()

    def decides(thread: int) -> None:
        drawn = random.Random(thread)
        while not ended.is_set():
            number = drawn.randrange(len(VALUES))
            decision = decide(current[0], {"tool_name": "t", "tool_args": {"x": VALUES[number]}}, now=NOW)
            generation = int(decision.policy_digest)
            expected = (f"g{generation}-{VALUES[number]}",) if number % 3 == generation % 3 else ()
            if decision.rules != expected:
                wrong.append(decision)
            decided[thread] += 1

    threads = [threading.Thread(target=decides, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        for generation in range(1, SWAPS):
            built = policy_of(generation)
            # Every other table lies in a bundle; the old one goes when the last decision from it ends.
            current[0] = bundle.load(bundle.build(built, {}), "b").table if generation % 2 else compile(built)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert min(decided) > 0


def test_eight_threads_decide_while_an_engine_is_given_other_texts() -> None:
    """What stays of a table that is laid out in pieces is never seen half-way: each decision is one text's."""
    limits = range(0, 400, 10)
    text = "tool t(x: int)\n" + "".join(f"block t as b{n} when args.x is {1000 + n}\n" for n in range(50))
    texts = [f"{text}allow t as low{limit} when args.x < {limit}\n# moved\n" for limit in limits]
    compiler = Compiler()
    engine = Engine.from_text(texts[0], compiler=compiler)
    limit_of = {engine.policy.digest: 0}
    wrong: list[Any] = []
    decided = [0] * THREADS
    ended = threading.Event()

    def decides(thread: int) -> None:
        drawn = random.Random(thread)
        while not ended.is_set():
            x = drawn.randrange(400)
            decision = engine.decide({"tool_name": "t", "tool_args": {"x": x}})
            limit = limit_of[decision.policy_digest]
            if decision.rules != ((f"low{limit}",) if x < limit else ()):
                wrong.append(decision)
            decided[thread] += 1

    threads = [threading.Thread(target=decides, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        for limit, changed in zip(limits, texts, strict=True):
            limit_of[Compiler().check(changed).policy.digest] = limit
            engine.replace(changed)
            assert limit == 0 or compiler.read == 1
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert min(decided) > 0
