"""A policy that is compiled as it changes is the policy that its text says, whatever changed, and however often."""

import random
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.decisions import NOW
from thoth.contract import Effect, Request, admit
from thoth.engine import Engine, PolicyError, bundle, reference
from thoth.engine.check import Checked, check
from thoth.engine.compile import DecisionTable, compile
from thoth.engine.compiler import Compiler
from thoth.engine.decide import decide, in_full, on_result
from thoth.engine.packing import pack
from thoth.grammar import Policy, parse, read_policy

HEAD = ['policy p\n    version "1"\n    approvers "ops"', 'set friends = "*@acme.example"', 'pattern digits = "[0-9]+"']
TOOLS = [
    "tool pay(amount: number, to: key string, note?: string) is write risk high",
    "tool read(path: path, ...) is read yields pii",
    "tool send(to: list of key email, body: string) is send",
    "tool db.query(sql: string) is execute",
]
MODULE = 'block pay as never when args.to is "eve"\nallow read as reads\n'
WRONG = [
    "allow pay as broken when args.amout > 5",
    "block pay as torn when (",
    "block pay as r1 when args.amount is 77",
]
REQUESTS: list[dict[str, Any]] = [
    {"tool_name": tool, "tool_args": args, "agent_id": agent, "environment": env}
    for tool, args in [
        *(("pay", {"amount": amount, "to": to}) for amount in (0, 5, 37, 500) for to in ("eve", "bob", "a7")),
        *(("pay", {"amount": 12, "to": "bob", "note": note}) for note in ("call 555 1234", "a3 then b7x", "a12 é b3")),
        *(("read", {"path": path}) for path in ("/etc/passwd", "/srv/a/b", "relative")),
        *(("send", {"to": [to], "body": "card 12 b5"}) for to in ("x@acme.example", "eve@evil.example")),
        ("db.query", {"sql": "drop table x"}),
        ("nobody", {}),
    ]
    for agent, env in (("bot-1", "prod"), ("bot-2", "test"))
]


def drawn_rule(draw: random.Random) -> str:
    """Return one item that is no ground: rules of every kind, some alike, some without a name, some over many lines."""
    number = draw.randrange(30)
    other = draw.randrange(10 if draw.random() < 0.02 else 10**6)  # few names clash
    name = draw.choice([f"r{other}", f"s{other}", ""])
    named = f" as {name}" if name else ""
    effect = draw.choice(["allow", "block", "step_up", "defer"])
    strict = draw.choice(["block", "step_up", "defer"])
    low = draw.randrange(0, 50)
    return draw.choice(
        [
            f"{effect} pay{named} when args.amount > {low}",
            f"{effect} pay{named} when args.amount between {low} and {low + 10}",
            f"{strict} pay{named}\n    # why\n    when args.amount > {low} and args.to matches digits  # so",
            f'{effect} pay{named} when args.to in {{"bob", "x{number}"}} because "of {number}"',
            f'{effect} read{named} when args.path under "/srv/{draw.choice("abc")}"',
            f'{effect} read{named} when args.path starts with "/{draw.choice(["", "e", "s", "srv/a", "x" * number])}"',
            f'{strict} pay{named} when args.note matches "b{number}x?" or args.note matches "^a{low}"',
            f'{strict} send{named} when args.body matches "b{number}$" and args.body matches "[0-9][0-9]"',
            f'{effect} *{named} when agent is not "bot-{draw.randrange(3)}" and env is prod',
            f"{effect} class send{named} when all args.to like friends",
            f'{effect} db.*{named} when args.sql contains "drop" or tool is "db.x"',
            f'{effect} send, read{named} unless env in {{"test", prod}}',
            f'block pay{named} when session.labels contains pii and args.note matches "^a{number}"',
            f'modify pay{named} set args.note = "n{draw.randrange(2)}"',
            f'modify send{named} redact args.body matching digits with "#"',
            f"limit pay{named} to {1 + low} of args.amount per 1h by agent else block",
            f"risk pay +{1 + low}{named} when args.amount > {low}",
            f"block pay{named} when risk >= {low}",
            f'on result read{named} redact result matching digits with "x"',
            f"on result read{named} label l{draw.randrange(2)}",
            f'for agent "bot-{draw.randrange(3)}", env prod {{\n    {effect} pay{named} when args.amount > {low}\n}}',
            f"block undeclared{number}{named}",
            f'step_up pay{named} when args.amount > {low} ask "ops" within 5m trial',
        ]
    )


