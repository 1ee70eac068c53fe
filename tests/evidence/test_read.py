"""Reading a shard while it is written and after: in order, from anywhere, and never over a hole."""

import tracemalloc
from pathlib import Path

import pytest

from thoth.evidence.errors import CorruptLog, NoLog
from thoth.evidence.read import read
from thoth.evidence.shard import Shard
from thoth.evidence.storage import FileStorage

from . import flips
from .flips import FOLDER, segment_files
from .simulated import SimulatedStorage


def test_reading_begins_and_ends_anywhere() -> None:
    storage = SimulatedStorage()
    with Shard.open(storage, FOLDER, create=True, segment_bytes=8192) as shard:
        for number in range(40):
            shard.append(b"%d" % number * 300)
    everything = list(read(FOLDER, storage=storage))
    assert [record.seq for record in everything] == list(range(40))
    for start in range(42):
        assert list(read(FOLDER, start, storage=storage)) == everything[start:]
        assert list(read(FOLDER, start, 30, storage=storage)) == everything[start:30]


def test_a_shard_is_read_while_it_is_written() -> None:
    storage = SimulatedStorage()
    shard = Shard.open(storage, FOLDER, create=True, segment_bytes=8192)
    shard.append(b"one")
    shard.commit()
    shard.append(b"two")
    assert [record.body for record in read(FOLDER, stop=shard.durable, storage=storage)] == [b"one"]
    shard.commit()
    assert [record.body for record in read(FOLDER, storage=storage)] == [b"one", b"two"]


def test_a_reader_never_steps_over_a_hole() -> None:
    storage = flips.two_segments(closed=False)
    first, last = segment_files(storage)
    storage.names[last].cache[5000] ^= 1
    with pytest.raises(CorruptLog, match="were durable"):
        list(read(FOLDER, storage=storage))
    storage.names[first].cache[5000] ^= 1
    with pytest.raises(CorruptLog, match="goes on after a gap"):
        list(read(FOLDER, storage=storage))
    storage.names[first].cache[20] ^= 1
    with pytest.raises(CorruptLog, match="its first page"):
        next(read(FOLDER, storage=storage))


def test_records_that_were_given_up_are_not_here() -> None:
    storage = flips.two_segments(closed=True)
    del storage.names[segment_files(storage)[0]]
    with pytest.raises(CorruptLog, match="are not here"):
        next(read(FOLDER, storage=storage))
    with pytest.raises(NoLog):
        next(read("elsewhere", storage=storage))


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    folder = str(tmp_path / "log")
    with Shard.open(FileStorage(), folder, create=True, segment_bytes=16 << 20) as shard:
        for _ in range(5000):
            shard.append(b"x" * 4000)
            if shard.pending == 100:
                shard.commit()
    tracemalloc.start()
    assert sum(len(record.body) for record in read(folder)) == 20_000_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6_000_000
