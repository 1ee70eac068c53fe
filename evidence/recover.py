"""What of a shard is to be believed after its writer has gone.

A crash leaves a torn tail: frames of the last batch, never acknowledged, some of their blocks written and some not.
They are dropped, and it is said what was dropped. Anything else that does not parse is damage to records that were
durable, and nothing is served then. Three witnesses tell the two apart: the watermark in later frames, HEAD, and the
newest signed checkpoint. `survey` only reads; `mend` writes, and does nothing the second time.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from thoth.native.framing import scan_frames

from .errors import CorruptLog, NoLog
from .frames import (
    CHAIN_START,
    CHUNK_BYTES,
    PAGE_BYTES,
    Found,
    SegmentHeader,
    encode_header,
    find_frames,
    parse_header,
    read_chunks,
    segments,
    written_span,
)
from .head import HEAD_BYTES, NAME, SLOT_BYTES, Head, encode_slot, parse_head
from .storage import Storage, opened

SPARE = "spare"
CHAIN_AT = 32  # of page 0

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
    """The segment that is written next: its frames end at byte `end` of `size`, with the hash `chain`."""

    name: str
    header: SegmentHeader
    end: int
    size: int
    chain: bytes


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
    live: bool = False,
) -> Survey:
    """Read a whole shard and judge it, changing nothing. `live`: somebody may be writing it.

    `kept_from`: records from here on must be there, older ones may have been given up. Cost: every byte is read and
    hashed once; memory does not grow with the log.

    Raises:
        CorruptLog: a record that was durable is damaged or missing.
        NoLog: there is none.
    """
    names = storage.list(directory)
    head = known_head(storage, directory, names, segments(names), newest_checkpoint_size)
    if live:
        names = storage.list(directory)  # after HEAD, which may be about a segment that was not there before
    found = segments(names)
    seq, chain, name, end = 0, CHAIN_START, found[0][1] if found else NAME, 0
    dropped: Dropped | None = None
    unused: str | None = None
    tail: Tail | None = None
    spans: list[tuple[str, SegmentHeader, int]] = []
    room = memoryview(bytearray(CHUNK_BYTES))
    for number, (first_seq, following) in enumerate(found):
        with opened(storage, f"{directory}/{following}") as file:
            header = parse_header(storage.pread(file, PAGE_BYTES, 0))
            if header is None or header.first_seq != first_seq:
                # A segment has its name only after its first page was durable, so no crash does this.
                why = "its first page is not as it was written"
                raise CorruptLog(directory, first_seq, following, 0, why)
            if number == 0 and 0 < first_seq <= kept_from:
                seq, chain = first_seq, header.chain
            if first_seq != seq:
                raise CorruptLog(
                    directory, seq, name, end, f"what is there next is record {first_seq}, in `{following}`"
                )
            if header.chain != chain:
                why = "it does not name the chain hash of what is before it"
                raise CorruptLog(directory, first_seq, following, CHAIN_AT, why)

            name = following
            for chunk in read_chunks(storage, file, header, live=live and number == len(found) - 1, room=room):
                if each_leaves is not None and chunk.scan.frame_count:
                    each_leaves(chunk.scan.leaves)
                seq, chain, end = chunk.next_seq, chunk.scan.chain, chunk.end
            written = written_span(storage, file, end, room)
            if number < len(found) - 1:
                if written is not None:
                    raise CorruptLog(directory, seq, name, end, "a segment follows, so this one was durable to its end")
            elif written is not None:
                dropped = torn_tail(storage, directory, file, Tail(name, header, end, written[1], chain), seq)
            if seq == first_seq and spans:
                unused = name  # and the segment before it, which may have room for a short record, is the last again
            else:
                tail = Tail(name, header, end, storage.size(file), chain)
                spans.append((name, header, seq))

    if seq < head.durable:
        why = f"`{NAME}` says that records before {head.durable} were durable"
        raise CorruptLog(directory, seq, name, end, why)
    if newest_checkpoint_size is not None and seq < newest_checkpoint_size:
        why = f"the newest signed checkpoint covers {newest_checkpoint_size} records"
        raise CorruptLog(directory, seq, name, end, why)
    if seq < kept_from:
        raise CorruptLog(directory, seq, name, end, f"records before {kept_from} were given up, and there are fewer")
    return Survey(directory, seq, chain, head, dropped, unused, tail, tuple(spans))


def known_head(
    storage: Storage, directory: str, names: list[str], found: list[tuple[int, str]], checkpoint_size: int | None
) -> Head:
    head = read_head(storage, directory) if NAME in names else None
    if head is not None:
        return head
    if not found:
        raise NoLog(directory, checkpoint_size)
    # HEAD is durable before there is a segment, and only one of its slots is ever at risk.
    state = "damaged in both slots" if NAME in names else "missing"
    raise CorruptLog(directory, *found[-1], 0, f"`{NAME}` is {state}")


def torn_tail(storage: Storage, directory: str, file: int, written: Tail, seq: int) -> Dropped | None:
    """What is to be dropped behind the last good frame, up to the last byte that is not zero. `seq` comes next.

    None: frames go on there by now, so somebody is writing.

    Raises:
        CorruptLog: a frame behind it was written when record `seq` was durable already.
    """
    witness = None
    for found in find_frames(storage, file, written.end, written.header.salt):
        if seq < found.durable <= found.seq:
            witness = found
            break
    # Looked at last: whatever a witness tells of was written before the witness was.
    data = storage.pread(file, CHUNK_BYTES, written.end)
    if scan_frames(data, 0, seq, written.header.salt, written.chain, False).frame_count:
        return None
    if witness is not None:
        raise CorruptLog(directory, seq, written.name, written.end, witness_of(witness))
    digest = hashlib.sha256()
    for offset in range(written.end, written.size, CHUNK_BYTES):
        digest.update(storage.pread(file, min(CHUNK_BYTES, written.size - offset), offset))
    return Dropped(seq, written.name, written.end, written.size - written.end, digest.digest())


def witness_of(found: Found) -> str:
    return f"record {found.seq} at byte {found.offset} says that records before {found.durable} were durable"


def read_head(storage: Storage, directory: str) -> Head | None:
    with opened(storage, f"{directory}/{NAME}") as file:
        return parse_head(storage.pread(file, HEAD_BYTES, 0))


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
        with opened(storage, f"{directory}/{name}", write=True) as file:
            if again:
                rewritten += rewrite(storage, file, header, head.durable)
            if zeros and found.tail is not None:
                write_zeros(storage, file, found.tail.end, found.tail.size)
            elif torn is not None:
                write_zeros(storage, file, torn.offset, torn.offset + torn.byte_count)
            storage.sync(file)

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
    with opened(storage, f"{found.directory}/{NAME}", write=True) as file:
        # The slot that can be read first: it must be on disk before the other one is put at risk.
        for slot, durable in ((head.slot, head.durable), (1 - head.slot, found.next_seq)):
            storage.pwrite(file, encode_slot(durable), slot * SLOT_BYTES)
            storage.sync(file)
