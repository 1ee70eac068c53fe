"""Patterns in texts: where a compiled expression finds something, and which of its finds a detector's check lets stand.

The expressions are RE2's, compiled elsewhere and linear in the text. A check looks at pieces of a find that begin and
end where a group of characters does, so that a card number behind another number is found as well.
"""

from cpython.unicode cimport PyUnicode_READ_CHAR

from thoth.native.names cimport ip_of
from thoth.native.values cimport DOUBT, NO, YES

cdef enum:
    CARD_MIN = 13
    CARD_MAX = 19
    IBAN_MIN = 15
    IBAN_MAX = 34


cdef class Scan:
    """One expression and the check of its finds: "", luhn, iban, ssn or ip. `detector` counts finds, not matches.

    `compiled` None is an expression that could not be compiled: whether it is found is in doubt.
    """

    def __init__(self, compiled, bint detector=False, str check not None=""):
        self.compiled = compiled
        self.search = None if compiled is None else compiled.search
        self.detector = detector
        self.check = check

    cdef int found(self, str text) except -1:
        """Say whether the pattern is found anywhere in a text; an expression that gives up leaves it in doubt."""
        if self.compiled is None:
            return DOUBT
        try:
            if not self.detector:
                return YES if self.search(text) is not None else NO
            return YES if self.places(text, True) else NO
        except Exception:  # RE2 out of memory; a text that cannot be encoded
            return DOUBT

    cdef list places(self, str text, bint first):
        cdef list places = []
        cdef Py_ssize_t start, end
        for match in self.compiled.finditer(text):
            start, end = match.span()
            if not self.check:
                if end > start:
                    places.append((start, end))
            elif self.check == "luhn":
                windows(text, start, end, u" ", u"-", CARD_MIN, CARD_MAX, False, places)
            elif self.check == "iban":
                windows(text, start, end, u" ", u" ", IBAN_MIN, IBAN_MAX, True, places)
            elif self.check == "ssn":
                if issued(text, start):
                    places.append((start, end))
            elif ip_of(text[start:end]) is not None:
                places.append((start, end))
            if first and places:
                break
        return places

    def holds(self, str text not None) -> bool | None:
        """Say whether the pattern is found in a text; None where that is in doubt."""
        return (False, True, None)[self.found(text)]

    def spans(self, str text not None) -> list:
        """Return where the pattern is found, as (start, end) in code points; empty finds do not count."""
        return self.places(text, False)


cdef bint issued(str text, Py_ssize_t start) except -1:
    """Say whether a US social security number, ddd-dd-dddd, lies outside the ranges that are never assigned."""
    cdef str area = text[start:start + 3]
    return not (
        area == "000" or area == "666" or area[0] == u"9"
        or text[start + 4:start + 6] == "00" or text[start + 7:start + 11] == "0000"
    )


cdef int windows(
    str text, Py_ssize_t start, Py_ssize_t end, Py_UCS4 gap, Py_UCS4 other_gap,
    Py_ssize_t shortest, Py_ssize_t longest, bint iban, list places,
) except -1:
    """Add the leftmost, longest pieces that begin and end at a group's edge and pass the check without separators.

    Cost: at most 2 * longest characters for each group.
    """
    cdef Py_ssize_t place, stop, taken, filled, best
    cdef Py_UCS4 c, before
    cdef Py_UCS4 piece[64]
    assert longest <= 64
    place = start
    while place < end:
        c = PyUnicode_READ_CHAR(text, place)
        before = gap if place == start else PyUnicode_READ_CHAR(text, place - 1)
        if c == gap or c == other_gap or not (before == gap or before == other_gap):
            place += 1
            continue
        best = -1
        filled = 0
        stop = place
        while stop < end and stop < place + 2 * longest and filled <= longest:
            c = PyUnicode_READ_CHAR(text, stop)
            stop += 1
            if c == gap or c == other_gap:
                continue
            if filled == longest:
                break
            piece[filled] = c
            filled += 1
            if stop < end:
                c = PyUnicode_READ_CHAR(text, stop)
                if c != gap and c != other_gap:
                    continue
            if filled >= shortest and (mod_97(piece, filled) if iban else luhn(piece, filled)):
                best = stop
        if best < 0:
            place += 1
        else:
            places.append((place, best))
            place = best
    return 0


cdef bint luhn(const Py_UCS4 *piece, Py_ssize_t length) noexcept nogil:
    """Luhn's sum (ISO/IEC 7812-1); nothing but zeros is no card."""
    cdef Py_ssize_t place
    cdef int total = 0, digit, any_digit = 0
    for place in range(length):
        digit = <int>piece[length - 1 - place] - 48
        any_digit |= digit
        if place % 2:
            digit *= 2
            if digit > 9:
                digit -= 9
        total += digit
    return any_digit != 0 and total % 10 == 0


cdef bint mod_97(const Py_UCS4 *piece, Py_ssize_t length) noexcept nogil:
    """Mod 97 of the rearranged number is one (ISO 13616)."""
    cdef Py_ssize_t place
    cdef int rest = 0
    cdef Py_UCS4 c
    for place in range(length):
        c = piece[place]
        if c >= 128 or (place < 2 and not 65 <= c <= 90) or (2 <= place < 4 and not 48 <= c <= 57):
            return False
    for place in range(length):
        c = piece[(place + 4) % length]
        if 48 <= c <= 57:
            rest = (rest * 10 + <int>c - 48) % 97
        elif 65 <= c <= 90:
            rest = (rest * 100 + <int>c - 55) % 97
        else:
            return False
    return rest == 1
