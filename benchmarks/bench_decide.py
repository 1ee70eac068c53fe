"""One decision about a call with seven attributes, called from Python, by rule count and by evaluator.

The policy: nine rules in ten name one of 50 tools and test two attributes, one in ten stands for every tool. Flatters:
no rule looks into long texts, no session, no limits, the same policy all the time, warm in the cache. Leaves out:
reading the request from JSON, and recording the decision. Requests are fresh dicts of fresh strings, as a caller would
make them; making them is not measured.
"""

import itertools
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from thoth.contract import Effect, admit
from thoth.engine import checked as c
from thoth.engine import reference
from thoth.engine.compile import compile
from thoth.engine.decide import decide

NOW = 1_770_000_000.0
TOOLS = [f"tool_{number}" for number in range(50)]
PURPOSES = [f"purpose_{number}" for number in range(200)]
SEED = 7


def attribute_is(name: str, value: str) -> c.Test:
    return c.Test(c.Compare(c.Attribute(name), "is", c.Constant(value)))


def amount_over(amount: int) -> c.Test:
    return c.Test(c.Compare(c.Argument(("amount",)), ">", c.Constant(amount)))


def policy_of(rule_count: int) -> c.CheckedPolicy:
    drawn = random.Random(SEED)
    rules = [c.Rule("allow-all", Effect.ALLOW, (c.ToolPattern("any"),))]
    for number in range(rule_count - 1):
        everywhere = number % 10 == 9
        tools = c.ToolPattern("any") if everywhere else c.ToolPattern("name", TOOLS[number % len(TOOLS)])
        when = c.AllOf(
            (
                attribute_is("env", "prod"),
                attribute_is("purpose", drawn.choice(PURPOSES)),
                amount_over(drawn.randrange(1_000_000) if everywhere else drawn.randrange(50) * 10_000),
            )
        )
        effect = drawn.choice([Effect.BLOCK, Effect.STEP_UP, Effect.DEFER])
        rules.append(c.Rule(f"r{number}", effect, (tools,), when, ask=c.Ask(("finance",), 1)))
    params = (c.Param("amount", c.Type("number")), c.Param("to", c.Type("string")))
    tools_declared = {name: (c.Tool(name, None, params, classes=frozenset({"write"})),) for name in TOOLS}
    return c.CheckedPolicy("bench", tools=tools_declared, rules=tuple(rules), approvers=("finance",), digest="d")


def requests(count: int) -> list[dict[str, Any]]:
    drawn = random.Random(SEED)
    made = [
        {
            "tool_name": drawn.choice(TOOLS),
            "tool_args": {"amount": drawn.randrange(1_000_000), "to": "ACME"},
            "tenant_id": "t1",
            "agent_id": f"agent-{drawn.randrange(100)}",
            "user_id": "ada",
            "environment": drawn.choice(["prod", "dev"]),
            "purpose": drawn.choice(PURPOSES),
        }
        for _ in range(count)
    ]
    return [json.loads(json.dumps(one)) for one in made]


@pytest.mark.parametrize("rule_count", [10, 1_000])
@pytest.mark.parametrize("evaluator", ["table", "reference"])
def test_decide(benchmark: BenchmarkFixture, evaluator: str, rule_count: int) -> None:
    policy = policy_of(rule_count)
    table = compile(policy)
    calls = requests(2_000)
    answer: Callable[[Any], Any]
    if evaluator == "table":

        def answer(call: Any) -> Any:
            return decide(table, call, now=NOW)
    else:

        def answer(call: Any) -> Any:
            return reference.decide(policy, call, now=NOW)

    upcoming = itertools.cycle(calls)
    rounds = 20_000 if evaluator == "table" else 10_000 // rule_count
    benchmark.pedantic(answer, setup=lambda: ((next(upcoming),), {}), rounds=rounds, warmup_rounds=10)


@pytest.mark.parametrize("rule_count", [10, 1_000])
def test_compile(benchmark: BenchmarkFixture, rule_count: int) -> None:
    benchmark.pedantic(compile, args=(policy_of(rule_count),), rounds=10, warmup_rounds=1)


def test_admit(benchmark: BenchmarkFixture) -> None:
    """What of a decision is reading the request."""
    upcoming = itertools.cycle(requests(2_000))
    benchmark.pedantic(admit, setup=lambda: ((next(upcoming),), {}), rounds=20_000, warmup_rounds=10)
