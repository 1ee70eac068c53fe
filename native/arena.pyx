"""A decision table as one contiguous, read-only piece of memory: sections of records that name each other by number.

It may come from a file that somebody else wrote, so every number in it is checked once, before anything is looked up.
"""

from cpython.buffer cimport PyBUF_SIMPLE
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef enum:
    SECTIONS = 15
    ALIGNED = 8

MAGIC = b"thothtab"
VERSION = 2
cdef bytes _magic = MAGIC

SIZES = (
    1, sizeof(Constant), sizeof(Test), sizeof(Node), sizeof(Row), sizeof(uint32_t), sizeof(Entry), sizeof(Beginning),
    sizeof(Pivot), sizeof(Bucket), sizeof(Tree), sizeof(Segment), sizeof(Family), sizeof(double), sizeof(Automaton),
)
"""Bytes of a record in each section, in the order of the sections."""
HEADER_BYTES = 16 + 16 * SECTIONS
HOLDS, FAILS = _HOLDS, _FAILS
EACH_ANY, EACH_ALL = EACH_ONE, ALL_OF_EACH
FORMS = {"text": TEXT, "integer": INTEGER, "double": DOUBLE, "id": ID_TEXT, "email": EMAIL_TEXT, "host": HOST_TEXT}
OPS = {
    "ask": ASK, "equal text": EQUAL_TEXT, "equal number": EQUAL_NUMBER, "among": AMONG_TEXT, ">": GREATER, ">=": AT_LEAST,
    "<": LESS, "<=": AT_MOST, "starts": STARTS, "ends": ENDS, "like": LIKE, "under": UNDER, "find": FIND,
}
SHAPES = {"exact": EXACT, "around": AROUND, "general": GENERAL}
SIDES = {"from": FROM_HERE, "beyond": BEYOND}
KINDS = {
    "text": BY_TEXT, "number": BY_NUMBER, "beginning": BY_BEGINNING, "folder": BY_FOLDER, "span": BY_SPAN,
    "hashed beginning": BY_HASHED_BEGINNING, "hashed folder": BY_HASHED_FOLDER,
}
LENGTHS = LENGTHS_MAX
ENTRY_FORM_BITS = KIND_BITS
RUN_OF_ONE = 0x80000000


class ArenaError(ValueError):
    """The bytes are no table, or one that was damaged or made up: what is wrong."""


