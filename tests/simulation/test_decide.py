"""`thoth decide`: a line of JSON for every call, whatever the call is."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from thoth.cli import main
from thoth.cli.decide import requests_of

HOUSE = Path(__file__).resolve().parents[2]
POLICY = """policy p
tool read_mail(id: string) is read
allow class read as reading
"""


@pytest.fixture
def policy(tmp_path: Path) -> str:
    file = tmp_path / "p.thoth"
    file.write_text(POLICY)
    return str(file)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_one_request_over_several_lines_is_one_decision(
    policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"tool_name": "read_mail", "tool_args": {"id": "1"}}, indent=2))
    assert main(["decide", "--policy", policy, "--request", str(request)]) == 0
    (decision,) = lines(capsys.readouterr().out)
    assert list(decision)[:5] == ["decision", "verdict", "by", "rules", "reason_code"]
    assert (decision["decision"], decision["rules"]) == ("ALLOW", ["reading"])


@pytest.mark.parametrize("evaluator", ["native", "reference"])
def test_requests_in_a_pipe_are_a_decision_each_also_the_malformed_ones(
    policy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], evaluator: str
) -> None:
    given = b'{"tool_name": "read_mail", "tool_args": {"id": "1"}}\n{oops\n[]\n\n{"tool_name": "wipe"}\n\xff\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    assert main(["decide", "--policy", policy, "--request", "-", "--evaluator", evaluator]) == 0
    decisions = [(row["decision"], row["reason_code"]) for row in lines(capsys.readouterr().out)]
    invalid = ("BLOCK", "request_invalid")
    assert decisions == [("ALLOW", "allowed_by_policy"), invalid, invalid, ("BLOCK", "no_rule_allows"), invalid]


def test_recorded_calls_are_a_line_each_with_their_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "decisions.jsonl"
    demo = [str(HOUSE / "examples/demo.thoth"), "--trace", str(HOUSE / "examples/traces")]
    assert main(["decide", "--policy", *demo, "--out", str(out)]) == 0
    decisions = lines(out.read_text())
    assert len(decisions) == 338
    assert len({(row["session_id"], row["seq"]) for row in decisions}) == 338
    assert list(decisions[0]) == ["session_id", "seq", "decision", "verdict", "by", "rules", "reason_code"]
    said = capsys.readouterr()
    assert said.out == ""
    assert "338 calls in" in said.err


def test_lines_of_a_trace_that_cannot_be_read_are_named_and_end_with_two(
    policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = {"session_id": "s", "seq": 0, "tool_name": "x", "executed": True, "ts": "2026-03-02T09:00:00Z"}
    trace = tmp_path / "x.jsonl"
    trace.write_text(f"{json.dumps(call)}\noops\n")
    assert main(["decide", "--policy", policy, "--trace", str(trace)]) == 2
    said = capsys.readouterr()
    assert len(lines(said.out)) == 1
    assert "x.jsonl:2: not JSON" in said.err


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["--request", "nowhere.json"],
        ["--request", "-", "--trace", "."],
        ["--trace", "nowhere"],
        ["--learned", "nowhere.json", "--request", "-"],
    ],
)
def test_wrong_usage_and_files_that_cannot_be_read_end_with_two(
    policy: str, capsys: pytest.CaptureFixture[str], given: list[str]
) -> None:
    assert main(["decide", "--policy", policy, *given]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1


def test_a_mistake_in_the_policy_ends_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "p.thoth"
    file.write_text("policy p\nallow nobody when\n")
    assert main(["decide", "--policy", str(file), "--request", "-"]) == 1
    assert "p.thoth:2" in capsys.readouterr().out


def test_a_request_may_stand_on_one_line_or_over_several() -> None:
    one = b'{"tool_name": "a", "tool_args": {}}'
    spread = b'{"tool_name": "a",\n  "tool_args": {}}\n'
    opened = b'{\n  "tool_name": "a"\n}\n'
    assert list(requests_of(one)) == [one]
    assert list(requests_of(spread)) == [spread]
    assert list(requests_of(opened)) == [opened]
    assert list(requests_of(one + b"\n\n" + one + b"\n")) == [one, one]
    assert list(requests_of(b"{broken\n" + one)) == [b"{broken", one]
