"""A decision table laid flat: C columns (distinct tests) by R rows (rules), and one walk over it for each call.

A row is a chain of nodes. Each node looks at one column and goes one way if the column's answer is among those that it
accepts, else the other, until it ends in HOLDS or FAILS. Doubt is settled when the table is laid out: a row that needs
proof accepts YES alone where one that needs only doubt accepts YES and DOUBT, so a row itself has two values, and its
nodes are shared with every row that ends the same way.

A column is asked at most once in a walk, and only when a row comes to it.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memcpy, memset

from thoth.native.questions cimport Question
from thoth.native.values cimport AWAY, DOUBT, NO, UNASKED, YES, absent, equals, is_number, unknown

HOLDS, FAILS = _HOLDS, _FAILS
EACH_ANY, EACH_ALL = _EACH_ANY, _EACH_ALL
ANSWERS = {False: NO, True: YES, None: DOUBT, absent: AWAY}
MASK_NO, MASK_YES, MASK_DOUBT, MASK_AWAY = 1 << NO, 1 << YES, 1 << DOUBT, 1 << AWAY

cdef dict _answers = ANSWERS


cdef class Table:
    """Columns, the readers of the values that they test, and the nodes of all rows."""

    def __cinit__(self, list columns not None, tuple readers not None, list nodes not None):
        """Lay out `nodes`, (column, mask of the answers accepted, next if accepted, next if not), and check them."""
        cdef Py_ssize_t place
        cdef int column, mask, accepted, refused
        self.columns, self.readers = columns, readers
        self.column_count, self.reader_count, self.node_count = len(columns), len(readers), len(nodes)
        self.nodes = <Node *>PyMem_Calloc(max(1, self.node_count), sizeof(Node))
        if self.nodes == NULL:
            raise MemoryError
        for place in range(self.node_count):
            column, mask, accepted, refused = nodes[place]
            # Nodes point back only, so that every walk ends.
            assert 0 <= column < self.column_count and 0 < mask < 16
            assert _FAILS <= accepted < place and _FAILS <= refused < place
            self.nodes[place] = Node(column, accepted, refused, mask)
        for one in columns:
            assert isinstance(one, Column)

    def __dealloc__(self):
        PyMem_Free(self.nodes)


cdef class Rows:
    """Some rows of a table, in the order of the policy: where each begins, and until when it holds (epoch seconds)."""

    def __cinit__(self, Table table not None, list rows not None):
        """Take `rows` as (number, first node or HOLDS or FAILS, until)."""
        cdef Py_ssize_t place
        self.count = len(rows)
        self.rows = <Row *>PyMem_Calloc(max(1, self.count), sizeof(Row))
        if self.rows == NULL:
            raise MemoryError
        for place in range(self.count):
            number, start, until = rows[place]
            assert _FAILS <= start < table.node_count
            self.rows[place] = Row(number, start, until)

    def __dealloc__(self):
        PyMem_Free(self.rows)

    def __len__(self):
        return self.count


cdef int32_t descend(const Node *nodes, const uint8_t *answers, int32_t place) noexcept nogil:
    """Follow a row to its end, or to the first node whose column has not been asked."""
    cdef uint8_t answer
    while place >= 0:
        answer = answers[nodes[place].column]
        if answer == UNASKED:
            return place
        place = nodes[place].accepted if nodes[place].mask >> answer & 1 else nodes[place].refused
    return place


cdef class Walk:
    """One call before one table: the answers and the values known so far. Not to be shared between threads."""

    def __cinit__(self, Table table not None, object facts):
        self.table = table
        self.facts = facts
        self.answers = <uint8_t *>PyMem_Malloc(max(1, table.column_count))
        if self.answers == NULL:
            raise MemoryError
        memset(self.answers, UNASKED, table.column_count)
        self.values = [None] * table.reader_count

    def __dealloc__(self):
        PyMem_Free(self.answers)

    cdef object value(self, int reader):
        """Return what a reader reads: a value, ABSENT or UNKNOWN."""
        cdef object value = self.values[reader]
        if value is None:
            value = self.table.readers[reader](self.facts)
            assert value is not None
            self.values[reader] = value
        return value

    cdef bint holds(self, int32_t place) except -1:
        cdef Table table = self.table
        cdef int32_t column
        place = descend(table.nodes, self.answers, place)
        while place >= 0:
            column = table.nodes[place].column
            (<Column>table.columns[column]).answer(self, column)
            assert self.answers[column] < UNASKED
            place = descend(table.nodes, self.answers, place)
        return place == _HOLDS

    def holding(self, Rows rows not None, double now) -> list:
        """Return the numbers of the rows that stand now and hold, in their order."""
        cdef list found = []
        cdef Py_ssize_t place
        for place in range(rows.count):
            if now < rows.rows[place].until and self.holds(rows.rows[place].start):
                found.append(rows.rows[place].number)
        return found

    def truth(self, int column, bint opposite):
        """Return what a column's answer makes of a test: True, False, None in doubt; without an argument False."""
        cdef uint8_t answer
        assert 0 <= column < self.table.column_count
        if self.answers[column] == UNASKED:
            (<Column>self.table.columns[column]).answer(self, column)
        answer = self.answers[column]
        return None if answer == DOUBT else answer == (NO if opposite else YES)


