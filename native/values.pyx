"""Values as tests compare them: exact numbers, texts in NFC, names in the normal form of their kind, three answers.

A value is a str, bool, int, float, Fraction, `Range`, `Word`, `Named`, list or dict. Two more answers are no values:
ABSENT, there is nothing at this place; UNKNOWN, it cannot be read without guessing. An answer to a test is NO, YES or
DOUBT, and AWAY where a test was asked of nothing: then neither it nor its opposite holds.
"""

from cpython.list cimport PyList_GET_ITEM
from cpython.unicode cimport PyUnicode_READ_CHAR
from fractions import Fraction

from thoth.native.names cimport email_of, host_of, normal
from thoth.native.texts cimport text_is_ascii

cdef object _fraction = Fraction


cdef class Nothing:
    """ABSENT or UNKNOWN: compared by identity, like None."""

    cdef str name

    def __init__(self, str name not None):
        self.name = name

    def __repr__(self):
        return self.name


ABSENT = Nothing("ABSENT")
UNKNOWN = Nothing("UNKNOWN")
absent = ABSENT
unknown = UNKNOWN


cdef class Named:
    """A text in the normal form of its kind: ID, EMAIL or HOST."""

    def __init__(self, int kind, str text not None):
        self.kind = kind
        self.text = text

    def __repr__(self):
        return f"Named({self.kind}, {self.text!r})"


cdef class Word:
    """A word of an ordered list, and its rank there."""

    def __init__(self, str text not None, tuple order not None):
        self.text = text
        self.order = order
        self.rank = order.index(text)

    def __repr__(self):
        return f"Word({self.text!r})"


cdef class Range:
    """A number of which only the ends are known, both included."""

    def __init__(self, low, high):
        self.low = low
        self.high = high

    def __repr__(self):
        return f"Range({self.low}, {self.high})"


cdef class Kind:
    """A declared type: its name, and what a list of it holds."""

    def __init__(self, str name not None, Kind items=None, values=()):
        self.name = name
        self.code = CODES.get(name, OTHER)
        self.items = items if items is not None else (self if name == "any" else ANY_KIND)
        self.values = frozenset(values)

    def fits(self, value) -> bool:
        """Say whether a JSON value is of this type, as it stands."""
        return fits(self, value)


CODES = {
    "any": ANY, "list": LIST, "id": ID, "email": EMAIL, "host": HOST, "string": STRING, "url": STRING, "path": STRING,
    "ip": STRING, "int": INT, "number": NUMBER, "boolean": BOOLEAN, "enum": ENUM, "record": RECORD,
}
ANY_KIND = Kind("any")
any_kind = ANY_KIND


cdef bint fits(Kind kind, object value) except -1:
    cdef int code = kind.code
    if code == ANY:
        return True
    if code == STRING or code == EMAIL or code == HOST:
        return type(value) is str
    if code == INT:
        return type(value) is int or (type(value) is float and value.is_integer())
    if code == NUMBER:
        return type(value) is int or type(value) is float
    if code == BOOLEAN:
        return type(value) is bool
    if code == ID:
        return type(value) is str or type(value) is int
    if code == ENUM:
        return type(value) is str and value in kind.values
    if code == RECORD:
        return type(value) is dict
    if code == LIST:
        if type(value) is not list:
            return False
        for item in <list>value:
            if not fits(kind.items, item):
                return False
        return True
    return False


# ---------------------------------------------------------------- reading


cdef bint is_mark(str text) noexcept:
    """Say whether a client put this in the place of a value that it could not send."""
    if len(text) == 0 or PyUnicode_READ_CHAR(text, 0) != u"[":
        return False
    return text == "[truncated]" or text == "[circular]" or text == "[function]"


