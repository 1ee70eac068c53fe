"""Frames in C: the same hashes as the standard library gives, and nothing is taken for a frame that is none."""

import errno
import hashlib
import os
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from thoth.native.disk import DIRECT, write_zeros
from thoth.native.framing import (
    BODY_BYTES_MAX,
    HAS_SHA_INSTRUCTIONS,
    Batch,
    choose_sha,
    read_frame,
    scan_frames,
    tagged_sha256,
    xxh3_of,
    zeros_end,
)
from thoth.native.peaks import Peaks
from thoth.native.tray import Half, Tray

START = bytes(32)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the storage writes all files")


@pytest.fixture(params=[False, True], ids=["plain C", "instructions"])
def rounds(request: pytest.FixtureRequest) -> Iterator[None]:
    if choose_sha(request.param) != request.param:
        pytest.skip("this processor has no instructions for SHA-256")
    yield
    choose_sha(HAS_SHA_INSTRUCTIONS)


@pytest.mark.usefixtures("rounds")
def test_every_length_hashes_as_the_standard_library_does() -> None:
    data = bytes(range(251)) * 3
    for length in range(700):
        assert tagged_sha256(0, data[:length], b"") == hashlib.sha256(b"\0" + data[:length]).digest()
        first, second = data[: length // 3], data[length // 3 : length]
        assert tagged_sha256(2, first, second) == hashlib.sha256(b"\2" + data[:length]).digest()
    long = data * 1_000
    assert tagged_sha256(1, long, long) == hashlib.sha256(b"\1" + long + long).digest()


@pytest.mark.usefixtures("rounds")
def test_two_leaves_at_once_hash_as_one_after_the_other() -> None:
    data = bytes(range(251)) * 5
    lengths = [*range(0, 200, 7), 62, 63, 64, 126, 127, 128, 1_000]
    bodies = [data[: lengths[(at * 5) % len(lengths)]] for at in range(4 * len(lengths))]
    tray, peaks, batch = Tray(bytes, 10_000, 10**12), Peaks(), Batch(7, START)
    for body in bodies:
        tray.put(body, None, None, 1)
    half = tray.take()
    leaves = b"".join(hashlib.sha256(b"\0" + body).digest() for body in bodies)
    room = 10 * (40 + 1_000)
    first = batch.add_all(half, 0, room, peaks)
    rest = batch.add_all(half, len(first) // 32, 10**6, peaks)
    assert 0 < len(first) < len(leaves)
    assert first + rest == leaves
    one = Batch(7, START)
    for body in bodies:
        one.add(body)
    with batch.seal(7, 5) as together, one.seal(7, 5) as alone:
        laid_out = bytes(alone)
        assert bytes(together) == laid_out
    with pytest.raises(ValueError, match="once"):
        one.seal(7, 5)
    tree = Peaks()
    for at in range(len(bodies)):
        tree.extend(leaves, at, at + 1)
    assert (peaks.size, peaks.all) == (tree.size, tree.all)
    assert scan_frames(laid_out, 0, 7, 5, START, False).leaves == leaves


def waiting(bodies: list[bytes]) -> Half:
    tray = Tray(bytes, 10_000, 10**12)
    for body in bodies:
        tray.put(body, None, None, 1)
    return tray.take()


def test_files_are_written_without_the_interpreter_s_lock_on_linux() -> None:
    assert DIRECT is (sys.platform == "linux")


@LINUX
@pytest.mark.parametrize("boxes", [None, b"sealed"])
def test_what_is_written_in_one_stretch_is_what_is_written_step_by_step(tmp_path: Path, boxes: bytes | None) -> None:
    half, peaks, batch = waiting([b"one", b"two" * 100, b""] * 70), Peaks(), Batch(7, START)
    step, its_peaks = Batch(7, START), Peaks()
    leaves = step.add_all(half, 1, 10**6, its_peaks)
    with Path(tmp_path, "records").open("w+b") as records, Path(tmp_path, "boxes").open("w+b") as kept:
        place = (records.fileno(), 16, boxes, kept.fileno(), 3)
        assert batch.commit_all(half, 1, 100, peaks, 7, 5, *place) is None
        assert (batch.count, peaks.size, records.read(), kept.read()) == (0, 0, b"", b"")
        done = batch.commit_all(half, 1, 10**6, peaks, 7, 5, *place)
        assert done == (leaves, 0, "")
        with step.seal(7, 5) as frames:
            assert records.read() == bytes(16) + bytes(frames)
        assert kept.read() == (bytes(3) + boxes if boxes else b"")
    assert (batch.chain, batch.next_seq, peaks.all) == (step.chain, step.next_seq, its_peaks.all)


@LINUX
def test_boxes_that_cannot_be_written_leave_the_batch_as_it_was_and_records_say_so(tmp_path: Path) -> None:
    half, peaks, batch = waiting([b"one"]), Peaks(), Batch(7, START)
    with Path(os.devnull).open("rb") as unwritable, Path(tmp_path, "good").open("wb") as good:
        failed = batch.commit_all(half, 0, 10**6, peaks, 7, 5, good.fileno(), 0, b"box", unwritable.fileno(), 0)
        assert failed is not None
        assert failed[1:] == (errno.EBADF, "boxes")
        assert (batch.count, batch.chain, peaks.size) == (0, START, 0)
        failed = batch.commit_all(half, 0, 10**6, peaks, 7, 5, unwritable.fileno(), 0, b"box", good.fileno(), 0)
        assert failed is not None
        assert failed[1:] == (errno.EBADF, "records")


@LINUX
@pytest.mark.parametrize("size", [0, 1, 4096, (1 << 20) + 4096, 3 << 20])
def test_a_file_is_filled_with_zeros(tmp_path: Path, size: int) -> None:
    with Path(tmp_path, "zeros").open("w+b") as file:
        assert write_zeros(file.fileno(), size, 1 << 20) == 0
        assert file.read() == bytes(size)
    assert write_zeros(10**6, 4096, 4096) == errno.EBADF


@pytest.mark.usefixtures("rounds")
@pytest.mark.parametrize("already", [0, 1, 63, 64, 65, 127, 128, 192])
def test_a_tree_that_takes_leaves_by_the_block_is_the_one_that_takes_them_one_by_one(already: int) -> None:
    leaves = b"".join(hashlib.sha256(bytes([at % 251, at // 251])).digest() for at in range(400))
    tree, peaks = Peaks(), list[bytes]()  # the tree, and the obvious way to make it
    tree.extend(leaves, 0, already)
    tree.extend(leaves, already, 400)
    for at in range(400):
        node, size = leaves[32 * at : 32 * at + 32], at
        while size & 1:
            node, size = hashlib.sha256(b"\1" + peaks.pop() + node).digest(), size >> 1
        peaks.append(node)
    assert (tree.size, tree.all) == (400, peaks)


@pytest.mark.parametrize("lengths", [range(400), range(400, 3_000, 13), [65_567]])
def test_frames_are_marked_as_the_xxhash_package_does_it(lengths: Iterable[int]) -> None:
    data = bytes(number * 7 + (number >> 8) * 13 & 255 for number in range(66_000))
    for length in lengths:
        assert xxh3_of(data[:length]) == xxhash.xxh3_64_intdigest(data[:length])


def frame(seq: int, durable: int, salt: int, body: bytes) -> bytes:
    """The layout, the obvious way."""
    header = struct.pack("<IIQQQ", 0x3146549E, len(body), seq, durable, salt)
    data = header + struct.pack("<Q", xxhash.xxh3_64_intdigest(header + body)) + body
    return data + bytes(-len(data) % 8)


@given(
    st.lists(st.one_of(st.binary(max_size=80), st.integers(0, BODY_BYTES_MAX).map(lambda n: b"x" * n)), max_size=8),
    st.integers(0, 2**63),
    st.integers(0, 2**64 - 1),
)
def test_a_batch_is_its_frames_end_to_end_and_is_read_back(bodies: list[bytes], seq: int, salt: int) -> None:
    batch = Batch(seq, START)
    chain = START
    for body in bodies:
        leaf = hashlib.sha256(b"\0" + body).digest()
        chain = hashlib.sha256(b"\2" + chain + leaf).digest()
        assert batch.add(body) == (leaf, chain)
    sizes = batch.byte_count
    with batch.seal(seq, salt) as frames:
        data = bytes(frames)
    assert data == b"".join(frame(seq + at, seq, salt, body) for at, body in enumerate(bodies))
    assert (batch.count, batch.next_seq, batch.chain, sizes) == (len(bodies), seq + len(bodies), chain, len(data))

    scan = scan_frames(data, 0, seq, salt, START, True)
    assert (scan.end, scan.frame_count, scan.chain, scan.cut) == (len(data), len(bodies), chain, True)
    assert [data[begin:after] for begin, after in scan.spans] == bodies
    assert scan.leaves == b"".join(hashlib.sha256(b"\0" + body).digest() for body in bodies)
    assert scan.durable == (seq if bodies else 0)


def test_a_batch_goes_on_where_the_one_before_ended() -> None:
    batch = Batch(0, START)
    batch.add(b"one")
    batch.seal(0, 1).release()
    batch.clear()
    batch.add(b"two")
    with batch.seal(1, 1) as frames:
        assert bytes(frames) == frame(1, 1, 1, b"two")
    assert (batch.count, batch.next_seq) == (1, 2)


@pytest.mark.parametrize(
    "other",
    [
        frame(8, 7, 5, b"body"),  # another record
        frame(7, 7, 3, b"body"),  # another salt
        frame(7, 8, 5, b"body"),  # a watermark above itself
        frame(7, 7, 5, b"body")[:-1] + b"\1",  # padding that is none
        b"\0" * 48,
        b"",
        frame(7, 7, 5, b"body")[:39],
    ],
)
def test_what_is_not_the_next_frame_is_not_taken(other: bytes) -> None:
    assert scan_frames(frame(7, 7, 5, b"body"), 0, 7, 5, START, False).frame_count == 1
    assert scan_frames(other, 0, 7, 5, START, False)[:2] == (0, 0)


def test_a_frame_that_reaches_past_the_data_is_cut_not_bad() -> None:
    whole = frame(7, 7, 5, b"body" * 10)
    assert all(scan_frames(whole[:size], 0, 7, 5, START, False).cut for size in range(len(whole)))
    assert not scan_frames(b"\1" + whole[1:], 0, 7, 5, START, False).cut


def test_a_frame_is_known_by_itself() -> None:
    whole = frame(7, 6, 5, b"body")
    assert read_frame(bytes(8) + whole, 8) == (7, 6, 5, 4)
    assert read_frame(whole, 8) is None
    assert read_frame(whole[:-1], 0) is None


@given(st.integers(0, 40), st.integers(0, 40))
def test_zeros_end_at_the_first_byte_that_is_none(start: int, count: int) -> None:
    data = b"\1" * start + bytes(count)
    assert zeros_end(data, start) == len(data)
    assert zeros_end(data + b"\1" + bytes(9), start) == len(data)


def test_what_cannot_be_framed_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 65,535 bytes"):
        Batch(0, START).add(bytes(65_536))
    with pytest.raises(ValueError, match="32 bytes"):
        Batch(0, b"")
    with pytest.raises(ValueError, match="32 bytes"):
        scan_frames(b"", 0, 0, 0, b"", False)
