"""The rows of an Arrow table decided where they lie: columns are read into the machine's values, and no object is made.

Whatever is not plain to see is left to Python, row by row: texts beyond ASCII, arguments that have to be read in a way of
their own, tests that only Python can answer. So a row that is decided here says what it would have said there.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport floor
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from libc.stdlib cimport qsort
from libc.string cimport memcpy, memset

from thoth.native.answer cimport SHOWN_MAX, TOLD_BUT_SCOPE, UNTOLD, Answers, Place, Stance
from thoth.native.arena cimport AWAY_VALUE, DOUBLE, ID_TEXT, INTEGER, ITEMS, OTHER, TEXT, UNKNOWN_VALUE, Bucket
from thoth.native.facts cimport ArgumentPath, TextField
from thoth.native.slots cimport Slot
from thoth.native.table cimport DONE, Rows, Table, Walk
from thoth.native.texts cimport bytes_ascii, bytes_mixed, bytes_same
from thoth.native.values cimport ANY, BOOLEAN, ID, INT, LIST, NUMBER, STRING, Kind

cdef enum:
    ITEMS_READ_MAX = 256     # a longer list is Python's to look through
    NOWHERE = 255            # in place of the code of what the items of items are


# ---------------------------------------------------------------- reading


cdef inline bint there(const uint8_t *valid, int64_t at) noexcept nogil:
    return valid == NULL or valid[at >> 3] >> (at & 7) & 1


cdef bint read_text(Slot *slot, const char *text, int64_t size) noexcept nogil:
    if size < 0 or size > 0x7FFFFFFF or not bytes_ascii(text, size):
        return False
    slot.form, slot.plain, slot.ascii = TEXT, 0, True
    slot.text, slot.size, slot.chars = text, <uint32_t>size, <uint32_t>size
    return True


cdef bint read_real(Slot *slot, double real) noexcept nogil:
    """Take a double in as `slots.fill` does."""
    slot.real = real
    if real - real != 0:
        return False
    slot.form = DOUBLE
    if real == floor(real) and -9223372036854775808.0 <= real < 9223372036854775808.0:
        slot.form, slot.integer = INTEGER, <int64_t>real
    return True


cdef bint read_one(const Column *column, int64_t at, Slot *slot) noexcept nogil:
    """Take in one value that is no list, AWAY_VALUE for a null; False where that is left to Python."""
    cdef int form = column.form
    cdef int64_t index
    at += column.offset
    slot.plain = 0
    if form == b"n" or not there(column.valid, at):
        slot.form = AWAY_VALUE
        return True
    if form == b"u":
        index = (<const int32_t *>column.ends)[at]
        return read_text(slot, <const char *>column.data + index, (<const int32_t *>column.ends)[at + 1] - index)
    if form == b"U":
        index = (<const int64_t *>column.ends)[at]
        return read_text(slot, <const char *>column.data + index, (<const int64_t *>column.ends)[at + 1] - index)
    if form == b"g":
        return read_real(slot, (<const double *>column.data)[at])
    if form == b"f":
        return read_real(slot, (<const float *>column.data)[at])
    if form == b"b":
        slot.form = OTHER
        return True
    if form == b"l":
        slot.integer = (<const int64_t *>column.data)[at]
    elif form == b"i":
        slot.integer = (<const int32_t *>column.data)[at]
    elif form == b"s":
        slot.integer = (<const int16_t *>column.data)[at]
    elif form == b"c":
        slot.integer = (<const int8_t *>column.data)[at]
    elif form == b"I":
        slot.integer = (<const uint32_t *>column.data)[at]
    elif form == b"S":
        slot.integer = (<const uint16_t *>column.data)[at]
    elif form == b"C":
        slot.integer = (<const uint8_t *>column.data)[at]
    elif form == b"L" and (<const uint64_t *>column.data)[at] <= <uint64_t>0x7FFFFFFFFFFFFFFF:
        slot.integer = (<const int64_t *>column.data)[at]
    else:
        return False
    slot.form = INTEGER
    if column.inner == NULL:
        return True
    if not 0 <= slot.integer < column.inner.length or column.inner.inner != NULL:
        return False
    return read_one(column.inner, slot.integer, slot)


cdef bint read_cell(const Column *column, int64_t row, Slot *slot, Walk walk) noexcept nogil:
    """Take in one value; False where that is left to Python. The items of a list are added to the walk's."""
    cdef int64_t at = row + column.offset, first, last, one
    if not there(column.around, row + column.around_offset):
        slot.form = AWAY_VALUE
        return True
    if column.form != b"+" and column.form != b"*":
        return read_one(column, row, slot)
    slot.plain = 0
    if not there(column.valid, at):
        slot.form = AWAY_VALUE
        return True
    if column.form == b"+":
        first, last = (<const int32_t *>column.ends)[at], (<const int32_t *>column.ends)[at + 1]
    else:
        first, last = (<const int64_t *>column.ends)[at], (<const int64_t *>column.ends)[at + 1]
    if last - first > ITEMS_READ_MAX or last < first:
        return False
    if not walk.make_room(<void **>&walk.items, &walk.item_room, walk.item_count + (last - first), sizeof(Slot)):
        return False
    slot.form, slot.first, slot.count = ITEMS, <uint32_t>walk.item_count, <uint32_t>(last - first)
    for one in range(first, last):
        if not read_one(column.inner, one, walk.items + walk.item_count):
            return False
        if walk.items[walk.item_count].form == AWAY_VALUE:
            return False
        walk.item_count += 1
    return True


