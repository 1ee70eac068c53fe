"""One decision about a call with seven attributes, called from Python, by rule count and by evaluator.

The policy: nine rules in ten name one of 50 tools and test three attributes, one in ten is about every tool. Flatters:
no rule looks into long texts, the same policy all the time, warm in the cache, and an answer is kept for most sets of
rules that apply: at 10,000 rules there are more such sets than are kept, and the mean shows it. Leaves out: reading the
request from JSON, and recording the decision. Requests are fresh dicts of fresh strings, as a caller would make them;
making them is not measured.
"""

import itertools
import json
import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from thoth.contract import Effect, admit
from thoth.engine import checked as c
from thoth.engine import reference
from thoth.engine.compile import compile
from thoth.engine.decide import decide
from thoth.engine.embed import Engine
from thoth.engine.ledger import Ledger
from thoth.engine.session import Call, Session

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


def counted(policy: c.CheckedPolicy) -> c.CheckedPolicy:
    """The same policy with two limits that have room, and a rule that asks for a label of the session."""
    everywhere = (c.ToolPattern("any"),)
    calls = c.Limit(Fraction(10**9), None, 60, "agent", Effect.BLOCK)
    amounts = c.Limit(Fraction(10**15), c.Argument(("amount",)), 60, "tenant", Effect.BLOCK)
    labelled = c.Test(c.Contains(c.Listing("session.labels"), c.Constant("pii")))
    more = (
        c.Rule("calls", "limit", everywhere, limit=calls),
        c.Rule("amounts", "limit", everywhere, limit=amounts),
        c.Rule("labelled", Effect.BLOCK, everywhere, labelled),
    )
    return replace(policy, rules=(*policy.rules, *more))


def measure(benchmark: BenchmarkFixture, answer: Callable[[Any], Any], calls: list[Any], rounds: int) -> None:
    upcoming = itertools.cycle(calls)
    benchmark.pedantic(answer, setup=lambda: ((next(upcoming),), {}), rounds=rounds, warmup_rounds=10)


@pytest.mark.parametrize("rule_count", [10, 1_000, 10_000])
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

    measure(benchmark, answer, calls, 20_000 if evaluator == "table" else max(10, 10_000 // rule_count))


@pytest.mark.parametrize("rule_count", [10, 1_000])
def test_decide_with_limits_and_a_session(benchmark: BenchmarkFixture, rule_count: int) -> None:
    table, ledger, session = compile(counted(policy_of(rule_count))), Ledger(), Session("s", NOW)
    for number in range(5):
        session.let_through(Call(str(number), TOOLS[number], frozenset({"write"}), NOW), frozenset())
    measure(
        benchmark,
        lambda call: decide(table, call, now=NOW, session=session, ledger=ledger),
        [call for call in requests(2_000) if call["environment"] == "dev"],
        20_000,
    )


@pytest.mark.parametrize("counting", [False, True], ids=["plain", "limits"])
def test_an_engine_decides(benchmark: BenchmarkFixture, counting: bool) -> None:
    """With everything around a decision: the lock, an id, the accounts, what can explain it."""
    policy = policy_of(1_000)
    engine = Engine(counted(policy) if counting else policy)
    measure(benchmark, engine.decide, [call for call in requests(2_000) if call["environment"] == "dev"], 20_000)


@pytest.mark.parametrize("amount", [0, 10**7], ids=["none applies", "all apply"])
def test_decide_where_all_rules_are_about_one_tool(benchmark: BenchmarkFixture, amount: int) -> None:
    over = [c.Rule(f"r{n}", Effect.BLOCK, (c.ToolPattern("any"),), amount_over(n)) for n in range(10_000)]
    allow = c.Rule("allow-all", Effect.ALLOW, (c.ToolPattern("any"),))
    table = compile(replace(policy_of(1), rules=(allow, *over)))
    call = {"tool_name": TOOLS[0], "tool_args": {"amount": amount, "to": "ACME"}, "tenant_id": "t1"}
    measure(benchmark, lambda call: decide(table, call, now=NOW), [call], 2_000)


@pytest.mark.parametrize("rule_count", [10, 1_000])
def test_compile(benchmark: BenchmarkFixture, rule_count: int) -> None:
    benchmark.pedantic(compile, args=(policy_of(rule_count),), rounds=10, warmup_rounds=1)


def test_admit(benchmark: BenchmarkFixture) -> None:
    """What of a decision is reading the request."""
    upcoming = itertools.cycle(requests(2_000))
    benchmark.pedantic(admit, setup=lambda: ((next(upcoming),), {}), rounds=20_000, warmup_rounds=10)
