"""Bodies into checked frames and back, with their leaf and chain hashes, a batch at a time.

    u32 magic | u32 len | u64 seq | u64 durable | u64 salt | u64 xxh3(the 32 bytes before, then body) | body | zeros

Little endian; a frame begins at, and is padded with zeros to, a multiple of 8 bytes. Here are only bytes and numbers: what a bad frame means is for others to say.
"""

from collections import namedtuple

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove, memset

from thoth.native.peaks cimport Peaks
from thoth.native.sha256 cimport sha256_chain, sha256_choose, sha256_many, sha256_message, sha256_prefixed
from thoth.native.tray cimport Half

cdef extern from "disk.h" nogil:
    int disk_write(int file, const uint8_t *data, size_t length, int64_t offset)
    int disk_sync(int file)

cdef extern from "xxh3.h" nogil:
    uint64_t xxh3(const uint8_t *data, size_t length)

cdef enum:
    MAGIC = 0x3146549E        # on disk: 9E "TF1", and no text in UTF-8 begins with 9E
    HEADER_BYTES = 40
    CHECKED_BYTES = 32        # of the header, those that the check covers
    BODY_BYTES = 65_535
    FRAME_BYTES = 65_576      # the longest frame
    TAG_LEAF = 0x00
    TAG_CHAIN = 0x02
    TOGETHER = 64             # leaves that are hashed in one go, while the links of those before them are made

BODY_BYTES_MAX = BODY_BYTES
FRAME_HEADER_BYTES = HEADER_BYTES

Scan = namedtuple("Scan", "end frame_count chain durable leaves spans cut")
Scan.__doc__ = """What a run of frames held: `frame_count` good ones up to byte `end`, and the chain hash after them.

`durable` is the highest watermark that one of them carried, `leaves` their hashes in one piece, `spans` where their
bodies lie, if asked for. `cut`: what follows may be a frame, but reaches past the data.
"""

cdef bint little_endian() noexcept:
    cdef uint32_t one = 1
    return (<uint8_t *>&one)[0] == 1

if not little_endian():
    raise ImportError("evidence frames are little endian, and this machine is not")

HAS_SHA_INSTRUCTIONS = bool(sha256_choose(1))

Committed = namedtuple("Committed", "leaves errno what")
Committed.__doc__ = """What became of `commit_all`: the leaves, or an errno and what could not be written, boxes or records."""


cdef inline Py_ssize_t padded(Py_ssize_t length) noexcept nogil:
    return (length + 7) & ~7


cdef inline uint32_t read_u32(const uint8_t *at) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, at, 4)
    return value


cdef inline uint64_t read_u64(const uint8_t *at) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, at, 8)
    return value


