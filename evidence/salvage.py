"""Copy what can still be read out of a damaged shard. The shard itself is not touched.

Frames that agree with themselves are taken wherever they lie, in rising order. What comes out is not the log: what is
missing is missing, and each gap is named, so that nobody takes it for one.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from thoth.native.framing import FRAME_HEADER_BYTES

from .errors import NoLog, explain
from .frames import (
    PAGE_BYTES,
    Found,
    find_frames,
    leaf_hash,
    parse_header,
    read_chunks,
    segments,
    written_span,
)
from .storage import FileStorage, Storage, opened

RECORDS = "records.jsonl"
REPORT = "report.json"
FLUSH_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Gap:
    """Where reading in order ended: record `seq` should be at byte `offset`; `next_seq` is the next one found."""

    segment: str
    offset: int
    seq: int
    next_seq: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Salvage:
    record_count: int
    gaps: tuple[Gap, ...]


def salvage(directory: str, out: str, *, storage: Storage | None = None) -> Salvage:
    """Write `records.jsonl` (a line for each record: seq, segment, offset, leaf, and body or body_base64) and
    `report.json` into the folder `out`, which must not hold any yet.

    Cost: every byte is read twice at most; memory does not grow with the log.
    """
    storage = storage or FileStorage()
    try:
        return copy(storage, directory, out)
    except FileExistsError as error:
        raise explain(error, out, "salvage into") from error
    except OSError as error:
        raise explain(error, directory, "salvage") from error


def copy(storage: Storage, directory: str, out: str) -> Salvage:
    try:
        found = segments(storage.list(directory))
    except FileNotFoundError:
        raise NoLog(directory) from None
    storage.make_dir(out)
    file = storage.create(f"{out}/{RECORDS}")
    gaps: list[Gap] = []
    count, offset = 0, 0
    lines = bytearray()
    try:
        for name, frame in in_order(storage, directory, found, gaps):
            lines += line_of(name, frame)
            count += 1
            if len(lines) >= FLUSH_BYTES:
                storage.pwrite(file, lines, offset)
                offset += len(lines)
                lines.clear()
        storage.pwrite(file, lines, offset)
        storage.sync(file)
    finally:
        storage.close(file)
    result = Salvage(count, tuple(gaps))
    file = storage.create(f"{out}/{REPORT}")
    try:
        storage.pwrite(file, msgspec.json.format(msgspec.json.encode(result)) + b"\n", 0)
        storage.sync(file)
    finally:
        storage.close(file)
    storage.sync_dir(out)
    return result


def in_order(
    storage: Storage, directory: str, found: list[tuple[int, str]], gaps: list[Gap]
) -> Iterator[tuple[str, Found]]:
    """Every frame that can be read, and a gap wherever one is not the successor of the one before."""
    expected = found[0][0] if found else 0
    at = (found[0][1] if found else "", 0)
    for number, (first_seq, name) in enumerate(found):
        with opened(storage, f"{directory}/{name}") as file:
            for frame in frames_of(storage, file):
                if frame.seq < expected:
                    continue  # of other times, or inside the body of another
                if frame.seq > expected:
                    gaps.append(Gap(*at, expected, frame.seq, "damaged or missing"))
                yield name, frame
                expected, at = frame.seq + 1, (name, frame.end)
            start = at[1] if at[0] == name else 0
            if parse_header(storage.pread(file, PAGE_BYTES, 0)) is None:
                gaps.append(Gap(name, 0, first_seq, None, "its first page is not as it was written"))
            start = max(start, PAGE_BYTES)
            rest = written_span(storage, file, start)
            if rest is not None and not (number == len(found) - 1 and goes_on(storage, file, start, expected)):
                following = found[number + 1][0] if number + 1 < len(found) else None
                gaps.append(Gap(name, rest[0], expected, following, "bytes that are no frame"))
                expected = max(expected, following or 0)


def goes_on(storage: Storage, file: int, start: int, seq: int) -> bool:
    """Whether the next record is there by now: then somebody is writing, and what he adds is left out, not missing."""
    header = parse_header(storage.pread(file, PAGE_BYTES, 0))
    found = next(find_frames(storage, file, start, header.salt), None) if header is not None else None
    return found is not None and (found.offset, found.seq) == (start, seq)


def frames_of(storage: Storage, file: int) -> Iterator[Found]:
    """In order as far as that goes, then whatever is found behind; without a first page, anything with one salt."""
    header = parse_header(storage.pread(file, PAGE_BYTES, 0))
    end = PAGE_BYTES
    if header is not None:
        for chunk in read_chunks(storage, file, header, spans=True):
            for position, (begin, after) in enumerate(chunk.scan.spans):
                offset = chunk.offset + begin - FRAME_HEADER_BYTES
                yield Found(offset, chunk.seq + position, 0, header.salt, bytes(chunk.data[begin:after]))
            end = chunk.end
    salt = None if header is None else header.salt
    for frame in find_frames(storage, file, end, salt):
        if frame.offset >= end and frame.salt == (frame.salt if salt is None else salt):
            salt, end = frame.salt, frame.end
            yield frame


def line_of(name: str, frame: Found) -> bytes:
    line: dict[str, object] = {
        "seq": frame.seq,
        "segment": name,
        "offset": frame.offset,
        "leaf": leaf_hash(frame.body).hex(),
    }
    try:
        line["body"] = frame.body.decode()
    except UnicodeDecodeError:
        line["body_base64"] = base64.b64encode(frame.body).decode()
    return msgspec.json.encode(line) + b"\n"
