"""`thoth learn`: from whatever recordings there are, the same policy."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from thoth.engine import Engine
from thoth.evidence import init
from thoth.evidence import open as open_log
from thoth.simulation.opening import zstd

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("read_mail", {"id": "mail-4711"}),
    ("send_mail", {"to": ["ann@acme.example"], "body": "the figures"}),
]
ALLOW_ALL = """\
policy p
tool read_mail(id: key string) is read
tool send_mail(to: list of key email, body: string) is send
allow * as all
"""


def events() -> list[dict[str, Any]]:
    made = []
    for second, (tool, args) in enumerate(CALLS):
        event = {
            "event_id": f"acme:{second}", "tenant_id": "acme", "session_id": "s1", "user_id": "ann", "agent_id": "bot",
            "tool_name": tool, "source_type": "agent_tool_call", "event_type": "TOOL_CALL_PRE", "content": tool,
            "approved_scope": [], "session_tool_calls": [tool], "enforcement_mode": "block",
            "occurred_at": f"2026-03-02T09:00:0{second}Z",
            "metadata": {"tool_call": {"name": tool, "arguments": args}},
        }  # fmt: skip
        made += [event, event | {"event_type": "TOOL_CALL_POST", "metadata": {"authorization_decision": "ALLOW"}}]
    return made


def rows() -> list[dict[str, Any]]:
    return [
        {"conv": "s1", "at": 1_772_442_000 + place, "action": {"name": tool, "input": json.dumps(args)}, "who": "bot"}
        for place, (tool, args) in enumerate(CALLS)
    ]


def written(kind: str, folder: Path) -> str:
    """Write the calls in one kind of recording; return what `--trace` names, and the mapping that it takes."""
    mapped = (
        "--map session_id=conv --map ts=at --map tool_name=action.name --map tool_args=action.input --map agent_id=who"
    )
    lines = "".join(json.dumps(row) + "\n" for row in rows())
    if kind == "table":
        (folder / "calls.jsonl").write_text(lines)
        return f"calls.jsonl {mapped}"
    if kind == "packed table":
        (folder / "calls.jsonl.zst").write_bytes(zstd().compress(lines.encode()))
        return f"calls.jsonl.zst {mapped}"
    if kind == "parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(rows()), folder / "calls.parquet")
        return f"calls.parquet {mapped}"
    if kind == "events":
        (folder / "events-1.jsonl.gz").write_bytes(gzip.compress(json.dumps(events()).encode()))
        return "'events-*.jsonl.gz'"
    init(folder / "log", origin="example.com/log")
    with open_log(folder / "log") as log:
        engine = Engine.from_text(ALLOW_ALL, recorder=log)
        for tool, args in CALLS:
            request = {"tool_name": tool, "tool_args": args, "session_id": "s1", "tenant_id": "acme", "agent_id": "bot"}
            engine.completed(engine.decide(request), "hello")
    return "log"


@pytest.mark.parametrize("kind", ["table", "packed table", "parquet", "events", "log"])
def test_the_same_calls_teach_the_same_whatever_they_are_recorded_in(empty_desk: Any, kind: str) -> None:
    trace = written(kind, empty_desk.folder)
    shown = empty_desk.type(f"thoth learn --trace {trace} -o learned.thoth --learned-out learned.json")
    assert shown.code == 0, shown.err
    assert "1 session, 2 calls: " in shown.err
    policy = (empty_desk.folder / "learned.thoth").read_text()
    assert "tool read_mail(id: key string) is read" in policy
    assert "tool send_mail(body: string, to: list of key email)" in policy
    values = json.loads((empty_desk.folder / "learned.json").read_text())["values"]
    assert {tool: sorted(arguments) for tool, arguments in values.items()} == {"read_mail": ["id"], "send_mail": ["to"]}
    assert empty_desk.type("thoth test learned.thoth").code == 0


def test_a_call_whose_end_nobody_knows_teaches_nothing(empty_desk: Any) -> None:
    (empty_desk.folder / "events.jsonl").write_text(json.dumps(events()[:3]) + "\n")
    shown = empty_desk.type("thoth learn --trace events.jsonl")
    assert "nothing is learned from 1 call that ended nobody knows how" in shown.err
    assert "send_mail" not in shown.out