def family(draw: random.Random) -> list[str]:
    """Return rules that differ in the span alone in which a number lies, enough of them to be looked up together."""
    lows = [draw.randrange(60) for _ in range(20)]
    return [
        f"block pay as {draw.choice('amz')}{n} when args.amount between {low} and {low + 9}"
        for n, low in enumerate(lows)
    ]


def drawn_test(draw: random.Random) -> str:
    number = draw.randrange(1000)
    return f'test "t{number}" {{\n    # what\n    call pay(amount: {number}, to: "bob")\n    expect block\n}}'


def edited(items: list[str], draw: random.Random) -> list[str]:
    """Return the items of a policy after one edit; the first few are its ground."""
    ground = len(HEAD) + len(TOOLS)
    items = list(items)
    place = draw.randrange(ground, len(items) + 1)
    match draw.randrange(14):
        case 0 | 1 | 2:
            items.insert(place, drawn_rule(draw))
        case 3 | 4 if place < len(items):
            items[place] = drawn_rule(draw)
        case 5 | 6 if place < len(items):
            del items[place]
        case 7 if place < len(items):
            items.insert(draw.randrange(ground, len(items)), items.pop(place))
        case 8:
            items.insert(place, "# a remark" + draw.choice(["", "\n", "\n\n# and another"]))
        case 9:
            items.insert(place, drawn_test(draw))
        case 10:
            items[:ground] = [*draw.sample(HEAD[1:] + TOOLS, len(HEAD) + len(TOOLS) - 1), HEAD[0]]
        case 11:
            items[1] = draw.choice(['set friends = "*@acme.example"', 'set friends = "*@evil.example", "*@a.example"'])
            items[0] = draw.choice([HEAD[0], HEAD[0] + "\n    default allow"])
        case 12:
            items[ground - 1] = draw.choice([TOOLS[-1], TOOLS[-1] + " yields l1", "use m", "use m with allow"])
        case _:
            items.insert(place, draw.choice(WRONG))
    return items


def plainly(text: str, module: Policy) -> Checked:
    mistakes: list[Any] = []
    tree, found = read_policy(text, "p.thoth")
    mistakes.extend(found)
    return check(tree, lambda name, using: module if name == "m" else None, mistakes=mistakes)


def outcome(reading: Any) -> Any:
    try:
        return reading()
    except PolicyError as error:
        return error.messages


def placed(node: Any) -> Any:
    """Return a node with all of its places, which take no part in comparing."""
    if isinstance(node, tuple):
        return [placed(one) for one in node]
    if is_dataclass(node):
        return [type(node), *(placed(getattr(node, field.name)) for field in fields(node))]
    return node


def by_the_machine(table: DecisionTable) -> list[Any]:
    return [decide(table, dict(request), now=NOW).facts() for request in REQUESTS]


def answers(table: DecisionTable) -> list[Any]:
    """Return all that a table says of the requests: by the machine, step by step, and of what they return."""
    answers = by_the_machine(table)
    for request in map(admit, REQUESTS):
        assert isinstance(request, Request)
        answers.append(in_full(table, request, None, None, NOW, None, "").facts())
        answers.append([rule.id for rule in on_result(table, request, request.tool_args, "a3 of 12", None, NOW)])
    return answers


