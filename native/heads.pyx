"""The head of an HTTP/1.1 request, where it is as plain as nearly all of them are.

What is read here can be read in one way only (RFC 9112): one request and nothing else, lines that end in CRLF, no folded
lines, a length that stands once, and no header that would change how the connection goes on. All else is left to a parser
that knows everything; so a head is never read here otherwise than there.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

cdef enum:
    HEAD_BYTES_MAX = 8192
    BODY_BYTES_MAX = 1 << 20
    NAME_BYTES_MAX = 32
    # How a header is met.
    other, api_key, length_of, type_of, agent, harmless

cdef uint8_t lowered[256]      # of a header's name: the byte in lower case, 0 where no name has it
cdef int one_byte
for one_byte in range(256):
    if chr(one_byte) in "abcdefghijklmnopqrstuvwxyz0123456789-_":
        lowered[one_byte] = one_byte
    elif chr(one_byte) in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        lowered[one_byte] = one_byte + 32


def plain_post(bytes data not None, bytes target not None):
    """Return (API key, user agent, body) of a plain POST of JSON to `target`; None where it may be anything else."""
    cdef Head head
    if not read_head(data, target, &head):
        return None
    return (
        PyBytes_FromStringAndSize(<const char *>head.key, head.key_bytes),
        PyBytes_FromStringAndSize(<const char *>head.agent, head.agent_bytes),
        PyBytes_FromStringAndSize(<const char *>head.body, head.body_bytes),
    )


cdef bint read_head(bytes data, bytes target, Head *head) noexcept:
    """Say whether this is a plain POST of JSON to `target`, and where in it lies what."""
    cdef const uint8_t *text = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef const uint8_t *end = text + PyBytes_GET_SIZE(data)
    cdef const uint8_t *at = text
    cdef const uint8_t *value
    cdef const uint8_t *stop
    cdef uint8_t small[NAME_BYTES_MAX]
    cdef Py_ssize_t size, target_bytes = PyBytes_GET_SIZE(target), place, length = -1
    cdef bint json = False
    cdef int what
    head.key, head.agent, head.agent_bytes = NULL, NULL, 0
    if end - at < 5 + target_bytes + 11 or memcmp(at, b"POST ", 5) != 0:
        return False
    at += 5
    if memcmp(at, PyBytes_AS_STRING(target), target_bytes) != 0 or memcmp(at + target_bytes, b" HTTP/1.1\r\n", 11) != 0:
        return False
    at += target_bytes + 11
    while True:
        if at - text > HEAD_BYTES_MAX or end - at < 2:
            return False
        if at[0] == 13:
            if at[1] != 10:
                return False
            at += 2
            break
        size = 0
        while at < end and lowered[at[0]]:
            if size == NAME_BYTES_MAX:
                return False
            small[size] = lowered[at[0]]
            size += 1
            at += 1
        if size == 0 or at == end or at[0] != 58:
            return False
        at += 1
        while at < end and at[0] == 32:
            at += 1
        value = at
        while at < end and 32 <= at[0] < 127:
            at += 1
        if end - at < 2 or at[0] != 13 or at[1] != 10:
            return False
        stop = at
        while stop > value and stop[-1] == 32:
            stop -= 1
        at += 2
        what = kind_of(small, size)
        if what == other:
            return False
        if what == harmless:
            continue
        if what == length_of:
            if length >= 0 or not 0 < stop - value <= 7:
                return False
            length = 0
            for place in range(stop - value):
                if not 48 <= value[place] <= 57:
                    return False
                length = 10 * length + value[place] - 48
        elif what == api_key:
            if head.key != NULL:
                return False
            head.key, head.key_bytes = value, stop - value
        elif what == type_of:
            if json or stop - value != 16 or memcmp(value, b"application/json", 16) != 0:
                return False
            json = True
        else:
            if head.agent != NULL:
                return False
            head.agent, head.agent_bytes = value, stop - value
    head.body, head.body_bytes = at, length
    return head.key != NULL and json and 0 < length <= BODY_BYTES_MAX and end - at == length


cdef int kind_of(const uint8_t *name, Py_ssize_t size) noexcept nogil:
    """Say how a header of this name, in lower case, is met."""
    if size == 14 and memcmp(name, b"content-length", 14) == 0:
        return length_of
    if size == 12 and memcmp(name, b"content-type", 12) == 0:
        return type_of
    if size == 9 and memcmp(name, b"x-api-key", 9) == 0:
        return api_key
    if size == 10 and memcmp(name, b"user-agent", 10) == 0:
        return agent
    if size == 4 and memcmp(name, b"host", 4) == 0:
        return harmless
    if size == 6 and memcmp(name, b"accept", 6) == 0:
        return harmless
    if size == 15 and (memcmp(name, b"accept-encoding", 15) == 0 or memcmp(name, b"accept-language", 15) == 0):
        return harmless
    return other
