"""What is done to files of the system without the interpreter's lock, where `DIRECT` says that it can be."""

from libc.stdint cimport int64_t, uint8_t

cdef extern from "disk.h" nogil:
    const int DISK_DIRECT
    int disk_write(int file, const uint8_t *data, size_t length, int64_t offset)
    int disk_sync(int file)

cdef enum:
    PIECE_BYTES = 1 << 20

DIRECT = bool(DISK_DIRECT)
cdef uint8_t[PIECE_BYTES] zeros


def write_zeros(int file, int64_t size, int64_t synced_bytes) -> int:
    """Fill a file with zeros and sync it, a piece of so many bytes after the other; 0, or an errno.

    In pieces, so that a commit to another file of the same disk never waits for all of it.
    """
    cdef int64_t at = 0, since = 0, count
    cdef int error = 0
    with nogil:
        while at < size and not error:
            count = min(PIECE_BYTES, size - at)
            error = disk_write(file, zeros, count, at)
            at += count
            since += count
            if not error and (since >= synced_bytes or at == size):
                error = disk_sync(file)
                since = 0
    return error
