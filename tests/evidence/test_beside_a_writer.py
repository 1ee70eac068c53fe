"""Whoever reads a log beside its writer may see half of a write, and takes it for neither a torn tail nor damage."""

import shutil
from pathlib import Path

import pytest

from thoth import evidence
from thoth.evidence import frames, verify
from thoth.evidence.read import read
from thoth.evidence.recover import survey
from thoth.evidence.salvage import salvage
from thoth.evidence.shard import Shard

from .logs import made
from .simulated import SimulatedStorage

FOLDER = "log"


class Halves(SimulatedStorage):
    """A disk on which a write is seen in two pieces: the later one first, and the rest after a few reads."""

    def __init__(self) -> None:
        super().__init__(1)
        self.later: tuple[str, bytes] | None = None
        self.reads = 0

    def pread(self, file: int, count: int, offset: int) -> bytes:
        found = super().pread(file, count, offset)
        if self.later is not None and count > 4096:
            self.reads += 1
            if self.reads > 3:
                name, whole = self.later
                self.names[name].cache[:] = whole
                self.later = None
        return found


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LIVE_PAUSE_S", 0)
    monkeypatch.setattr(verify, "PAUSE_S", 0)


def half_written(batches: int) -> tuple[Halves, int]:
    """A shard whose newest batches are there, but for the first frame of the first of them."""
    storage = Halves()
    shard = Shard.open(storage, FOLDER, create=True, segment_bytes=65_536)
    for number in range(3):
        shard.append(b"old %d" % number)
    shard.commit()
    (name,) = [name for name in storage.names if name.endswith(".seg")]
    before = bytes(storage.names[name].cache)
    for batch in range(batches):
        for number in range(4):
            shard.append(b"new %d %d" % (batch, number))
        shard.commit()
    whole = bytes(storage.names[name].cache)
    hole = next(at for at in range(len(whole)) if whole[at] != before[at])
    storage.names[name].cache[hole : hole + 40] = before[hole : hole + 40]
    storage.later = (name, whole)
    return storage, 3 + 4 * batches


@pytest.mark.parametrize("batches", [1, 2])
def test_a_survey_waits_for_what_is_being_written(batches: int) -> None:
    storage, count = half_written(batches)
    found = survey(storage, FOLDER, live=True)
    assert (found.next_seq, found.dropped) == (count, None)


@pytest.mark.parametrize("batches", [1, 2])
def test_a_reader_waits_for_what_is_being_written(batches: int) -> None:
    storage, count = half_written(batches)
    assert len(list(read(FOLDER, storage=storage))) == count


def test_the_second_verifier_waits_for_what_is_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = made(tmp_path / "log")
    with evidence.open(directory, mode="sync") as log:
        for number in range(9):
            log.policy_loaded(f"{number}")
    (segment,) = (directory / "shards" / "00").glob("*.seg")
    whole = segment.read_bytes()
    torn = bytearray(whole)
    torn[4096 + 40] ^= 1
    reads, read_bytes = [0], Path.read_bytes

    def seen(path: Path) -> bytes:
        if path == segment:
            reads[0] += 1
            return bytes(torn) if reads[0] < 3 else whole
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", seen)
    assert verify.verify(directory, None, None).problems == []
    assert reads[0] == 3


class Growing(SimulatedStorage):
    """A disk on which somebody else writes three batches more between one read and the next."""

    def __init__(self, at: int) -> None:
        super().__init__(1)
        self.at, self.reads = at, -1_000
        self.shard: Shard | None = None

    def pread(self, file: int, count: int, offset: int) -> bytes:
        self.reads += 1
        if self.reads == self.at and self.shard is not None:
            for batch in range(3):
                self.shard.append(b"new %d" % batch)
                self.shard.commit()
        return super().pread(file, count, offset)


