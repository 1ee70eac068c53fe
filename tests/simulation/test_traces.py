"""Reading recorded calls: everything that stands in a file is a session's call or a named problem."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from thoth.contract import OperationError
from thoth.simulation import RecordedSession, read_traces

CALL: dict[str, Any] = {
    "session_id": "s1",
    "seq": 0,
    "suite": "office",
    "agent_id": "bot",
    "tool_name": "read_mail",
    "tool_args": {"id": "1"},
    "executed": True,
    "tool_error": None,
    "ts": "2026-03-02T09:00:00.000Z",
    "tool_result_excerpt": "",
    "result_sha": None,
    "is_injection_goal": False,
    "some_new_field": 1,
}


def write(path: Path, *rows: Any) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.name.endswith(".gz") else text.encode())
    return path


def read(*places: Path) -> list[RecordedSession]:
    return list(read_traces(places))


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz"])
def test_sessions_come_in_the_order_of_the_file_and_their_calls_in_order(tmp_path: Path, ending: str) -> None:
    file = write(tmp_path / f"x{ending}", CALL, CALL | {"seq": 4}, CALL | {"session_id": "s0"})
    sessions = read(file)
    assert [(session.id, [call.seq for call in session.calls]) for session in sessions] == [("s1", [0, 4]), ("s0", [0])]


def test_the_files_beside_a_trace_are_found_by_name_the_nearer_name_first(tmp_path: Path) -> None:
    write(tmp_path / "sessions.jsonl", {"session_id": "s1", "user_prompt": "anybody"})
    write(tmp_path / "x-sessions.jsonl.gz", {"session_id": "s1", "user_prompt": "write to ann"})
    write(tmp_path / "results.jsonl", {"result_sha": "r1", "text": "the whole result"})
    write(tmp_path / "x.jsonl", CALL | {"result_sha": "r1", "tool_result_excerpt": "the who"})
    write(tmp_path / "y.jsonl", CALL | {"session_id": "s1"})
    x, y = (read(tmp_path / name) for name in ("x.jsonl", "y.jsonl"))
    assert x[0].prompt == "write to ann"
    assert (x[0].calls[0].result, x[0].calls[0].whole) == ("the whole result", True)
    assert y[0].prompt == "anybody"


def test_a_folder_is_every_trace_in_it_and_not_what_lies_beside(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", CALL | {"session_id": "b"})
    write(tmp_path / "a.jsonl.gz", CALL | {"session_id": "a"})
    write(tmp_path / "sessions.jsonl", {"session_id": "a", "user_prompt": "hello"})
    write(tmp_path / "notes.txt", "nothing")
    assert [(session.id, session.prompt) for session in read(tmp_path)] == [("a", "hello"), ("b", None)]


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("{oops", "not JSON"),
        ("[1]", "a line is an object"),
        (json.dumps(CALL)[:-1] + ', "seq": 2}', "a key that stands twice"),
        (CALL | {"session_id": None}, "`session_id`"),
        (CALL | {"session_id": "\ud800"}, "`session_id`"),
        (CALL | {"seq": "2"}, "`seq`"),
        (CALL | {"ts": "yesterday"}, "`ts`"),
        (CALL | {"executed": 1}, "`executed`"),
        ({name: CALL[name] for name in CALL if name != "tool_name"}, "`tool_name`"),
        (CALL, "`seq` is 0 after 0"),
    ],
)
def test_a_line_that_cannot_be_read_is_counted_and_named(tmp_path: Path, row: Any, what: str) -> None:
    traces = read_traces([write(tmp_path / "x.jsonl", CALL, row, "", CALL | {"seq": 7})])
    (session,) = traces
    assert [call.seq for call in session.calls] == [0, 7]
    assert traces.problem_count == 1
    assert traces.problems[0].startswith(f"{tmp_path}/x.jsonl:2: ")
    assert what in traces.problems[0]


def test_a_session_that_comes_again_is_a_problem_and_not_a_second_session(tmp_path: Path) -> None:
    other = CALL | {"session_id": "s2"}
    traces = read_traces([write(tmp_path / "x.jsonl", CALL, other, CALL | {"seq": 1}, CALL | {"session_id": "s3"})])
    assert [(session.id, len(session.calls)) for session in traces] == [("s1", 1), ("s2", 1), ("s3", 1)]
    assert "x.jsonl:3: its session has ended" in traces.problems[0]


def test_a_line_beside_a_trace_that_cannot_be_read_is_named_too(tmp_path: Path) -> None:
    write(tmp_path / "x-results.jsonl", {"result_sha": "r1"})
    traces = read_traces([write(tmp_path / "x.jsonl", CALL)])
    assert len(list(traces)) == 1
    assert "x-results.jsonl:1: `result_sha` and `text`" in traces.problems[0]


def test_only_the_first_problems_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    traces = read_traces([write(tmp_path / "x.jsonl", *["{"] * 250)])
    assert list(traces) == []
    assert (len(traces.problems), traces.problem_count) == (100, 250)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"result_sha": "r1", "tool_result_excerpt": "begin"}, ("beginning and end", True)),
        ({"result_sha": "long", "tool_result_excerpt": "x"}, ("x" * 8000, False)),
        ({"result_sha": "lost", "tool_result_excerpt": "begin"}, ("begin", False)),
        ({"result_sha": "lost", "tool_result_excerpt": ""}, (None, False)),
        ({"result_sha": None, "tool_result_excerpt": ""}, ("", True)),
        ({"result_sha": None, "tool_result_excerpt": "", "tool_error": "no such mail"}, ("no such mail", True)),
        ({"result_sha": None, "tool_result_excerpt": None}, (None, False)),
    ],
)
def test_an_excerpt_or_a_cut_result_is_never_the_whole_one(
    tmp_path: Path, fields: dict[str, Any], told: tuple[str | None, bool]
) -> None:
    results = ({"result_sha": "r1", "text": "beginning and end"}, {"result_sha": "long", "text": "x" * 8000})
    write(tmp_path / "results.jsonl", *results)
    (session,) = read(write(tmp_path / "x.jsonl", CALL | fields))
    assert (session.calls[0].result, session.calls[0].whole) == told


def test_what_is_not_there_is_said_with_what_to_write_instead(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match="is not there; name a trace file or a folder"):
        read_traces([tmp_path / "nowhere"])
    with pytest.raises(OperationError, match="holds no trace"):
        read_traces([tmp_path])
    broken = tmp_path / "x.jsonl.gz"
    broken.write_bytes(b"not packed")
    with pytest.raises(OperationError, match="cannot be read"):
        read(broken)


def test_reading_twice_gives_the_same_sessions(tmp_path: Path) -> None:
    traces = read_traces([write(tmp_path / "x.jsonl", CALL, "{", CALL | {"seq": 1})])
    assert list(traces) == list(traces)
    assert traces.problem_count == 1
