"""The engine in process: shared by those that name the same, alive after a fork, and patient with a log that fails."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import thoth
from thoth import embedded
from thoth.embedded import LATE_MAX, Embedded, Recording

POLICY = """
tool read(id: string) is read
allow * as in-scope when tool in scope
limit read as few to 2 calls per 1h by tenant else block
"""
WHO: dict[str, Any] = {"agent_id": "a", "approved_scope": ["read"], "tenant_id": "acme", "user_id": "ann"}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "p.thoth"
    file.write_text(POLICY)
    return file


def test_clients_of_one_policy_and_one_log_share_their_counters(policy: Path) -> None:
    clients = [thoth.ThothClient(policy=policy, evidence="off", **WHO) for _ in range(3)]
    assert len({id(client.guard.enforcer) for client in clients}) == 1
    assert len({client.session.id for client in clients}) == 3
    for client in clients[:2]:
        with client.check("read", {"id": "1"}):
            pass
    with pytest.raises(thoth.ThothPolicyViolation) as refused:
        clients[2].check("read", {"id": "1"})
    assert refused.value.decision_reason_code == "limit_exceeded"
    other = thoth.ThothClient(policy=policy, evidence=policy.parent / "evidence", **WHO)
    assert other.guard.enforcer is not clients[0].guard.enforcer
    assert isinstance(other.guard.enforcer, Embedded)
    embedded.forget(other.guard.enforcer)


def test_a_policy_with_mistakes_is_an_error_when_it_is_wrapped(tmp_path: Path) -> None:
    from thoth.grammar import PolicyError

    (tmp_path / "bad.thoth").write_text("allow read when args.")
    with pytest.raises(PolicyError):
        thoth.ThothClient(policy=tmp_path / "bad.thoth", evidence="off", **WHO)
    with pytest.raises(thoth.ConfigurationError, match="cannot be read"):
        thoth.ThothClient(policy=tmp_path / "none.thoth", evidence="off", **WHO)


def test_after_a_fork_each_process_records_into_a_shard_of_its_own(policy: Path, tmp_path: Path) -> None:
    program = f"""
import os, thoth
client = thoth.ThothClient(policy={str(policy)!r}, evidence={str(tmp_path / "evidence")!r}, agent_id="a",
                           approved_scope=["read"], tenant_id="acme")
with client.check("read", {{"id": "1"}}): pass
child = os.fork()
with client.check("read", {{"id": str(os.getpid())}}): pass
if child: os.waitpid(child, 0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    show = [sys.executable, "-m", "thoth.cli", "evidence", "show", str(tmp_path / "evidence")]
    lines = subprocess.run(show, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    allowed = [line.split()[1].partition("/")[0] for line in lines if " ALLOW " in line]
    assert sorted(allowed) == ["00", "00", "01"]
    assert sum("completed" in line for line in lines) == 3


def test_an_outcome_that_the_log_cannot_take_now_is_written_before_the_next_record() -> None:
    written: list[Any] = []

    class Log:
        broken = True

        def decided(self, decision: Any) -> None:
            written.append(decision)

        def ended(self, decision: Any, outcome: Any) -> None:
            if self.broken:
                raise OSError("no space left")
            written.append(outcome)

    log: Any = Log()
    recording = Recording("nowhere")
    recording._log = log
    recording.ended("d1", "o1")  # type: ignore[arg-type]
    assert (recording.unreported, written) == (1, [])
    log.broken = False
    recording.decided("d2")  # type: ignore[arg-type]
    assert (recording.unreported, written) == (0, ["o1", "d2"])
    log.broken = True
    for _ in range(LATE_MAX + 3):
        recording.ended("d", "o")  # type: ignore[arg-type]
    assert (recording.unreported, recording.lost) == (LATE_MAX, 3)
    recording._log = None


def test_at_exit_a_call_that_never_ended_is_said(policy: Path) -> None:
    program = f"""
import thoth
client = thoth.ThothClient(policy={str(policy)!r}, evidence="off", agent_id="a", approved_scope=["read"], tenant_id="t")
call = client.check("read", {{"id": "1"}})
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "unbalanced agent=a 1 let through, 1 run" in run.stderr
    assert "1 still running" in run.stderr
