"""The measured loops, one for each way to ask: between two looks at the clock stand the call and the reading alone.

Each takes a batch of prepared requests and returns the nanoseconds of each call. Where a batch is one call, each of its
requests took its share.
"""

import importlib.util
import json
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from handwritten import Handwritten

from thoth.contract import Request
from thoth.engine import Engine
from thoth.engine.batch import decide_batch, decide_many
from thoth.engine.compile import DecisionTable
from thoth.engine.decide import admitted_bytes, decide, decide_admitted
from thoth.engine.session import Call, Session

NOW = 1_770_000_000.0
CALLS_OF_SESSION = 100
HAS_ARROW: Final = importlib.util.find_spec("pyarrow") is not None

Timing = Callable[[list[Any]], list[int]]

FACTS: Final = """
tool zz_leak() is act yields leaked
block * as zz-many    when calls(*, in 10m) >= 100_000
block * as zz-written when completed(class act, in 1h) >= 100_000
block * as zz-leaked  when session.labels contains leaked
"""
"""Rules about the session that every call comes under and that never apply: two counts in windows, and a label."""


def time_table(table: DecisionTable) -> Timing:
    clock = time.perf_counter_ns

    def run(batch: list[Any]) -> list[int]:
        taken = []
        for given in batch:
            begun = clock()
            decision = decide(table, given, now=NOW)
            decision.effect, decision.rules, decision.reason_code  # noqa: B018
            taken.append(clock() - begun)
        return taken

    return run


def time_engine(engine: Engine) -> Timing:
    """In sessions of a hundred calls; opening one is not measured."""
    clock = time.perf_counter_ns
    calls = 0
    session = engine.session("session-0")

    def run(batch: list[Any]) -> list[int]:
        nonlocal calls, session  # a batch may begin in the middle of a session
        taken = []
        for given in batch:
            if calls % CALLS_OF_SESSION == 0:
                session = engine.session(f"session-{calls}")
            calls += 1
            begun = clock()
            decision = engine.decide(given, session=session)
            decision.effect, decision.rules, decision.reason_code  # noqa: B018
            taken.append(clock() - begun)
        return taken

    return run


def time_handwritten(by_hand: Handwritten) -> Timing:
    ask, clock = by_hand.decide, time.perf_counter_ns

    def run(batch: list[Any]) -> list[int]:
        taken = []
        for given in batch:
            begun = clock()
            answer = ask(given)
            answer[0], answer[1], answer[3]
            taken.append(clock() - begun)
        return taken

    return run


def time_in_session(table: DecisionTable) -> Timing:
    """Decided in a session of a hundred calls, of which half have ended; nothing is written."""
    clock = time.perf_counter_ns
    session = Session("facts", NOW - 3_600)
    for number in range(CALLS_OF_SESSION):
        call = Call(str(number), f"tool_{number % 5:03}", frozenset({"act"}), NOW - 1_000 + 9 * number)
        session.let_through(call, frozenset())

    def run(batch: list[Any]) -> list[int]:
        taken = []
        for given in batch:
            begun = clock()
            decision = decide(table, given, now=NOW, session=session)
            decision.effect, decision.rules, decision.reason_code  # noqa: B018
            taken.append(clock() - begun)
        return taken

    return run


def time_bytes(table: DecisionTable) -> Timing:
    clock = time.perf_counter_ns

    def run(batch: list[Any]) -> list[int]:
        taken = []
        for given in batch:
            begun = clock()
            request = admitted_bytes(given)
            decision = decide_admitted(table, request, session=None, ledger=None, now=NOW, approval=None, id="")
            decision.effect, decision.rules, decision.reason_code  # noqa: B018
            taken.append(clock() - begun)
        return taken

    return run


def time_many(table: DecisionTable) -> Timing:
    clock = time.perf_counter_ns

    def run(batch: list[Any]) -> list[int]:
        begun = clock()
        decided = decide_many(table, batch, now=NOW)
        decided.effects, decided.reasons, decided.rules  # noqa: B018
        return [(clock() - begun) // len(batch)] * len(batch)

    return run


def time_arrow(table: DecisionTable) -> Timing:
    """Making a table of rows is not measured: whoever has columns has them already."""
    import pyarrow as pa

    clock = time.perf_counter_ns

    def run(batch: list[Any]) -> list[int]:
        rows = pa.RecordBatch.from_pylist([flat(given) for given in batch])
        begun = clock()
        decided = decide_batch(table, rows, now=NOW)
        decided.effects, decided.reasons, decided.rules  # noqa: B018
        return [(clock() - begun) // len(batch)] * len(batch)

    return run


def flat(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request with one member for each column of a table."""
    columns: dict[str, Any] = {}
    for name, value in request.items():
        if isinstance(value, dict):
            columns |= {f"{name}.{member}": inner for member, inner in value.items()}
        else:
            columns[name] = value
    return columns


def as_request(text: str) -> Request:
    return Request(**json.loads(text))


def as_messagepack(text: str) -> bytes:
    return msgspec.msgpack.encode(json.loads(text))


def ways(engine: Engine, table: DecisionTable, facts: DecisionTable | None, by_hand: Handwritten) -> dict[str, Any]:
    """Return each way to ask: its loop, and what makes a request for it from JSON text."""
    found = {
        "ours, decide(dict)": (time_table(table), json.loads),
        "ours, decide(Request)": (time_table(table), as_request),
        "ours, Engine.decide in a session": (time_engine(engine), json.loads),
        "handwritten": (time_handwritten(by_hand), json.loads),
    }
    if facts is not None:
        found |= {
            "ours, decide(dict) with session facts": (time_in_session(facts), json.loads),
            "ours, from JSON bytes": (time_bytes(table), str.encode),
            "ours, from MessagePack bytes": (time_bytes(table), as_messagepack),
            "ours, decide_many": (time_many(table), json.loads),
        }
        if HAS_ARROW:
            found["ours, decide_batch (Arrow)"] = (time_arrow(table), json.loads)
    return found
