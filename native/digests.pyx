"""Digests over a sequence of events, one link an event: equal digests, equal sequences.

    link = SHA256(0x03 | the link before, 32 bytes | kind, u8 | when, in microseconds since 1970, i64 | each part)
    part = 0x00 for None
         | 0x01, length in UTF-8 as u64, the text
         | 0x02, count as u64, each text of a set, sorted, as a part
         | 0x03, 32 bytes
         | 0x04, an integer as i64

Little endian. What an event means is for others to say.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport rint
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from thoth.native.sha256 cimport sha256_begin, sha256_choose, sha256_end, sha256_run, sha256_take

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef enum:
    TAG_EVENT = 0x03
    SPELLED_MAX = 4096

cdef double US_MAX = 9e15      # about 285 years from 1970; later is as late

FIRST = bytes(32)
sha256_choose(1)

cdef dict spelled = {}     # a set of texts -> its part: sets are few, and sorting one costs more than hashing it


cdef int take_text(sha256_run *run, str text) except -1:
    """Take in a text; lone surrogates as the three bytes that they would be."""
    cdef Py_ssize_t length = 0
    cdef const char *data
    cdef bytes encoded
    cdef uint8_t head[9]
    cdef uint64_t size
    if PyUnicode_IS_COMPACT_ASCII(text):
        data = PyUnicode_AsUTF8AndSize(text, &length)
    else:
        encoded = text.encode("utf-8", "surrogatepass")
        data, length = PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded)
    size = <uint64_t>length
    head[0] = 1
    memcpy(head + 1, &size, 8)
    sha256_take(run, head, 9)
    sha256_take(run, <const uint8_t *>data, length)
    return 0


cdef bytes spelling(frozenset texts):
    """Return the part of a set of texts."""
    cdef object found = spelled.get(texts)
    cdef bytes made
    if found is not None:
        return <bytes>found
    parts = [b"\x02", len(texts).to_bytes(8, "little")]
    for text in sorted(texts):
        encoded = (<str>text).encode("utf-8", "surrogatepass")
        parts += [b"\x01", len(encoded).to_bytes(8, "little"), encoded]
    made = b"".join(parts)
    if len(spelled) >= SPELLED_MAX:
        spelled.clear()
    spelled[texts] = made
    return made


def after(bytes previous not None, int kind, double at, *parts) -> bytes:
    """Return the digest after an event at a time in epoch seconds.

    A part is a text, a frozenset of texts, 32 bytes, an integer, or None.
    """
    cdef sha256_run run
    cdef uint8_t digest[32]
    cdef uint8_t number[9]
    cdef bytes given
    cdef int64_t whole
    begin(&run, previous, kind, at)
    for part in parts:
        if part is None:
            sha256_take(&run, <const uint8_t *>b"\x00", 1)
        elif isinstance(part, str):
            take_text(&run, <str>part)
        elif type(part) is frozenset:
            given = spelling(<frozenset>part)
            sha256_take(&run, <const uint8_t *>PyBytes_AS_STRING(given), PyBytes_GET_SIZE(given))
        elif isinstance(part, int):
            whole = part
            number[0] = 4
            memcpy(number + 1, &whole, 8)
            sha256_take(&run, number, 9)
        else:
            given = part
            if PyBytes_GET_SIZE(given) != 32:
                raise ValueError("a part of bytes is a digest, and has 32 of them")
            sha256_take(&run, <const uint8_t *>b"\x03", 1)
            sha256_take(&run, <const uint8_t *>PyBytes_AS_STRING(given), 32)
    sha256_end(&run, digest)
    return PyBytes_FromStringAndSize(<char *>digest, 32)


cdef int begin(sha256_run *run, bytes previous, int kind, double at) except -1:
    """Begin the digest after an event: what was before it, its kind, and when it was."""
    cdef uint8_t head[42]
    cdef int64_t whole = <int64_t>rint(min(US_MAX, max(-US_MAX, at * 1e6))) if at == at else 0
    if PyBytes_GET_SIZE(previous) != 32:
        raise ValueError("a digest has 32 bytes")
    head[0] = TAG_EVENT
    memcpy(head + 1, PyBytes_AS_STRING(previous), 32)
    head[33] = <uint8_t>kind
    memcpy(head + 34, &whole, 8)
    sha256_begin(run)
    sha256_take(run, head, 42)
    return 0


cdef int take_texts(sha256_run *run, object texts) except -1:
    """Take in a set of texts, or None."""
    cdef bytes given
    if texts is None:
        sha256_take(run, <const uint8_t *>b"\x00", 1)
    else:
        given = spelling(<frozenset?>texts)
        sha256_take(run, <const uint8_t *>PyBytes_AS_STRING(given), PyBytes_GET_SIZE(given))
    return 0


cdef bytes after_call(bytes previous, int kind, double at, str name, object classes, object labels, object pending):
    """Return `after(previous, kind, at, name, classes, labels, pending)`: a text, and three sets or None."""
    cdef sha256_run run
    cdef uint8_t digest[32]
    begin(&run, previous, kind, at)
    take_text(&run, name)
    take_texts(&run, classes)
    take_texts(&run, labels)
    take_texts(&run, pending)
    sha256_end(&run, digest)
    return PyBytes_FromStringAndSize(<char *>digest, 32)


cdef bytes after_end(bytes previous, int kind, int64_t number, str ending, bytes told):
    """Return `after(previous, kind, 0.0, number, ending, told, None, frozenset(), frozenset())`."""
    cdef sha256_run run
    cdef uint8_t head[42]
    cdef uint8_t digest[32]
    if PyBytes_GET_SIZE(told) != 32:
        raise ValueError("a digest has 32 bytes")
    begin(&run, previous, kind, 0.0)
    head[0] = 4
    memcpy(head + 1, &number, 8)
    sha256_take(&run, head, 9)
    take_text(&run, ending)
    head[0] = 3
    memcpy(head + 1, PyBytes_AS_STRING(told), 32)
    memset(head + 33, 0, 9)
    sha256_take(&run, head, 34)  # the last one is a None
    head[0] = 2                  # two sets of nothing
    memset(head + 1, 0, 8)
    sha256_take(&run, head, 9)
    sha256_take(&run, head, 9)
    sha256_end(&run, digest)
    return PyBytes_FromStringAndSize(<char *>digest, 32)


cpdef bytes digest_of(str text):
    """Return the SHA-256 of a text in UTF-8."""
    if text is None:
        raise TypeError("a text is hashed, not None")
    cdef sha256_run run
    cdef uint8_t digest[32]
    cdef Py_ssize_t length = 0
    cdef const char *data
    cdef bytes encoded
    if PyUnicode_IS_COMPACT_ASCII(text):
        data = PyUnicode_AsUTF8AndSize(text, &length)
    else:
        encoded = text.encode("utf-8", "surrogatepass")
        data, length = PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded)
    sha256_begin(&run)
    sha256_take(&run, <const uint8_t *>data, length)
    sha256_end(&run, digest)
    return PyBytes_FromStringAndSize(<char *>digest, 32)
