"""One writer: what it says about its records, and what it does when the disk is full, failing, or somebody else's."""

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.evidence.errors import (
    CorruptLog,
    DiskError,
    NoLog,
    NoSpace,
    ReadOnly,
    RecordTooLong,
    ShardLocked,
    ShardStopped,
    WrongOwner,
)
from thoth.evidence.frames import chain_hash, leaf_hash
from thoth.evidence.read import read
from thoth.evidence.shard import Shard
from thoth.evidence.storage import FileStorage

from .simulated import SimulatedStorage


@given(st.lists(st.one_of(st.binary(max_size=300), st.integers(1, 4000).map(bytes), st.just(None)), max_size=60))
def test_what_was_appended_is_read_back_with_its_leaf_and_chain(steps: list[bytes | None]) -> None:
    storage = SimulatedStorage()
    chain = bytes(32)
    bodies: list[bytes] = []
    with Shard.open(storage, "log", create=True, segment_bytes=8192) as shard:
        for body in steps:
            if body is None:
                assert shard.commit() == len(bodies) == shard.durable
                continue
            chain = chain_hash(chain, leaf_hash(body))
            appended = shard.append(body)
            assert (appended.seq, appended.leaf, appended.chain) == (len(bodies), leaf_hash(body), chain)
            bodies.append(body)
    leaves: list[bytes] = []
    again = Shard.open(storage, "log", segment_bytes=8192, each_leaves=leaves.append)
    assert (again.next_seq, again.chain, again.durable) == (len(bodies), chain, len(bodies))
    assert b"".join(leaves) == b"".join(map(leaf_hash, bodies))
    assert [(record.seq, record.body) for record in read("log", storage=storage)] == list(enumerate(bodies))


def test_a_record_waits_until_commit_says_that_it_is_durable() -> None:
    shard = Shard.open(SimulatedStorage(), "log", create=True, segment_bytes=8192)
    shard.append(b"one")
    shard.append(b"two")
    assert (shard.pending, shard.pending_bytes, shard.durable, shard.next_seq) == (2, 96, 0, 2)
    assert shard.commit() == 2
    assert (shard.pending, shard.pending_bytes, shard.durable) == (0, 0, 2)
    assert shard.commit() == 2


def test_the_longest_record_is_kept_and_a_longer_one_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with Shard.open(FileStorage(), str(tmp_path / "log"), create=True, segment_bytes=81920) as shard:
        shard.append(b"x" * 65_535)
        with pytest.raises(RecordTooLong, match=r"65536 bytes is too long; at most 65,535"):
            shard.append(b"x" * 65_536)
        assert shard.pending == 1
    assert [len(record.body) for record in read(str(tmp_path / "log"))] == [65_535]


def test_out_of_space_is_found_when_a_segment_is_made_and_writing_goes_on_when_there_is_room() -> None:
    storage = SimulatedStorage()
    shard = Shard.open(storage, "log", create=True, segment_bytes=8192)
    for number in range(3):
        shard.append(b"%d" % number * 1000)
    storage.arm("enospc", 3)  # commit: write, sync; then the next segment is created
    with pytest.raises(NoSpace, match="no space for another segment of 8192 bytes in `log`; free space"):
        shard.append(b"3" * 1000)
    assert (shard.durable, shard.next_seq, shard.pending) == (3, 3, 0)
    assert "log/spare" not in storage.names
    assert shard.append(b"3" * 1000).seq == 3
    assert shard.commit() == 4
    assert len([name for name in storage.names if name.endswith(".seg")]) == 2


def test_a_segment_made_ahead_leaves_nothing_to_ask_for_when_it_is_needed() -> None:
    storage = SimulatedStorage()
    shard = Shard.open(storage, "log", create=True, segment_bytes=8192)
    assert not shard.wants_spare
    for _ in range(3):
        shard.append(b"x" * 1000)
    assert shard.wants_spare
    shard.make_ahead()
    assert not shard.wants_spare
    before = storage.calls
    shard.append(b"x" * 1000)
    assert storage.calls - before < 10  # no zeros are written
    assert shard.commit() == 4


@pytest.mark.parametrize("call", [0, 1])
def test_after_a_failed_write_or_sync_every_call_says_that_the_shard_has_stopped(call: int) -> None:
    storage = SimulatedStorage()
    shard = Shard.open(storage, "log", create=True, segment_bytes=8192)
    shard.append(b"one")
    storage.arm("eio", call)
    with pytest.raises(ShardStopped, match="writing records 0 to 0 failed"):
        shard.commit()
    for attempt in (shard.commit, shard.write_head, shard.make_ahead, lambda: shard.append(b"two")):
        with pytest.raises(ShardStopped, match="end the process"):
            attempt()
    assert shard.durable == 0


