"""A thousand rules are ready in under a second of processor time."""

import random
import time

from thoth.engine.check import check
from thoth.engine.collecting import not_collecting
from thoth.engine.compile import compile
from thoth.grammar import parse

SECONDS_MAX = 1.0


def policy_of(rules: int, seed: int = 7) -> str:
    """Return a policy of typical rules: a tool each, one to six further conditions, three in ten restrictions."""
    draw = random.Random(seed)
    tools = [f"svc{number // 10}.op{number % 10}" for number in range(100)]
    takes = "amount: number, to: key string, path: path, note: string, items: list of string"
    lines = ['policy big\n    approvers "ops"\n']
    lines += [f"tool {tool}({takes}) is {draw.choice(['read', 'write', 'send'])}\n" for tool in tools]
    for number in range(rules):
        effect = draw.choice(["allow"] * 7 + ["block", "step_up", "defer"])
        conditions = [
            f"args.amount > {draw.randint(1, 10**6)}",
            f'args.to in {{"a{draw.randint(0, 99)}", "b{draw.randint(0, 99)}"}}',
            f'args.path under "/data/{draw.randint(0, 500)}"',
            f'args.note like "x{draw.randint(0, 99)}*"',
            f'env is "prod{draw.randint(0, 9)}"',
            f'any args.items is "i{draw.randint(0, 99)}"',
            f'args.to matches "^(u[0-9]+{draw.randint(0, 99)})$"',
        ]
        when = " and ".join(draw.sample(conditions, draw.randint(1, 6)))
        lines.append(f'{effect} {draw.choice(tools)} as r{number} when {when} because "of rule {number}"\n')
    return "".join(lines)


def test_a_thousand_rules_are_read_checked_and_laid_out_in_under_a_second() -> None:
    text = policy_of(1_000)
    parse("allow *\n")  # loads the grammar, once in a process
    seconds = []
    for _ in range(3):
        start = time.process_time()
        with not_collecting():
            table = compile(check(parse(text)).policy)
        seconds.append(time.process_time() - start)
        assert len(table.rows) == 1_000
    assert min(seconds) < SECONDS_MAX
