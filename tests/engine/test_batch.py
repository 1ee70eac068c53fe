"""Many calls at once are decided as each would be decided alone."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.decisions import NOW, malformed, policies, requests
from thoth.contract import RequestError
from thoth.engine import Engine
from thoth.engine.batch import decide_batch, decide_many
from thoth.engine.checked import CheckedPolicy
from thoth.engine.compile import compile
from thoth.engine.decide import decide

POLICY = """
tool pay(amount: number, to: string, tags?: list of string, note?: string) is write
allow pay
block pay as large  when args.amount > 1_000 code destructive_action
block pay as tagged when any args.tags is "secret"
defer pay as abroad when context.region is "us"
step_up pay as prod when env is "prod" ask "ops"
"""


def told(batch: Any, place: int) -> tuple[Any, ...]:
    more = batch.rules_more.get(place, 0)
    return (
        batch.effect_of(place),
        batch.by_of(place),
        batch.reason_of_call(place),
        batch.rules_of(place),
        more,
    )


def alone(table: Any, call: Any) -> tuple[Any, ...]:
    decision = decide(table, call, now=NOW)
    return decision.effect, decision.by, decision.reason_code, decision.rules, decision.rules_more


@settings(max_examples=200)
@given(policies(), st.lists(requests() | malformed(), max_size=6))
def test_many_calls_are_decided_as_each_alone(policy: CheckedPolicy, calls: list[Any]) -> None:
    table = compile(policy)
    batch = decide_many(table, calls, now=NOW)
    assert len(batch) == len(calls)
    assert [told(batch, place) for place in range(len(calls))] == [alone(table, call) for call in calls]


@pytest.fixture(scope="module")
def table() -> Any:
    return compile(Engine.from_text('policy p\n    approvers "ops"\n' + POLICY).policy)


def test_a_batch_is_memory_that_others_can_read(table: Any) -> None:
    calls = [{"tool_name": "pay", "tool_args": {"amount": amount, "to": "x"}} for amount in (1, 5_000)]
    batch = decide_many(table, calls, now=NOW)
    assert [batch.effects_named[place].value for place in batch.effects] == ["DEFER", "BLOCK"]
    assert [batch.reasons_named[place] for place in batch.reasons] == ["deferred_by_policy", "destructive_action"]
    assert batch.rule_ends.tolist() == [1, 2]
    assert batch.rule_ids[batch.rules[1]] == "large"


def test_a_place_that_is_not_there_is_refused(table: Any) -> None:
    batch = decide_many(table, [], now=NOW)
    with pytest.raises(IndexError):
        batch.effect_of(0)


def test_the_calls_of_a_batch_are_left_as_they_were(table: Any) -> None:
    call = {"tool_name": "pay", "tool_args": {"amount": 1, "to": "x", "tags": ["a"]}}
    before = json.dumps(call)
    decide_many(table, [call, call], now=NOW)
    assert json.dumps(call) == before


# ---------------------------------------------------------------- Arrow

COLUMNS = {
    "tool_name": "string",
    "agent": "string",
    "env": "string",
    "args.amount": "int64",
    "args.to": "string",
    "args.tags": "list",
    "context.region": "dictionary",
}


def call_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the request that it is, obviously."""
    call: dict[str, Any] = {"tool_args": {}}
    paths = {"agent": ("agent_id",), "env": ("environment",)}
    for name, value in row.items():
        if value is None:
            continue
        head, _, member = name.partition(".")
        if member:
            call.setdefault({"args": "tool_args", "context": "metadata"}[head], {})[member] = value
        else:
            call[paths.get(name, (name,))[0]] = value
    return call


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "tool_name": st.sampled_from(["pay", "pay", "pay", "other", "", None, "é"]),
            "agent": st.sampled_from(["a", "b", None]),
            "env": st.sampled_from(["prod", "dev", None]),
            "args.amount": st.sampled_from([1, 5_000, -(2**62), None]),
            "args.to": st.sampled_from(["x", "y" * 100, "é", None]),
            "args.tags": st.sampled_from([[], ["secret"], ["a", None], None]),
            "context.region": st.sampled_from(["us", "eu", None]),
        }
    ),
    max_size=8,
)


