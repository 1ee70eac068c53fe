"""Questions that a test asks of one value, each answered YES, NO or DOUBT.

`left` is the value in question, `right` what it is compared with where that is not part of the question. Neither is
ABSENT or UNKNOWN: who asks looks to that.
"""

from thoth.native.glob cimport glob_holds
from thoth.native.names cimport email_of, folder_of, host_of, ip_of, path_of
from thoth.native.scan cimport Scan
from thoth.native.values cimport (
    DOUBT, EMAIL, HOST, ID, NO, YES, Named, absent, equals, is_less, is_number, text_of, unknown,
)

TRUTHS = (False, True, None)


cdef class Question:
    """One question; `scan_chars` is how long a text may be that it searches."""

    cdef int of(self, object left, object right) except -1:
        raise NotImplementedError

    def truth(self, left, right=None) -> bool | None:
        """Answer as True, False or, in doubt, None."""
        return TRUTHS[self.of(left, right)]


cdef class Comparison(Question):
    """`left op right`; op is one of is, <, <=, >, >=."""

    def __init__(self, str op not None):
        self.swapped = op in (">", "<=")
        self.turned = op in ("<=", ">=")
        self.equality = op == "is"
        assert op in ("is", "<", "<=", ">", ">=")

    cdef int of(self, object left, object right) except -1:
        cdef int answer
        if self.equality:
            return equals(left, right)
        answer = is_less(right, left) if self.swapped else is_less(left, right)
        if self.turned and answer != DOUBT:
            return YES if answer == NO else NO
        return answer


cdef class Membership(Question):
    """`left` equals one of some constants; of texts and numbers it takes as long however many these are."""

    def __init__(self, tuple values not None):
        self.values = values
        self.texts = frozenset([value for value in values if type(value) is str])
        self.numbers = frozenset([value for value in values if is_number(value)])
        self.only_texts = all([type(value) is str for value in values])
        self.only_numbers = all([is_number(value) for value in values])

    cdef int of(self, object left, object right) except -1:
        cdef int answer, best = NO
        if type(left) is str:
            return YES if left in self.texts else NO if self.only_texts else DOUBT
        if type(left) is Named and (<Named>left).kind != ID:
            if (<Named>left).text in self.named((<Named>left).kind):
                return YES
            return NO if self.only_texts else DOUBT
        if is_number(left):
            # Python hashes and compares integers, floats and fractions by their exact values.
            return YES if left in self.numbers else NO if self.only_numbers else DOUBT
        for value in self.values:
            answer = equals(left, value)
            if answer == YES:
                return YES
            if answer == DOUBT:
                best = DOUBT
        return best

    cdef frozenset named(self, int kind):
        """Return the texts that are addresses, or hosts, in the form in which these compare."""
        if kind == EMAIL:
            if self.emails is None:
                self.emails = frozenset([email_of(text) for text in self.texts])
            return self.emails
        if self.hosts is None:
            self.hosts = frozenset([host_of(text) for text in self.texts])
        return self.hosts


cdef class Likeness(Question):
    """A whole text fits one of the globs; those for addresses and hosts are in the form in which these compare."""

    def __init__(self, tuple globs not None, tuple emails not None, tuple hosts not None, Py_ssize_t scan_chars):
        self.globs, self.emails, self.hosts = globs, emails, hosts
        self.scan_chars = scan_chars

    cdef int of(self, object left, object right) except -1:
        cdef object text = text_of(left)
        cdef tuple globs = self.globs
        if text is None or len(<str>text) > self.scan_chars:
            return DOUBT
        if type(left) is Named:
            if (<Named>left).kind == EMAIL:
                globs = self.emails
            elif (<Named>left).kind == HOST:
                globs = self.hosts
        for glob in globs:
            if glob_holds(<str>glob, <str>text):
                return YES
        return NO


cdef class Finding(Question):
    """A pattern is found in a text."""

    def __init__(self, Scan scan not None, Py_ssize_t scan_chars):
        self.scan = scan
        self.scan_chars = scan_chars

    cdef int of(self, object left, object right) except -1:
        cdef object text = text_of(left)
        if text is None or len(<str>text) > self.scan_chars:
            return DOUBT
        return self.scan.found(<str>text)


cdef class Affixed(Question):
    """A text starts, or ends, with another."""

    def __init__(self, bint ends):
        self.ends = ends

    cdef int of(self, object left, object right) except -1:
        cdef object text = text_of(left), wanted = text_of(right)
        if text is None or wanted is None:
            return DOUBT
        if self.ends:
            return YES if (<str>text).endswith(<str>wanted) else NO
        return YES if (<str>text).startswith(<str>wanted) else NO


cdef class Containment(Question):
    """A text holds a text, or a list holds an item equal to `right`."""

    def __init__(self, Py_ssize_t scan_chars):
        self.scan_chars = scan_chars

    cdef int of(self, object left, object right) except -1:
        cdef object text, wanted
        cdef int answer, best = NO
        if type(left) is list:
            for item in <list>left:
                if item is absent:
                    continue
                answer = DOUBT if item is unknown else equals(item, right)
                if answer == YES:
                    return YES
                if answer == DOUBT:
                    best = DOUBT
            return best
        text, wanted = text_of(left), text_of(right)
        if text is None or wanted is None or len(<str>text) > self.scan_chars:
            return DOUBT
        return YES if <str>wanted in <str>text else NO


cdef class Below(Question):
    """A path is one of the folders or lies below it; `right` is the folder that relative paths start from."""

    def __init__(self, tuple folders not None):
        self.folders = folders
        self.inside = tuple([folder if folder == "/" else folder + "/" for folder in folders])

    cdef int of(self, object left, object right) except -1:
        cdef object text = text_of(left)
        cdef str path = None
        if text is not None:
            if self.base is None or right is not self.folder:
                self.base = folder_of(right)
                self.folder = None if self.base is None else right
            path = path_of(<str>text, self.base)
        if path is None:
            return DOUBT
        return YES if path in self.folders or path.startswith(self.inside) else NO


cdef class Inside(Question):
    """An address lies in one of the networks, given as (4 or 6, first address, mask)."""

    def __init__(self, tuple networks not None):
        self.networks = networks

    cdef int of(self, object left, object right) except -1:
        cdef object text = text_of(left), address
        cdef object version, first, mask
        address = None if text is None else ip_of(<str>text)
        if address is None:
            return DOUBT
        for version, first, mask in self.networks:
            if version == address[0] and address[1] & mask == first:
                return YES
        return NO
