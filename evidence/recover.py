"""What of a shard is to be believed after its writer has gone.

A crash leaves a torn tail: frames of the last batch, never acknowledged, some of their blocks written and some not.
They are dropped, and it is said what was dropped. Anything else that does not parse is damage to records that were
durable, and nothing is served then. Three witnesses tell the two apart: the watermark in later frames, HEAD, and the
newest signed checkpoint. `survey` only reads; `mend` writes, and does nothing the second time.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from .errors import CorruptLog, NoLog
from .frames import (
    CHAIN_START,
    CHUNK_BYTES,
    PAGE_BYTES,
    SegmentHeader,
    encode_header,
    find_frames,
    parse_header,
    read_chunks,
    segments,
    written_span,
)
from .head import HEAD_BYTES, NAME, SLOT_BYTES, Head, encode_slot, parse_head
from .storage import Storage

SPARE = "spare"

EachLeaves = Callable[[bytes], object]  # takes the hashes of the next records, 32 bytes each, in one piece


@dataclass(frozen=True, slots=True)
class Dropped:
    """A torn tail: what began at record `seq`, in `byte_count` bytes of `segment`, with the SHA-256 of those bytes."""

    seq: int
    segment: str
    offset: int
    byte_count: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Tail:
    """The segment that is written next: its frames end at byte `end` of `size`."""

    name: str
    header: SegmentHeader
    end: int
    size: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What a shard holds: records before `next_seq`, with the chain hash after them."""

    directory: str
    next_seq: int
    chain: bytes
    head: Head
    dropped: Dropped | None
    unused: str | None  # a last segment without one good frame, never durable
    tail: Tail | None
    spans: tuple[tuple[str, SegmentHeader, int], ...]  # of each segment: name, header, the record after its last


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening a shard found and did."""

    next_seq: int
    dropped: Dropped | None  # the log owes a `recovered` record for this
    unlinked: str | None
    rewritten: int  # records above HEAD that were written again and synced
    head_damaged: bool  # one slot of HEAD could not be read: its last write was torn, or somebody changed it
    crashed: bool  # the last writer did not close the shard


def survey(
    storage: Storage,
    directory: str,
    *,
    newest_checkpoint_size: int | None = None,
    kept_from: int = 0,
    each_leaves: EachLeaves | None = None,
) -> Survey:
    """Read a whole shard and judge it, changing nothing.

    `kept_from`: records from here on must be there, older ones may have been given up. Cost: every byte is read and
    hashed once; memory does not grow with the log.

    Raises:
        CorruptLog: a record that was durable is damaged or missing.
        NoLog: there is none.
    """
    names = storage.list(directory)
    found = segments(names)
    head = read_head(storage, directory) if NAME in names else None
    if head is None:
        if found:
            state = "damaged in both slots" if NAME in names else "missing"
            raise CorruptLog(directory, found[-1][0], found[-1][1], 0, f"`{NAME}` is {state}")
        raise NoLog(directory, newest_checkpoint_size)

    seq, chain = 0, CHAIN_START
    dropped: Dropped | None = None
    unused: str | None = None
    tail: Tail | None = None
    previous, end = NAME, 0
    spans = []
    for number, (first_seq, name) in enumerate(found):
        last = number == len(found) - 1
        path = f"{directory}/{name}"
        file = storage.open(path)
        try:
            header = parse_header(storage.pread(file, PAGE_BYTES, 0))
            if header is None or header.first_seq != first_seq:
                # A segment has its name only after its first page was durable, so no crash does this.
                raise CorruptLog(directory, first_seq, name, 0, "its first page is not as it was written")
            if number == 0:
                if first_seq > kept_from:
                    raise CorruptLog(directory, kept_from, name, 0, f"records before {first_seq} are missing")
                seq, chain = first_seq, header.chain if first_seq else CHAIN_START
            if first_seq != seq:
                raise CorruptLog(directory, seq, previous, end, f"`{name}` goes on with record {first_seq}")
            if header.chain != chain:
                raise CorruptLog(directory, first_seq, name, 32, "it does not name the chain hash of what is before it")

            for chunk in read_chunks(storage, file, header):
                if each_leaves is not None and chunk.scan.frame_count:
                    each_leaves(chunk.scan.leaves)
                seq, chain, end = chunk.next_seq, chunk.scan.chain, chunk.end
            previous = name
            spans.append((name, header, seq))
            written = written_span(storage, file, end)
            if written is not None and not last:
                raise CorruptLog(directory, seq, name, end, "a segment follows, so this one was durable to its end")
            if last:
                why = later_witness(storage, file, seq, end, header.salt) if written is not None else None
                if why is not None:
                    raise CorruptLog(directory, seq, name, end, why)
                if written is not None:
                    bytes_dropped = digest_of(storage, file, end, written[1])
                    dropped = Dropped(seq, name, end, written[1] - end, bytes_dropped)
                if seq == first_seq and number > 0:
                    unused = name
                    spans.pop()
                else:
                    tail = Tail(name, header, end, storage.size(file))
        finally:
            storage.close(file)

    if not found and kept_from > 0:
        raise CorruptLog(directory, kept_from, NAME, 0, "there is no segment")
    if seq < head.durable:
        raise CorruptLog(
            directory, seq, previous, end, f"`{NAME}` says that records before {head.durable} were durable"
        )
    if newest_checkpoint_size is not None and seq < newest_checkpoint_size:
        why = f"the newest signed checkpoint covers {newest_checkpoint_size} records"
        raise CorruptLog(directory, seq, previous, end, why)
    if unused is not None:
        tail = full_tail(storage, directory, spans[-1][0], spans[-1][1])
    return Survey(directory, seq, chain, head, dropped, unused, tail, tuple(spans))


def later_witness(storage: Storage, file: int, seq: int, start: int, salt: int) -> str | None:
    """A frame behind the first bad one that was written when record `seq` was durable already, put into words."""
    for found in find_frames(storage, file, start, salt):
        if seq < found.durable <= found.seq:
            return f"record {found.seq} at byte {found.offset} says that records before {found.durable} were durable"
    return None


def full_tail(storage: Storage, directory: str, name: str, header: SegmentHeader) -> Tail:
    """The segment before an unused one: it may have room for a short record."""
    file = storage.open(f"{directory}/{name}")
    try:
        end = PAGE_BYTES
        for chunk in read_chunks(storage, file, header):
            end = chunk.end
        return Tail(name, header, end, storage.size(file))
    finally:
        storage.close(file)


def digest_of(storage: Storage, file: int, start: int, end: int) -> bytes:
    digest = hashlib.sha256()
    for offset in range(start, end, CHUNK_BYTES):
        digest.update(storage.pread(file, min(CHUNK_BYTES, end - offset), offset))
    return digest.digest()


def read_head(storage: Storage, directory: str) -> Head | None:
    file = storage.open(f"{directory}/{NAME}")
    try:
        return parse_head(storage.pread(file, HEAD_BYTES, 0))
    finally:
        storage.close(file)


def mend(storage: Storage, found: Survey, *, crashed: bool) -> Recovery:
    """Bring a surveyed shard to where it can be written; the caller holds its lock.

    `crashed`: the last writer did not close it. It may have died of a failed sync, and then pages that look written are
    not on disk, and no later sync would write them: so they are written again here, after HEAD, the tail's zeros too.
    """
    directory, head = found.directory, found.head
    rewritten = 0
    for name, header, next_seq in found.spans:
        again = next_seq > head.durable
        torn = found.dropped if found.dropped is not None and found.dropped.segment == name else None
        zeros = crashed and found.tail is not None and found.tail.name == name
        if not (again or torn or zeros):
            continue
        file = storage.open(f"{directory}/{name}", write=True)
        try:
            if again:
                rewritten += rewrite(storage, file, header, head.durable)
            if zeros and found.tail is not None:
                write_zeros(storage, file, found.tail.end, found.tail.size)
            elif torn is not None:
                write_zeros(storage, file, torn.offset, torn.offset + torn.byte_count)
            storage.sync(file)
        finally:
            storage.close(file)

    gone = [name for name in (found.unused, SPARE if SPARE in storage.list(directory) else None) if name is not None]
    for name in gone:
        storage.unlink(f"{directory}/{name}")
    if crashed or gone:
        storage.sync_dir(directory)
    mend_head(storage, found, crashed=crashed)
    return Recovery(found.next_seq, found.dropped, found.unused, rewritten, head.damaged, crashed)


def rewrite(storage: Storage, file: int, header: SegmentHeader, durable: int) -> int:
    """Write every frame from record `durable` on again, as it is; how many there were."""
    count = 0
    if header.first_seq >= durable:
        storage.pwrite(file, encode_header(header), 0)
    for chunk in read_chunks(storage, file, header, spans=True):
        skipped = max(0, durable - chunk.seq)
        if skipped < chunk.scan.frame_count:
            start = (chunk.scan.spans[skipped - 1][1] + 7) & ~7 if skipped else 0
            storage.pwrite(file, chunk.data[start : chunk.scan.end], chunk.offset + start)
            count += chunk.scan.frame_count - skipped
    return count


def write_zeros(storage: Storage, file: int, start: int, end: int) -> None:
    zeros = bytes(min(CHUNK_BYTES, max(0, end - start)))
    for offset in range(start, end, CHUNK_BYTES):
        storage.pwrite(file, memoryview(zeros)[: end - offset], offset)


def mend_head(storage: Storage, found: Survey, *, crashed: bool) -> None:
    head = found.head
    if head.durable == found.next_seq and not head.damaged and not crashed:
        return
    file = storage.open(f"{found.directory}/{NAME}", write=True)
    try:
        # The slot that can be read first: it must be on disk before the other one is put at risk.
        for slot, durable in ((head.slot, head.durable), (1 - head.slot, found.next_seq)):
            storage.pwrite(file, encode_slot(durable), slot * SLOT_BYTES)
            storage.sync(file)
    finally:
        storage.close(file)