@settings(max_examples=100)
@given(rows=ROWS, size=st.integers(1, 4), skip=st.integers(0, 2))
def test_the_rows_of_an_arrow_table_are_decided_as_requests(
    table: Any, rows: list[dict[str, Any]], size: int, skip: int
) -> None:
    """In chunks, in slices that begin in the middle, with nulls, lists and dictionaries."""
    arrow = pytest.importorskip("pyarrow")
    types = {
        "string": arrow.string(),
        "int64": arrow.int64(),
        "list": arrow.list_(arrow.large_string()),
        "dictionary": arrow.dictionary(arrow.int8(), arrow.string()),
    }
    whole = arrow.table({n: arrow.array([row[n] for row in rows], types[kind]) for n, kind in COLUMNS.items()})
    part = whole.slice(skip)
    chunked = arrow.Table.from_batches(part.to_batches(max_chunksize=size), part.schema)
    expected = [alone(table, call_of(row)) for row in rows[skip:]]
    for given_rows in (chunked, *([part.to_batches()[0]] if len(part) else [])):
        batch = decide_batch(table, given_rows, now=NOW)
        assert [told(batch, place) for place in range(len(batch))] == expected


ODD = """
tool typed(id: id, n: int, flag?: boolean, list?: list of number, mail?: email, url?: url) is write
tool open_ended(x: any, ...) is read
tool folder(path: path, name?: string) is write
allow *
risk typed +40 as flagged when args.flag is true
block * as risky when risk >= 30
block typed as one    when args.id is "1"
block typed as listed when any args.list > 5
defer typed as mailed when args.mail is "a@b.example"
block open_ended as x when args.x is 1 or args.y is "y"
block folder as below when args.path under "/srv/a"
block folder as found when args.name matches "b[0-9]c"
limit folder as few to 3 calls per 1h by agent else block
step_up * as who when agent like "bot-*" ask "ops"
block * as when_asked when purpose is "harm" trial
modify folder as cut when args.name is "long" set args.name = "short"
"""


@pytest.fixture(scope="module")
def odd() -> Any:
    return compile(Engine.from_text('policy p\n    approvers "ops"\n    mode from request\n' + ODD).policy)


ODD_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "tool_name": st.sampled_from(["typed", "typed", "open_ended", "folder", "folder", "nobody's"]),
            "agent": st.sampled_from(["bot-1", "ada", "", "b\xf6t", None]),
            "purpose": st.sampled_from(["harm", "help", None]),
            "enforcement_mode": st.sampled_from(["block", "observe", "step_up", "what", None, None]),
            "args.id": st.sampled_from(["1", "2", "[truncated]", None]),
            "args.n": st.sampled_from([1.0, 2.5, 2.0**70, None]),
            "args.flag": st.sampled_from([True, False, None]),
            "args.list": st.sampled_from([[], [1, 9], [2], [1, None], None]),
            "args.mail": st.sampled_from(["A@b.example", "nobody", None, None, None]),
            "args.x": st.sampled_from([1, 2, None]),
            "args.y": st.sampled_from(["y", "z", None]),
            "args.path": st.sampled_from(["/srv/a/b", "/srv/a/../b", "a", "/srv/b", None]),
            "args.name": st.sampled_from(["b7c", "[x", "", "long", "b1c" * 300, None]),
        }
    ),
    max_size=12,
)
ONLY = {
    "typed": {"args.id", "args.n", "args.flag", "args.list", "args.mail"},
    "open_ended": {"args.x", "args.y"},
    "folder": {"args.path", "args.name"},
}