cdef class Batch:
    """Records in the order given, laid out to be written in one piece.

    The leaf and chain hashes are made when a record is added; the watermark and the check only by `seal`, so that a
    batch testifies for all that was durable when it was written.
    """

    cdef public uint64_t next_seq       # of the next record
    cdef readonly Py_ssize_t count
    cdef Py_ssize_t used
    cdef bytearray frames               # grown by doubling, and kept between batches
    cdef uint8_t *start                 # of its bytes
    cdef bint sealed
    cdef uint8_t link[32]               # the chain hash after the last record

    def __init__(self, next_seq: int, bytes chain not None):
        if PyBytes_GET_SIZE(chain) != 32:
            raise ValueError("a chain hash has 32 bytes")
        self.next_seq = next_seq
        self.frames = bytearray(FRAME_BYTES)
        self.start = <uint8_t *>PyByteArray_AS_STRING(self.frames)
        memcpy(self.link, PyBytes_AS_STRING(chain), 32)

    @property
    def chain(self):
        """The chain hash after the last record."""
        return PyBytes_FromStringAndSize(<char *>self.link, 32)

    @property
    def byte_count(self):
        """Bytes of all frames, padding included."""
        return self.used

    def add(self, bytes body not None):
        """Take in one record; its leaf hash, and the chain hash after it. Cost: a copy and two short hashes."""
        cdef Py_ssize_t length = PyBytes_GET_SIZE(body)
        cdef uint8_t leaf[32]
        if length > BODY_BYTES:
            raise ValueError("a record has at most 65,535 bytes")
        self.reserve(padded(HEADER_BYTES + length))
        sha256_prefixed(TAG_LEAF, <const uint8_t *>PyBytes_AS_STRING(body), length, NULL, 0, leaf)
        self.frame(<const uint8_t *>PyBytes_AS_STRING(body), length)
        sha256_prefixed(TAG_CHAIN, self.link, 32, leaf, 32, self.link)
        return PyBytes_FromStringAndSize(<char *>leaf, 32), PyBytes_FromStringAndSize(<char *>self.link, 32)

    def add_all(self, Half half not None, Py_ssize_t start, Py_ssize_t room, Peaks peaks not None):
        """Take in the records of `half` from number `start` on, as many as fit into `room` bytes; their leaves.

        The tree of `peaks` grows by them. Cost: a copy and three hashes for each, without the interpreter's lock.
        """
        cdef Py_ssize_t stop = self.fitting(half, start, room)
        cdef bytes leaves = PyBytes_FromStringAndSize(NULL, 32 * (stop - start))
        cdef uint8_t *leaf = <uint8_t *>PyBytes_AS_STRING(leaves)
        with nogil:
            self.frame_all(half, start, stop, leaf)
            peaks.grow_by(leaf, stop - start)
        return leaves

    def commit_all(self, Half half not None, Py_ssize_t start, Py_ssize_t room, Peaks peaks not None, durable: int,
                   salt: int, int file, int64_t offset, const uint8_t[::1] boxes, int box_file, int64_t box_offset):
        """Write boxes, if there are any, then all records of `half` from `start` on, and sync them; see `Committed`.

        None where they do not fit into `room` bytes: then nothing was done. Where boxes could not be written, no record
        was taken in. All of it is one stretch without the interpreter's lock, for who waits for that waits long.
        """
        cdef Py_ssize_t stop, box_bytes = 0 if boxes is None else boxes.shape[0]
        cdef const uint8_t *box = &boxes[0] if box_bytes else NULL
        cdef uint64_t watermark = durable, mark = salt
        cdef bytes leaves
        cdef uint8_t *leaf
        cdef int error = 0
        if self.count or self.sealed:
            raise ValueError("records wait already")
        stop = self.fitting(half, start, room)
        if stop < half.count:
            return None
        leaves = PyBytes_FromStringAndSize(NULL, 32 * (stop - start))
        leaf = <uint8_t *>PyBytes_AS_STRING(leaves)
        with nogil:
            if box_bytes:
                error = disk_write(box_file, box, box_bytes, box_offset)
            if not error:
                self.frame_all(half, start, stop, leaf)
                peaks.grow_by(leaf, stop - start)
                self.seal_all(watermark, mark)
                box = NULL
                error = disk_write(file, self.start, self.used, offset)
                if not error:
                    error = disk_sync(file)
        return Committed(leaves, error, "" if not error else "records" if box == NULL else "boxes")

    cdef Py_ssize_t fitting(self, Half half, Py_ssize_t start, Py_ssize_t room) except -1:
        """Up to which record of `half` all fit into so many bytes; for those there is memory afterwards."""
        cdef Py_ssize_t at, begin, size = 0, stop = start
        if not 0 <= start <= half.count:
            raise ValueError("there is no such record")
        begin = half.ends[start - 1] if start else 0
        for at in range(start, half.count):
            if half.ends[at] - begin > BODY_BYTES:
                raise ValueError("a record has at most 65,535 bytes")
            if size + padded(HEADER_BYTES + half.ends[at] - begin) > room:
                break
            size += padded(HEADER_BYTES + half.ends[at] - begin)
            begin = half.ends[at]
            stop = at + 1
        self.reserve(size)
        return stop

    cdef void frame_all(self, Half half, Py_ssize_t start, Py_ssize_t stop, uint8_t *leaves) noexcept nogil:
        """Lay out records of `half`, for which room is reserved; their leaves are put where `leaves` says."""
        cdef sha256_message messages[TOGETHER]
        cdef sha256_chain chain
        cdef Py_ssize_t at = start, begin = half.ends[start - 1] if start else 0, count
        half.keep_promises()
        chain.link, chain.leaves, chain.count, chain.prefix = self.link, leaves, 0, TAG_CHAIN
        while at < stop:
            count = 0
            while count < TOGETHER and at < stop:
                messages[count].data = half.bodies.data + begin
                messages[count].length = half.ends[at] - begin
                messages[count].digest = leaves
                self.frame(half.bodies.data + begin, half.ends[at] - begin)
                leaves += 32
                begin = half.ends[at]
                at += 1
                count += 1
            sha256_many(TAG_LEAF, messages, count, &chain)
            chain.count += count   # what was left is made with the next ones
        sha256_many(TAG_LEAF, NULL, 0, &chain)

    cdef int reserve(self, Py_ssize_t size) except -1:
        cdef Py_ssize_t room = PyByteArray_GET_SIZE(self.frames)
        if self.used + size > room:
            PyByteArray_Resize(self.frames, max(2 * room, self.used + size))
        self.start = <uint8_t *>PyByteArray_AS_STRING(self.frames)
        return 0

    cdef void frame(self, const uint8_t *body, Py_ssize_t length) noexcept nogil:
        """Lay out the next record, for which room is reserved."""
        cdef Py_ssize_t size = padded(HEADER_BYTES + length)
        cdef uint8_t *frame = self.start + self.used
        cdef uint32_t word = MAGIC
        # The header waits 8 bytes late, next to the body: one run of memory, so `seal` checks it in one call.
        memcpy(frame + 8, &word, 4)
        word = <uint32_t>length
        memcpy(frame + 12, &word, 4)
        memcpy(frame + 16, &self.next_seq, 8)
        memcpy(frame + HEADER_BYTES, body, length)
        memset(frame + HEADER_BYTES + length, 0, size - HEADER_BYTES - length)
        self.used += size
        self.next_seq += 1
        self.count += 1

    def seal(self, durable: int, salt: int):
        """The frames, ready to be written: once a batch, and released before the next `add`."""
        cdef uint64_t watermark = durable, mark = salt
        if self.sealed:
            raise ValueError("a batch is sealed once, then cleared")
        with nogil:
            self.seal_all(watermark, mark)
        return memoryview(self.frames)[:self.used]

    cdef void seal_all(self, uint64_t durable, uint64_t salt) noexcept nogil:
        cdef uint8_t *frame = self.start
        cdef uint8_t *end = self.start + self.used
        cdef Py_ssize_t length
        cdef uint64_t check
        self.sealed = True
        while frame < end:
            length = read_u32(frame + 12)
            memcpy(frame + 24, &durable, 8)
            memcpy(frame + 32, &salt, 8)
            check = xxh3(frame + 8, CHECKED_BYTES + length)
            memmove(frame, frame + 8, CHECKED_BYTES)
            memcpy(frame + CHECKED_BYTES, &check, 8)
            frame += padded(HEADER_BYTES + length)

    def clear(self):
        """Begin the next batch; sequence and chain go on."""
        self.used = 0
        self.count = 0
        self.sealed = False


