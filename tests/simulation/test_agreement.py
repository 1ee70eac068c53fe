"""The comparison of the two evaluators on recorded calls: what it prints, and how it ends."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thoth.contract import Decision
from thoth.engine import evaluators
from thoth.simulation.agreement import main

HOUSE = Path(__file__).resolve().parents[2]
DEMO = str(HOUSE / "examples/traces")
POLICY = str(HOUSE / "examples/demo.thoth")


class Off(evaluators.Reference):
    """An evaluator that is wrong about one tool."""

    def decide(self, given: object, **settings: Any) -> Decision:
        decision = super().decide(given, **settings)
        wrong = decision.request is not None and decision.request.tool_name == "post_form"
        return replace(decision, risk=1) if wrong else decision


def test_two_evaluators_agree_on_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([DEMO, "--policy", POLICY]) == 0
    said = capsys.readouterr().out
    assert "calls          338" in said
    assert "sessions       70" in said
    assert "disagreements  0" in said
    assert "\x1b" not in said


def test_a_disagreement_is_shown_in_full_and_ends_with_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(evaluators.EVALUATORS, "native", Off)
    assert main([DEMO, "--policy", POLICY]) == 1
    said = capsys.readouterr().out
    assert "post_form" in said
    assert "  risk: native 1\n        reference 0" in said
    assert "disagreements  0" not in said


def test_nothing_to_read_ends_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--policy", POLICY]) == 2
    assert main([DEMO, "--policy", str(tmp_path / "no.thoth")]) == 2
    (tmp_path / "x.jsonl").write_text("{\n")
    assert main([str(tmp_path), "--policy", POLICY]) == 2
    said = capsys.readouterr()
    assert "x.jsonl:1:" in said.out
    assert "there was no call to decide" in said.err


def test_the_policy_of_the_recorded_agents_is_found_from_a_folder_below(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = {"session_id": "s", "seq": 0, "tool_name": "x", "executed": True, "ts": "2026-03-02T09:00:00Z"}
    (tmp_path / "x.jsonl").write_text(json.dumps(call) + "\n")
    monkeypatch.chdir(HOUSE / "tests")
    assert main([str(tmp_path)]) == 0
    monkeypatch.chdir(tmp_path)
    assert main([str(tmp_path)]) == 2
    assert "name a policy with `--policy FILE`" in capsys.readouterr().err
