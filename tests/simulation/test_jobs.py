"""However a simulation is cut into jobs, and whichever evaluator answers, the decisions are the same bytes."""

import json
from pathlib import Path
from typing import Any

import pytest

from thoth.simulation.simulate import Plan, Simulation, simulate

from .recordings import NEW, OLD, trace

BY_TENANT = NEW.replace("by agent", "by tenant")
BY_ARGUMENT = NEW.replace("by agent", "by args.to")
BY_SESSION = NEW.replace("by agent", "by session")
LADDER = NEW.replace('approvers "owner"', 'approvers "owner"\n    mode progressive').replace(
    "class delete as", "class read as"
)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    trace(tmp_path, sessions=12)
    (tmp_path / "old.thoth").write_text(OLD)

    def run(policy: str, name: str, **settings: Any) -> Simulation:
        file = tmp_path / "new.thoth"
        file.write_text(policy)
        plan = {"policy": (file,), "old": (tmp_path / "old.thoth",), "traces": (str(tmp_path / "x.jsonl"),)}
        return simulate(Plan(**plan, out=tmp_path / name, **settings))

    return run


@pytest.mark.parametrize(
    "policy",
    [NEW, BY_TENANT, BY_ARGUMENT, BY_SESSION, LADDER],
    ids=["agent", "tenant", "argument", "session", "ladder"],
)
def test_twice_with_one_job_and_with_four_native_and_reference_the_same_bytes(
    run: Any, tmp_path: Path, policy: str
) -> None:
    one = run(policy, "one.jsonl")
    again = run(policy, "again.jsonl")
    reference = run(policy, "reference.jsonl", evaluator="reference")
    four = run(policy, "four.jsonl", jobs=4)
    written = (tmp_path / "one.jsonl").read_bytes()
    assert written.count(b"\n") == 48
    for name in ("again", "reference", "four"):
        assert (tmp_path / f"{name}.jsonl").read_bytes() == written, name
    assert four.tally == one.tally == again.tally == reference.tally


def test_it_says_where_the_policy_leaves_no_room_for_more_jobs(run: Any) -> None:
    assert run(BY_SESSION, "a.jsonl", jobs=2).jobs_said == ""
    three = run(NEW, "a.jsonl", jobs=4)
    assert (three.jobs, "counts by agent, and the sessions are 3 groups of it: 3 of 4 jobs" in three.jobs_said) == (
        3,
        True,
    )
    one = run(BY_TENANT, "a.jsonl", jobs=2)
    assert (one.jobs, "counts by tenant, and the sessions are one group" in one.jobs_said) == (1, True)
    assert "any session may share: this is one job" in run(BY_ARGUMENT, "a.jsonl").jobs_said


def test_where_a_policy_counts_across_sessions_calls_come_in_the_order_of_time(run: Any, tmp_path: Path) -> None:
    done = run(BY_TENANT, "a.jsonl")
    # Every fifth session is of the same day, and each pays 30 and a little: the third payment of a day is too much.
    assert done.tally.by("rules", where=lambda one: "daily" in one.rules) == {("daily",): 2}
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [row["session_id"] for row in rows if "daily" in row["rules"]] == ["s10", "s11"]
    assert [row["session_id"] for row in rows[:4]] == ["s00", "s05", "s10", "s00"]


def test_a_decisions_file_can_be_a_table(run: Any, tmp_path: Path) -> None:
    from pyarrow import parquet

    run(BY_SESSION, "a.parquet")
    run(BY_SESSION, "b.parquet", jobs=2)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.num_rows == 48
    assert table.column("decision").to_pylist()[:3] == ["ALLOW", "STEP_UP", "BLOCK"]
    assert table.column("was").to_pylist()[:3] == ["ALLOW"] * 3
    run(NEW, "a.jsonl.gz")
    assert (tmp_path / "a.jsonl.gz").read_bytes()[:2] == b"\x1f\x8b"
