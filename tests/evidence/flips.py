"""One bit of a shard is changed, any one: it is refused or reported, and never believed.

Two segments of 64 KiB and HEAD are 1,056,768 bits. Each is changed in memory and given to the parser of what holds it:
page, frame with its padding, zeros, or slot. Opening a whole shard for each takes longer; the suite does so for some
thousands of bits, and run as a program this does it for all of them.
"""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from thoth.evidence.errors import CorruptLog
from thoth.evidence.frames import PAGE_BYTES, SegmentHeader, frame_bytes, parse_header
from thoth.evidence.head import HEAD_BYTES, SLOT_BYTES, parse_head, parse_slot
from thoth.evidence.read import read
from thoth.evidence.shard import Shard
from thoth.native.framing import scan_frames, zeros_end

if __package__:
    from .simulated import SimulatedStorage
else:
    from simulated import SimulatedStorage

FOLDER = "log"
SEGMENT_BYTES = 65_536


def two_segments(*, closed: bool, segment_bytes: int = SEGMENT_BYTES) -> SimulatedStorage:
    """A shard of two segments: closed, so HEAD covers all of it; or left by a process that ended after a commit."""
    storage = SimulatedStorage(1)
    shard = Shard.open(storage, FOLDER, create=True, segment_bytes=segment_bytes)
    number, least = 0, 360 * (segment_bytes - PAGE_BYTES) // (SEGMENT_BYTES - PAGE_BYTES)
    while len([name for name in storage.names if name.endswith(".seg")]) < 2 or number % 8 or number < least:
        shard.append(b'{"decision":"ALLOW","n":%d,"tool":"bank.transfer"%s}' % (number, b" " * (number * 7 % 311)))
        number += 1
        if number % 8 == 0:
            shard.commit()
    if closed:
        shard.close()
    storage.end_process()
    return storage


def segment_files(storage: SimulatedStorage) -> list[str]:
    return sorted(name for name in storage.names if name.endswith(".seg"))


def frames_in(data: bytes, header: SegmentHeader) -> Iterator[tuple[int, int, int]]:
    """Byte, end and number of each frame."""
    scan = scan_frames(data, PAGE_BYTES, header.first_seq, header.salt, bytes(32), True)
    for position, (begin, after) in enumerate(scan.spans):
        yield begin - 40, begin - 40 + frame_bytes(after - begin), header.first_seq + position


def flips_unseen(storage: SimulatedStorage) -> tuple[int, list[str]]:
    """How many bits were flipped, and those that the parser of their page, frame or slot did not see."""
    count, unseen = 0, []
    for name in segment_files(storage):
        data = bytearray(storage.names[name].cache)
        header = parse_header(bytes(data[:PAGE_BYTES]))
        assert header is not None
        page = bytearray(data[:PAGE_BYTES])
        for bit in range(8 * PAGE_BYTES):
            page[bit // 8] ^= 1 << bit % 8
            if parse_header(bytes(page)) is not None:
                unseen.append(f"{name} bit {bit}")
            page[bit // 8] ^= 1 << bit % 8
            count += 1
        end = PAGE_BYTES
        for start, end, seq in frames_in(bytes(data), header):
            frame = data[start:end]
            for bit in range(8 * len(frame)):
                frame[bit // 8] ^= 1 << bit % 8
                if scan_frames(frame, 0, seq, header.salt, bytes(32), False).frame_count:
                    unseen.append(f"{name} bit {8 * start + bit}")
                frame[bit // 8] ^= 1 << bit % 8
                count += 1
        zeros = bytearray(len(data) - end)
        assert data[end:] == zeros
        for bit in range(8 * len(zeros)):
            zeros[bit // 8] ^= 1 << bit % 8
            if zeros_end(zeros, 0) != bit // 8:
                unseen.append(f"{name} bit {8 * end + bit}")
            zeros[bit // 8] ^= 1 << bit % 8
            count += 1
    head = bytearray(storage.names[f"{FOLDER}/HEAD"].cache)
    assert len(head) == HEAD_BYTES
    for bit in range(8 * HEAD_BYTES):
        start = bit // 8 // SLOT_BYTES * SLOT_BYTES
        head[bit // 8] ^= 1 << bit % 8
        slot = bytes(head[start : start + SLOT_BYTES])
        found = parse_head(bytes(head))
        if parse_slot(slot) is not None or (found is not None and not found.damaged):
            unseen.append(f"HEAD bit {bit}")
        head[bit // 8] ^= 1 << bit % 8
        count += 1
    return count, unseen


def open_with_flip(storage: SimulatedStorage, name: str, bit: int, watermark: int) -> str:
    """What opening says about a flipped bit: refused, dropped or HEAD. Raises where it says nothing."""
    flipped = storage.copy(bit)
    for content in (flipped.names[name].cache, flipped.names[name].disk):
        content[bit // 8] ^= 1 << bit % 8
    expected = [record.body for record in read(FOLDER, storage=storage)]
    try:
        shard = Shard.open(flipped, FOLDER, segment_bytes=SEGMENT_BYTES)
    except CorruptLog:
        return "refused"
    assert shard.next_seq >= watermark, f"{name} bit {bit}: records below the watermark were dropped"
    assert [record.body for record in read(FOLDER, storage=flipped)] == expected[: shard.next_seq]
    if name.endswith("HEAD"):
        assert shard.recovery.head_damaged, f"{name} bit {bit} was not reported"
        return "HEAD"
    assert shard.recovery.dropped is not None, f"{name} bit {bit} was not reported"
    return "dropped"


def bits(storage: SimulatedStorage, step: int) -> list[tuple[str, int]]:
    files = [*segment_files(storage), f"{FOLDER}/HEAD"]
    return [(name, bit) for name in files for bit in range(0, 8 * len(storage.names[name].cache), step)]


def campaign(part: int, parts: int) -> int:
    storage = two_segments(closed=True)
    watermark = sum(1 for _ in read(FOLDER, storage=storage))
    todo = bits(storage, 1)[part::parts]
    for name, bit in todo:
        open_with_flip(storage, name, bit, watermark)
    return len(todo)


def main() -> None:
    started, parts, done = time.monotonic(), 400, 0
    with ProcessPoolExecutor() as pool:
        for number, count in enumerate(pool.map(campaign, range(parts), [parts] * parts), 1):
            done += count
            left = (time.monotonic() - started) / number * (parts - number)
            print(f"\r{done:,} bits flipped, {left:,.0f} s left ", end="", file=sys.stderr, flush=True)
    print(f"\n{done:,} flipped bits, none of them believed", file=sys.stderr)


if __name__ == "__main__":
    main()
