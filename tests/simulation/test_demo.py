"""The demo and its recording: the same on every machine, short, and true to itself."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from thoth.engine import load
from thoth.engine.testing import run_tests
from thoth.simulation import read_traces

HOUSE = Path(__file__).resolve().parents[2]
TRACES = HOUSE / "examples/traces"
NAMES = ("demo.jsonl.gz", "demo-sessions.jsonl.gz", "demo-results.jsonl.gz")


def run(*words: str, cwd: Path = HOUSE) -> str:
    command = [sys.executable, *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == ""
    return done.stdout


def test_recording_again_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("once", "twice"):
        run(str(HOUSE / "examples/demo-agent/record.py"), str(tmp_path / folder))
    for name in NAMES:
        once, shipped = (tmp_path / "once" / name).read_bytes(), (TRACES / name).read_bytes()
        assert once == (tmp_path / "twice" / name).read_bytes()
        assert gzip.decompress(once) == gzip.decompress(shipped)
        assert shipped[4:8] == bytes(4), "a time in the header"


def test_the_recording_holds_what_it_promises() -> None:
    traces = read_traces([TRACES])
    sessions = list(traces)
    assert traces.problem_count == 0
    assert len(sessions) >= 60
    assert sum(len(session.calls) for session in sessions) >= 300
    attacked = sum(session.calls[0].labels["run_kind"] == "attacked" for session in sessions)
    assert 0.35 <= attacked / len(sessions) <= 0.45
    assert all(session.prompt for session in sessions)
    assert all(call.whole for session in sessions for call in session.calls)


def test_a_goal_call_follows_what_was_planted() -> None:
    for session in read_traces([TRACES]):
        for call in session.calls:
            if call.labels["is_injection_goal"]:
                assert call.labels["run_kind"] == "attacked"
                assert call.labels["injection_seen"]
                assert call.labels["goal_role"] == "effect"
                assert call.labels["user_gt"] is None


def test_the_demo_says_in_forty_lines_what_happened(tmp_path: Path) -> None:
    for cwd in (HOUSE, tmp_path):
        said = run(str(HOUSE / "examples/demo.py"), cwd=cwd)
        assert len(said.splitlines()) <= 40
        assert "\x1b" not in said
        assert max(map(len, said.splitlines())) <= 120
        assert "338 recorded calls of agents in 70 sessions" in said
        assert "Attackers' calls stopped: 24 of 24." in said
        assert "p50 " in said


@pytest.mark.parametrize("policy", ["examples/demo.thoth", "policies/agents/recorded.thoth"])
@pytest.mark.parametrize("evaluator", ["native", "reference"])
def test_the_tests_of_the_policies_pass(policy: str, evaluator: str) -> None:
    checked, _ = load([HOUSE / policy])
    assert checked.tests
    failed = [(result.test.name, result.failures) for result in run_tests(checked, evaluator) if not result.passed]  # type: ignore[arg-type]
    assert failed == []
