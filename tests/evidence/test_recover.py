"""What is torn is dropped and said; what is damaged is refused and said; a second time there is nothing to say."""

import hashlib

import pytest

from thoth.evidence.errors import CorruptLog, NoLog
from thoth.evidence.frames import PAGE_BYTES
from thoth.evidence.read import read
from thoth.evidence.recover import survey
from thoth.evidence.shard import Shard

from . import flips
from .flips import FOLDER, frames_in, segment_files
from .simulated import SimulatedStorage, resize

PARTS = 4


def change(storage: SimulatedStorage, name: str, start: int, data: bytes) -> None:
    for content in (storage.names[name].cache, storage.names[name].disk):
        content[start : start + len(data)] = data


def cut(storage: SimulatedStorage, name: str, size: int) -> None:
    resize(storage.names[name].cache, size)
    resize(storage.names[name].disk, size)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("closed", [True, False])
def test_a_truncation_at_any_byte_of_the_last_segment_is_refused_or_reported(closed: bool, part: int) -> None:
    """Every byte of a segment of 8 KiB; of one of 64 KiB every byte of what is written, and some of the zeros."""
    for segment_bytes, step in ((8_192, 1), (65_536, 1_024)):
        storage = flips.two_segments(closed=closed, segment_bytes=segment_bytes)
        truncate_everywhere(storage, closed, part, step)


def truncate_everywhere(storage: SimulatedStorage, closed: bool, part: int, step: int) -> None:
    name = segment_files(storage)[-1]
    whole = bytes(storage.names[name].cache)
    header = survey(storage, FOLDER).spans[-1][1]
    frames = list(frames_in(whole, header))
    end = frames[-1][1]
    assert end < len(whole)
    refused = []
    sizes = [*range(part, end + 16, PARTS), *range(end + 16 + part, len(whole), PARTS if step == 1 else step)]
    for size in sizes:
        storage.names[name].cache[:] = whole[:size]
        try:
            found = survey(storage, FOLDER)
        except CorruptLog:
            refused.append(size)
            continue
        kept = [after for _, after, _ in frames if after <= size]
        assert found.next_seq == header.first_seq + len(kept)
        last = kept[-1] if kept else PAGE_BYTES
        left = whole[last:size].rstrip(b"\0")
        assert (found.dropped is None) == (not left)
        if found.dropped is not None:
            assert (found.dropped.offset, found.dropped.byte_count) == (last, len(left))
            assert found.dropped.digest == hashlib.sha256(left).digest()
    assert refused == [size for size in sizes if size < PAGE_BYTES or (closed and size < end)]


def test_a_torn_tail_is_dropped_and_named_and_writing_goes_on_behind_what_was_kept() -> None:
    storage = flips.two_segments(closed=False)
    name = segment_files(storage)[-1]
    whole = bytes(storage.names[name].cache)
    frames = list(frames_in(whole, survey(storage, FOLDER).spans[-1][1]))
    start, _, seq = frames[-3]
    end = frames[-1][1]
    change(storage, name, start + 50, b"rubbish")
    torn = bytes(storage.names[name].cache[start:end]).rstrip(b"\0")

    shard = Shard.open(storage, FOLDER)
    dropped = shard.recovery.dropped
    assert dropped is not None
    assert (dropped.seq, dropped.segment, dropped.offset) == (seq, name.rpartition("/")[2], start)
    assert (dropped.byte_count, dropped.digest) == (len(torn), hashlib.sha256(torn).digest())
    assert storage.names[name].disk[start:] == bytes(len(whole) - start)
    assert shard.append(b"next").seq == seq
    shard.close()
    assert Shard.open(storage, FOLDER).recovery.dropped is None


def test_a_bad_frame_with_a_later_witness_is_refused_with_its_place_and_the_way_out() -> None:
    storage = flips.two_segments(closed=False)
    name = segment_files(storage)[-1]
    frames = list(frames_in(bytes(storage.names[name].cache), survey(storage, FOLDER).spans[-1][1]))
    start, _, seq = frames[-12]
    change(storage, name, start + 50, b"rubbish")
    before = {name: bytes(inode.cache) for name, inode in storage.names.items()}
    with pytest.raises(CorruptLog) as caught:
        Shard.open(storage, FOLDER)
    error = caught.value
    assert (error.directory, error.seq, error.offset) == (FOLDER, seq, start)
    assert f"{FOLDER}/{error.segment}" == name
    assert f"damaged: record {seq} in `{error.segment}` at byte {start}: record" in str(error)
    assert "were durable. This is no torn write" in str(error)
    assert "thoth evidence salvage log OUT" in str(error)
    storage.end_process()
    after = {name: bytes(inode.cache) for name, inode in storage.names.items()}
    assert {name for name in after if after[name] != before.get(name)} <= {f"{FOLDER}/LOCK"}