cdef object read_plain(object value, int code):
    """Read one JSON value as its declared type reads it; null is unknown."""
    cdef str text
    if type(value) is str:
        text = normal(<str>value)
        if code == ID:
            return Named(ID, text)
        if code == EMAIL:
            text = email_of(text)
            return unknown if text is None else Named(EMAIL, text)
        if code == HOST:
            text = host_of(text)
            return unknown if text is None else Named(HOST, text)
        return text
    if value is None:
        return unknown
    if code == ID and type(value) is int:
        return Named(ID, str(value))
    return value


cdef bint settled(list items, int code) noexcept:
    """Say whether all items of a list are texts that are read as they stand."""
    cdef Py_ssize_t place
    cdef object item
    if code == ID or code == EMAIL or code == HOST:
        return False
    for place in range(len(items)):
        item = <object>PyList_GET_ITEM(items, place)
        if type(item) is not str or not text_is_ascii(item) or is_mark(<str>item):
            return False
    return True


cdef object read_value(object value, Kind kind):
    """Read a JSON value with all items of a list; a client's mark is unknown."""
    if type(value) is str and is_mark(<str>value):
        return unknown
    if type(value) is list:
        kind = kind.items if kind.code == LIST else any_kind
        if settled(<list>value, kind.code):
            return value
        return [read_value(item, kind) for item in <list>value]
    return read_plain(value, kind.code)


cdef object follow_steps(object value, Kind kind, tuple steps, Py_ssize_t place):
    cdef object step, found, items
    cdef list flat
    while place < len(steps):
        if value is None or (type(value) is str and is_mark(<str>value)):
            return unknown
        step = steps[place]
        place += 1
        if type(step) is str:
            if type(value) is not dict:
                return unknown
            if step not in <dict>value:
                return absent
            value = (<dict>value)[step]
            kind = any_kind
            continue
        if step is None:
            items = value if type(value) is list else [value]
            if kind.code == LIST:
                kind = kind.items
            flat = []
            for item in <list>items:
                found = follow_steps(item, kind, steps, place)
                if type(found) is list and None in steps[place:]:
                    flat.extend(<list>found)
                else:
                    flat.append(found)
            return flat
        if type(value) is list:
            if step >= len(<list>value):
                return absent
            value = (<list>value)[step]
        elif step > 0:
            return absent
        if kind.code == LIST:
            kind = kind.items
    return read_value(value, kind)


def follow(value, Kind kind not None, tuple steps not None):
    """Follow steps into a JSON value: a name, an index, or None for each item. Returns a value, ABSENT or UNKNOWN.

    A single value is a list of one where a list is asked about. With None among the steps a list comes back, in which
    ABSENT and UNKNOWN stand for items that lack the rest of the way.
    """
    return follow_steps(value, kind, steps, 0)


def argument(dict args not None, dict kinds not None, frozenset optional not None, tuple steps not None):
    """Read one path into named arguments; null stands for absent where the argument is optional."""
    return read_argument(args, kinds, optional, steps)


cdef object read_argument(dict args, dict kinds, frozenset optional, tuple steps):
    cdef object value = args.get(steps[0], absent)
    cdef object kind
    if value is absent or (value is None and steps[0] in optional):
        return absent
    kind = kinds.get(steps[0], any_kind)
    if len(steps) == 1:
        return read_value(value, <Kind?>kind)
    return follow_steps(value, <Kind?>kind, steps, 1)


def fit_exactly(dict args not None, tuple params not None, bint more, bint lenient) -> bool:
    """Say whether arguments fit a declaration as they stand, with nothing to be left out or read loosely.

    `params` are (name, kind, optional). False is no verdict: the slow way says what is wrong, if anything.
    """
    return fits_exactly(args, params, more, lenient)


cdef bint fits_exactly(dict args, tuple params, bint more, bint lenient) except -1:
    cdef Py_ssize_t carried = 0
    cdef object name, kind, optional, value
    for name, kind, optional in params:
        value = args.get(name, absent)
        if value is absent:
            if not optional:
                return False
            continue
        carried += 1
        if optional and (value is None or (lenient and type(value) is str)):
            return False
        if not fits(<Kind?>kind, value):
            return False
    return more or carried == len(args)