# ---------------------------------------------------------------- columns


cdef class Column:
    """One distinct test."""

    cdef int answer(self, Walk walk, int32_t column) except -1:
        """Write down the answer of `column`, and of any others that come with it."""
        raise NotImplementedError


cdef class Asked(Column):
    """A test that only a function of the facts can answer: True, False, None in doubt, or ABSENT."""

    def __init__(self, ask):
        self.ask = ask

    cdef int answer(self, Walk walk, int32_t column) except -1:
        walk.answers[column] = _answers[self.ask(walk.facts)]
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

    cdef int answer(self, Walk walk, int32_t column) except -1:
        walk.answers[column] = self.asked(walk, walk.value(self.reader))
        return 0

    cdef int asked(self, Walk walk, object left) except -1:
        cdef object right
        cdef int answer, best
        if left is absent:
            return NO if self.each else AWAY
        if left is unknown:
            return DOUBT
        right = self.right if self.right_reader < 0 else walk.value(self.right_reader)
        if not self.each:
            return AWAY if right is absent else DOUBT if right is unknown else self.question.of(left, right)
        best = NO if self.each == _EACH_ANY else YES
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
            if answer == (YES if self.each == _EACH_ANY else NO):
                return answer
            if answer == DOUBT:
                best = DOUBT
        return best


cdef class Choice(Column):
    """All tests that ask whether one value equals a constant, or one of some: C' neighbouring columns, answered at once.

    Texts and numbers are looked up; whatever else the value is, each column is asked.
    """

    def __init__(self, int reader, int first, list constants not None):
        """Take the constants of each column, from column `first` on."""
        cdef int place
        self.reader, self.first, self.count = reader, first, len(constants)
        self.constants = constants
        self.texts, self.numbers = {}, {}
        self.text_default = bytearray([NO] * self.count)
        self.number_default = bytearray([NO] * self.count)
        for place in range(self.count):
            for constant in constants[place]:
                if type(constant) is str:
                    self.texts.setdefault(constant, set()).add(place)
                else:
                    self.text_default[place] = DOUBT
                if is_number(constant):
                    self.numbers.setdefault(constant, set()).add(place)
                else:
                    self.number_default[place] = DOUBT
        self.texts = {constant: tuple(places) for constant, places in self.texts.items()}
        self.numbers = {constant: tuple(places) for constant, places in self.numbers.items()}

    cdef int answer(self, Walk walk, int32_t column) except -1:
        cdef uint8_t *answers = walk.answers + self.first
        cdef object value = walk.value(self.reader), places
        cdef int place, answer, best
        if value is absent or value is unknown:
            memset(answers, AWAY if value is absent else DOUBT, self.count)
            return 0
        if type(value) is str:
            memcpy(answers, <char *>self.text_default, self.count)
            places = self.texts.get(value)
        elif is_number(value):
            memcpy(answers, <char *>self.number_default, self.count)
            places = self.numbers.get(value)
        else:
            for place in range(self.count):
                best = NO
                for constant in <tuple>self.constants[place]:
                    answer = equals(value, constant)
                    if answer == YES:
                        best = YES
                        break
                    if answer == DOUBT:
                        best = DOUBT
                answers[place] = best
            return 0
        if places is not None:
            for place in <tuple>places:
                answers[place] = YES
        return 0