cdef class Arena:
    """The sections of a table, each checked against all others; `readers` and `rules` are what it may count on."""

    def __cinit__(self, const uint8_t[::1] source not None, Py_ssize_t readers, Py_ssize_t rules):
        """Take bytes or anything that lends its memory; it is kept, not copied.

        Cost: one pass.

        Raises:
            ArenaError: what is wrong with it.
        """
        cdef const uint8_t *base
        cdef const char *wrong
        cdef const uint8_t *section[SECTIONS]
        cdef Py_ssize_t count[SECTIONS]
        cdef uint64_t offset, records
        cdef uint32_t version, sections
        cdef uint16_t order = 1
        cdef int one
        cdef Sections *at = &self.sections
        self.source = source
        self.byte_count = source.shape[0]
        if self.byte_count < HEADER_BYTES:
            raise ArenaError("it is too short for a table")
        base = &source[0]
        if (<uint8_t *>&order)[0] != 1:
            raise ArenaError("tables are laid out for little-endian machines")
        if <size_t>base % ALIGNED:
            raise ArenaError("it does not begin at an address divisible by eight")
        memcpy(&version, base + 8, 4)
        memcpy(&sections, base + 12, 4)
        if memcmp(base, <const char *>_magic, 8) != 0 or version != VERSION or sections != SECTIONS:
            raise ArenaError("it is no table of this version")
        for one in range(SECTIONS):
            memcpy(&offset, base + 16 + 16 * one, 8)
            memcpy(&records, base + 24 + 16 * one, 8)
            if offset % ALIGNED or offset > <uint64_t>self.byte_count or records >= 0x7FFFFFFF:
                raise ArenaError("a section lies outside the table")
            if records * <uint64_t>SIZES[one] > <uint64_t>self.byte_count - offset:
                raise ArenaError("a section lies outside the table")
            section[one], count[one] = base + offset, records
        at.texts, at.text_count = section[0], count[0]
        at.constants, at.constant_count = <const Constant *>section[1], count[1]
        at.tests, at.test_count = <const Test *>section[2], count[2]
        at.nodes, at.node_count = <const Node *>section[3], count[3]
        at.rows, at.row_count = <const Row *>section[4], count[4]
        at.places, at.place_count = <const uint32_t *>section[5], count[5]
        at.entries, at.entry_count = <const Entry *>section[6], count[6]
        at.beginnings, at.beginning_count = <const Beginning *>section[7], count[7]
        at.pivots, at.pivot_count = <const Pivot *>section[8], count[8]
        at.buckets, at.bucket_count = <const Bucket *>section[9], count[9]
        at.trees, at.tree_count = <const Tree *>section[10], count[10]
        at.segments, at.segment_count = <const Segment *>section[11], count[11]
        at.families, at.family_count = <const Family *>section[12], count[12]
        at.untils, at.until_count = <const double *>section[13], count[13]
        at.automata, at.automaton_count = <const Automaton *>section[14], count[14]
        wrong = wrong_in(at, readers, rules)
        if wrong != NULL:
            raise ArenaError(wrong.decode())

    def bound(self, Py_ssize_t number) -> tuple:
        """Return how many rows a bucket has, and how many its pivots let through at most where they can tell."""
        cdef const Sections *at = &self.sections
        cdef const Bucket *bucket
        cdef const Pivot *pivot
        cdef const Beginning *beginning
        cdef uint32_t place, one, most, depth
        cdef int32_t up
        cdef uint64_t few
        assert 0 <= number < at.bucket_count
        bucket = at.buckets + number
        few = bucket.rest_count
        for place in range(bucket.pivot_first, bucket.pivot_first + bucket.pivot_count):
            pivot, most = at.pivots + place, 0
            if hashed(pivot.kind):
                for one in range(pivot.count):
                    if at.entries[pivot.first + one].kind:
                        most = max(most, rows_in(at, at.entries[pivot.first + one].run))
                most *= max(1, pivot.length_count)
            elif pivot.kind == BY_SPAN:
                most = pivot.every_count
            else:
                for one in range(pivot.count):
                    depth, up = 0, <int32_t>one
                    while up >= 0:
                        beginning = at.beginnings + pivot.first + up
                        depth += beginning.count
                        up = beginning.parent
                    most = max(most, depth)
            few += most
        return bucket.row_count, few

    def memory(self):
        """Return the bytes of the table."""
        return memoryview(self.source)


