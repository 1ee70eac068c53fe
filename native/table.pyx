"""A decision table and one walk over it for each call: which rules hold.

A row is a chain of nodes. Each node looks at one column and goes one way if the column's answer is among those that it
accepts, else the other, until it ends in HOLDS or FAILS. Doubt is settled when the table is laid out: a row that needs
proof accepts YES alone where one that needs only doubt accepts YES and DOUBT, so a row itself has two values, and its
nodes are shared with every row that ends the same way.

A column is asked at most once in a walk, and only when a row comes to it. Rows lie under pivots: only those are looked
at that one value lets through. The search itself touches no Python object; where it needs one it stops and says what it
wants, a value to be read or an answer, and goes on from there.
"""

from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM
from cpython.unicode cimport PyUnicode_GET_LENGTH
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.stdlib cimport free, qsort, realloc
from libc.string cimport memset

from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from thoth.native.arena cimport (
    ASK, BY_FOLDER, BY_HASHED_BEGINNING, BY_HASHED_FOLDER, BY_NUMBER, BY_SPAN, BY_TEXT, AWAY_VALUE, DOUBLE, ID_TEXT,
    INTEGER, ITEMS, LENGTHS_MAX, ONE_ROW, OTHER, TEXT, UNKNOWN_VALUE, _FAILS, _HOLDS, Arena, Beginning, Bucket,
    Entry, Family, Node, Pivot, Row, Sections, Segment, Test, Tree,
)
from thoth.native.facts cimport ArgumentPath, Facts, Reader, TextField
from thoth.native.forms cimport Form, held
from thoth.native.slots cimport (
    DECLINED, Probe, Slot, answer_of, approach, beginning_of, begins_as_mark, fetch, fill, fill_ascii, plain_folder,
    seek, segment_of, settled,
)
from thoth.native.values cimport AWAY, DOUBT, EMAIL, HOST, ID, LIST, NO, YES, Kind, unknown

cdef enum:
    # Where a reader's value lies, if it may be taken in from there.
    IN_REQUEST = 1
    IN_ARGUMENTS = 2
    ITEMS_MAX = 256          # a longer list is Python's to look through
    PROBES_MAX = 32          # entries are sought for so many values at once
    DEPTH_MAX = 64           # of a tree; no table has so many segments

MASK_NO, MASK_YES, MASK_DOUBT, MASK_AWAY = 1 << NO, 1 << YES, 1 << DOUBT, 1 << AWAY


cdef class Table:
    """An arena, the readers of the values that its tests ask about, and `make`, which makes a column that Python answers."""

    def __cinit__(self, Arena arena not None, tuple readers not None, make, Py_ssize_t scan_chars):
        cdef Py_ssize_t one
        self.arena, self.readers, self.make, self.scan_chars = arena, readers, make, scan_chars
        self.reader_count = len(readers)
        self.columns = [None] * arena.sections.test_count
        self.places = <uint8_t *>PyMem_Calloc(max(1, self.reader_count), 1)
        if self.places == NULL:
            raise MemoryError
        for one in range(arena.sections.pivot_count):
            assert 0 <= arena.sections.pivots[one].reader < self.reader_count
        for one in range(self.reader_count):
            reader = readers[one]
            assert isinstance(reader, Reader)
            if type(reader) is TextField:
                self.places[one] = IN_REQUEST
            elif type(reader) is ArgumentPath and (<ArgumentPath>reader).single is not None:
                self.places[one] = IN_ARGUMENTS

    def __dealloc__(self):
        PyMem_Free(self.places)

    cdef Walk begin(self, Facts facts):
        """Return a walk for one call, to be handed back to `end`."""
        cdef Walk walk = self.spare
        self.spare = None
        if walk is None:
            walk = Walk(self, None)
        walk.facts = facts
        return walk

    cdef int end(self, Walk walk) except -1:
        """Forget everything about the call, and keep the walk."""
        cdef Py_ssize_t place
        walk.facts = None
        for place in range(walk.read_count):
            if PyList_GET_ITEM(walk.values, walk.read[place]) != <PyObject *>None:
                walk.values[walk.read[place]] = None
            walk.filled[walk.read[place]] = False
        walk.read_count = walk.found_count = walk.more_count = walk.item_count = 0
        walk.stamp += ANSWER_COUNT
        if walk.stamp == 0:
            memset(walk.answers, 0, self.arena.sections.test_count * sizeof(uint32_t))
            walk.stamp = ANSWER_COUNT
        self.spare = walk
        return 0

    def clocked(self, Facts facts not None, Rows rows not None, double now) -> int:
        """Return how many nanoseconds one survey takes, from an empty walk on."""
        cdef timespec begun, ended
        cdef Walk walk
        clock_gettime(CLOCK_MONOTONIC, &begun)
        walk = self.begin(facts)
        walk.survey(rows, now)
        self.end(walk)
        clock_gettime(CLOCK_MONOTONIC, &ended)
        return (ended.tv_sec - begun.tv_sec) * 1_000_000_000 + ended.tv_nsec - begun.tv_nsec

    cdef Column column(self, int32_t number):
        cdef object column = self.columns[number]
        if column is None:
            column = self.columns[number] = self.make(number)
            assert isinstance(column, Column)
        return <Column>column


