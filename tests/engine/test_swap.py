"""Tables are exchanged while others decide: each decision is from one of them, and none from both."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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


@contextmanager
def deciding(decides_well: Callable[[random.Random], bool]) -> Iterator[None]:
    """Decide in many threads meanwhile; each of them decided, and always well."""
    ended = threading.Event()
    told: list[list[bool]] = [[] for _ in range(THREADS)]

    def run(thread: int) -> None:
        drawn = random.Random(thread)
        while not ended.is_set():
            told[thread].append(decides_well(drawn))

    threads = [threading.Thread(target=run, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert all(told)
    assert all(all(each) for each in told)


def test_eight_threads_decide_while_tables_are_swapped() -> None:
    current: list[DecisionTable] = [compile(policy_of(0))]

    def decides_well(drawn: random.Random) -> bool:
        number = drawn.randrange(len(VALUES))
        decision = decide(current[0], {"tool_name": "t", "tool_args": {"x": VALUES[number]}}, now=NOW)
        generation = int(decision.policy_digest)
        return decision.rules == ((f"g{generation}-{VALUES[number]}",) if number % 3 == generation % 3 else ())

    with deciding(decides_well):
        for generation in range(1, SWAPS):
            built = policy_of(generation)
            # Every other table lies in a bundle; the old one goes when the last decision from it ends.
            current[0] = bundle.load(bundle.build(built, {}), "b").table if generation % 2 else compile(built)


def test_eight_threads_decide_while_an_engine_is_given_other_texts() -> None:
    """What stays of a table that is laid out in pieces is never seen half-way: each decision is one text's."""
    limits = range(0, 400, 10)
    text = "tool t(x: int)\n" + "".join(f"block t as b{n} when args.x is {1000 + n}\n" for n in range(50))
    texts = [f"{text}allow t as low{limit} when args.x < {limit}\n# moved\n" for limit in limits]
    compiler = Compiler()
    engine = Engine.from_text(texts[0], compiler=compiler)
    limit_of = {engine.policy.digest: 0}

    def decides_well(drawn: random.Random) -> bool:
        x = drawn.randrange(400)
        decision = engine.decide({"tool_name": "t", "tool_args": {"x": x}})
        limit = limit_of[decision.policy_digest]
        return decision.rules == ((f"low{limit}",) if x < limit else ())

    with deciding(decides_well):
        for limit, changed in zip(limits, texts, strict=True):
            limit_of[Compiler().check(changed).policy.digest] = limit
            engine.replace(changed)
            assert limit == 0 or compiler.read == 1