def growing(at: int) -> Growing:
    storage = Growing(at)
    storage.shard = Shard.open(storage, FOLDER, create=True, segment_bytes=65_536)
    for number in range(3):
        storage.shard.append(b"old %d" % number)
    storage.shard.commit()
    storage.reads = 0
    return storage


@pytest.mark.parametrize("at", range(1, 12))
def test_what_is_written_between_any_two_reads_is_no_damage(at: int) -> None:
    storage = growing(at)
    seen = [record.body for record in read(FOLDER, storage=storage)]
    assert seen == [b"old 0", b"old 1", b"old 2", b"new 0", b"new 1", b"new 2"][: len(seen)]
    assert len(seen) >= 3
    storage = growing(at)
    found = survey(storage, FOLDER, live=True)
    assert found.dropped is None
    assert found.next_seq >= 3


@pytest.mark.parametrize("at", range(1, 12))
def test_what_is_written_while_a_shard_is_salvaged_is_no_gap(at: int) -> None:
    found = salvage(FOLDER, "out", storage=growing(at))
    assert found.record_count in (3, 6)
    assert found.gaps == ()


def test_a_shard_that_its_writer_is_about_to_begin_is_no_damage(tmp_path: Path) -> None:
    directory = made(tmp_path / "log")
    with evidence.open(directory, mode="sync") as log:
        log.policy_loaded("1")
    begun = directory / "shards" / "01"
    for name in (None, "LOCK", "HEAD"):
        begun.mkdir(exist_ok=True)
        if name is not None:
            (begun / name).write_bytes(b"")
        found = evidence.audit(directory)
        assert (found.problems, [shard.size for shard in found.shards if shard.name == "01"]) == ([], [0]), name
        assert verify.verify(directory, None, None).problems == [], name


def test_a_shard_of_which_nothing_is_left_that_was_signed_is_reported(tmp_path: Path) -> None:
    directory = made(tmp_path / "log")
    with evidence.open(directory, mode="sync") as log:
        log.policy_loaded("1")
    for file in (directory / "shards" / "00").iterdir():
        file.unlink()
    assert len(evidence.audit(directory).problems) == 1
    assert len(verify.verify(directory, None, None).problems) == 1


def test_a_shard_without_head_is_reported_also_where_nothing_was_signed(tmp_path: Path) -> None:
    directory = made(tmp_path / "log")
    with evidence.open(directory, mode="sync") as log:
        log.policy_loaded("1")
    for name in ("HEAD", "checkpoint"):
        (directory / "shards" / "00" / name).unlink()
    shutil.rmtree(directory / "root")
    assert len(evidence.audit(directory).problems) == 1
    assert len(verify.verify(directory, None, None).problems) == 1


def test_the_second_verifier_takes_no_new_segment_for_missing_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = made(tmp_path / "log")
    head_of = verify.durable_by_head
    with evidence.open(directory, mode="sync") as log:
        for number in range(9):
            log.policy_loaded(f"{number}")

        def rotated(path: Path, check: verify.Check) -> int:
            if path.name == "00" and len(list(path.glob("*.seg"))) == 1:
                while len(list(path.glob("*.seg"))) == 1:
                    log.overridden("id", "ann", "began", {"reason": "x" * 150})
                log.checkpoint()
            return head_of(path, check)

        monkeypatch.setattr(verify, "durable_by_head", rotated)
        assert verify.verify(directory, None, None).problems == []


def test_the_second_verifier_misses_no_shard_that_was_made_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = made(tmp_path / "log")
    with evidence.open(directory, mode="sync") as log:
        log.policy_loaded("1")
    head_of = verify.durable_by_head

    def joined(path: Path, check: verify.Check) -> int:
        if path.name == "root" and not (directory / "shards" / "b").exists():
            with evidence.open(directory, mode="sync", shard="b") as log:
                log.policy_loaded("2")
        return head_of(path, check)

    monkeypatch.setattr(verify, "durable_by_head", joined)
    assert verify.verify(directory, None, None).problems == []