cdef class Rows:
    """One bucket of a table: the rules that a call of one tool may come under."""

    def __cinit__(self, Table table not None, Py_ssize_t bucket):
        assert 0 <= bucket < table.arena.sections.bucket_count
        self.arena = table.arena
        self.bucket = table.arena.sections.buckets + bucket

    def __len__(self):
        return self.bucket.row_count


cdef int before(const void *one, const void *other) noexcept nogil:
    cdef int32_t left = (<const int32_t *>one)[0], right = (<const int32_t *>other)[0]
    return (left > right) - (left < right)


cdef class Walk:
    """One call before one table: the answers and the values known so far. Not to be shared between threads."""

    def __cinit__(self, Table table not None, Facts facts):
        self.table, self.arena, self.sections = table, table.arena, &table.arena.sections
        self.scan_chars = table.scan_chars
        self.facts = facts
        self.stamp = ANSWER_COUNT
        self.answers = <uint32_t *>PyMem_Calloc(max(1, table.arena.sections.test_count), sizeof(uint32_t))
        self.read = <int32_t *>PyMem_Calloc(max(1, table.reader_count), sizeof(int32_t))
        self.slots = <Slot *>PyMem_Calloc(max(1, table.reader_count), sizeof(Slot))
        self.filled = <uint8_t *>PyMem_Calloc(max(1, table.reader_count), 1)
        if self.answers == NULL or self.read == NULL or self.slots == NULL or self.filled == NULL:
            raise MemoryError
        self.values = [None] * table.reader_count

    def __dealloc__(self):
        PyMem_Free(self.answers)
        PyMem_Free(self.read)
        PyMem_Free(self.slots)
        PyMem_Free(self.filled)
        free(self.items)
        free(self.found)
        free(self.more)
        free(self.runs)

    cdef int renew(self) noexcept nogil:
        """Forget everything about a call of which no value was read by a reader."""
        self.found_count = self.more_count = self.item_count = 0
        self.stamp += ANSWER_COUNT
        if self.stamp == 0:
            memset(self.answers, 0, self.sections.test_count * sizeof(uint32_t))
            self.stamp = ANSWER_COUNT
        return 0

    # ------------------------------------------------------------ what takes Python

    cdef object value(self, int reader):
        """Return what a reader reads: a value, ABSENT or UNKNOWN."""
        cdef object value
        if not 0 <= reader < self.table.reader_count:
            raise IndexError("a reader that the table does not have")
        value = self.values[reader]
        if value is None:
            value = (<Reader>self.table.readers[reader]).value(self.facts)
            assert value is not None
            if self.values[reader] is None and not self.filled[reader]:
                self.read[self.read_count] = reader
                self.read_count += 1
            self.values[reader] = value
        return value

    cdef bint fill_in_place(self, Slot *slot, int reader) except -1:
        """Take a value in from where it lies in the call, if it is read as it stands; else it is the reader's to read."""
        cdef PyObject *one = PyTuple_GET_ITEM(self.table.readers, reader)
        cdef Facts facts = self.facts
        cdef PyObject *name
        cdef PyObject *kind
        cdef PyObject *value
        cdef Form form
        cdef int place
        if self.table.places[reader] == IN_REQUEST:
            form = (<TextField>one).form
            if type(facts.request) is not form.kind:
                return False
            value = held(form, facts.request, (<TextField>one).place)
            return value != NULL and type(<object>value) is str and PyUnicode_GET_LENGTH(<object>value) > 0 \
                and fill_ascii(slot, <object>value)
        if self.table.places[reader] != IN_ARGUMENTS or not facts.fitted.known or not facts.readable:
            return False
        name = <PyObject *>(<ArgumentPath>one).single
        for place in range(facts.fitted.count):
            if facts.params[place].name == name:
                value, kind = facts.fitted.values[place], facts.params[place].kind
                return self.fill_argument(slot, <object>value, <Kind>kind)
        slot.form, slot.plain = AWAY_VALUE, 0
        return True

    cdef bint fill_argument(self, Slot *slot, object value, Kind kind) except -1:
        """Take an argument in as it stands: a text, a number, a list of texts; False where it has to be read."""
        cdef Py_ssize_t first = self.item_count, count, place
        cdef PyObject *item
        if type(value) is list and kind.code == LIST:
            kind = kind.items
        if kind.code == ID or kind.code == EMAIL or kind.code == HOST:
            return False
        if type(value) is str:
            return not begins_as_mark(value) and fill_ascii(slot, value)
        if type(value) is int or type(value) is float:
            fill(slot, value)
            return True
        if type(value) is not list:
            return False
        count = PyList_GET_SIZE(value)
        if count > ITEMS_MAX:
            return False
        if not self.make_room(<void **>&self.items, &self.item_room, first + count, sizeof(Slot)):
            raise MemoryError
        for place in range(count):
            item = PyList_GET_ITEM(value, place)
            if type(<object>item) is not str or begins_as_mark(<object>item) or not fill_ascii(
                    self.items + first + place, <object>item):
                return False
        slot.form, slot.plain, slot.first, slot.count = ITEMS, 0, <uint32_t>first, <uint32_t>count
        self.item_count += count
        return True

    cdef int fill(self, int reader) except -1:
        """Read a value and take it in as the machine holds it."""
        cdef Slot *slot = self.slots + reader
        cdef object value = <object>PyList_GET_ITEM(self.values, reader)
        cdef Py_ssize_t count
        if value is None:
            if self.fill_in_place(slot, reader):
                self.read[self.read_count] = reader
                self.read_count += 1
                self.filled[reader] = True
                return 0
            value = self.value(reader)
        if type(value) is not list:
            fill(slot, value)
        else:
            slot.form = OTHER
            count = len(<list>value)
            if count <= ITEMS_MAX:
                if not self.make_room(<void **>&self.items, &self.item_room, self.item_count + count, sizeof(Slot)):
                    raise MemoryError
                slot.form, slot.first, slot.count = ITEMS, <uint32_t>self.item_count, <uint32_t>count
                for item in <list>value:
                    fill(self.items + self.item_count, item)
                    self.item_count += 1
        self.filled[reader] = True
        return 0

    cdef int serve(self, int want) except -1:
        """Do what a search stopped for."""
        if want == WANTS_SLOT:
            return self.fill(self.wanted)
        if want == WANTS_ANSWER:
            self.answers[self.wanted] = self.stamp | <uint32_t>self.table.column(self.wanted).answer(self)
            return 0
        raise MemoryError

    # ------------------------------------------------------------ the search

    cdef bint make_room(self, void **room, Py_ssize_t *size, Py_ssize_t needed, size_t each) noexcept nogil:
        """Let an array hold so many; False where there is no memory."""
        cdef Py_ssize_t wanted = size[0]
        cdef void *larger
        if needed <= size[0]:
            return True
        if wanted < 32:
            wanted = 32
        while wanted < needed:
            wanted *= 2
        larger = realloc(room[0], wanted * each)
        if larger == NULL:
            return False
        room[0], size[0] = larger, wanted
        return True

    cdef bint push(self, int32_t number) noexcept nogil:
        if self.found_count == self.found_room:
            if not self.make_room(<void **>&self.found, &self.found_room, self.found_count + 1, sizeof(int32_t)):
                return False
        self.found[self.found_count] = number
        self.found_count += 1
        return True

    cdef bint push_run(self, uint32_t first, uint32_t count, bint sure, bint direct) noexcept nogil:
        if count == 0:
            return True
        if not self.make_room(<void **>&self.runs, &self.run_room, self.run_count + 1, sizeof(Run)):
            return False
        self.runs[self.run_count] = Run(first, count, 0, sure, direct)
        self.run_count += 1
        return True

    cdef int look_up(self, const Pivot *pivots, uint32_t count) noexcept nogil:
        """Note down the rows that values let through: a pivot only leaves out rows that cannot hold.

        For a value that it cannot tell anything about, one that is unknown above all, it lets every row through. Each
        step is taken for all pivots before the next one, so that what one needs is fetched while others are looked at.
        """
        cdef Probe probes[PROBES_MAX]
        cdef uint32_t place, probe_count = 0
        for place in range(count):
            if probe_count > PROBES_MAX - LENGTHS_MAX:
                if self.settle(probes, probe_count) != DONE:
                    return WANTS_MEMORY
                probe_count = 0
            if self.look_up_one(pivots + place, probes, &probe_count) != DONE:
                return WANTS_MEMORY
        return self.settle(probes, probe_count)

    cdef int look_up_one(self, const Pivot *pivot, Probe *probes, uint32_t *count) noexcept nogil:
        """Note down the rows that one value lets through, or what is to be sought for them among entries."""
        cdef const Sections *arena = self.sections
        cdef Slot *slot = self.slots + pivot.reader
        cdef const Beginning *beginnings
        cdef const Tree *tree
        cdef const Segment *segment
        cdef int form = slot.form
        cdef int32_t place
        cdef uint32_t at, length
        cdef bint folder
        if form == AWAY_VALUE:
            return DONE
        if form == ID_TEXT:
            form = TEXT
        if pivot.forms >> form & 1 == 0 or form >= ITEMS:
            return DONE if self.push_run(pivot.every_first, pivot.every_count, False, False) else WANTS_MEMORY
        if pivot.kind == BY_TEXT:
            seek(probes + count[0], arena, pivot.first, pivot.count, slot.text, slot.size, form)
            count[0] += 1
            return DONE
        if pivot.kind == BY_NUMBER:
            seek(probes + count[0], arena, pivot.first, pivot.count,
                 &slot.integer if form == INTEGER else <const void *>&slot.real, 8, form)
            count[0] += 1
            return DONE
        if pivot.kind == BY_SPAN:
            tree = arena.trees + pivot.first
            at = segment_of(arena, tree, slot) + tree.cut_count + 1
            while at:
                segment = arena.segments + tree.segment_first + at
                if not self.push_run(segment.first, segment.count, True, False):
                    return WANTS_MEMORY
                at >>= 1
            return DONE
        folder = pivot.kind == BY_FOLDER or pivot.kind == BY_HASHED_FOLDER
        if (folder and not plain_folder(slot)) or slot.chars > <uint32_t>self.scan_chars:
            return DONE if self.push_run(pivot.every_first, pivot.every_count, False, False) else WANTS_MEMORY
        if pivot.kind == BY_HASHED_BEGINNING or pivot.kind == BY_HASHED_FOLDER:
            for at in range(pivot.length_count):
                length = pivot.lengths[at]
                if length > slot.size:
                    break
                if not folder or length == slot.size or slot.text[length] == b"/":
                    seek(probes + count[0], arena, pivot.first, pivot.count, slot.text, length, TEXT)
                    count[0] += 1
            return DONE
        beginnings = arena.beginnings + pivot.first
        place = beginning_of(arena, beginnings, pivot.count, slot, folder)
        while place >= 0:
            if not self.push_run(beginnings[place].first, beginnings[place].count, True, False):
                return WANTS_MEMORY
            place = beginnings[place].parent
        return DONE

    cdef int settle(self, Probe *probes, uint32_t count) noexcept nogil:
        """Note down the rows of the entries that are found."""
        cdef const Sections *arena = self.sections
        cdef const Entry *entry
        cdef uint32_t place, kept = 0, run, first = <uint32_t>self.run_count
        for place in range(count):
            approach(probes + place)
            if probes[place].place <= probes[place].mask:
                entry = probes[place].entries + probes[place].place
                fetch(arena.texts + entry.at)
                fetch(arena.rows + (entry.run - ONE_ROW) if entry.run & ONE_ROW else <const void *>(arena.places + entry.run))
                probes[kept] = probes[place]
                kept += 1
        for place in range(kept):
            entry = settled(probes + place, arena)
            if entry == NULL:
                continue
            run = entry.run
            if run & ONE_ROW:
                run -= ONE_ROW
                if not self.push_run(run, 1, True, True):
                    return WANTS_MEMORY
                fetch(arena.nodes + max(0, arena.rows[run].skip))
            elif not self.push_run(run + 1, arena.places[run], True, False):
                return WANTS_MEMORY
        return DONE

    cdef int search(self) noexcept nogil:
        """Look at the rows noted down, from where the last search stopped; say what is wanted, or DONE."""
        cdef const Sections *arena = self.sections
        cdef const Node *nodes = arena.nodes
        cdef const Node *node
        cdef const Test *test
        cdef const Row *row = self.row
        cdef Run *run
        cdef uint32_t *answers = self.answers
        cdef uint32_t stamp = self.stamp, answer
        cdef int32_t at = self.node_at
        cdef int told
        while True:
            if row == NULL:
                # Runs are taken from the last one, so that rows that a family wants looked at come next.
                if self.run_count == 0:
                    return DONE
                run = self.runs + (self.run_count - 1)
                if run.at == run.count:
                    self.run_count -= 1
                    continue
                row = arena.rows + (run.first + run.at if run.direct else arena.places[run.first + run.at])
                at = row.skip if run.sure else row.start
                run.at += 1
                if row.until and not self.now < arena.untils[row.until]:
                    at = _FAILS
            while at >= 0:
                node = nodes + at
                answer = ANSWER_COUNT if node.alone else answers[node.column] - stamp
                if answer >= ANSWER_COUNT:
                    test = &node.test
                    told = DECLINED
                    if test.op != ASK:
                        if not self.filled[test.reader]:
                            self.row, self.node_at, self.wanted = row, at, test.reader
                            return WANTS_SLOT
                        told = answer_of(arena, test, self.slots + test.reader, self.items, self.scan_chars)
                    if told == DECLINED:
                        # What Python has answered is written down, also where no other node asks it.
                        answer = answers[node.column] - stamp
                        if answer >= ANSWER_COUNT:
                            self.row, self.node_at, self.wanted = row, at, node.column
                            return WANTS_ANSWER
                    else:
                        answer = <uint32_t>told
                        if not node.alone:
                            answers[node.column] = stamp | answer
                at = node.accepted if node.mask >> answer & 1 else node.refused
            if at == _HOLDS:
                told = self.take(row.number)
                if told != DONE:
                    self.row, self.node_at = row, at
                    return told
            row = self.row = NULL

    cdef int take(self, int32_t number) noexcept nogil:
        """Take in a rule, or those rules of a family whose span holds the value."""
        cdef const Family *family
        cdef const Slot *slot
        if number >= 0:
            return DONE if self.push(number) else WANTS_MEMORY
        family = self.sections.families - 1 - number
        if not self.filled[family.reader]:
            self.wanted = family.reader
            return WANTS_SLOT
        slot = self.slots + family.reader
        if slot.form == INTEGER or slot.form == DOUBLE:
            return self.take_span(family, slot)
        if slot.form == AWAY_VALUE:
            return DONE
        if slot.form < OTHER or slot.form == UNKNOWN_VALUE:
            if slot.form != ITEMS:
                if not family.doubtful:
                    return DONE
                return self.take_span(family, NULL)
        # Python compares these, one by one: they are looked at as any other row.
        return DONE if self.push_run(family.row_first, family.row_count, False, True) else WANTS_MEMORY

    cdef int take_span(self, const Family *family, const Slot *slot) noexcept nogil:
        """Take in the rules of a family whose span holds a number, or all of them; of many, sixteen and a count."""
        cdef const Sections *arena = self.sections
        cdef const Tree *tree = arena.trees + family.tree
        cdef Segment path[DEPTH_MAX]
        cdef int32_t first[MORE_MIN]
        cdef int32_t number
        cdef Py_ssize_t depth = 0, place, total = 0, kept = 0, at, one
        cdef uint32_t node
        if slot == NULL:
            path[0] = Segment(family.all_first, family.all_count)
            depth, total = 1, family.all_count
        else:
            node = segment_of(arena, tree, slot) + tree.cut_count + 1
            while node:
                path[depth] = arena.segments[tree.segment_first + node]
                if path[depth].count:
                    total += path[depth].count
                    depth += 1
                node >>= 1
        if not self.counting or total <= MORE_MIN:
            for place in range(depth):
                for one in range(path[place].count):
                    if not self.push(<int32_t>arena.places[path[place].first + one]):
                        return WANTS_MEMORY
            return DONE
        for place in range(depth):
            for one in range(path[place].count):
                number = <int32_t>arena.places[path[place].first + one]
                if kept == MORE_MIN:
                    if number > first[kept - 1]:
                        break
                    kept -= 1
                at = kept
                while at > 0 and first[at - 1] > number:
                    first[at] = first[at - 1]
                    at -= 1
                first[at] = number
                kept += 1
        for at in range(kept):
            if not self.push(first[at]):
                return WANTS_MEMORY
        if not self.make_room(<void **>&self.more, &self.more_room, self.more_count + 1, sizeof(More)):
            return WANTS_MEMORY
        self.more[self.more_count] = More(first[0], <int32_t>(total - kept))
        self.more_count += 1
        return DONE

    # ------------------------------------------------------------ the door

    cdef int put(self, int32_t number) except -1:
        """Write a number down behind those that were found."""
        if not self.push(number):
            raise MemoryError
        return 0

    cdef int open(self, const Bucket *bucket, double now, bint counting) noexcept nogil:
        """Begin a search; WANTS_SLOT where the value of a pivot is not taken in yet."""
        cdef const Pivot *pivots = self.sections.pivots + bucket.pivot_first
        cdef uint32_t place
        self.now, self.counting, self.run_count, self.row = now, counting, 0, NULL
        for place in range(bucket.pivot_count):
            if not self.filled[pivots[place].reader]:
                self.wanted = pivots[place].reader
                return WANTS_SLOT
        if not self.push_run(bucket.rest_first, bucket.rest_count, False, False):
            return WANTS_MEMORY
        return self.look_up(pivots, bucket.pivot_count)

    cdef int find(self, Rows rows, double now, bint counting) except -1:
        cdef Py_ssize_t place, first = self.found_count
        cdef int want
        assert rows.arena is self.arena
        while True:
            want = self.open(rows.bucket, now, counting)
            if want == DONE:
                break
            self.serve(want)
        while True:
            want = self.search()
            if want == DONE:
                break
            self.serve(want)
        for place in range(first + 1, self.found_count):
            if self.found[place] < self.found[place - 1]:
                qsort(self.found + first, self.found_count - first, sizeof(int32_t), before)
                break
        return 0

    cdef int gather(self, Rows rows, double now) except -1:
        """Find the rules that stand now and hold; their numbers are added to `found`, in rising order."""
        return self.find(rows, now, False)

    cdef int survey(self, Rows rows, double now) except -1:
        """Find what `gather` does, but of many rules that only one span sets apart and that ask for the same in all but
        their names, no more than the first sixteen; `more` says for each such group how many there are beside them.

        Rules of a group have one effect and the same of everything that an answer takes from its rules; none is on trial,
        lapses, counts, changes arguments or adds risk. So who has the numbers found and `more` knows the whole answer.
        """
        return self.find(rows, now, True)

    def holding(self, Rows rows not None, double now) -> list:
        """Return the numbers of the rules that stand now and hold, in their order."""
        cdef Py_ssize_t first = self.found_count, place
        self.gather(rows, now)
        return [self.found[place] for place in range(first, self.found_count)]

    def surveyed(self, Rows rows not None, double now) -> tuple:
        """Return the numbers that `survey` finds, and (first number, how many beside sixteen) of each group."""
        cdef Py_ssize_t first = self.found_count, place, first_more = self.more_count
        self.survey(rows, now)
        return (
            [self.found[place] for place in range(first, self.found_count)],
            [(self.more[place].number, self.more[place].count) for place in range(first_more, self.more_count)],
        )

    def truth(self, int column, bint opposite):
        """Return what a column's answer makes of a test: True, False, None in doubt; without an argument False."""
        cdef uint32_t answer
        cdef const Test *test
        cdef int told = DECLINED
        assert 0 <= column < self.sections.test_count
        answer = self.answers[column] - self.stamp
        if answer >= ANSWER_COUNT:
            test = self.sections.tests + column
            if test.op != ASK:
                if not self.filled[test.reader]:
                    self.fill(test.reader)
                told = answer_of(self.sections, test, self.slots + test.reader, self.items, self.scan_chars)
            if told == DECLINED:
                told = self.table.column(column).answer(self)
            self.answers[column] = self.stamp | <uint32_t>told
            answer = <uint32_t>told
        return None if answer == DOUBT else answer == (NO if opposite else YES)


# ---------------------------------------------------------------- what Python answers


cdef class Column:
    """One distinct test, as Python answers it; `columns` has the kinds."""

    cdef int answer(self, Walk walk) except -1:
        raise NotImplementedError
