"""Where a value has been seen: a normalised token, standing as a whole in a text.

A token is (form, text): a number compares by its value however it is spelled, a host or the host of an address without
regard to case, anything else character by character. It stands as a whole where nothing that would continue it comes
before or after it, directly or over one joining character.
"""

from cpython.unicode cimport PyUnicode_READ_CHAR
from fractions import Fraction

from thoth.native.names cimport normal, url_host_of
from thoth.native.values cimport EMAIL, HOST, Named, is_number

cdef enum:
    TOKEN_CHARS_MIN = 3
    NUMBER_MIN = 1000
    NUMBER_CHARS_MAX = 1300
    KNOWN_MAX = 4096

cdef object _fraction = Fraction
cdef dict _lower = {place: place + 32 for place in range(65, 91)}


def token_of(value, bint by_host):
    """Return form and normal text of a value that can be looked for, or None where it says too little.

    Forms: text, number (the text is its exact value), email, host. Too little is fewer than three characters, a
    boolean, or a bare number below 1,000.
    """
    cdef str text
    if by_host:
        text = None
        if type(value) is str:
            text = url_host_of(<str>value)
        elif type(value) is Named and (<Named>value).kind == HOST:
            text = (<Named>value).text
        return None if text is None or len(text) < TOKEN_CHARS_MIN else ("host", text)
    if type(value) is Named:
        text = (<Named>value).text
        if (<Named>value).kind == EMAIL or (<Named>value).kind == HOST:
            return None if len(text) < TOKEN_CHARS_MIN else ("email" if (<Named>value).kind == EMAIL else "host", text)
    elif type(value) is str:
        text = <str>value
    elif is_number(value):
        return None if -NUMBER_MIN < value < NUMBER_MIN else ("number", spell(value))
    else:
        return None
    if len(text) < TOKEN_CHARS_MIN or small_number(text):
        return None
    return ("text", text)


def spell(number) -> str:
    """Spell a number in one way: an integer, or numerator and denominator."""
    return str(number) if type(number) is int else str(_fraction(number))


cdef Py_ssize_t number_end(str text, Py_ssize_t place) noexcept:
    """Return where a number that begins here ends, -1 where none does: digits, groups of three, a decimal point."""
    cdef Py_ssize_t length = len(text), digit
    if place < length and PyUnicode_READ_CHAR(text, place) == u"-":
        place += 1
    if not is_digit(text, place):
        return -1
    while is_digit(text, place):
        place += 1
    while place < length and PyUnicode_READ_CHAR(text, place) == u",":
        for digit in range(1, 4):
            if not is_digit(text, place + digit):
                break
        else:
            place += 4
            continue
        break
    if place < length and PyUnicode_READ_CHAR(text, place) == u"." and is_digit(text, place + 1):
        place += 1
        while is_digit(text, place):
            place += 1
    return place


cdef inline bint is_digit(str text, Py_ssize_t place) noexcept:
    return place < len(text) and u"0" <= PyUnicode_READ_CHAR(text, place) <= u"9"


cdef bint small_number(str text) noexcept:
    """Say whether a text is a bare number below 1,000."""
    cdef Py_ssize_t length = len(text), place, digits = 0
    cdef Py_UCS4 c
    if number_end(text, 0) != length:
        return False
    for place in range(length):
        c = PyUnicode_READ_CHAR(text, place)
        if c == u".":
            break
        if u"0" <= c <= u"9" and (digits or c != u"0"):
            digits += 1
    return digits <= 3


cdef bint is_word(Py_UCS4 c) noexcept:
    return c == u"_" or c.isalnum()


cdef bint joins(Py_UCS4 c) noexcept:
    return c in u".,-@/:+%=&#~'_$"


cdef bint edge(str text, Py_ssize_t place) noexcept:
    """Say whether a token may begin or end here."""
    cdef Py_ssize_t length = len(text)
    cdef Py_UCS4 before, after
    if place <= 0 or place >= length:
        return True
    before = PyUnicode_READ_CHAR(text, place - 1)
    after = PyUnicode_READ_CHAR(text, place)
    if is_word(before):
        if is_word(after):
            return False
        if place + 1 < length and joins(after) and is_word(PyUnicode_READ_CHAR(text, place + 1)):
            return False
    return not (place > 1 and joins(before) and is_word(after) and is_word(PyUnicode_READ_CHAR(text, place - 2)))


cdef bint host_ends(str text, Py_ssize_t end) noexcept:
    """Say whether a host ends here inside a URL: before its path, query, fragment or port."""
    cdef Py_UCS4 c
    if end >= len(text):
        return False
    c = PyUnicode_READ_CHAR(text, end)
    return c == u"/" or c == u"?" or c == u"#" or (c == u":" and is_digit(text, end + 1))


