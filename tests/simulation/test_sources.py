"""Whatever calls are recorded in, they come out as calls, and what was not understood is counted and named."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from thoth.contract import OperationError
from thoth.engine import Engine
from thoth.evidence import init
from thoth.evidence import open as open_log
from thoth.simulation.columns import read_mapping
from thoth.simulation.opening import zstd
from thoth.simulation.reading import read_line
from thoth.simulation.shelf import Seen, Shelf
from thoth.simulation.simulate import Plan, Simulation, simulate
from thoth.simulation.sources import kind_of

from .recordings import CALL, NEW, trace, write

SEND: dict[str, Any] = {"name": "send_mail", "arguments": {"to": ["eve@evil.example"], "body": "x"}}
PRE: dict[str, Any] = {
    "event_id": "acme:1", "tenant_id": "acme", "session_id": "s1", "user_id": "ann", "agent_id": "bot",
    "tool_name": "send_mail", "source_type": "agent_tool_call", "event_type": "TOOL_CALL_PRE", "content": "send_mail",
    "approved_scope": ["send_mail"], "session_tool_calls": ["send_mail"], "enforcement_mode": "block",
    "occurred_at": "2026-03-02T09:00:00Z",
    "metadata": {"environment": "prod", "tool_call": SEND},
}  # fmt: skip
POST = PRE | {"event_type": "TOOL_CALL_POST", "metadata": {"authorization_decision": "ALLOW", "event_phase": "post"}}
CAMEL: dict[str, Any] = {
    "eventId": "1", "tenantId": "acme", "sessionId": "s2", "userId": "ann", "agentId": "bot", "toolName": "read_mail",
    "sourceType": "agent_tool_call", "eventType": "TOOL_CALL_PRE", "content": '{"id": "4711"}', "approvedScope": [],
    "sessionToolCalls": ["read_mail"], "enforcementMode": "block", "occurredAt": "2026-03-02T09:00:01Z",
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Any:
    (tmp_path / "policies").mkdir()
    policy = tmp_path / "policies/new.thoth"
    policy.write_text(NEW)

    def run(*places: str | Path, **settings: Any) -> Simulation:
        return simulate(Plan((policy,), tuple(map(str, places)), **settings))

    return run


def test_events_in_every_public_spelling_are_calls(run: Any, tmp_path: Path) -> None:
    lean = {name: value for name, value in PRE.items() if name not in ("metadata", "session_tool_calls")}
    lean |= {"session_id": "s3", "metadata": {"tool_args": {"path": "/tmp/x"}}, "tool_name": "wipe"}
    refused = lean | {"event_type": "TOOL_CALL_BLOCK", "content": "no"}
    told = CAMEL | {
        "eventType": "TOOL_CALL_POST",
        "content": "From: eve@evil.example",
        "occurredAt": "2026-03-02T09:00:02Z",
    }
    file = write(tmp_path / "events.jsonl", [PRE, CAMEL], {"events": [POST, told]}, lean, refused)
    assert kind_of(file) == "event batches"
    done = run(file)
    assert done.problems.count == 0
    assert done.problems.remarks == {}
    assert done.tally.by("tool", "suite", "effect", "was") == {
        ("send_mail", "prod", "STEP_UP", "ALLOW"): 1,
        ("read_mail", "", "ALLOW", "ALLOW"): 1,
        ("wipe", "", "BLOCK", "BLOCK"): 1,
    }


def test_a_call_that_no_event_closes_did_run_and_how_it_ended_is_unknown(run: Any, tmp_path: Path) -> None:
    policy = tmp_path / "policies/new.thoth"
    policy.write_text(NEW + "\nblock read_mail as after-failure when failed(send_mail) > 0")
    later = CAMEL | {"sessionId": "s1", "occurredAt": "2026-03-02T09:05:00Z"}
    done = run(write(tmp_path / "events.jsonl", PRE, later))
    assert done.tally.by("tool", "effect") == {("send_mail", "STEP_UP"): 1, ("read_mail", "BLOCK"): 1}
    done = run(write(tmp_path / "events.jsonl", PRE, POST, later))
    assert done.tally.by("tool", "effect") == {("send_mail", "STEP_UP"): 1, ("read_mail", "ALLOW"): 1}


def test_events_that_are_none_are_named(run: Any, tmp_path: Path) -> None:
    file = write(
        tmp_path / "events.jsonl", PRE, "{", [7], PRE | {"event_type": "TOOL"}, PRE | {"occurred_at": "noon"},
        PRE | {"session_id": ""}, POST | {"session_id": "s9"}, PRE | {"colour": "red"},
    )  # fmt: skip
    done = run(file)
    assert done.tally.calls == 2
    assert [problem.split("events.jsonl:")[1].split(":")[0] for problem in done.problems.named] == list("234567")
    assert done.problems.remarks == {"unknown field `colour`": (1, f"{file}:8")}


def test_an_evidence_log_is_a_recording_with_the_decisions_of_its_time(run: Any, tmp_path: Path) -> None:
    init(tmp_path / "log", origin="example.com/log")
    old = NEW.replace("block wipe as no-wipe", "step_up wipe as ask-first")
    with open_log(tmp_path / "log") as log:
        engine = Engine.from_text(old, recorder=log)
        for tool, args in [("read_mail", {"id": "4711"}), ("wipe", {"path": "/tmp/x"}), ("wipe", {"path": "/tmp/y"})]:
            request = {
                "tool_name": tool,
                "tool_args": args,
                "session_id": "s1",
                "tenant_id": "acme",
                "user_id": "ann",
                "agent_id": "bot",
            }
            decision = engine.decide(request)
            if tool == "read_mail":
                engine.completed(decision, "hello")
    done = run(tmp_path / "log")
    assert done.problems.count == 0
    assert done.tally.by("tool", "was", "effect", "was_rules", "rules") == {
        ("read_mail", "ALLOW", "ALLOW", ("declared",), ("declared",)): 1,
        ("wipe", "STEP_UP", "BLOCK", ("ask-first",), ("no-wipe",)): 2,
    }


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_table_of_ones_own_is_read_with_a_mapping(run: Any, tmp_path: Path, kind: str) -> None:
    def row(
        conversation: str, at: int, tool: str, args: dict[str, Any], asked: str | None, verdict: str
    ) -> dict[str, Any]:
        action = {"name": tool, "input": json.dumps(args)}
        return {
            "conv": conversation,
            "at": 1_772_442_000 + at,
            "action": action,
            "who": "bot",
            "asked": asked,
            "verdict": verdict,
        }

    rows = [
        row("a", 0, "send_mail", {"to": ["e@x.example"], "body": "x"}, "hello", "ALLOW"),
        row("b", 60, "read_mail", {"id": "4711"}, None, "ALLOW"),
        row("a", 120, "wipe", {"path": "/x"}, None, "BLOCK"),
    ]
    file = tmp_path / f"calls.{kind}"
    if kind == "jsonl":
        write(file, *rows)
    else:
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(rows), file)
    ours = ["session_id", "ts", "tool_name", "tool_args", "agent_id", "prompt", "decision"]
    theirs = ["conv", "at", "action.name", "action.input", "who", "asked", "verdict"]
    mapping = read_mapping([f"{field}={column}" for field, column in zip(ours, theirs, strict=True)])
    done = run(file, mapping=mapping)
    assert done.problems.count == 0
    assert done.tally.sessions == 2
    assert done.tally.by("tool", "was", "effect", "hypothetical") == {
        ("send_mail", "ALLOW", "STEP_UP", False): 1,
        ("read_mail", "ALLOW", "ALLOW", False): 1,
        ("wipe", "BLOCK", "BLOCK", True): 1,
    }


def test_a_mapping_that_is_none_is_told_so() -> None:
    with pytest.raises(OperationError, match="write FIELD=COLUMN"):
        read_mapping(["tool"])
    with pytest.raises(OperationError, match="unknown field `tool_nme`; did you mean `tool_name`"):
        read_mapping(["tool_nme=action"])


def test_files_folders_and_globs_packed_or_not_are_one_recording(run: Any, tmp_path: Path) -> None:
    plain = trace(tmp_path).read_bytes()
    want = run(tmp_path).tally
    (tmp_path / "packed").mkdir()
    with zstd().open(tmp_path / "packed/a.jsonl.zst", "wb") as stream:
        stream.write(plain)
    with zstd().open(tmp_path / "packed/sessions.jsonl.zst", "wb") as stream:
        stream.write((tmp_path / "x-sessions.jsonl").read_bytes())
    assert run(tmp_path / "packed").tally == want
    lines = plain.splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    for number in range(3):
        (tmp_path / f"cut/part-{number}.jsonl.gz").write_bytes(
            gzip.compress(b"".join(lines[8 * number : 8 * number + 8]))
        )
    (tmp_path / "cut/sessions.jsonl").write_bytes((tmp_path / "x-sessions.jsonl").read_bytes())
    assert run(str(tmp_path / "cut/part-*.gz")).tally == want


def test_what_is_not_known_is_counted_with_where_it_was_first(run: Any, tmp_path: Path) -> None:
    rows = [CALL | {"session_id": f"s{number}", "colour": "red", "result_sha": "r"} for number in range(3)]
    file = write(tmp_path / "x.jsonl", *rows)
    assert run(file).problems.remarks == {
        "unknown field `colour`": (3, f"{file}:1"),
        "no results file beside `x.jsonl`: results are known by their beginnings": (3, f"{file}:1"),
        "no sessions file beside `x.jsonl`: what the user asked is not known": (3, f"{file}:1"),
    }
    write(tmp_path / "x-sessions.jsonl", {"session_id": "s1", "user_prompt": "hello"})
    write(tmp_path / "x-results.jsonl", {"result_sha": "q", "text": "hello"})
    remarks = run(file).problems.remarks
    assert remarks["a session that the sessions file does not name: what its user asked is not known"][0] == 2
    assert remarks["a result that the results file does not hold: it is known by its beginning"][0] == 3


@pytest.mark.parametrize("row", ["{", CALL | {"colour": "red"}, CALL | {"session_id": "s3"}])
def test_strict_stops_at_the_first_thing_that_is_not_understood(run: Any, tmp_path: Path, row: Any) -> None:
    write(tmp_path / "x-sessions.jsonl", {"session_id": "s1", "user_prompt": "hello"})
    file = write(tmp_path / "x.jsonl", CALL, row)
    assert run(file).tally.calls
    with pytest.raises(OperationError, match=r"x\.jsonl:2: "):
        run(file, strict=True)


@pytest.mark.parametrize(
    "line",
    [
        b'{"a": 1, "a": 2}', b'{"a": {"b": 1, "b": 2}}', b'{"a":[{"b":1,"b":2}]}', b'{"a" : 1, "a" :2}',
        b'{"a"\t:1, "a":1}',
        b'{"x\\\\":1,"y":"\\":","y":2}', b'{"a": "\\":", "a": 2}',
    ],
)  # fmt: skip
def test_a_key_that_stands_twice_is_never_read_over(line: bytes) -> None:
    assert "stands twice" in str(read_line(line))


@pytest.mark.parametrize(
    "line",
    [
        b'{"a": "\\":\\":"}', b'{"a": ":b"}', b'{"a" : {"b" :1}}', b'{"x\\\\":1,"y":"\\":"}', b"1",
        b'[{"a": 1}, {"a": 2}]',
        b'"\\":"',
    ],
)  # fmt: skip
def test_odd_spellings_are_read_as_they_stand(line: bytes) -> None:
    assert read_line(line) == json.loads(line)


def test_texts_beyond_the_bound_are_found_too() -> None:
    shelf = Shelf(memory_chars=20)
    for number in range(10):
        shelf.put(f"k{number}", f"text {number}")
    assert [shelf.get(f"k{number}") for number in range(10)] == [f"text {number}" for number in range(10)]
    assert shelf.get("k10") is None
    shelf.put("k0", "again")
    assert shelf.get("k0") == "again"
    shelf.close()


def test_what_was_seen_is_known_and_nothing_else() -> None:
    seen = Seen()
    for number in range(5_000):
        seen.add(f"session {number}")
    assert all(f"session {number}" in seen for number in range(5_000))
    assert not any(f"session {number}" in seen for number in range(5_000, 10_000))