cdef const char *wrong_in(const Sections *arena, Py_ssize_t readers, Py_ssize_t rules) noexcept nogil:
    """Return what is wrong with any record, NULL if nothing is."""
    cdef Py_ssize_t one, other
    cdef const Constant *constant
    cdef const Test *test
    cdef const Node *node
    cdef const Row *row
    cdef const Bucket *bucket
    cdef const Pivot *pivot
    cdef const Tree *tree
    cdef const Family *family
    cdef const Automaton *automaton
    for one in range(arena.constant_count):
        constant = arena.constants + one
        if constant.form == INTEGER or constant.form == DOUBLE:
            continue
        if constant.form < TEXT or constant.form > HOST_TEXT or constant.split > constant.size:
            return "a constant of no form"
        if constant.value < 0 or constant.value > arena.text_count or constant.shape > GENERAL:
            return "a text lies outside the table"
        if constant.size > <uint64_t>(arena.text_count - constant.value):
            return "a text lies outside the table"
    for one in range(arena.test_count):
        test = arena.tests + one
        if test.op >= OP_COUNT or test.each > ALL_OF_EACH or test.negated > 1 or (test.negated and not test.each):
            return "a test of no kind"
        if test.op == ASK:
            continue
        if not 0 <= test.reader < readers:
            return "a test reads nothing"
        if test.op == AMONG_TEXT:
            if not entries_stand(arena, test.first, test.count, False):
                return "entries of a test lie outside the table"
        elif test.op == FIND:
            if test.first >= <uint64_t>arena.automaton_count:
                return "an automaton lies outside the table"
        else:
            if not inside(test.first, test.count, arena.constant_count) or test.count == 0:
                return "constants of a test lie outside the table"
            for other in range(test.first, <Py_ssize_t>test.first + test.count):
                constant = arena.constants + other
                if (test.op == EQUAL_NUMBER or GREATER <= test.op <= AT_MOST) != (
                        constant.form == INTEGER or constant.form == DOUBLE):
                    return "a test compares with something else"
    for one in range(arena.node_count):
        node = arena.nodes + one
        # Nodes point back only, so that every walk ends.
        if not 0 <= node.column < arena.test_count or node.mask == 0 or node.mask > 15:
            return "a node asks nothing"
        if memcmp(&node.test, arena.tests + node.column, sizeof(Test)) != 0:
            return "a node asks something else than its column"
        if not (_FAILS <= node.accepted < one and _FAILS <= node.refused < one):
            return "a node leads on"
    for one in range(arena.row_count):
        row = arena.rows + one
        if not (-arena.family_count <= row.number < rules):  # -1 is family 0
            return "a row of no rule"
        if not (_FAILS <= row.start < arena.node_count and _FAILS <= row.skip < arena.node_count):
            return "a row begins nowhere"
        if row.until and row.until >= <uint64_t>arena.until_count:
            return "a row ends nowhere"
    for one in range(arena.bucket_count):
        bucket = arena.buckets + one
        if not inside(bucket.row_first, bucket.row_count, arena.row_count):
            return "a bucket's rows lie outside the table"
        if not rows_stand(arena, bucket.rest_first, bucket.rest_count):
            return "a bucket's places lie outside the table"
        if not inside(bucket.pivot_first, bucket.pivot_count, arena.pivot_count):
            return "a bucket's pivots lie outside the table"
    for one in range(arena.pivot_count):
        pivot = arena.pivots + one
        if not 0 <= pivot.reader < readers or pivot.kind >= BY_COUNT or pivot.length_count > LENGTHS_MAX:
            return "a pivot of no kind"
        if pivot.forms & ~forms_of(pivot.kind):
            return "a pivot of no kind"
        if not rows_stand(arena, pivot.every_first, pivot.every_count):
            return "a pivot's places lie outside the table"
        if hashed(pivot.kind):
            if not entries_stand(arena, pivot.first, pivot.count, True):
                return "a pivot's entries lie outside the table"
        elif pivot.kind == BY_SPAN:
            if not tree_stands(arena, pivot.first, -1):
                return "a pivot's tree lies outside the table"
        elif not beginnings_stand(arena, pivot.first, pivot.count):
            return "a pivot's beginnings lie outside the table"
    for one in range(arena.tree_count):
        tree = arena.trees + one
        if not inside(tree.cut_first, tree.cut_count, arena.constant_count):
            return "a tree's cuts lie outside the table"
        for other in range(tree.cut_first, <Py_ssize_t>tree.cut_first + tree.cut_count):
            if arena.constants[other].form != INTEGER and arena.constants[other].form != DOUBLE:
                return "a cut is no number"
        if not inside(tree.segment_first, 2 * (<uint64_t>tree.cut_count + 1), arena.segment_count):
            return "a tree's segments lie outside the table"
    for one in range(arena.family_count):
        family = arena.families + one
        if not 0 <= family.reader < readers or not tree_stands(arena, family.tree, rules):
            return "a family of no kind"
        if not numbers_stand(arena, family.all_first, family.all_count, rules):
            return "a family's rules lie outside the table"
        if not inside(family.row_first, family.row_count, arena.row_count):
            return "a family's rows lie outside the table"
        for other in range(family.row_first, <Py_ssize_t>family.row_first + family.row_count):
            if arena.rows[other].number < 0:
                return "a family within a family"
    for one in range(arena.automaton_count):
        automaton = arena.automata + one
        if not automaton_stands(arena, automaton):
            return "an automaton goes astray"
    return NULL


cdef uint32_t forms_of(uint8_t kind) noexcept nogil:
    """Return the bits of the forms that a kind of pivot can look up: of any other a slot has no text, or no number."""
    if kind == BY_NUMBER or kind == BY_SPAN:
        return 1 << INTEGER | 1 << DOUBLE
    if kind == BY_TEXT:
        return 1 << TEXT | 1 << ID_TEXT | 1 << EMAIL_TEXT | 1 << HOST_TEXT
    return 1 << TEXT


cdef bint inside(uint64_t first, uint64_t count, Py_ssize_t whole) noexcept nogil:
    return first <= <uint64_t>whole and count <= <uint64_t>whole - first


