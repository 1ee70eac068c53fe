"""Texts in NFC, and hosts, e-mail addresses, URLs, paths and IP addresses: one form each, or None
where reading would be guessing.

Every text to be read comes in NFC. A name that two programs read differently (an octal address, a percent sign in a host, a
backslash in a path) is no name here.
"""

from cpython.unicode cimport PyUnicode_READ_CHAR
from unicodedata import combining, is_normalized, normalize

import idna

from thoth.native.texts cimport text_is_ascii, text_is_settled_path

cdef object _is_normalized = is_normalized
cdef object _normalize = normalize
cdef object _combining = combining

cdef enum:
    MARKS_MAX = 64           # in a row, that Unicode's own library is left to put in order
    HOST_CHARS_MAX = 253     # RFC 1035, without the trailing dot
    LABEL_CHARS_MAX = 63
    LOCAL_CHARS_MAX = 64     # RFC 5321
    FOLDER_CHARS_MAX = 4096  # each relative path is read behind it; as in `contract`


def read_host(str text not None) -> str | None:
    """Return a host in lower case, IDNA form, without trailing dot, or None.

    An IPv6 address stands in brackets, shortened (RFC 5952, no dotted tail). A last label that starts with a digit
    must be part of a dotted IPv4 address, for programs disagree about the rest (WHATWG URL, "ends in a number").
    """
    return host_of(text)


def read_email(str text not None) -> str | None:
    """Return one address: the local part as written (dot-atom, RFC 5322), the host as `read_host` gives it; or None."""
    return email_of(text)


def read_url_host(str text not None) -> str | None:
    """Return the host of a plain http(s) URL, or None."""
    return url_host_of(text)


def read_path(str text not None, object folder) -> str | None:
    """Return an absolute path with `..` resolved, or None; a relative one starts from `folder`, which may be anything."""
    return path_of(text, folder_of(folder))


def read_ip(str text not None) -> tuple[int, int] | None:
    """Return (4 or 6, the address as a number), or None; an IPv4 address mapped into IPv6 is the IPv4 address."""
    return ip_of(text)


# ---------------------------------------------------------------- texts


cdef str normal(str text):
    """Return a text in NFC; most texts are already, and ASCII always is."""
    if text_is_ascii(text) or _is_normalized("NFC", text):
        return text
    return _normalize("NFC", in_order(text))


cdef bint is_mark(Py_UCS4 c) except -1:
    """Say whether a character is a combining one, or is made of nothing but such (the last three)."""
    return c >= 0x300 and (_combining(chr(c)) != 0 or c == 0x0F73 or c == 0x0F75 or c == 0x0F81)


cdef str in_order(str text):
    """Return a text that has the same NFC, and no long row of marks that is out of order.

    The library sorts such a row by insertion: of 60,000 marks that took three seconds, of a million a quarter of an hour.
    """
    cdef Py_ssize_t length = len(text), place = MARKS_MAX, start, end, done = 0
    cdef list pieces = []
    while place < length:  # a row of twice as many has a mark in one of these places
        if not is_mark(PyUnicode_READ_CHAR(text, place)):
            place += MARKS_MAX
            continue
        start, end = place, place + 1
        while start > done and is_mark(PyUnicode_READ_CHAR(text, start - 1)):
            start -= 1
        while end < length and is_mark(PyUnicode_READ_CHAR(text, end)):
            end += 1
        if end - start > MARKS_MAX:
            pieces.append(text[done:start])
            pieces.append(marks_in_order(text[start:end]))
            done = end
        place = end + MARKS_MAX
    if not pieces:
        return text
    pieces.append(text[done:])
    return "".join(pieces)


cdef str marks_in_order(str row):
    """Return the marks that a row is made of by their classes, those of one class as they stood."""
    cdef dict made = {c: [(_combining(one), one) for one in _normalize("NFD", c)] for c in set(row)}
    cdef dict by_class = {}
    for c in row:
        for number, one in <list>made[c]:
            by_class.setdefault(number, []).append(one)
    return "".join(["".join(<list>by_class[number]) for number in sorted(by_class)])


def nfc(str text not None) -> str:
    """Return a text in NFC."""
    return normal(text)


# ---------------------------------------------------------------- hosts


