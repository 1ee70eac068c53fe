"""The root log takes in what this log's key signed for a shard, and nothing else that lies there."""

import shutil
from pathlib import Path

import pytest

from thoth import evidence
from thoth.contract import Effect
from thoth.engine import Engine
from thoth.evidence import verify

from .logs import POLICY, entries, made, pay


def recorded(directory: Path) -> Path:
    with evidence.open(directory, mode="sync") as log:
        pay(Engine.from_text(POLICY, recorder=log))
    return directory


@pytest.mark.parametrize("what", ["of another log", "forged", "no note", "empty", "too long"])
def test_a_checkpoint_that_was_not_signed_here_neither_enters_the_root_log_nor_stops_a_shard(
    tmp_path: Path, what: str
) -> None:
    ours, theirs = recorded(made(tmp_path / "ours")), recorded(made(tmp_path / "theirs"))
    stray = ours / "shards" / "zz"
    shutil.copytree(theirs / "shards" / "00", stray)
    note = (stray / "checkpoint").read_bytes()
    mine = (ours / "shards" / "00" / "checkpoint").read_bytes()
    (stray / "checkpoint").write_bytes(
        {
            "of another log": note,
            "forged": note.replace(note.split(b"/00\n")[0], mine.split(b"/00\n")[0]).replace(b"/00", b"/zz"),
            "no note": b"\xff" * 99,
            "empty": b"",
            "too long": mine.replace(b"/00\n", b"/zz\n") + b"\xe2\x80\x94 example.com/witness AAAAAAAA\n" * 3000,
        }[what]
    )
    before = len(evidence.audit(ours).problems)
    assert before == 1
    with evidence.open(ours, mode="sync", shard="00") as log:
        engine = Engine.from_text(POLICY, recorder=log)
        assert pay(engine).effect is Effect.ALLOW
        log.checkpoint()
        with log._drain.held():
            log._drain._rooted_at = float("-inf")
            log._drain._tick()
        assert pay(engine).effect is Effect.ALLOW
    assert [problem for problem in evidence.audit(ours).problems if "zz" not in problem] == []
    shutil.rmtree(stray)
    assert evidence.audit(ours).problems == []
    assert verify.verify(ours, None, None).problems == []
    assert len(entries(ours, kind="decision")) == 3
