"""What a request may cost: however much a list holds, and however long a text is, others wait behind it."""

import time
from typing import Any

import pytest

from thoth.contract import Effect
from thoth.contract.attributes import CWD_CHARS_MAX
from thoth.engine import Engine
from thoth.engine.checked import ITEMS_SOUGHT_MAX

SECONDS_MAX = 5.0
"""More than any of these takes on a slow machine; unbounded, each took a minute or more."""

POLICY = """
tool read() is read
tool send(to: key list of string, n?: key list of number)
tool write(paths: list of string)
allow *
step_up send as unasked   unless args.key from user         ask "ops"
defer send   as injected  when any args.to from tool read
block write  as system    when any args.paths under "/etc"
block write  as elsewhere unless all args.paths under "/srv"
"""
EVALUATORS: list[Any] = ["native", "reference"]


def decide(evaluator: Any, tool: str, args: dict[str, Any], said: str = "", returned: str = "", **more: Any) -> Any:
    """Return what is decided in a session in which so much was said and returned."""
    engine = Engine.from_text(POLICY, evaluator=evaluator)
    session = engine.session("s")
    session.said(said)
    engine.completed(engine.decide({"tool_name": "read"}, session=session), returned)
    started = time.process_time()
    decision = engine.decide({"tool_name": tool, "tool_args": args, "metadata": more}, session=session)
    assert time.process_time() - started < SECONDS_MAX
    return decision


@pytest.mark.parametrize("evaluator", EVALUATORS)
@pytest.mark.parametrize("over", [0, 1])
def test_so_many_items_are_looked_for_and_where_further_ones_come_from_is_unknown(evaluator: Any, over: int) -> None:
    """An excuse needs proof of each item, and a restriction applies in doubt about one."""
    names = [f"name{number}" for number in range(ITEMS_SOUGHT_MAX + over)]
    asked = decide(evaluator, "send", {"to": names}, " ".join(names), "nothing of it")
    assert asked.effect is (Effect.DEFER if over else Effect.ALLOW)
    for place in (0, ITEMS_SOUGHT_MAX - 1):
        assert decide(evaluator, "send", {"to": names}, " ".join(names), names[place]).effect is Effect.DEFER


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_all_key_arguments_are_counted_together(evaluator: Any) -> None:
    names = [f"name{number}" for number in range(ITEMS_SOUGHT_MAX - 1)]
    said = " ".join(names) + " 5000 6000"
    assert decide(evaluator, "send", {"to": names, "n": [5000]}, said).effect is Effect.ALLOW
    assert decide(evaluator, "send", {"to": names, "n": [5000, 6000]}, said).effect is Effect.STEP_UP


def test_a_long_list_is_not_looked_for_in_all_that_was_said() -> None:
    names = [f"aaaa{number}" for number in range(90_000)]
    assert decide("native", "send", {"to": names}, "aaaa" * 125_000, "aaaa" * 125_000).effect is not Effect.ALLOW
    numbers = {"to": ["none"], "n": list(range(1_000, 80_000))}
    assert decide("native", "send", numbers, "1,000" * 100_000).effect is not Effect.ALLOW


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_a_folder_that_is_too_long_is_unknown(evaluator: Any) -> None:
    """What is unknown is out of the excuse, and within the restriction."""
    longest = "/srv" + "/" * (CWD_CHARS_MAX - 4)
    assert decide(evaluator, "write", {"paths": ["a"]}, cwd=longest).effect is Effect.ALLOW
    decided = decide(evaluator, "write", {"paths": ["a"]}, cwd=longest + "/")
    assert decided.rules == ("elsewhere", "system")


def test_many_relative_paths_are_read_behind_one_folder() -> None:
    for cwd in ("/srv" + "/a" * 2_000, "/srv" + "/a" * 1_000 + "/.." * 600, "/srv" + "/a" * 10_000):
        paths = ["b"] * 80_000 + ["../b"] * 1_000 + ["../" * 2_010] * 100
        assert decide("native", "write", {"paths": paths}, cwd=cwd).effect is Effect.BLOCK


def test_a_long_list_is_compared_with_a_long_set_in_time_linear_in_both() -> None:
    """A set of addresses was read anew for each item."""
    people = ", ".join(f'"ada{number}@acme.example"' for number in range(3_000))
    numbers = ", ".join(map(str, range(3_000)))
    engine = Engine.from_text(f"""
set people = {people}
set numbers = {numbers}
tool tell(to: list of email, n: list of number)
allow *
block tell when any args.to in people or any args.n in numbers
""")
    to, n = [f"eve{number}@acme.example" for number in range(40_000)], [number + 0.5 for number in range(40_000)]
    started = time.process_time()
    assert engine.decide({"tool_name": "tell", "tool_args": {"to": to, "n": n}}).effect is Effect.ALLOW
    assert (
        engine.decide({"tool_name": "tell", "tool_args": {"to": ["Ada7@ACME.example"], "n": n}}).effect is Effect.ALLOW
    )
    assert (
        engine.decide({"tool_name": "tell", "tool_args": {"to": ["ada7@ACME.example"], "n": n}}).effect is Effect.BLOCK
    )
    assert time.process_time() - started < SECONDS_MAX