cdef object text_of(object value):
    """Return the text of a value that is one, else None."""
    if type(value) is str:
        return value
    if type(value) is Named:
        return (<Named>value).text
    if type(value) is Word:
        return (<Word>value).text
    return None


def text_of_value(value) -> str | None:
    """Return the text of a value that is one, else None."""
    return text_of(value)


# ---------------------------------------------------------------- comparing


cdef bint is_number(object value) noexcept:
    return type(value) is int or type(value) is float or type(value) is _fraction


cdef int equals(object left, object right) except -1:
    """Compare two values exactly; of two different types it is in doubt whether they are equal."""
    if type(left) is str and type(right) is str:
        return YES if left == right else NO
    if type(left) is Named:
        return named_equals(<Named>left, right)
    if type(right) is Named:
        return named_equals(<Named>right, left)
    if type(left) is Word:
        return word_compares(<Word>left, right, False, True)
    if type(right) is Word:
        return word_compares(<Word>right, left, False, True)
    if type(left) is bool or type(right) is bool:
        return DOUBT if type(left) is not type(right) else YES if left is right else NO
    if is_number(left):
        if is_number(right):
            # Python compares integers, floats and fractions by their exact values.
            return YES if left == right else NO
        return range_equals(<Range>right, left, left) if type(right) is Range else DOUBT
    if type(left) is Range:
        if is_number(right):
            return range_equals(<Range>left, right, right)
        if type(right) is Range:
            return range_equals(<Range>left, (<Range>right).low, (<Range>right).high)
    return DOUBT


cdef int range_equals(Range one, object low, object high) except -1:
    if one.low == one.high and low == high and low == one.low:
        return YES
    return NO if one.high < low or high < one.low else DOUBT


cdef int named_equals(Named named, object other) except -1:
    cdef object text
    if type(other) is Named:
        return YES if named.text == (<Named>other).text else NO
    if named.kind == ID and is_number(other):
        if type(other) is int:
            return YES if named.text == str(other) else NO
        return YES if other == other // 1 and named.text == str(int(other)) else NO
    if type(other) is not str:
        return DOUBT
    text = email_of(<str>other) if named.kind == EMAIL else host_of(<str>other) if named.kind == HOST else other
    return YES if text is not None and named.text == text else NO


cdef int word_compares(Word word, object other, bint flipped, bint same) except -1:
    """Compare ranks in the order of `word`: equal (`same`), or word < other, or other < word (`flipped`)."""
    cdef object text = (<Word>other).text if type(other) is Word else other
    cdef Py_ssize_t rank
    if type(text) is not str or text not in word.order:
        return DOUBT
    rank = word.order.index(text)
    if same:
        return YES if word.rank == rank else NO
    return YES if (rank < word.rank if flipped else word.rank < rank) else NO


cdef int is_less(object left, object right) except -1:
    """Compare two numbers, or two words of one order; anything else is in doubt."""
    cdef object low, high
    if is_number(left) and is_number(right):
        return YES if left < right else NO
    if type(left) is Word:
        return word_compares(<Word>left, right, False, False)
    if type(right) is Word:
        return word_compares(<Word>right, left, True, False)
    if type(left) is Range:
        if type(right) is Range:
            low, high = (<Range>right).low, (<Range>right).high
        elif is_number(right):
            low = high = right
        else:
            return DOUBT
        return YES if (<Range>left).high < low else NO if (<Range>left).low >= high else DOUBT
    if is_number(left) and type(right) is Range:
        return YES if left < (<Range>right).low else NO if left >= (<Range>right).high else DOUBT
    return DOUBT


def equal(left, right) -> bool | None:
    """Say whether two values are equal; None where that is in doubt."""
    return TRUTHS[equals(left, right)]


def less(left, right) -> bool | None:
    """Say whether one value is less than another; None where that is in doubt."""
    return TRUTHS[is_less(left, right)]


TRUTHS = (False, True, None)
EMAIL_CODE, HOST_CODE, ID_CODE = EMAIL, HOST, ID
