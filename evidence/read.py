"""Records of a shard in order, as they were stored, while it is written or long after.

Memory does not grow with the log. What is damaged is an error here too: a reader never steps over a record.
"""

from collections.abc import Iterator

import msgspec

from .errors import CorruptLog, NoLog, explain
from .frames import PAGE_BYTES, Chunk, parse_header, read_chunks, segments, written_span
from .recover import Tail, torn_tail
from .storage import FileStorage, Storage, opened


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record: `body` is what was appended, `leaf` its hash in the Merkle tree."""

    seq: int
    body: bytes
    leaf: bytes


def read(
    directory: str, start: int = 0, stop: int | None = None, *, storage: Storage | None = None
) -> Iterator[Record]:
    """Records from `start` up to, not including, `stop`, or to the end.

    The end of the last segment is where frames end: of a shard that is being written, some of the last records may not
    be durable yet; its `durable` as `stop` leaves them out. Cost: `start` is found by the names of the segments and one
    pass through the one that holds it; one chunk of memory.

    Raises:
        CorruptLog: at the first record that is damaged or missing; those before it have been given.
        NoLog: there is no segment.
    """
    storage = storage or FileStorage()
    try:
        yield from records(storage, directory, start, stop)
    except OSError as error:
        raise explain(error, directory, "read") from error


def leaf_runs(
    directory: str, start: int = 0, stop: int | None = None, *, storage: Storage | None = None
) -> Iterator[bytes]:
    """Leaf hashes of the same records, end to end, in large pieces.

    Raises:
        CorruptLog: at the first record that is damaged or missing; those before it have been given.
        NoLog: there is no segment.
    """
    storage = storage or FileStorage()
    try:
        for chunk, begin, end in chunks(storage, directory, start, stop, spans=False):
            yield chunk.scan.leaves[32 * begin : 32 * end]
    except OSError as error:
        raise explain(error, directory, "read") from error


def records(storage: Storage, directory: str, start: int, stop: int | None) -> Iterator[Record]:
    for chunk, begin, end in chunks(storage, directory, start, stop, spans=True):
        for position in range(begin, end):
            first, after = chunk.scan.spans[position]
            leaf = chunk.scan.leaves[32 * position : 32 * position + 32]
            yield Record(chunk.seq + position, bytes(chunk.data[first:after]), leaf)


def chunks(
    storage: Storage, directory: str, start: int, stop: int | None, *, spans: bool
) -> Iterator[tuple[Chunk, int, int]]:
    """Chunks that hold records from `start` to `stop`, with the places in them at which those begin and end."""
    try:
        found = segments(storage.list(directory))
    except FileNotFoundError:
        found = []
    if not found:
        raise NoLog(directory)
    holding = max((number for number, (first_seq, _) in enumerate(found) if first_seq <= start), default=0)
    if start < found[0][0]:
        raise CorruptLog(directory, start, found[0][1], 0, f"records before {found[0][0]} are not here")
    expected: int | None = None
    for number in range(holding, len(found)):
        first_seq, name = found[number]
        if stop is not None and first_seq >= stop:
            return
        with opened(storage, f"{directory}/{name}") as file:
            header = parse_header(storage.pread(file, PAGE_BYTES, 0))
            if header is None or header.first_seq != first_seq:
                raise CorruptLog(directory, first_seq, name, 0, "its first page is not as it was written")
            if expected not in (None, first_seq):
                raise CorruptLog(directory, expected or 0, name, 0, f"it begins with record {first_seq}")
            end = PAGE_BYTES
            for chunk in read_chunks(storage, file, header, spans=spans, live=number == len(found) - 1):
                last = chunk.scan.frame_count if stop is None else min(chunk.scan.frame_count, stop - chunk.seq)
                first = max(0, start - chunk.seq)
                if first < last:
                    yield chunk, first, last
                if stop is not None and chunk.next_seq >= stop:
                    return
                end, expected = chunk.end, chunk.next_seq
            assert expected is not None
            if number < len(found) - 1:
                if expected != found[number + 1][0]:
                    raise CorruptLog(directory, expected, name, end, f"`{found[number + 1][1]}` goes on after a gap")
            elif (written := written_span(storage, file, end)) is not None:
                tail = Tail(name, header, end, written[1], chunk.scan.chain)
                torn_tail(storage, directory, file, tail, expected)  # or damage