@settings(max_examples=200)
@given(rows=ODD_ROWS, tidy=st.booleans())
def test_rows_of_every_kind_are_decided_as_requests(odd: Any, rows: list[dict[str, Any]], tidy: bool) -> None:
    """Ids, integers that come as doubles, booleans, marks, limits, modes, trials, risk, changed arguments."""
    arrow = pytest.importorskip("pyarrow")
    if tidy:  # without arguments that the tool does not have
        rows = [
            {
                name: value if not name.startswith("args.") or name in ONLY.get(row["tool_name"], ()) else None
                for name, value in row.items()
            }
            for row in rows
        ]
    types = {
        "args.n": arrow.float64(),
        "args.flag": arrow.bool_(),
        "args.list": arrow.large_list(arrow.int16()),
        "args.x": arrow.uint64(),
        "args.y": arrow.dictionary(arrow.uint8(), arrow.large_string()),
        "tool_name": arrow.dictionary(arrow.int32(), arrow.string()),
    }
    names = list(rows[0]) if rows else ["tool_name"]
    whole = arrow.table({n: arrow.array([row[n] for row in rows], types.get(n, arrow.string())) for n in names})
    batch = decide_batch(odd, whole, now=NOW)
    assert [told(batch, place) for place in range(len(batch))] == [alone(odd, call_of(row)) for row in rows]


def test_a_long_table_is_decided_in_one_go_and_row_by_row(odd: Any) -> None:
    """Rows that need Python lie among those that do not, few and many of them."""
    arrow = pytest.importorskip("pyarrow")
    for every in (2, 7, 500):
        rows = [
            {
                "tool_name": "folder",
                "args.path": "/srv/a" if number % 3 else "/b",
                "args.name": "é" * (number % every == 0),
            }
            for number in range(1_000)
        ]
        batch = decide_batch(odd, arrow.Table.from_pylist(rows), now=NOW)
        expected = {json.dumps(row): alone(odd, call_of(row)) for row in rows}
        assert [told(batch, place) for place in range(1_000)] == [expected[json.dumps(row)] for row in rows]


def test_arguments_may_be_one_column_of_structs(table: Any) -> None:
    arrow = pytest.importorskip("pyarrow")
    args = [{"amount": 5_000.5, "to": "x"}, {"amount": float("nan"), "to": "x"}, {"amount": 1.0, "to": "x"}]
    rows = arrow.table({"tool": ["pay"] * 3, "args": args})
    batch = decide_batch(table, rows, now=NOW)
    assert [batch.reason_of_call(place) for place in range(3)] == [
        "destructive_action",
        "request_invalid",
        "deferred_by_policy",
    ]


def test_a_column_that_is_no_attribute_is_refused(table: Any) -> None:
    arrow = pytest.importorskip("pyarrow")
    with pytest.raises(RequestError, match="did you mean `agent_id`"):
        decide_batch(table, arrow.table({"agent_idd": ["x"]}), now=NOW)


@pytest.mark.parametrize("columns", [("tool", "tool_name"), ("args", "args.amount")])
def test_two_columns_for_one_value_are_refused(table: Any, columns: tuple[str, str]) -> None:
    arrow = pytest.importorskip("pyarrow")
    rows = arrow.table([arrow.array([1]), arrow.array([1])], names=list(columns))
    with pytest.raises(TypeError, match="column"):
        decide_batch(table, rows, now=NOW)


def test_a_column_of_a_type_that_no_request_has_is_refused(table: Any) -> None:
    arrow = pytest.importorskip("pyarrow")
    with pytest.raises(TypeError, match=r"column `agent` is of the Arrow type `tdD"):
        decide_batch(table, arrow.table({"agent": arrow.array([1], arrow.date32())}), now=NOW)


def test_what_is_no_table_is_refused(table: Any) -> None:
    with pytest.raises(TypeError, match="no Arrow table"):
        decide_batch(table, SimpleNamespace(), now=NOW)