cdef bint rows_stand(const Sections *arena, uint64_t first, uint64_t count) noexcept nogil:
    cdef uint64_t one
    if not inside(first, count, arena.place_count):
        return False
    for one in range(first, first + count):
        if arena.places[one] >= <uint64_t>arena.row_count:
            return False
    return True


cdef bint numbers_stand(const Sections *arena, uint64_t first, uint64_t count, Py_ssize_t rules) noexcept nogil:
    cdef uint64_t one
    if not inside(first, count, arena.place_count):
        return False
    for one in range(first, first + count):
        if arena.places[one] >= <uint64_t>rules:
            return False
    return True


cdef bint hashed(int kind) noexcept nogil:
    return kind == BY_TEXT or kind == BY_NUMBER or kind == BY_HASHED_BEGINNING or kind == BY_HASHED_FOLDER


cdef uint32_t rows_in(const Sections *arena, uint32_t run) noexcept nogil:
    """Return how many rows a run of an entry has."""
    return 1 if run & ONE_ROW else arena.places[run]


cdef bint run_stands(const Sections *arena, uint64_t run) noexcept nogil:
    if run & ONE_ROW:
        return run - ONE_ROW < <uint64_t>arena.row_count
    return run < <uint64_t>arena.place_count and rows_stand(arena, run + 1, arena.places[run])


cdef bint entries_stand(const Sections *arena, uint64_t first, uint64_t count, bint runs) noexcept nogil:
    """Say whether entries are a power of two, not all of them full, so that a search ends."""
    cdef const Entry *entry
    cdef uint64_t one, full = 0
    cdef uint32_t form
    if count == 0 or count & (count - 1) or not inside(first, count, arena.entry_count):
        return False
    for one in range(first, first + count):
        entry = arena.entries + one
        if entry.kind == 0:
            continue
        full += 1
        form = entry.kind & ((1 << KIND_BITS) - 1)
        if form < TEXT or form > HOST_TEXT:
            return False
        if form == INTEGER or form == DOUBLE:
            if entry.at >= <uint64_t>arena.constant_count or arena.constants[entry.at].form != form:
                return False
        elif not inside(entry.at, entry.kind >> KIND_BITS, arena.text_count):
            return False
        if runs and not run_stands(arena, entry.run):
            return False
    return full < count


cdef bint beginnings_stand(const Sections *arena, uint64_t first, uint64_t count) noexcept nogil:
    cdef const Beginning *beginning
    cdef uint64_t one
    if count == 0 or not inside(first, count, arena.beginning_count):
        return False
    for one in range(count):
        beginning = arena.beginnings + first + one
        # Parents stand before their children, so that going up ends.
        if beginning.parent < -1 or beginning.parent >= <int64_t>one or beginning.constant >= <uint64_t>arena.constant_count:
            return False
        if arena.constants[beginning.constant].form != TEXT or not rows_stand(arena, beginning.first, beginning.count):
            return False
    return True


cdef bint tree_stands(const Sections *arena, uint64_t place, Py_ssize_t rules) noexcept nogil:
    """Say whether a tree's segments hold numbers of rules, or places of rows where `rules` is -1."""
    cdef const Tree *tree
    cdef const Segment *segment
    cdef uint64_t one, segments
    if place >= <uint64_t>arena.tree_count:
        return False
    tree = arena.trees + place
    segments = 2 * (<uint64_t>tree.cut_count + 1)
    if not inside(tree.segment_first, segments, arena.segment_count):
        return False
    for one in range(segments):
        segment = arena.segments + tree.segment_first + one
        if rules < 0:
            if not rows_stand(arena, segment.first, segment.count):
                return False
        elif not numbers_stand(arena, segment.first, segment.count, rules):
            return False
    return True


cdef bint automaton_stands(const Sections *arena, const Automaton *automaton) noexcept nogil:
    cdef const uint8_t *at
    cdef uint64_t one, states = automaton.states, classes = automaton.classes
    if states < 2 or states > 256 or classes == 0 or classes > 128 or automaton.start >= states:
        return False
    if not inside(automaton.first, 128 + states * classes + states, arena.text_count):
        return False
    at = arena.texts + automaton.first
    for one in range(128):
        if at[one] >= classes:
            return False
    at += 128
    for one in range(states * classes):
        if at[one] >= states:
            return False
    at += states * classes
    for one in range(states):
        if at[one] > 1:
            return False
    return True
