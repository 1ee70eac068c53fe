"""How records lie on disk: segments of frames, written once and read by anyone.

A segment is a page that says where it stands in the log, then frames end to end, then zeros. Every byte is explained in
docs/evidence-format.md. Nothing here judges: a frame is good, or it is not.
"""

import hashlib
import re
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from xxhash import xxh3_64_intdigest

from thoth.native.framing import BODY_BYTES_MAX, FRAME_HEADER_BYTES, Scan, read_frame, scan_frames, zeros_end

from .storage import Storage

PAGE_BYTES = 4096
FRAME_MAGIC = b"\x9eTF1"
FRAME_BYTES_MAX = (FRAME_HEADER_BYTES + BODY_BYTES_MAX + 7) & ~7
SEGMENT_MAGIC = b"\x9eTHOTHSG"
VERSION = 1
CHAIN_START = bytes(32)
CHUNK_BYTES = 1 << 20
LIVE_TRIES = 20
LIVE_PAUSE_S = 0.005

FIELDS = struct.Struct("<8sIIQQ32s")
CHECK = struct.Struct("<Q")
NAME = re.compile(r"([0-9]{16})\.seg")

assert FIELDS.size == 64
assert CHUNK_BYTES > FRAME_BYTES_MAX


def leaf_hash(body: bytes) -> bytes:
    """The leaf of a record in the Merkle tree of its shard (RFC 6962)."""
    return hashlib.sha256(b"\x00" + body).digest()


def chain_hash(previous: bytes, leaf: bytes) -> bytes:
    """The link that ties a record to all before it."""
    return hashlib.sha256(b"\x02" + previous + leaf).digest()


def frame_bytes(body_bytes: int) -> int:
    """Bytes that a body takes up on disk."""
    return (FRAME_HEADER_BYTES + body_bytes + 7) & ~7


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """Page 0 of a segment: `chain` is the chain hash before record `first_seq`."""

    first_seq: int
    salt: int  # odd, random: blocks left over from other files and other times never parse
    chain: bytes


def encode_header(header: SegmentHeader) -> bytes:
    """The whole page."""
    fields = FIELDS.pack(SEGMENT_MAGIC, VERSION, 0, header.first_seq, header.salt, header.chain)
    return (fields + CHECK.pack(check_of(fields))).ljust(PAGE_BYTES, b"\0")


def parse_header(page: bytes) -> SegmentHeader | None:
    """What a page says, or None where one bit of it is not as it was written."""
    if len(page) != PAGE_BYTES or zeros_end(page, FIELDS.size + CHECK.size) != PAGE_BYTES:
        return None
    magic, version, zero, first_seq, salt, chain = FIELDS.unpack_from(page)
    (check,) = CHECK.unpack_from(page, FIELDS.size)
    if (magic, version, zero) != (SEGMENT_MAGIC, VERSION, 0) or salt % 2 == 0 or check != check_of(page[: FIELDS.size]):
        return None
    return SegmentHeader(first_seq, salt, chain)


def check_of(data: bytes) -> int:
    return xxh3_64_intdigest(data)


def segment_name(first_seq: int) -> str:
    return f"{first_seq:016d}.seg"


def segments(names: list[str]) -> list[tuple[int, str]]:
    """First sequence number and name of every segment, in order; other names are passed over."""
    return sorted((int(match[1]), match[0]) for match in map(NAME.fullmatch, names) if match)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames that were read together: `data` lies at byte `offset` of the file, its first frame is record `seq`."""

    data: bytes | memoryview
    offset: int
    seq: int
    scan: Scan

    @property
    def end(self) -> int:
        """The byte of the file after the last good frame."""
        return self.offset + self.scan.end

    @property
    def next_seq(self) -> int:
        return self.seq + self.scan.frame_count


def read_chunks(
    storage: Storage,
    file: int,
    header: SegmentHeader,
    *,
    spans: bool = False,
    live: bool = False,
    room: memoryview | None = None,
) -> Iterator[Chunk]:
    """Every good frame of a segment, from the first, a chunk at a time; at least one chunk, perhaps without frames.

    The last chunk ends where the first frame that is not good begins. `live`: somebody may be writing there, so what is
    neither a frame nor zeros is read again for a while, in which it becomes one. `room`: memory of CHUNK_BYTES that is
    read into again and again, so that the data of a chunk is good until the next one.
    """
    offset, seq, chain = PAGE_BYTES, header.first_seq, header.chain
    tries = LIVE_TRIES if live else 0
    while True:
        data = _read(storage, file, offset, room)
        scan = scan_frames(data, 0, seq, header.salt, chain, spans)
        chunk = Chunk(data, offset, seq, scan)
        yield chunk
        if not scan.cut or len(data) < CHUNK_BYTES:
            if not tries or written_span(storage, file, chunk.end) is None:
                return
            tries -= 1
            time.sleep(LIVE_PAUSE_S)
        offset, seq, chain = chunk.end, chunk.next_seq, scan.chain


@dataclass(frozen=True, slots=True)
class Found:
    """A frame that agrees with itself, wherever it was found."""

    offset: int
    seq: int
    durable: int
    salt: int
    body: bytes

    @property
    def end(self) -> int:
        return self.offset + frame_bytes(len(self.body))


def find_frames(storage: Storage, file: int, start: int, salt: int | None) -> Iterator[Found]:
    """Frames at any multiple of 8 from `start`, with this salt, or with any; they may lie within bodies of others."""
    mark = None if salt is None else CHECK.pack(salt)
    offset = start
    while data := storage.pread(file, CHUNK_BYTES, offset):
        last = len(data) < CHUNK_BYTES
        # A frame that begins in the last bytes of a chunk is left to the next one, which begins there.
        stop = len(data) if last else (len(data) - FRAME_BYTES_MAX) & ~7
        at = data.find(FRAME_MAGIC)
        while 0 <= at < stop:
            if at % 8 == 0 and (mark is None or data[at + 24 : at + 32] == mark):
                read = read_frame(data, at)
                if read is not None:
                    seq, durable, its_salt, length = read
                    body = data[at + FRAME_HEADER_BYTES : at + FRAME_HEADER_BYTES + length]
                    yield Found(offset + at, seq, durable, its_salt, body)
            at = data.find(FRAME_MAGIC, at + 1)
        if last:
            return
        offset += stop


def written_span(storage: Storage, file: int, start: int, room: memoryview | None = None) -> tuple[int, int] | None:
    """First byte, and byte after the last, of what is not zero from `start`; None where all is. `room`: as above."""
    first, end, offset = None, start, start
    while data := _read(storage, file, offset, room):
        at = zeros_end(data, 0)
        if at < len(data):
            first = offset + at if first is None else first
            end = offset + len(bytes(data).rstrip(b"\0"))
        offset += len(data)
    return None if first is None else (first, end)


def _read(storage: Storage, file: int, offset: int, room: memoryview | None) -> bytes | memoryview:
    if room is None:
        return storage.pread(file, CHUNK_BYTES, offset)
    return room[: storage.pread_into(file, room, offset)]