cdef bint fits(Slot *slot, int code, int item_code, Slot *items) noexcept nogil:
    """Say whether a value is of a kind, and is read as it stands; an id is put into the form in which it compares."""
    cdef uint32_t place
    if slot.form == TEXT:
        if slot.size and slot.text[0] == b"[":
            return False  # perhaps what a client put in the place of a value
        if code == ID:
            slot.form = ID_TEXT
            return True
        return code == STRING or code == ANY
    if slot.form == INTEGER:
        return code == NUMBER or code == INT or code == ANY
    if slot.form == DOUBLE:
        return code == NUMBER or code == ANY
    if slot.form == OTHER:
        return code == BOOLEAN or code == ANY
    if slot.form != ITEMS or (code != LIST and code != ANY):
        return False
    for place in range(slot.count):
        if items[slot.first + place].form == ITEMS:
            return False
        if not fits(items + slot.first + place, item_code if code == LIST else ANY, NOWHERE, items):
            return False
    return True


cdef int before(const void *one, const void *other) noexcept nogil:
    cdef int32_t left = (<const int32_t *>one)[0], right = (<const int32_t *>other)[0]
    return (left > right) - (left < right)


# ---------------------------------------------------------------- deciding


cdef class Cells:
    """Rows of one table, decided into a batch."""

    def __cinit__(self, Answers answers not None, Py_ssize_t chars_max):
        self.answers, self.chars_max = answers, chars_max
        self.words, self.inner = [], []

    def __dealloc__(self):
        cdef uint64_t place
        PyMem_Free(self.sources)
        if self.plans != NULL:
            for place in range(self.plan_count):
                PyMem_Free(self.plans[place])
        PyMem_Free(self.plans)

    cdef bint begin(self, list paths) except -1:
        """Take in where in a request each column's values stand; say whether rows can be decided here at all."""
        cdef Table table = self.answers.table
        cdef Py_ssize_t one, column
        cdef Stance stance
        if len(paths) > COLUMNS_MAX or len(self.answers.stances) >= STANCES_MAX:
            return False
        self.column_count, self.tool, self.said, self.scope = <int>len(paths), -1, -1, -1
        self.names = [None] * len(paths)
        for column in range(len(paths)):
            path = paths[column]
            if path == ("tool_name",):
                self.tool = <int>column
            elif path == ("enforcement_mode",):
                self.said = <int>column
            elif path == ("approved_scope",):
                self.scope = <int>column
            elif path[0] == "tool_args":
                if len(path) != 2:
                    return False
                self.args[column], self.names[column] = True, path[1]
        if self.tool < 0:
            return False
        self.stances[0] = Said(NULL, 0, self.answers.stance.soft, self.answers.stance.observing, self.answers.stance.laddered)
        self.stance_count = 1
        for said, stance in self.answers.stances.items():
            if said is None:
                continue
            word = said.encode()
            self.words.append(word)
            self.stances[self.stance_count] = Said(
                PyBytes_AS_STRING(word), len(word), stance.soft, stance.observing, stance.laddered
            )
            self.stance_count += 1
        self.sources = <Source *>PyMem_Calloc(max(1, table.reader_count), sizeof(Source))
        self.plan_count = self.answers.known_mask + 2
        self.plans = <Plan **>PyMem_Calloc(self.plan_count, sizeof(Plan *))
        if self.sources == NULL or self.plans == NULL:
            raise MemoryError
        for one in range(table.reader_count):
            reader = table.readers[one]
            if type(reader) is TextField:
                path = ((<TextField>reader).form.names[(<TextField>reader).place],)
            elif type(reader) is ArgumentPath and (<ArgumentPath>reader).single is not None:
                path = ("tool_args", (<ArgumentPath>reader).single)
            else:
                continue
            column = paths.index(path) if path in paths else -1
            self.sources[self.source_count] = Source(<int>one, <int>column, len(path) == 2)
            self.source_count += 1
        return True

    cdef bint open(self, ArrowSchema *schema, ArrowArray *array) except -1:
        """Take in where the columns of one batch lie."""
        cdef Py_ssize_t one
        self.walk = self.answers.table.begin(None)
        self.inner.clear()
        for one in range(self.column_count):
            self.lay_out(self.columns + one, schema.children[one], array.children[one], array.offset, True)
        return True

    cdef int lay_out(self, Column *column, ArrowSchema *schema, ArrowArray *array, int64_t offset, bint lists) except -1:
        cdef const char *format = schema.format
        cdef bint nested = format[0] == b"+"
        memset(column, 0, sizeof(Column))
        column.offset, column.length = array.offset + offset, array.length
        if array.null_count != 0 and array.n_buffers > 0:
            column.valid = <const uint8_t *>array.buffers[0]
        if nested:
            if not lists or format[1] == b"s" or schema.children[0].format[0] == b"+":
                return 0
            column.form = b"+" if format[1] == b"l" else b"*"
            column.ends = array.buffers[1]
            column.inner = self.inner_column()
            return self.lay_out(column.inner, schema.children[0], array.children[0], 0, False)
        column.form = format[0]
        if format[0] == b"n":
            return 0
        if format[0] == b"u" or format[0] == b"U":
            column.ends, column.data = array.buffers[1], array.buffers[2]
        else:
            column.data = array.buffers[1]
        if schema.dictionary != NULL:
            column.inner = self.inner_column()
            return self.lay_out(column.inner, schema.dictionary, array.dictionary, 0, False)
        return 0

    cdef Column *inner_column(self) except NULL:
        cdef bytes memory = PyBytes_FromStringAndSize(NULL, sizeof(Column))
        self.inner.append(memory)
        return <Column *>PyBytes_AS_STRING(memory)

    cdef int close(self) except -1:
        """Be done with a batch."""
        cdef Py_ssize_t one
        for one in range(self.source_count):
            self.walk.filled[self.sources[one].reader] = False
        self.answers.table.end(self.walk)
        self.walk = None
        return 0

    cdef uint64_t planned(self) noexcept nogil:
        """Return where the plan for the tool of this row stands."""
        cdef const Slot *tool = self.cells + self.tool
        cdef uint64_t at = bytes_mixed(tool.text, tool.size) & self.answers.known_mask
        while self.answers.known[at].text != NULL:
            if self.answers.known[at].size == tool.size and bytes_same(self.answers.known[at].text, tool.text, tool.size):
                return at
            at = (at + 1) & self.answers.known_mask
        return self.answers.known_mask + 1

    cdef int plan(self) except -1:
        """Make the plan for the tool of this row."""
        cdef uint64_t at = self.planned()
        cdef Plan *plan = <Plan *>PyMem_Calloc(1, sizeof(Plan))
        cdef Place place
        cdef Kind kind
        cdef Py_ssize_t one
        cdef dict kinds
        if plan == NULL:
            raise MemoryError
        self.plans[at] = plan
        if at > self.answers.known_mask:
            place = self.answers.unknown
        elif self.answers.known[at].place == NULL:
            return 0  # the declaration depends on more
        else:
            place = <Place>self.answers.known[at].place
        if place.positional and ("args" in self.names or "arg0" in self.names):
            return 0
        if len(place.risk) > BUCKETS_MAX or len(place.rules) > BUCKETS_MAX:
            return 0
        for rows in place.risk:
            plan.risk[plan.risk_count] = (<Rows>rows).bucket
            plan.risk_count += 1
        for rows in place.rules:
            plan.rules[plan.rule_count] = (<Rows>rows).bucket
            plan.rule_count += 1
        params = () if place.signature is None else place.signature.params
        if [name for name, _, optional in params if not optional and name not in self.names]:
            return 0
        kinds = {name: (kind, optional) for name, kind, optional in params}
        for one in range(self.column_count):
            if not self.args[one]:
                continue
            plan.code[one], plan.item_code[one] = ANY, ANY
            found = kinds.get(self.names[one])
            if found is None:
                plan.barred[one] = place.signature is not None and not place.signature.more
                continue
            kind, optional = found
            plan.code[one], plan.item_code[one] = <uint8_t>kind.code, <uint8_t>kind.items.code
            plan.wanted[one] = not optional
            plan.strict[one] = optional and place.signature.lenient
        plan.here = True
        return 0

    cdef int64_t run(self, Walk walk, Batch batch, int64_t first, int64_t last, int *want) noexcept nogil:
        """Decide rows from the first on; return the one that it stopped at, and what for."""
        cdef int64_t row
        for row in range(first, last):
            want[0] = self.decide(walk, row)
            if want[0] == ALL_DONE:
                want[0] = self.note(batch)
            if want[0] != ALL_DONE:
                return row
        return last

    cdef int decide(self, Walk walk, int64_t row) noexcept nogil:
        """Decide one row into `verdict`."""
        cdef int one, column
        cdef Slot *slot
        cdef Slot *cell
        cdef const Plan *plan
        cdef const Said *said = self.stances
        cdef Py_ssize_t chars = self.chars_max, place
        walk.renew()
        for one in range(self.column_count):
            cell = self.cells + one
            if not read_cell(self.columns + one, row, cell, walk):
                return WANTS_PYTHON
            if cell.form == TEXT:
                chars -= cell.size
        for place in range(walk.item_count):
            if walk.items[place].form == TEXT:
                chars -= walk.items[place].size
        cell = self.cells + self.tool
        if chars < 0 or cell.form != TEXT or cell.size == 0:
            return WANTS_PYTHON
        plan = self.plans[self.planned()]
        if plan == NULL:
            return WANTS_PLAN
        if not plan.here:
            return WANTS_PYTHON
        for one in range(self.column_count):
            if not self.args[one]:
                continue
            cell = self.cells + one
            if cell.form == AWAY_VALUE:
                if plan.wanted[one]:
                    return WANTS_PYTHON
            elif plan.barred[one] or (plan.strict[one] and cell.form == TEXT) \
                    or not fits(cell, plan.code[one], plan.item_code[one], walk.items):
                return WANTS_PYTHON
        if self.said >= 0:
            cell = self.cells + self.said
            if cell.form == TEXT:
                for one in range(1, self.stance_count):
                    if self.stances[one].size == cell.size and bytes_same(self.stances[one].text, cell.text, cell.size):
                        said = self.stances + one
        for place in range(self.source_count):
            column = self.sources[place].column
            slot = walk.slots + self.sources[place].reader
            walk.filled[self.sources[place].reader] = True
            if column >= 0:
                slot[0] = self.cells[column]
                if self.sources[place].argument:
                    continue
                if slot.form == TEXT and slot.size:
                    continue
            slot.form, slot.plain = (AWAY_VALUE if self.sources[place].argument else UNKNOWN_VALUE), 0
        return self.weigh(walk, plan, said)

    cdef int weigh(self, Walk walk, const Plan *plan, const Said *said) noexcept nogil:
        """Weigh the rules that hold for the row that was read."""
        cdef Py_ssize_t one, first, count = 0
        cdef int32_t number
        cdef bint sorted = True
        cdef int told
        for one in range(plan.risk_count):
            if walk.open(plan.risk[one], self.now, False) != DONE or walk.search() != DONE:
                return WANTS_PYTHON
        # What they add up to is asked for by tests that Python answers: such a row does not come to an end here.
        for one in range(walk.found_count):
            number = walk.found[one]
            if self.now < self.answers.rows[number].trial_until:
                walk.found[count] = number
                count += 1
        walk.found_count = first = count
        for one in range(plan.rule_count):
            if walk.open(plan.rules[one], self.now, True) != DONE or walk.search() != DONE:
                return WANTS_PYTHON
        for one in range(walk.found_count):
            if one >= first and self.answers.rows[walk.found[one]].stops:
                return WANTS_PYTHON
            if one and walk.found[one] < walk.found[one - 1]:
                sorted = False
        if not sorted:
            qsort(walk.found, walk.found_count, sizeof(int32_t), before)
        told = self.answers.settled(walk, said.soft, said.observing, said.laddered, self.now, &self.verdict)
        if told == UNTOLD:
            return WANTS_PYTHON
        if told == TOLD_BUT_SCOPE and (self.answers.scoped or (self.scope >= 0 and self.cells[self.scope].form != AWAY_VALUE)):
            return WANTS_PYTHON
        return ALL_DONE

    cdef int note(self, Batch batch) noexcept nogil:
        """Write the verdict down, where that takes no more memory."""
        cdef const Verdict *verdict = &self.verdict
        cdef Py_ssize_t count = min(verdict.won.count, <Py_ssize_t>SHOWN_MAX), place = batch.count
        if verdict.won.code != NULL or verdict.won.count > SHOWN_MAX or batch.filled + count > batch.numbers_room:
            return WANTS_ROOM
        batch.effect[place] = <uint8_t>verdict.effect
        batch.decider[place] = self.deciders[verdict.by]
        batch.reason[place] = <uint16_t>verdict.reason
        if count:
            memcpy(batch.numbers + batch.filled, verdict.shown, count * sizeof(int32_t))
            batch.filled += count
        batch.ends[place] = <int32_t>batch.filled
        batch.count = place + 1
        return ALL_DONE