def test_a_closed_shard_takes_nothing_more() -> None:
    storage = SimulatedStorage()
    shard = Shard.open(storage, "log", create=True, segment_bytes=8192)
    shard.close()
    shard.close()
    with pytest.raises(ShardStopped, match="it was closed"):
        shard.append(b"one")
    assert storage.files == {}


def test_a_shard_opened_before_a_fork_is_not_written_after_it() -> None:
    storage = SimulatedStorage()
    shard = Shard.open(storage, "log", create=True, segment_bytes=8192)
    shard.append(b"one")
    storage.process += 1
    with pytest.raises(ShardStopped, match="opened before a fork"):
        shard.commit()


def test_one_shard_has_one_writer_and_the_second_is_told_who(tmp_path: Path) -> None:
    folder = str(tmp_path / "log")
    with Shard.open(FileStorage(), folder, create=True, segment_bytes=8192):
        with pytest.raises(ShardLocked, match=f"is locked by process {os.getpid()}, which is alive") as caught:
            Shard.open(FileStorage(), folder)
        assert caught.value.pid == os.getpid()
    Shard.open(FileStorage(), folder).close()


def test_a_log_that_is_not_there_is_not_made_unless_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    with pytest.raises(NoLog, match=r"does not exist; create it with `thoth evidence init "):
        Shard.open(FileStorage(), str(folder))
    assert not folder.exists()
    folder.mkdir()
    with pytest.raises(NoLog):
        Shard.open(FileStorage(), str(folder))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("size", [0, 17])
def test_a_log_is_never_made_where_a_checkpoint_says_that_there_was_one(tmp_path: Path, size: int) -> None:
    with pytest.raises(NoLog, match=rf"a signed checkpoint says that it held {size} records"):
        Shard.open(FileStorage(), str(tmp_path / "log"), create=True, newest_checkpoint_size=size)
    assert list(tmp_path.iterdir()) == []


def test_a_log_shorter_than_its_newest_checkpoint_is_refused() -> None:
    storage = SimulatedStorage()
    with Shard.open(storage, "log", create=True, segment_bytes=8192) as shard:
        shard.append(b"one")
    Shard.open(storage, "log", newest_checkpoint_size=1).close()
    with pytest.raises(CorruptLog, match="the newest signed checkpoint covers 2 records"):
        Shard.open(storage, "log", newest_checkpoint_size=2)


def test_the_next_segment_may_be_made_in_another_thread(tmp_path: Path) -> None:
    with Shard.open(FileStorage(), str(tmp_path / "log"), create=True, segment_bytes=65536) as shard:
        with ThreadPoolExecutor() as pool:
            made = []
            for _ in range(1000):
                shard.append(b"x" * 1000)
                if shard.wants_spare:
                    made.append(pool.submit(shard.make_ahead))
        assert not [done for done in made if done.exception()]
    assert sum(1 for _ in read(str(tmp_path / "log"))) == 1000


@pytest.mark.parametrize("call", ["pwrite", "ftruncate"])
def test_a_lock_that_could_not_be_taken_is_not_held_and_hides_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A full disk refuses the few bytes of our pid; that the last writer crashed is still known afterwards."""
    storage, path = FileStorage(), str(tmp_path / "LOCK")
    os.close(storage.lock(path)[0])  # its holder ended without `unlock`
    before = len(list(Path("/dev/fd").iterdir()))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(OSError, match="No space"):
            storage.lock(path)
    file, left_behind = storage.lock(path)
    assert left_behind
    monkeypatch.setattr(os, "ftruncate", full)
    with pytest.raises(OSError, match="No space"):
        storage.unlock(file)
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_the_room_can_be_imported_where_there_is_no_flock() -> None:
    program = "import sys; sys.modules['fcntl'] = None; import thoth.evidence as e; e.FileStorage().lock('nowhere')"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "it has no flock; use Linux, macOS or a BSD" in run.stderr


class Refusing(FileStorage):
    """A file system that refuses to create anything."""

    def __init__(self, number: int) -> None:
        self.number = number

    def make_dir(self, path: str) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("number", "error", "text"),
    [
        (13, WrongOwner, r"may not open `.*log`; run as the owner"),
        (30, ReadOnly, "mounted read-only"),
        (28, NoSpace, "no space for another segment"),
        (5, DiskError, "see to the disk"),
    ],
)
def test_what_the_system_refuses_is_put_into_words(
    tmp_path: Path, number: int, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Shard.open(Refusing(number), str(tmp_path / "log"), create=True)


@pytest.mark.parametrize("segment_bytes", [0, 4096, 10_000])
def test_the_size_of_a_segment_is_whole_pages_and_holds_a_record(segment_bytes: int) -> None:
    with pytest.raises(ValueError, match="multiple of 4096"):
        Shard.open(SimulatedStorage(), "log", create=True, segment_bytes=segment_bytes)