def test_a_frame_whose_zeros_are_zeros_no_more_is_as_bad_as_any() -> None:
    storage = flips.two_segments(closed=True)
    name = segment_files(storage)[0]
    data = bytes(storage.names[name].cache)
    header = survey(storage, FOLDER).spans[0][1]
    start, end, _ = next(frame for frame in frames_in(data, header) if data[frame[1] - 1] == 0)
    change(storage, name, end - 1, b"\1")
    with pytest.raises(CorruptLog) as caught:
        Shard.open(storage, FOLDER)
    assert caught.value.offset == start


def test_a_segment_that_is_missing_is_refused_wherever_it_was() -> None:
    def without(number: int) -> SimulatedStorage:
        storage = SimulatedStorage(3)
        with Shard.open(storage, FOLDER, create=True, segment_bytes=8192) as shard:
            for _ in range(20):
                shard.append(b"x" * 900)
        storage.end_process()
        names = segment_files(storage)
        assert len(names) == 5
        for table in (storage.names, storage.durable_names):
            del table[names[number]]
        return storage

    with pytest.raises(CorruptLog, match=r"record 0 in `0000000000000004.seg` .* what is there next is record 4"):
        Shard.open(without(0), FOLDER)
    with pytest.raises(CorruptLog, match=r"record 8 in `0000000000000004.seg` .* what is there next is record 12"):
        Shard.open(without(2), FOLDER)
    with pytest.raises(CorruptLog, match="`HEAD` says that records before 20 were durable"):
        Shard.open(without(4), FOLDER)
    assert Shard.open(without(0), FOLDER, kept_from=4).next_seq == 20  # given up on purpose
    with pytest.raises(CorruptLog, match="records before 21 were given up, and there are fewer"):
        Shard.open(without(0), FOLDER, kept_from=21)


def test_a_segment_of_another_log_with_the_same_name_is_refused() -> None:
    logs = []
    for letter in (b"a", b"b"):
        storage = SimulatedStorage(4)
        with Shard.open(storage, FOLDER, create=True, segment_bytes=8192) as shard:
            for _ in range(8):
                shard.append(letter * 900)
        logs.append(storage)
    name = segment_files(logs[0])[1]
    change(logs[0], name, 0, bytes(logs[1].names[name].cache))
    with pytest.raises(CorruptLog, match="does not name the chain hash of what is before it"):
        Shard.open(logs[0], FOLDER)


def test_head_that_is_missing_or_damaged_in_both_slots_is_refused() -> None:
    storage = flips.two_segments(closed=True)
    change(storage, f"{FOLDER}/HEAD", 0, b"\1" * 1024)
    with pytest.raises(CorruptLog, match="`HEAD` is damaged in both slots"):
        Shard.open(storage, FOLDER)
    for table in (storage.names, storage.durable_names):
        del table[f"{FOLDER}/HEAD"]
    storage.end_process()
    with pytest.raises(CorruptLog, match="`HEAD` is missing"):
        Shard.open(storage, FOLDER, create=True)


def test_a_segment_without_one_good_frame_was_never_durable_and_is_taken_away() -> None:
    storage = SimulatedStorage(5)
    shard = Shard.open(storage, FOLDER, create=True, segment_bytes=8192)
    for _ in range(5):
        shard.append(b"x" * 900)  # the fifth begins a segment, and is not committed
    storage.end_process()
    assert len(segment_files(storage)) == 2
    shard = Shard.open(storage, FOLDER, segment_bytes=8192)
    assert (shard.next_seq, shard.recovery.unlinked) == (4, "0000000000000004.seg")
    assert len(segment_files(storage)) == 1
    assert shard.append(b"y" * 900).seq == 4
    shard.close()
    assert [record.body[:1] for record in read(FOLDER, storage=storage)] == [b"x"] * 4 + [b"y"]


def test_a_frame_of_another_salt_is_never_taken_for_one_of_ours() -> None:
    storage = flips.two_segments(closed=False)
    first, last = segment_files(storage)
    frame = next(frames_in(bytes(storage.names[first].cache), survey(storage, FOLDER).spans[0][1]))
    stale = bytes(storage.names[first].cache[frame[0] : frame[1]])
    before = survey(storage, FOLDER)
    assert before.tail is not None
    change(storage, last, before.tail.end, stale)
    after = survey(storage, FOLDER)
    assert after.next_seq == before.next_seq
    assert after.dropped is not None


def test_an_empty_log_is_a_log() -> None:
    storage = SimulatedStorage()
    Shard.open(storage, FOLDER, create=True, segment_bytes=8192).close()
    shard = Shard.open(storage, FOLDER, segment_bytes=8192)
    assert (shard.next_seq, shard.recovery.dropped, shard.recovery.crashed) == (0, None, False)
    with pytest.raises(NoLog):
        Shard.open(storage, "elsewhere")
