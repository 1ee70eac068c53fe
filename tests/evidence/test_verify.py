"""Whether a log is whole, asked of two verifiers that share no code: both must find what was done to it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thoth import evidence
from thoth.cli.main import main
from thoth.engine import Engine
from thoth.evidence import verify as plain
from thoth.evidence.examine import NO_KEY, NO_SINCE
from thoth.evidence.folder import open_folder
from thoth.evidence.merkle import ProofError
from thoth.evidence.read import read
from thoth.evidence.shard import Shard
from thoth.evidence.storage import FileStorage

from .logs import POLICY, SEGMENT_BYTES, entries, made, pay

RECORDS = 120


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = made(tmp_path_factory.mktemp("log") / "evidence")
    for half in range(2):
        with evidence.open(directory) as log:
            engine = Engine.from_text(POLICY, recorder=log)
            for number in range(RECORDS // 2):
                pay(engine, number % 20, note="x" * (number % 7))
        if half == 0:
            shutil.copy(directory / "root/checkpoint", directory.parent / "root.checkpoint")
            shutil.copy(directory / "shards/00/checkpoint", directory.parent / "shard.checkpoint")
    return directory


@pytest.fixture
def directory(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "evidence")
    return tmp_path / "evidence"


@pytest.fixture
def key(original: Path) -> str:
    return (original / "log.pub").read_text()


def both(directory: Path, key: str | None = None, since: bytes | None = None) -> tuple[list[str], list[str]]:
    """What does not fit, by either verifier."""
    public = open_folder(directory).public_key() if key is not None else None
    try:
        found = evidence.audit(directory, key=public, since=since).problems
    except ProofError as error:
        found = [str(error)]
    try:
        found_too = plain.verify(directory, key, since).problems
    except plain.Misfit as misfit:
        found_too = [str(misfit)]
    return found, found_too


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("shards/00/*.seg"))


def test_a_log_that_nobody_touched_is_whole(directory: Path, key: str) -> None:
    assert both(directory, key) == ([], [])


def test_both_verifiers_find_the_same_records_and_root(directory: Path) -> None:
    found = {shard.name: (shard.size, shard.root) for shard in evidence.audit(directory).shards}
    for line in plain.verify(directory, None, None).lines:
        name, _, rest = line.partition(": ")
        size, root = found[name]
        assert rest.startswith(f"{size:,} records, root {root}")


@pytest.mark.parametrize("name", ["root", "shard"])
def test_a_log_continues_an_older_checkpoint(original: Path, directory: Path, key: str, name: str) -> None:
    since = (original.parent / f"{name}.checkpoint").read_bytes()
    assert both(directory, key, since) == ([], [])
    assert plain.verify(directory, key, since).unchecked == []
    assert evidence.audit(directory, key=open_folder(directory).public_key(), since=since).unchecked == []


def test_what_was_not_checked_is_said(directory: Path) -> None:
    assert evidence.audit(directory).unchecked == [NO_KEY, NO_SINCE]
    first, second = plain.verify(directory, None, None).unchecked
    assert "read from the folder" in first
    assert "older checkpoint" in second


def first_named(problems: list[str]) -> str:
    assert problems
    return problems[0]


@pytest.mark.parametrize("seq", [0, 1, 17, 60, 100])
def test_a_flipped_bit_is_found_at_the_record_that_holds_it(directory: Path, key: str, seq: int) -> None:
    body = next(iter(read(str(directory / "shards" / "00"), seq, seq + 1))).body
    for segment in segments(directory):
        data = bytearray(segment.read_bytes())
        at = data.find(body)
        if at >= 0:
            data[at + len(body) // 2] ^= 0x10
            segment.write_bytes(data)
    found, found_too = both(directory, key)
    assert f"record {seq} " in first_named(found)
    assert f"record {seq}:" in first_named(found_too)


def cut_tail(directory: Path) -> None:
    """Take the last records away, as if they had never been, HEAD too."""
    segment = segments(directory)[-1]
    data = segment.read_bytes()
    last = data.rfind(b"\x9eTF1")
    segment.write_bytes(data[:last] + bytes(len(data) - last))


def cut_segment(directory: Path) -> None:
    segments(directory)[-1].unlink()


def cut_first(directory: Path) -> None:
    segments(directory)[0].unlink()


def lose_shard(directory: Path) -> None:
    shutil.rmtree(directory / "shards" / "00")


def lose_head(directory: Path) -> None:
    (directory / "shards/00/HEAD").unlink()


def change_checkpoint(directory: Path) -> None:
    file = directory / "shards/00/checkpoint"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text(lines[0] + "7\n" + "".join(lines[2:]))


def change_root(directory: Path) -> None:
    (segment,) = (directory / "root").glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[4096 + 60] ^= 1
    segment.write_bytes(data)


@pytest.mark.parametrize(
    "harm", [cut_tail, cut_segment, cut_first, lose_shard, lose_head, change_checkpoint, change_root]
)
def test_what_is_cut_off_lost_or_changed_is_found(directory: Path, key: str, harm: Callable[[Path], None]) -> None:
    harm(directory)
    found, found_too = both(directory, key)
    assert found
    assert found_too


def rewritten(directory: Path) -> Path:
    """Another log of the same name, whose records are others: what somebody with the signing key can make."""
    folder = open_folder(directory)
    other = directory.parent / "other"
    evidence.init(other, origin=folder.origin, segment_bytes=SEGMENT_BYTES)
    shutil.copy(directory / "signing.pem", other / "signing.pem")
    shutil.copy(directory / "log.pub", other / "log.pub")
    with evidence.open(other) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        for _ in range(3 * RECORDS):
            pay(engine, 1)
    return other


def test_a_log_written_anew_with_the_signing_key_is_found_with_a_checkpoint_kept_outside(
    original: Path, directory: Path, key: str
) -> None:
    other = rewritten(directory)
    assert both(other, key) == ([], [])  # nothing in it tells
    for name in ("root", "shard"):
        found, found_too = both(other, key, (original.parent / f"{name}.checkpoint").read_bytes())
        assert found
        assert found_too


def test_a_log_of_another_key_is_not_believed(directory: Path, tmp_path: Path, key: str) -> None:
    evidence.init(tmp_path / "other", origin=open_folder(directory).origin)
    other = (tmp_path / "other" / "log.pub").read_text()
    assert plain.verify(directory, other, None).problems
    assert evidence.audit(directory, key=open_folder(tmp_path / "other").public_key()).problems


def test_a_key_that_is_none_is_said(directory: Path) -> None:
    for text in ("x", "a+b+c", "name+00000000+AAAA"):
        with pytest.raises(plain.Unreadable):
            plain.verify(directory, text, None)


def test_a_torn_write_at_the_end_is_no_damage(directory: Path, key: str) -> None:
    segment = segments(directory)[-1]
    data = segment.read_bytes()
    end = len(data.rstrip(b"\0")) + 7 & ~7
    segment.write_bytes(data[:end] + b"\x9eTF1 torn" + data[end + 9 :])
    assert both(directory, key) == ([], [])


def test_a_log_is_verified_while_it_is_written(directory: Path) -> None:
    with evidence.open(directory) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        for _ in range(5):
            for _ in range(40):
                pay(engine)
            assert both(directory) == ([], [])


def run(*words: str, code: str = "") -> Any:
    how = ["-c", code] if code else ["-m", "thoth.evidence.verify"]
    return subprocess.run([sys.executable, *how, *words], capture_output=True, text=True, check=False)


def test_the_second_verifier_loads_nothing_compiled_of_ours(directory: Path) -> None:
    code = (
        "import sys, thoth.evidence.verify as v\n"
        f"v.main([{str(directory)!r}])\n"
        "ours = [m for m in sys.modules if m.startswith('thoth')]\n"
        "assert sorted(ours) == ['thoth', 'thoth.evidence', 'thoth.evidence.verify'], ours\n"
    )
    done = run(code=code)
    assert done.returncode == 0, done.stderr


def test_the_second_verifier_runs_as_a_single_file(directory: Path, tmp_path: Path) -> None:
    copied = tmp_path / "verify_copied.py"
    shutil.copy(str(plain.__file__), copied)
    done = subprocess.run(
        [sys.executable, "-I", str(copied), str(directory)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[-2]) == (0, "all records fit")


def test_the_exit_code_of_the_second_verifier_says_what_it_found(directory: Path, key: str, tmp_path: Path) -> None:
    assert run(str(directory), "--key", key).returncode == 0
    assert run(str(tmp_path / "nix")).returncode == 2
    cut_tail(directory)
    done = run(str(directory))
    assert done.returncode == 3
    assert "DOES NOT FIT: 00: record 12" in done.stdout


def test_no_record_is_stepped_over(directory: Path) -> None:
    kinds = {entry.record["kind"] for entry in entries(directory)}
    assert kinds == {"heartbeat", "policy_load", "decision"}
    assert os.listdir(directory / "vault")  # noqa: PTH208


@pytest.mark.parametrize("size", ["\N{SUPERSCRIPT TWO}", "9" * 5000, "-1", "", "0x1", "1_0"])
def test_a_checkpoint_without_a_number_is_a_finding_of_both_verifiers(directory: Path, size: str) -> None:
    path = directory / "shards" / "00" / "checkpoint"
    lines = path.read_text("utf-8").split("\n")
    path.write_text("\n".join([lines[0], size, *lines[2:]]), "utf-8")
    assert len(evidence.audit(directory).problems) == 1
    assert len(plain.verify(directory, None, None).problems) == 1


@pytest.mark.parametrize("kind", [b"\x1b[2Jall records fit", b"\xff\xfe", "\N{RIGHT-TO-LEFT OVERRIDE}".encode()])
def test_what_an_unsigned_record_says_never_reaches_the_auditor_s_terminal(
    directory: Path, kind: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever can write to the folder can add records that nothing is signed for yet."""
    with Shard.open(FileStorage(), str(directory / "shards" / "00"), segment_bytes=SEGMENT_BYTES) as shard:
        shard.append(b'{"a":"","kind":"' + kind + b'"}')
    assert plain.main([str(directory)]) == 0
    said = capsys.readouterr()
    assert "1 of them not signed for yet" in said.out
    assert "".join(said.out.splitlines()).isprintable()
    settings = directory / "log.json"
    settings.write_bytes(settings.read_bytes().replace(b'"origin": "', b'"origin": "\\u001b[2J'))
    assert plain.main([str(directory)]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("tree", ["root", "shards/00"])
def test_a_checkpoint_that_was_taken_away_is_no_proof_and_no_traceback(
    directory: Path, tree: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = directory.parent / "kept.checkpoint"
    shutil.move(directory / tree / "checkpoint", kept)
    assert main(["evidence", "prove", str(directory), "--since-checkpoint", str(kept)]) == 3
    assert "has no checkpoint any more" in capsys.readouterr().out


def test_records_that_were_cut_off_are_no_proof_and_no_traceback(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = directory / "shards" / "00" / "checkpoint"
    segments = sorted((directory / "shards" / "00").glob("*.seg"))
    for segment in segments[1:]:
        segment.unlink()
    data = segments[0].read_bytes()
    cut = data.index(b"\x9eTF1", data.index(b"\x9eTF1", 4096) + 1)
    segments[0].write_bytes(data[:cut].ljust(len(data), b"\0"))
    assert main(["evidence", "prove", str(directory), "--since-checkpoint", str(kept)]) == 3
    assert "holds 1 records, and its checkpoint was signed for" in capsys.readouterr().out
    assert main(["evidence", "receipt", str(directory), "00/0"]) == 2


@pytest.mark.parametrize("name", ["root", "shard"])
def test_a_log_written_anew_with_the_signing_key_is_not_proven_to_continue_what_was_kept(
    original: Path, directory: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = str(original.parent / f"{name}.checkpoint")
    assert main(["evidence", "prove", str(directory), "--since-checkpoint", kept]) == 0
    assert main(["evidence", "prove", str(rewritten(directory)), "--since-checkpoint", kept]) == 3
    assert "does not fit" in capsys.readouterr().out