@settings(max_examples=settings().max_examples // 3)
@given(st.integers(0, 2**32), st.integers(2, 12), st.sampled_from(["\n", "\n\n"]))
def test_whatever_is_edited_the_policy_and_its_table_are_those_of_the_text(seed: int, edits: int, between: str) -> None:
    draw = random.Random(seed)
    module = parse(MODULE, "m.thoth")
    compiler = Compiler()
    before = [*HEAD, *TOOLS]
    items = [*before, *(drawn_rule(draw) for _ in range(draw.randrange(40))), *draw.choice([[], family(draw)])]
    tables: list[tuple[DecisionTable, list[Any]]] = []
    for _ in range(edits):
        text = between.join(items) + draw.choice(["", "\n", "\n# the end\n"])
        expected = outcome(lambda text=text: plainly(text, module))
        found = outcome(
            lambda text=text: compiler.check(text, "p.thoth", lambda name, using: module if name == "m" else None)
        )
        if not isinstance(expected, Checked):
            assert found == expected
            items = edited(before, draw)
            continue
        before = items
        assert found.policy.digest == expected.policy.digest
        assert pack(replace(found.policy, tests=())) == pack(replace(expected.policy, tests=()))
        assert placed(found.policy.tests) == placed(expected.policy.tests)
        assert found.warnings == expected.warnings
        table, said = compiler.compile(found.policy), answers(compile(expected.policy))
        assert answers(table) == said
        assert said[: len(REQUESTS)] == [
            reference.decide(expected.policy, dict(request), now=NOW).facts() for request in REQUESTS
        ]
        tables.append((table, said))
        items = edited(items, draw)
    for table, said in tables:
        assert answers(table) == said, "what is laid out behind a table changes nothing about it"
    if tables:
        read = bundle.load(bundle.build(tables[-1][0].policy, {}, table=tables[-1][0]), "p.bundle")
        assert answers(read.table) == tables[-1][1]


def big(rules: int) -> list[str]:
    return [*HEAD, *TOOLS, *(f"block pay as r{n} when args.amount > {n}" for n in range(rules)), drawn_test(SEEDED)]


SEEDED = random.Random(7)


def test_one_changed_rule_of_many_is_the_one_item_that_is_read() -> None:
    compiler = Compiler()
    items = big(300)
    compiler.compile(compiler.check("\n".join(items)).policy)
    assert compiler.read == len(items)
    items[100] = "block pay as other when args.amount > 5 and env is prod"
    assert compiler.check("\n".join(items)).policy.rules[100 - 7].id == "other"
    assert compiler.read == 1
    items.insert(50, "# moved down")
    items[60], items[200] = items[200], items[60]
    compiler.check("\n".join(items))
    assert compiler.read == 0
    items[1] = 'set friends = "*@evil.example"'
    compiler.check("\n".join(items))
    assert compiler.read == len(items) - 1, "everything may depend on a set"


def test_rules_that_stay_stay_where_they_lie_in_the_table_until_too_much_is_left_over() -> None:
    compiler = Compiler()
    items = [*HEAD, *TOOLS, *(f"block t{n % 50} as r{n} when args.x is {n}" for n in range(500))]
    sizes = []
    for edit in range(300):
        items[50] = f"block t{edit % 50} as r43 when args.x is {1000 + edit}"
        table = compiler.compile(compiler.check("\n".join(items)).policy)
        sizes.append(table.table.arena.memory().nbytes)
    assert sizes[1] - sizes[0] < sizes[0] / 10
    assert max(sizes) < 6 * sizes[0]
    assert sorted(row.rule.id for row in table.rows) == sorted(f"r{n}" for n in range(500))


def test_a_mistake_leaves_what_was_kept() -> None:
    compiler = Compiler()
    items = big(50)
    compiler.check("\n".join(items))
    with pytest.raises(PolicyError, match="unknown argument"):
        compiler.check("\n".join([*items, WRONG[0]]))
    compiler.check("\n".join([*items, "block pay as more when args.amount > 9"]))
    assert compiler.read == 1


def test_an_engine_decides_by_the_text_that_it_was_given_last() -> None:
    engine = Engine.from_text(
        "\n".join([*HEAD, *TOOLS, "allow pay as small when args.amount < 9"]), compiler=Compiler()
    )
    call = {"tool_name": "pay", "tool_args": {"amount": 10, "to": "bob"}}
    assert engine.decide(call).effect is Effect.BLOCK
    engine.replace("\n".join([*HEAD, *TOOLS, "allow pay as small when args.amount < 99"]))
    decision = engine.decide(call)
    assert (decision.effect, decision.rules) == (Effect.ALLOW, ("small",))
    assert decision.policy_digest == engine.policy.digest
    with pytest.raises(PolicyError):
        engine.replace("\n".join([*HEAD, *TOOLS, "allow pay as small when args.amout < 99"]))
    assert engine.decide(call).effect is Effect.ALLOW