cdef str host_of(str text):
    cdef Py_ssize_t length = len(text), start = 0, place
    cdef Py_UCS4 c
    cdef object number
    if length >= 2 and text[0] == u"[" and text[length - 1] == u"]":
        number = ipv6_number(text[1:length - 1])
        if number is None:
            return None
        if number >> 32 == 0xFFFF:
            return ".".join([str(number >> shift & 0xFF) for shift in (24, 16, 8, 0)])
        return f"[{spell_ipv6(number)}]"
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return None
    text = text.lower()
    length = len(text)
    if length and text[length - 1] == u".":
        length -= 1
        text = text[:length]
    if length == 0 or length > HOST_CHARS_MAX:
        return None
    for place in range(length + 1):
        c = u"." if place == length else PyUnicode_READ_CHAR(text, place)
        if c == u".":
            if place == start or place - start > LABEL_CHARS_MAX:
                return None
            if PyUnicode_READ_CHAR(text, start) == u"-" or PyUnicode_READ_CHAR(text, place - 1) == u"-":
                return None
            if place < length:
                start = place + 1
        elif not (u"a" <= c <= u"z" or u"0" <= c <= u"9" or c == u"_" or c == u"-"):
            return None
    # `start` is now the last label's.
    if u"0" <= PyUnicode_READ_CHAR(text, start) <= u"9":
        return text if ipv4_number(text) >= 0 else None
    return text


cdef str email_of(str text):
    cdef Py_ssize_t at = text.rfind("@"), place
    cdef Py_UCS4 c
    cdef bint atom = False
    cdef str host
    if at < 1 or at > LOCAL_CHARS_MAX:
        return None
    for place in range(at):
        c = PyUnicode_READ_CHAR(text, place)
        if c == u".":
            if not atom:
                return None
            atom = False
        elif u"a" <= c <= u"z" or u"A" <= c <= u"Z" or u"0" <= c <= u"9" or c in u"!#$%&'*+/=?^_`{|}~-":
            atom = True
        else:
            return None
    if not atom:
        return None
    host = host_of(text[at + 1:])
    if host is None or host[0] == u"[":
        return None
    return text[:at + 1] + host


cdef str url_host_of(str text):
    cdef Py_ssize_t length = len(text), start, end, place, colon = -1, port
    cdef Py_UCS4 c
    cdef int value = 0
    if length < 7:
        return None
    if text[:4].lower() != "http":
        return None
    start = 4
    c = PyUnicode_READ_CHAR(text, start)
    if c == u"s" or c == u"S":
        start += 1
    if not text.startswith("://", start):
        return None
    start += 3
    end = -1
    for place in range(length):
        c = PyUnicode_READ_CHAR(text, place)
        if c == u"\\" or c < 33 or c == 127 or (c > 127 and c.isspace()):
            return None
        if place >= start and end < 0:
            if c == u"/" or c == u"?" or c == u"#":
                end = place
            elif c == u"@" or c == u"%":
                return None
            elif c == u":":
                colon = place
            elif c == u"]":
                colon = -1
    if end < 0:
        end = length
    if colon >= 0:
        if end - colon - 1 > 5:
            return None
        for port in range(colon + 1, end):
            c = PyUnicode_READ_CHAR(text, port)
            if not u"0" <= c <= u"9":
                return None
            value = value * 10 + (<int>c - 48)
        if value > 65_535:
            return None
        end = colon
    return host_of(text[start:end])


# ---------------------------------------------------------------- paths


cdef bint is_hex(Py_UCS4 c) noexcept:
    return u"0" <= c <= u"9" or u"a" <= c <= u"f" or u"A" <= c <= u"F"


cdef int hex_value(Py_UCS4 c) noexcept:
    cdef int code = <int>c
    return code - 48 if code <= 57 else (code | 32) - 97 + 10


cdef bint plain_path(str text) noexcept:
    cdef Py_ssize_t length = len(text), place
    cdef Py_UCS4 c, following
    if length == 0 or PyUnicode_READ_CHAR(text, 0) == u"~":
        return False
    for place in range(length):
        c = PyUnicode_READ_CHAR(text, place)
        if c < 32 or c == 127 or c in u"\\*?[]{}":
            return False
        if c == u"%" and place + 2 < length:
            if is_hex(PyUnicode_READ_CHAR(text, place + 1)) and is_hex(PyUnicode_READ_CHAR(text, place + 2)):
                return False
        elif c == u"$" and place + 1 < length:
            following = PyUnicode_READ_CHAR(text, place + 1)
            if u"a" <= following <= u"z" or u"A" <= following <= u"Z" or following in u"_{(":
                return False
    return True


