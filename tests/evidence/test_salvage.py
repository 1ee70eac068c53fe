"""Out of a damaged shard comes every record that can be read, and a word for each that cannot."""

import json

import pytest

from thoth.evidence.errors import CorruptLog, NoLog
from thoth.evidence.read import read
from thoth.evidence.recover import survey
from thoth.evidence.salvage import Salvage, salvage
from thoth.evidence.shard import Shard

from . import flips
from .flips import FOLDER, frames_in, segment_files
from .simulated import SimulatedStorage


def lines(storage: SimulatedStorage) -> list[dict[str, object]]:
    return [json.loads(line) for line in storage.names["out/records.jsonl"].cache.splitlines()]


def test_a_whole_shard_is_copied_whole_and_not_touched() -> None:
    storage = flips.two_segments(closed=True)
    before = {name: bytes(inode.cache) for name, inode in storage.names.items()}
    expected = list(read(FOLDER, storage=storage))
    assert salvage(FOLDER, "out", storage=storage) == Salvage(len(expected), ())
    assert [(line["seq"], line["body"], line["leaf"]) for line in lines(storage)] == [
        (record.seq, record.body.decode(), record.leaf.hex()) for record in expected
    ]
    assert all(storage.names[name].cache == content for name, content in before.items())
    assert json.loads(storage.names["out/report.json"].cache) == {"record_count": len(expected), "gaps": []}


def test_what_lies_behind_damage_is_found_again_and_the_gap_is_named() -> None:
    storage = flips.two_segments(closed=True)
    count = sum(1 for _ in read(FOLDER, storage=storage))
    first = segment_files(storage)[0]
    header = survey(storage, FOLDER).spans[0][1]
    frames = list(frames_in(bytes(storage.names[first].cache), header))
    start, _, seq = frames[20]
    storage.names[first].cache[start + 3] ^= 1
    with pytest.raises(CorruptLog):
        list(read(FOLDER, storage=storage))
    result = salvage(FOLDER, "out", storage=storage)
    assert result.record_count == count - 1
    (gap,) = result.gaps
    assert (gap.segment, gap.offset, gap.seq, gap.next_seq) == (first.rpartition("/")[2], start, seq, seq + 1)
    assert [line["seq"] for line in lines(storage)] == [number for number in range(count) if number != seq]


def test_records_are_found_under_a_page_that_cannot_be_read() -> None:
    storage = flips.two_segments(closed=True)
    count = sum(1 for _ in read(FOLDER, storage=storage))
    last = segment_files(storage)[-1]
    storage.names[last].cache[16] ^= 1
    result = salvage(FOLDER, "out", storage=storage)
    assert result.record_count == count
    assert [gap.why for gap in result.gaps] == ["its first page is not as it was written"]


def test_a_body_that_is_no_text_is_kept_as_base64() -> None:
    storage = flips.two_segments(closed=True)
    with Shard.open(storage, FOLDER) as shard:
        shard.append(b"\xff\xfe")
    salvage(FOLDER, "out", storage=storage)
    assert lines(storage)[-1]["body_base64"] == "//4="


def test_salvage_writes_over_nothing_and_needs_a_shard() -> None:
    storage = flips.two_segments(closed=True)
    salvage(FOLDER, "out", storage=storage)
    with pytest.raises(Exception, match="cannot salvage into `out`"):
        salvage(FOLDER, "out", storage=storage)
    with pytest.raises(NoLog):
        salvage("elsewhere", "out2", storage=storage)
