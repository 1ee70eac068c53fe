"""A decision table laid flat: C columns (distinct tests) by R rows (rules), and one walk over it for each call.

A row is a chain of nodes. Each node looks at one column and goes one way if the column's answer is among those that it
accepts, else the other, until it ends in HOLDS or FAILS. Doubt is settled when the table is laid out: a row that needs
proof accepts YES alone where one that needs only doubt accepts YES and DOUBT, so a row itself has two values, and its
nodes are shared with every row that ends the same way.

A column is asked at most once in a walk, and only when a row comes to it. Rows that ask first of all what one value is
lie under a pivot: then only those are looked at that the value lets through.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Realloc
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.stdlib cimport qsort
from libc.string cimport memset

from thoth.native.facts cimport Facts, Reader
from thoth.native.questions cimport Question
from thoth.native.values cimport AWAY, DOUBT, NO, YES, absent, equals, is_number, unknown

cdef enum:
    ANSWER_COUNT = 4         # a stamp is a multiple of this, an answer less
    TOGETHER_MAX = 64        # a choice of more columns answers only the one that is asked
    WALKS_KEPT_MAX = 4

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
        for one in readers:
            assert isinstance(one, Reader)
        self.walks = []

    def __dealloc__(self):
        PyMem_Free(self.nodes)

    cdef Walk begin(self, Facts facts):
        """Return a walk for one call, to be handed back to `end`."""
        cdef Walk walk = self.walks.pop() if self.walks else Walk(self, None)
        walk.facts = facts
        return walk

    cdef int end(self, Walk walk) except -1:
        """Forget everything about the call, and keep the walk."""
        cdef Py_ssize_t place
        walk.facts = None
        for place in range(walk.read_count):
            walk.values[walk.read[place]] = None
        walk.read_count = walk.found_count = 0
        walk.stamp += ANSWER_COUNT
        if walk.stamp == 0:
            memset(walk.answers, 0, self.column_count * sizeof(uint32_t))
            walk.stamp = ANSWER_COUNT
        if len(self.walks) < WALKS_KEPT_MAX:
            self.walks.append(walk)
        return 0


cdef class Rows:
    """Some rows of a table, in the order of the policy: where each begins, and until when it holds (epoch seconds)."""

    def __cinit__(self, Table table not None, list rows not None, bytes rest=None, tuple pivots=()):
        """Take `rows` as (number, first node or HOLDS or FAILS, until); with pivots, `rest` are those under none."""
        cdef Py_ssize_t place
        self.count = len(rows)
        self.rest, self.pivots = rest, pivots
        assert rest is not None or not pivots
        self.rows = <Row *>PyMem_Calloc(max(1, self.count), sizeof(Row))
        if self.rows == NULL:
            raise MemoryError
        for place in range(self.count):
            number, start, until = rows[place]
            assert _FAILS <= start < table.node_count
            self.rows[place] = Row(until, number, start, -1, 0)
            if start >= 0 and table.nodes[<int32_t>start].refused == _FAILS:
                self.rows[place].column = table.nodes[<int32_t>start].column
                self.rows[place].mask = table.nodes[<int32_t>start].mask
        for one in pivots:
            assert isinstance(one, Pivot)

    def __dealloc__(self):
        PyMem_Free(self.rows)

    def __len__(self):
        return self.count


cdef class Pivot:
    """Rows that can hold only for some values of one reader, by these values. Runs are places of rows, int32 each."""

    cdef int gather(self, Walk walk, Rows rows, double now, object value) except -1:
        """Look at the rows that may hold for a value, and at none of them twice."""
        raise NotImplementedError


cdef int32_t descend(const Node *nodes, const uint32_t *answers, uint32_t stamp, int32_t place) noexcept nogil:
    """Follow a row to its end, or to the first node whose column has not been asked."""
    cdef uint32_t answer
    while place >= 0:
        answer = answers[nodes[place].column] - stamp
        if answer >= ANSWER_COUNT:
            return place
        place = nodes[place].accepted if nodes[place].mask >> answer & 1 else nodes[place].refused
    return place


cdef int before(const void *one, const void *other) noexcept nogil:
    cdef int32_t left = (<const int32_t *>one)[0], right = (<const int32_t *>other)[0]
    return (left > right) - (left < right)


cdef class Walk:
    """One call before one table: the answers and the values known so far. Not to be shared between threads."""

    def __cinit__(self, Table table not None, Facts facts):
        self.table = table
        self.facts = facts
        self.stamp = ANSWER_COUNT
        self.answers = <uint32_t *>PyMem_Calloc(max(1, table.column_count), sizeof(uint32_t))
        self.read = <int32_t *>PyMem_Calloc(max(1, table.reader_count), sizeof(int32_t))
        if self.answers == NULL or self.read == NULL:
            raise MemoryError
        self.values = [None] * table.reader_count

    def __dealloc__(self):
        PyMem_Free(self.answers)
        PyMem_Free(self.read)
        PyMem_Free(self.found)

    cdef object value(self, int reader):
        """Return what a reader reads: a value, ABSENT or UNKNOWN."""
        cdef object value = self.values[reader]
        if value is None:
            value = (<Reader>self.table.readers[reader]).value(self.facts)
            assert value is not None
            if self.values[reader] is None:
                self.read[self.read_count] = reader
                self.read_count += 1
            self.values[reader] = value
        return value

    cdef bint holds(self, int32_t place) except -1:
        cdef Table table = self.table
        cdef int32_t column
        place = descend(table.nodes, self.answers, self.stamp, place)
        while place >= 0:
            column = table.nodes[place].column
            (<Column>table.columns[column]).answer(self, column)
            assert self.answers[column] - self.stamp < ANSWER_COUNT
            place = descend(table.nodes, self.answers, self.stamp, place)
        return place == _HOLDS

    cdef int put(self, int32_t number) except -1:
        """Write a number down behind those that were found."""
        cdef int32_t *room
        cdef Py_ssize_t size
        if self.found_count == self.found_room:
            size = max(64, 2 * self.found_room)
            room = <int32_t *>PyMem_Realloc(self.found, size * sizeof(int32_t))
            if room == NULL:
                raise MemoryError
            self.found, self.found_room = room, size
        self.found[self.found_count] = number
        self.found_count += 1
        return 0

    cdef int look(self, const Row *row, double now) except -1:
        """Take a row in if it stands now and holds."""
        cdef uint32_t answer
        if row.column >= 0:
            # Most rows end here, before their nodes are fetched from memory.
            answer = self.answers[row.column] - self.stamp
            if answer < ANSWER_COUNT and not row.mask >> answer & 1:
                return 0
        if now < row.until and self.holds(row.start):
            self.put(row.number)
        return 0

    cdef int look_along(self, Rows rows, bytes places, Py_ssize_t first, Py_ssize_t last, double now) except -1:
        """Look at the rows of a run, from one place to another."""
        cdef const int32_t *run = <const int32_t *><const char *>places
        cdef Py_ssize_t place
        for place in range(first, last):
            self.look(rows.rows + run[place], now)
        return 0

    cdef int gather(self, Rows rows, double now) except -1:
        """Find the rows that stand now and hold; their numbers are added to `found`, in rising order."""
        cdef Py_ssize_t place, first = self.found_count
        if not rows.pivots:
            for place in range(rows.count):
                self.look(rows.rows + place, now)
            return 0
        self.look_along(rows, rows.rest, 0, len(rows.rest) // sizeof(int32_t), now)
        for pivot in rows.pivots:
            (<Pivot>pivot).gather(self, rows, now, self.value((<Pivot>pivot).reader))
        for place in range(first + 1, self.found_count):
            if self.found[place] < self.found[place - 1]:
                qsort(self.found + first, self.found_count - first, sizeof(int32_t), before)
                break
        return 0

    def holding(self, Rows rows not None, double now) -> list:
        """Return the numbers of the rows that stand now and hold, in their order."""
        cdef Py_ssize_t first = self.found_count, place
        self.gather(rows, now)
        return [self.found[place] for place in range(first, self.found_count)]

    def truth(self, int column, bint opposite):
        """Return what a column's answer makes of a test: True, False, None in doubt; without an argument False."""
        cdef uint32_t answer
        assert 0 <= column < self.table.column_count
        answer = self.answers[column] - self.stamp
        if answer >= ANSWER_COUNT:
            (<Column>self.table.columns[column]).answer(self, column)
            answer = self.answers[column] - self.stamp
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
        walk.answers[column] = walk.stamp | <uint32_t>_answers[self.ask(walk.facts)]
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
        walk.answers[column] = walk.stamp | <uint32_t>self.asked(walk, walk.value(self.reader))
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
        self.texts = {constant: frozenset(places) for constant, places in self.texts.items()}
        self.numbers = {constant: frozenset(places) for constant, places in self.numbers.items()}

    cdef int answer(self, Walk walk, int32_t column) except -1:
        cdef uint32_t *answers = walk.answers + self.first
        cdef uint32_t stamp = walk.stamp
        cdef object value = walk.value(self.reader), places = ()
        cdef int first = 0, last = self.count, place
        cdef uint8_t *default
        if self.count > TOGETHER_MAX:
            first, last = column - self.first, column - self.first + 1
        if type(value) is str:
            default = <uint8_t *><char *>self.text_default
            places = self.texts.get(value)
        elif is_number(value):
            default = <uint8_t *><char *>self.number_default
            places = self.numbers.get(value)
        else:
            for place in range(first, last):
                answers[place] = stamp | <uint32_t>self.other(value, place)
            return 0
        for place in range(first, last):
            answers[place] = stamp | default[place]
        if places is not None:
            if last - first < self.count:
                if first in <frozenset>places:
                    answers[first] = stamp | YES
            else:
                for one in <frozenset>places:
                    answers[<int>one] = stamp | YES
        return 0

    cdef int other(self, object value, int place) except -1:
        """Answer one column about a value that is neither text nor number."""
        cdef int answer, best = NO
        if value is absent:
            return AWAY
        if value is unknown:
            return DOUBT
        for constant in <tuple>self.constants[place]:
            answer = equals(value, constant)
            if answer == YES:
                return YES
            if answer == DOUBT:
                best = DOUBT
        return best