cdef str folder_of(object folder):
    """Return the folder that relative paths start from, as `path_of` takes it; None where it is none."""
    if type(folder) is not str or not (<str>folder).startswith("/") or len(<str>folder) > FOLDER_CHARS_MAX:
        return None
    return path_of(<str>folder, None)


cdef str path_of(str text, str base):
    cdef list kept = []
    cdef str part
    cdef Py_ssize_t end = 0
    if text_is_settled_path(text):
        return text
    if not plain_path(text):
        return None
    if text[0] != u"/":
        if base is None:
            return None
        end = len(base) if base != "/" else 0
    elif text.startswith("//"):
        return None
    for part in normal(text).split("/"):
        if part == "..":
            if kept:
                kept.pop()
            elif end:
                end = base.rfind("/", 0, end)
        elif part and part != ".":
            kept.append(part)
    if end and not kept:
        return base[:end]
    return (base[:end] if end else "") + "/" + "/".join(kept)


# ---------------------------------------------------------------- IP addresses


cdef object ip_of(str text):
    cdef long long four = ipv4_number(text)
    if four >= 0:
        return (4, four)
    number = ipv6_number(text)
    if number is None:
        return None
    if number >> 32 == 0xFFFF:
        return (4, number & 0xFFFFFFFF)
    return (6, number)


cdef long long ipv4_number(str text) noexcept:
    """Return four decimal numbers without leading zeros as one, or -1."""
    cdef Py_ssize_t length = len(text), place
    cdef long long whole = 0
    cdef int octet = 0, digits = 0, octets = 0
    cdef Py_UCS4 c
    if length < 7 or length > 15:
        return -1
    for place in range(length + 1):
        c = u"." if place == length else PyUnicode_READ_CHAR(text, place)
        if c == u".":
            if digits == 0 or octet > 255:
                return -1
            whole = whole << 8 | octet
            octets += 1
            octet = digits = 0
        elif u"0" <= c <= u"9":
            if digits == 3 or (digits and octet == 0):
                return -1
            octet = octet * 10 + (<int>c - 48)
            digits += 1
        else:
            return -1
    return whole if octets == 4 else -1


cdef object ipv6_number(str text):
    """Return an IPv6 address (RFC 4291, 2.2) as a number, or None; a zone is none of the address."""
    cdef list groups = []
    cdef Py_ssize_t length = len(text), place = 0, start
    cdef Py_ssize_t gap = -1
    cdef int group, digits
    cdef long long tail
    cdef Py_UCS4 c
    if length < 2 or length > 45:
        return None
    if text.startswith("::"):
        gap = 0
        place = 2
    elif text[0] == u":":
        return None
    while place < length:
        start = place
        group = digits = 0
        while place < length:
            c = PyUnicode_READ_CHAR(text, place)
            if not is_hex(c):
                break
            if digits == 4:
                return None
            group = group * 16 + hex_value(c)
            digits += 1
            place += 1
        if place < length and PyUnicode_READ_CHAR(text, place) == u".":
            tail = ipv4_number(text[start:])
            if tail < 0:
                return None
            groups.append(tail >> 16)
            groups.append(tail & 0xFFFF)
            place = length
            break
        if digits == 0:
            return None
        groups.append(group)
        if place == length:
            break
        if PyUnicode_READ_CHAR(text, place) != u":":
            return None
        place += 1
        if place == length:
            return None
        if PyUnicode_READ_CHAR(text, place) == u":":
            if gap >= 0:
                return None
            gap = len(groups)
            place += 1
    if gap >= 0:
        if len(groups) > 7:
            return None
        groups[gap:gap] = [0] * (8 - len(groups))
    elif len(groups) != 8:
        return None
    whole = 0
    for one in groups:
        whole = whole << 16 | one
    return whole


cdef str spell_ipv6(object number):
    cdef list groups = [number >> shift & 0xFFFF for shift in range(112, -1, -16)]
    cdef int place, start = 0, best = 0, best_length = 1, run = 0
    for place in range(8):
        if groups[place] == 0:
            if run == 0:
                start = place
            run += 1
            if run > best_length:
                best, best_length = start, run
        else:
            run = 0
    if best_length < 2:
        return ":".join([f"{group:x}" for group in groups])
    return (
        ":".join([f"{group:x}" for group in groups[:best]])
        + "::"
        + ":".join([f"{group:x}" for group in groups[best + best_length:]])
    )
