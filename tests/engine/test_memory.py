"""A decision takes itself and the request that it holds, and leaves nothing."""

import gc
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from thoth.engine import Engine
from thoth.engine.compile import compile
from thoth.engine.decide import INTAKE, decide

POLICY = """
tool pay(amount: number, to: string) is write
allow pay as small  when args.amount < 100
block pay as barred when args.to is "mallory"
defer pay as tried trial when args.to is "trudy"
"""
CALLS = [
    {"tool_name": tool, "tool_args": {"amount": amount, "to": to}, "agent_id": "ada"}
    for tool in ("pay", "other")
    for amount in (1, 500)
    for to in ("bob", "mallory")
]


@pytest.fixture
def counted() -> Iterator[None]:
    """Without the collector, which frees what others have left."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def blocks(make: Any, kept: list[Any]) -> int:
    calls = [json.loads(json.dumps(CALLS[number % len(CALLS)])) for number in range(len(kept))]
    kept[:] = [None] * len(kept)
    before = sys.getallocatedblocks()
    for place, call in enumerate(calls):
        kept[place] = make(call)
    return sys.getallocatedblocks() - before


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("typed", [False, True])
def test_a_decision_takes_nothing_beside_itself_and_its_request(typed: bool) -> None:
    table = compile(Engine.from_text(POLICY).policy)
    kept: list[Any] = [None] * 800

    def ask(call: Any) -> Any:
        return decide(table, INTAKE.read(call) if typed else call, now=1.0)

    blocks(ask, kept)
    requests = blocks(INTAKE.read, kept)
    assert blocks(ask, kept) - requests <= len(kept) + 8  # and what the test itself has made


@pytest.mark.usefixtures("counted")
def test_what_is_decided_and_let_go_leaves_nothing() -> None:
    engine = Engine.from_text(POLICY)
    table = compile(engine.policy)
    calls = [json.dumps(call) for call in CALLS]
    left = []
    for _ in range(3):
        for number in range(4_000):
            decide(table, json.loads(calls[number % len(calls)]), now=1.0)
            engine.weigh(calls[number % len(calls)])
        left.append(sys.getallocatedblocks())
    assert left[2] - left[1] < 20


def test_decisions_that_are_kept_stay_right() -> None:
    table = compile(Engine.from_text(POLICY).policy)
    kept = [decide(table, json.loads(json.dumps(call)), now=1.0) for call in CALLS]
    before = [json.dumps(decision.facts()) for decision in kept]
    for number in range(4_000):
        decide(table, json.loads(json.dumps(CALLS[number % len(CALLS)])), now=2.0)
    assert [json.dumps(decision.facts()) for decision in kept] == before