cdef bint checks(const uint8_t *frame, Py_ssize_t length, uint8_t *scratch) noexcept nogil:
    """Whether a frame whose `length` is known to lie within the data has the check it says, and zeros after it."""
    cdef Py_ssize_t at
    for at in range(HEADER_BYTES + length, padded(HEADER_BYTES + length)):
        if frame[at]:
            return False
    memcpy(scratch, frame, CHECKED_BYTES)
    memcpy(scratch + CHECKED_BYTES, frame + HEADER_BYTES, length)
    return xxh3(scratch, CHECKED_BYTES + length) == read_u64(frame + CHECKED_BYTES)


def scan_frames(const uint8_t[::1] data not None, Py_ssize_t start, seq: int, salt: int, bytes chain not None,
                bint want_spans):
    """Read good frames from `start`, the first of them record `seq`, up to the first that is not.

    Cost: one pass without the interpreter's lock; every byte is copied once and hashed twice.
    """
    cdef uint8_t scratch[CHECKED_BYTES + BODY_BYTES]
    cdef uint8_t link[32]
    cdef uint64_t expected = seq, mark = salt, durable = 0, watermark
    cdef Py_ssize_t at = start, end = data.shape[0], length, count = 0, number
    cdef const uint8_t *frame
    cdef sha256_message messages[TOGETHER]
    cdef sha256_chain links
    cdef size_t waiting = 0
    cdef const uint8_t *first = &data[0] if end else NULL
    cdef bint cut = False
    # A frame is at least as long as its leaf and where it lies, so this is room enough.
    cdef bytes leaves = PyBytes_FromStringAndSize(NULL, 32 * (max(0, end - start) // HEADER_BYTES + 1))
    cdef uint8_t *leaf = <uint8_t *>PyBytes_AS_STRING(leaves)
    cdef list spans = []
    if PyBytes_GET_SIZE(chain) != 32 or start < 0 or start > end:
        raise ValueError("a chain hash has 32 bytes, and frames begin within the data")
    memcpy(link, PyBytes_AS_STRING(chain), 32)
    links.link, links.leaves, links.count, links.prefix = link, leaf, 0, TAG_CHAIN
    with nogil:
        while True:
            if end - at < HEADER_BYTES:
                cut = True
                break
            frame = first + at
            length = read_u32(frame + 4)
            watermark = read_u64(frame + 16)
            if read_u32(frame) != MAGIC or length > BODY_BYTES or read_u64(frame + 8) != expected:
                break
            if watermark > expected or read_u64(frame + 24) != mark:
                break
            if padded(HEADER_BYTES + length) > end - at:
                cut = True
                break
            if not checks(frame, length, scratch):
                break
            messages[waiting].data, messages[waiting].length = frame + HEADER_BYTES, length
            messages[waiting].digest = leaf
            leaf += 32
            waiting += 1
            if waiting == TOGETHER:
                sha256_many(TAG_LEAF, messages, waiting, &links)
                links.count += waiting
                waiting = 0
            if watermark > durable:
                durable = watermark
            at += padded(HEADER_BYTES + length)
            expected += 1
            count += 1
        sha256_many(TAG_LEAF, messages, waiting, &links)
        links.count += waiting
        sha256_many(TAG_LEAF, NULL, 0, &links)
    if want_spans:
        number = start
        while number < at:
            length = read_u32(first + number + 4)
            spans.append((number + HEADER_BYTES, number + HEADER_BYTES + length))
            number += padded(HEADER_BYTES + length)
    return Scan(at, count, PyBytes_FromStringAndSize(<char *>link, 32), durable, leaves[:32 * count], spans, cut)


def read_frame(const uint8_t[::1] data not None, Py_ssize_t start):
    """(seq, durable, salt, length of the body) of a frame at `start` that agrees with itself, else None."""
    cdef uint8_t scratch[CHECKED_BYTES + BODY_BYTES]
    cdef Py_ssize_t end = data.shape[0], length
    cdef const uint8_t *frame
    if start < 0 or end - start < HEADER_BYTES:
        return None
    frame = &data[start]
    length = read_u32(frame + 4)
    if read_u32(frame) != MAGIC or length > BODY_BYTES or padded(HEADER_BYTES + length) > end - start:
        return None
    if not checks(frame, length, scratch):
        return None
    return read_u64(frame + 8), read_u64(frame + 16), read_u64(frame + 24), length


def zeros_end(const uint8_t[::1] data not None, Py_ssize_t start):
    """Where the run of zeros from `start` ends: the first other byte, or the end of the data."""
    cdef Py_ssize_t at = start, end = data.shape[0]
    if start < 0 or start > end:
        raise ValueError("zeros begin within the data")
    while end - at >= 64 and not (
            read_u64(&data[at]) | read_u64(&data[at + 8]) | read_u64(&data[at + 16]) | read_u64(&data[at + 24])
            | read_u64(&data[at + 32]) | read_u64(&data[at + 40]) | read_u64(&data[at + 48]) | read_u64(&data[at + 56])):
        at += 64
    while end - at >= 8 and read_u64(&data[at]) == 0:
        at += 8
    while at < end and data[at] == 0:
        at += 1
    return at


def tagged_sha256(unsigned char tag, const uint8_t[::1] first not None, const uint8_t[::1] second not None):
    """SHA256(tag, first, second): 0 and a body for a leaf, 1 and two nodes for a node, 2 for a link of the chain."""
    cdef uint8_t digest[32]
    sha256_prefixed(tag, &first[0] if first.shape[0] else NULL, first.shape[0],
                    &second[0] if second.shape[0] else NULL, second.shape[0], digest)
    return PyBytes_FromStringAndSize(<char *>digest, 32)


def xxh3_of(const uint8_t[::1] data not None):
    """XXH3 with 64 bits and seed 0: what marks a frame."""
    return xxh3(&data[0] if data.shape[0] else NULL, data.shape[0])


def choose_sha(bint instructions):
    """Use the processor's own rounds, or with False plain C, from now on; whether its own are in use."""
    return bool(sha256_choose(instructions))