cdef str lowered(str text):
    """Lower the letters A to Z only, so that every character keeps its place."""
    return text.lower() if text.isascii() else text.translate(_lower)


cdef bint numeral(Py_UCS4 c) noexcept:
    """Say whether a character may be part of a number."""
    return u"0" <= c <= u"9" or c == u"," or c == u"." or c == u"-"


cdef bint stands_number(str wanted, str text) except -1:
    cdef Py_ssize_t length = len(text), start = 0, end
    cdef str last
    if not wanted[len(wanted) - 3:].isdecimal() or "/" in wanted:
        return reads_number(wanted, text, 0, length)
    # However a number from 1,000 on is spelled, its last three whole digits stand side by side.
    last = wanted[len(wanted) - 3:]
    while True:
        start = text.find(last, start)
        if start < 0:
            return False
        end = start
        while start > 0 and numeral(PyUnicode_READ_CHAR(text, start - 1)):
            start -= 1
        while end < length and numeral(PyUnicode_READ_CHAR(text, end)):
            end += 1
        if reads_number(wanted, text, start, end):
            return True
        start = end


cdef bint reads_number(str wanted, str text, Py_ssize_t place, Py_ssize_t stop) except -1:
    """Say whether one of the numbers in a piece of a text, which breaks none, is the one wanted."""
    cdef Py_ssize_t end, point
    cdef str found, whole
    while place < stop:
        end = number_end(text, place)
        if end < 0:
            place += 1
            continue
        if end - place <= NUMBER_CHARS_MAX and edge(text, place) and edge(text, end):
            found = text[place:end].replace(",", "")
            point = found.find(".")
            if point < 0:
                whole = str(int(found))
            else:
                whole = spell(_fraction(int(found.replace(".", "")), int("1" + "0" * (len(found) - point - 1))))
            if whole == wanted:
                return True
        place = end
    return False


cdef bint stands(str form, str wanted, str text, str haystack) except -1:
    """Say whether a token stands in a text (NFC) as a whole; `haystack` is the text, lowered for hosts and addresses."""
    cdef Py_ssize_t at = 0, start, end
    cdef bint host = form == "host"
    cdef str needle = wanted
    if form == "number":
        return stands_number(wanted, text)
    if host or form == "email":
        needle = lowered(wanted)
        if not host:
            at = wanted.rfind("@")
    start = haystack.find(needle)
    while start >= 0:
        end = start + len(needle)
        # An address's local part is compared as it was written.
        if at == 0 or text.startswith(wanted[:at], start):
            if (edge(text, end) or (host and host_ends(text, end))) and (
                edge(text, start) or (host and text[max(0, start - 2):start] == "//")
            ):
                return True
        start = haystack.find(needle, start + 1)
    return False


cdef class Memory:
    """What was asked of a growing list of texts: which of them hold a token. It is kept, so asking again costs a look-up."""

    cdef dict known      # token -> (how many texts were looked through, places of those that hold it)
    cdef list lowered    # of texts, where they were needed

    def __cinit__(self):
        self.known, self.lowered = {}, []

    def __reduce__(self):
        """Copy nothing: whoever copies a session begins anew."""
        return Memory, ()

    def places(self, tuple token not None, list texts not None) -> tuple:
        """Return the places of the texts that hold a token of `token_of`; the list may only have grown since.

        Cost: a pass over the texts that have come since the token was last asked.
        """
        cdef Py_ssize_t through = 0, count = len(texts)
        cdef tuple places = (), held = self.known.get(token)
        cdef object one
        if held is not None:
            through, places = held
            if through == count:
                return places
        for place in range(through, count):
            one = texts[place]
            if self.stands(token, <str>(one if type(one) is str else one.text), place):
                places += (place,)
        if len(self.known) >= KNOWN_MAX:
            self.known.clear()
        self.known[token] = (count, places)
        return places

    cdef bint stands(self, tuple token, str text, Py_ssize_t place) except -1:
        cdef str form = token[0]
        text = normal(text)
        if form != "host" and form != "email":
            return stands(form, <str>token[1], text, text)
        while len(self.lowered) <= place:
            self.lowered.append(None)
        if self.lowered[place] is None:
            self.lowered[place] = lowered(text)
        return stands(form, <str>token[1], text, <str>self.lowered[place])


def stands_in(tuple token not None, str text not None) -> bool:
    """Say whether a token of `token_of` stands in a text as a whole."""
    cdef str form = <str?>token[0], plain = normal(text)
    return stands(form, <str?>token[1], plain, lowered(plain) if form == "host" or form == "email" else plain)
