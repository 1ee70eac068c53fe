"""The kinds of columns: tests that Python answers for a walk, because they ask of more than the machine holds of a value.

An answer that comes with others, of patterns that are sought in one text together, is written into the walk for all.
"""

from cpython.list cimport PyList_GET_SIZE
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from thoth.native.arena cimport EACH_ONE
from thoth.native.facts cimport Reader
from thoth.native.questions cimport Question
from thoth.native.scan cimport Scan
from thoth.native.sweep cimport WORDS, Sweep
from thoth.native.table cimport ANSWER_COUNT, Column, Walk
from thoth.native.texts cimport text_is_ascii
from thoth.native.values cimport AWAY, DOUBT, NO, YES, absent, text_of, unknown

cdef enum:
    TOGETHER_CHARS_MIN = 32
    SLOW_BYTE_NS = 100
    SLOW_MAX = 256           # a set is slow while its automaton grows, and quick from then on

cdef dict _answers = {False: NO, True: YES, None: DOUBT, absent: AWAY}


cdef class Asked(Column):
    """A test that only a function of the facts can answer: True, False, None in doubt, or ABSENT; of a reader UNKNOWN."""

    def __init__(self, ask):
        self.ask = ask
        self.reader = ask if isinstance(ask, Reader) else None

    cdef int answer(self, Walk walk) except -1:
        cdef object answer
        if self.reader is None:
            return _answers[self.ask(walk.facts)]
        answer = self.reader.value(walk.facts)
        return YES if answer is True else NO if answer is False else DOUBT if answer is unknown else _answers[answer]


cdef class Sought(Column):
    """Whether a pattern is found in what one reader reads; in long texts it is sought together with others."""

    def __init__(self, int reader, int32_t number, Scan scan not None, Together together):
        self.reader, self.number, self.scan, self.together = reader, number, scan, together

    cdef int answer(self, Walk walk) except -1:
        cdef object value = walk.value(self.reader)
        cdef object text
        cdef uint32_t answer
        if value is absent:
            return AWAY
        text = text_of(value)
        if value is unknown or text is None or len(<str>text) > walk.scan_chars:
            return DOUBT
        if self.together is not None and len(<str>text) >= TOGETHER_CHARS_MIN and self.together.sought(walk, <str>text):
            answer = walk.answers[self.number] - walk.stamp  # it is one of those that were written down
            assert answer < ANSWER_COUNT
            return <int>answer
        return self.scan.found(<str>text)


cdef class Together:
    """Patterns that are sought in one text by one pass over it: by a sweep, or by an RE2 set where there is none.

    A set that runs out of memory reports nothing found, so it holds, as its last pattern, one that is always found: where
    even that is not, each pattern is sought by itself. So is each where far more passes were slow than quick: there are
    sets of which no small automaton can be made. Which of both is taken changes how long it takes, and no answer.
    """

    def __init__(self, Sweep sweep, match, list columns not None):
        self.sweep, self.match, self.columns, self.slow = sweep, match, columns, 0

    cdef bint sought(self, Walk walk, str text) except -1:
        """Write down the answers of all columns; False where the set has none."""
        cdef timespec begun, ended
        cdef Py_ssize_t last = len(self.columns)
        cdef Sought column
        cdef list found
        cdef bytes encoded
        cdef uint64_t bits[WORDS]
        if self.sweep is not None and text_is_ascii(text):
            self.sweep.run(<const uint8_t *>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text), bits)
            self.write(walk, bits)
            return True
        if self.match is None:
            return False
        clock_gettime(CLOCK_MONOTONIC, &begun)
        try:
            encoded = text.encode()
            found = self.match(encoded)
        except Exception:  # lone surrogates
            return False
        clock_gettime(CLOCK_MONOTONIC, &ended)
        if (ended.tv_sec - begun.tv_sec) * 1e9 + (ended.tv_nsec - begun.tv_nsec) > SLOW_BYTE_NS * (len(encoded) + 1024.0):
            self.slow += 1
            if self.slow > SLOW_MAX:
                self.match = None
        elif self.slow:
            self.slow -= 1
        if last not in found:
            return False
        for column in self.columns:
            if not 0 <= column.number < walk.sections.test_count:
                raise IndexError("a column that the table does not have")
            walk.answers[column.number] = walk.stamp | NO
        for place in found:
            if <Py_ssize_t>place < last:
                column = <Sought>self.columns[place]
                walk.answers[column.number] = walk.stamp | <uint32_t>(column.scan.found(text) if column.scan.detector else YES)
        return True

    cdef int write(self, Walk walk, const uint64_t *bits) except -1:
        """Write the answers of all columns down, a bit each."""
        cdef Py_ssize_t place
        cdef Sought column
        for place in range(PyList_GET_SIZE(self.columns)):
            column = <Sought>self.columns[place]
            if not 0 <= column.number < walk.sections.test_count:
                raise IndexError("a column that the table does not have")
            walk.answers[column.number] = walk.stamp | <uint32_t>(YES if bits[place >> 6] >> (place & 63) & 1 else NO)
        return 0


cdef class Tested(Column):
    """A question asked of what one reader reads, or of each item of it.

    `right` is what it is compared with, or `right_reader` reads that. Under `each` the test may be `negated`, item by
    item; of nothing `any` is NO and `all` is YES, and an item that is absent is NO either way.
    """

    def __init__(self, int reader, Question question not None, right=None, int right_reader=-1, int each=0, bint negated=0):
        assert each or not negated
        self.reader, self.question = reader, question
        self.right, self.right_reader = right, right_reader
        self.each, self.negated = each, negated

    cdef int answer(self, Walk walk) except -1:
        cdef object left = walk.value(self.reader), right
        cdef int answer, best
        if left is absent:
            return NO if self.each else AWAY
        if left is unknown:
            return DOUBT
        right = self.right if self.right_reader < 0 else walk.value(self.right_reader)
        if not self.each:
            return AWAY if right is absent else DOUBT if right is unknown else self.question.of(left, right)
        best = NO if self.each == EACH_ONE else YES
        for item in (<list>left if type(left) is list else [left]):
            if item is absent:
                answer = NO
            elif item is unknown:
                answer = DOUBT
            elif right is absent:
                answer = NO
            elif right is unknown:
                answer = DOUBT
            else:
                answer = self.question.of(item, right)
                if self.negated and answer != DOUBT:
                    answer = YES if answer == NO else NO
            if answer == (YES if self.each == EACH_ONE else NO):
                return answer
            if answer == DOUBT:
                best = DOUBT
        return best
