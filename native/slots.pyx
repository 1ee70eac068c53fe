"""Values as the machine holds them, and what tests in the arena come to: no Python object is touched in answering.

What a slot cannot hold exactly it calls OTHER, and what cannot be answered exactly is DECLINED: then whoever asked asks
Python, which has one answer to everything.
"""

from cpython.unicode cimport PyUnicode_GET_LENGTH
from libc.math cimport floor
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from thoth.native.arena cimport (
    ALL_OF_EACH, AMONG_TEXT, AROUND, AT_LEAST, AT_MOST, AWAY_VALUE, BEYOND, DOUBLE, EACH_ONE, EMAIL_TEXT, ENDS,
    EQUAL_NUMBER, EQUAL_TEXT, EXACT, FIND, GENERAL, GREATER, HOST_TEXT, ID_TEXT, INTEGER, ITEMS, KIND_BITS, LESS, LIKE,
    OTHER, STARTS, TEXT, UNDER, UNKNOWN_VALUE, Automaton, Beginning, Constant, Entry, Sections, Test, Tree,
)
from thoth.native.texts cimport bytes_plain_path
from thoth.native.values cimport AWAY, DOUBT, EMAIL, ID, NO, YES, Named, absent, unknown

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    bint PyUnicode_IS_ASCII(object text)
    void *PyUnicode_DATA(object text)
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1
    double PyFloat_AS_DOUBLE(object number)

cdef extern from "xxh3.h":
    uint64_t xxh3(const uint8_t *bytes, size_t length) noexcept nogil


# ---------------------------------------------------------------- filling


cdef int fill(Slot *slot, object value) except -1:
    """Take a value in; the slot is of use while the value lives. A list is OTHER: its items are somebody else's."""
    cdef object text = value
    cdef int overflow = 0
    cdef Py_ssize_t size
    slot.form, slot.plain = OTHER, 0
    if type(value) is str:
        slot.form = TEXT
    elif type(value) is int:
        slot.integer = PyLong_AsLongLongAndOverflow(value, &overflow)
        if not overflow:
            slot.form = INTEGER
        return 0
    elif type(value) is float:
        slot.real = PyFloat_AS_DOUBLE(value)
        if slot.real == floor(slot.real) and -9223372036854775808.0 <= slot.real < 9223372036854775808.0:
            slot.form, slot.integer = INTEGER, <int64_t>slot.real
        elif slot.real - slot.real == 0:
            slot.form = DOUBLE
        return 0
    elif value is absent:
        slot.form = AWAY_VALUE
        return 0
    elif value is unknown:
        slot.form = UNKNOWN_VALUE
        return 0
    elif type(value) is Named:
        text = (<Named>value).text
        slot.form = ID_TEXT
        if (<Named>value).kind != ID:
            slot.form = EMAIL_TEXT if (<Named>value).kind == EMAIL else HOST_TEXT
    else:
        return 0
    slot.chars = <uint32_t>PyUnicode_GET_LENGTH(text)
    slot.ascii = PyUnicode_IS_ASCII(text)
    if slot.ascii:
        slot.text, slot.size = <const char *>PyUnicode_DATA(text), slot.chars
    elif PyUnicode_GET_LENGTH(text) > 0x1FFFFFFF:
        slot.form = OTHER
    else:
        try:
            slot.text = PyUnicode_AsUTF8AndSize(text, &size)
            slot.size = <uint32_t>size
        except UnicodeEncodeError:
            slot.form = OTHER
    if PyUnicode_GET_LENGTH(text) > 0x7FFFFFFF:
        slot.form = OTHER
    return 0


# ---------------------------------------------------------------- comparing


cdef double real_of(const Constant *constant) noexcept nogil:
    cdef double real
    memcpy(&real, &constant.value, sizeof(double))
    return real


cdef int compared(const Slot *slot, const Constant *constant) noexcept nogil:
    """Compare two numbers exactly: -1, 0 or 1. A DOUBLE has a fraction, or lies beyond 64 bits."""
    cdef double real
    cdef int64_t whole
    if slot.form == INTEGER:
        if constant.form == INTEGER:
            return (slot.integer > constant.value) - (slot.integer < constant.value)
        return -parted(real_of(constant), slot.integer)
    real = slot.real
    if constant.form == INTEGER:
        return parted(real, constant.value)
    return (real > real_of(constant)) - (real < real_of(constant))


cdef int parted(double real, int64_t integer) noexcept nogil:
    """Compare a DOUBLE with an integer; they are never the same."""
    if real >= 9223372036854775808.0:
        return 1
    if real < -9223372036854775808.0:
        return -1
    return 1 if <int64_t>floor(real) >= integer else -1


cdef bint is_text(const Slot *slot) noexcept nogil:
    return slot.form == TEXT or ID_TEXT <= slot.form <= HOST_TEXT


cdef bint same(const Slot *slot, const uint8_t *texts, const Constant *constant) noexcept nogil:
    return slot.size == constant.size and memcmp(slot.text, texts + constant.value, slot.size) == 0


cdef int glob_fits(const Slot *slot, const uint8_t *texts, const Constant *constant) noexcept nogil:
    """Say whether a text fits a glob of a form that bytes can tell."""
    cdef const uint8_t *glob = texts + constant.value
    cdef uint32_t behind
    if constant.shape == EXACT:
        return same(slot, texts, constant)
    if constant.shape == AROUND:
        behind = constant.size - constant.split
        return slot.size >= constant.size and memcmp(slot.text, glob, constant.split) == 0 and memcmp(
            slot.text + slot.size - behind, glob + constant.split, behind) == 0
    if not slot.ascii:
        return DECLINED
    return glob_covers(glob, constant.size, <const uint8_t *>slot.text, slot.size)


cdef bint glob_covers(const uint8_t *pattern, uint32_t length, const uint8_t *text, uint32_t size) noexcept nogil:
    """The two pointers and the last star of `glob.pyx`, on bytes; `text` is ASCII."""
    cdef uint32_t p = 0, t = 0, star_end = 0
    cdef int64_t after_star = -1
    cdef uint8_t wanted
    cdef bint holds
    while t < size:
        holds = False
        if p < length:
            wanted = pattern[p]
            if wanted == b"*":
                p += 1
                after_star, star_end = p, t
                continue
            if wanted == b"?":
                holds = True
            elif wanted == b"\\" and p + 1 < length:
                holds = pattern[p + 1] == text[t]
                p += holds
            else:
                holds = wanted == text[t]
        if holds:
            p += 1
            t += 1
        elif after_star >= 0:
            star_end += 1
            t = star_end
            p = <uint32_t>after_star
        else:
            return False
    while p < length and pattern[p] == b"*":
        p += 1
    return p == length


cdef enum:
    TOGETHER_BYTES_MIN = 32
    NO_KIND = 0xFFFFFFFF


cdef bint plain_folder(Slot *slot) noexcept nogil:
    """Say whether a path is in its normal form as it stands, a slash at its end apart; False is no verdict."""
    if slot.plain == 0:
        slot.plain = 2
        if slot.ascii and slot.size and slot.text[0] == b"/" and bytes_plain_path(slot.text, slot.size):
            slot.plain = 1
    return slot.plain == 1


cdef bint below(const Slot *slot, const uint8_t *texts, const Constant *constant) noexcept nogil:
    """Say whether a plain path with a slash behind it begins with a folder, which has one."""
    if slot.size + 1 < constant.size:
        return False
    if slot.size + 1 == constant.size:
        return memcmp(slot.text, texts + constant.value, slot.size) == 0
    return memcmp(slot.text, texts + constant.value, constant.size) == 0


cdef int accepted(const Sections *arena, const Automaton *automaton, const Slot *slot) noexcept nogil:
    """Run an automaton over a text in ASCII."""
    cdef const uint8_t *classes = arena.texts + automaton.first
    cdef const uint8_t *following = classes + 128
    cdef const uint8_t *ends = following + automaton.states * automaton.classes
    cdef uint32_t state = automaton.start, width = automaton.classes, place
    if state < 2:
        return state
    for place in range(slot.size):
        state = following[state * width + classes[<uint8_t>slot.text[place] & 127]]
        if state < 2:
            return state
    return ends[state]


# ---------------------------------------------------------------- answering


cdef int one_answer(const Sections *arena, const Test *test, Slot *slot, Py_ssize_t scan_chars) noexcept nogil:
    """Answer a test of one value that is there."""
    cdef const Constant *constants = arena.constants + test.first
    cdef uint32_t place
    cdef int answer, order
    cdef int op = test.op
    if slot.form == UNKNOWN_VALUE:
        return DOUBT
    if slot.form == OTHER or slot.form == ITEMS:
        return DECLINED
    if op == EQUAL_TEXT or op == AMONG_TEXT:
        if slot.form == EMAIL_TEXT or slot.form == HOST_TEXT:
            return DECLINED
        if not is_text(slot):
            return DOUBT
        if op == AMONG_TEXT:
            return YES if entry_of(arena, test.first, test.count, slot, TEXT) != NULL else NO
        for place in range(test.count):
            if same(slot, arena.texts, constants + place):
                return YES
        return NO
    if op == EQUAL_NUMBER:
        if is_text(slot):
            return DECLINED if slot.form != TEXT else DOUBT
        for place in range(test.count):
            if compared(slot, constants + place) == 0:
                return YES
        return NO
    if op <= AT_MOST:
        if is_text(slot):
            return DOUBT
        order = compared(slot, constants)
        if op == GREATER:
            return order > 0
        if op == AT_LEAST:
            return order >= 0
        return order < 0 if op == LESS else order <= 0
    # What is left asks of texts.
    if not is_text(slot):
        return DOUBT
    if op == STARTS:
        return slot.size >= constants.size and memcmp(slot.text, arena.texts + constants.value, constants.size) == 0
    if op == ENDS:
        return slot.size >= constants.size and memcmp(
            slot.text + slot.size - constants.size, arena.texts + constants.value, constants.size) == 0
    if op == UNDER:
        if not plain_folder(slot):
            return DECLINED
        for place in range(test.count):
            if below(slot, arena.texts, constants + place):
                return YES
        return NO
    if slot.chars > <uint64_t>scan_chars:
        return DOUBT
    if op == FIND:
        if not slot.ascii or (test.together and slot.size >= TOGETHER_BYTES_MIN):
            return DECLINED
        return accepted(arena, arena.automata + test.first, slot)
    if slot.form == EMAIL_TEXT or slot.form == HOST_TEXT:
        return DECLINED
    for place in range(test.count):
        answer = glob_fits(slot, arena.texts, constants + place)
        if answer != NO:
            return answer
    return NO


cdef int answer_of(const Sections *arena, const Test *test, Slot *slot, Slot *items, Py_ssize_t scan_chars) noexcept nogil:
    """Answer a test: NO, YES, DOUBT, AWAY or DECLINED. Under `each`, of nothing `any` is NO and `all` is YES."""
    cdef int answer, best, decisive
    cdef uint32_t place, count = 1
    cdef Slot *item = slot
    if not test.each:
        return AWAY if slot.form == AWAY_VALUE else one_answer(arena, test, slot, scan_chars)
    if slot.form == AWAY_VALUE:
        return NO
    if slot.form == UNKNOWN_VALUE:
        return DOUBT
    if slot.form == ITEMS:
        item, count = items + slot.first, slot.count
    best = NO if test.each == EACH_ONE else YES
    decisive = YES if test.each == EACH_ONE else NO
    for place in range(count):
        if item[place].form == AWAY_VALUE:
            answer = NO
        else:
            answer = one_answer(arena, test, item + place, scan_chars)
            if answer == DECLINED:
                return DECLINED
            if test.negated and answer != DOUBT:
                answer = YES if answer == NO else NO
        if answer == decisive:
            return answer
        if answer == DOUBT:
            best = DOUBT
    return best


# ---------------------------------------------------------------- looking up


cdef void seek(Probe *probe, const Sections *arena, uint32_t first, uint32_t count, const void *bytes, size_t size, int form) noexcept nogil:
    """Begin to look for a text, or for a number's eight bytes; the entries are fetched meanwhile."""
    probe.entries, probe.bytes, probe.mask = arena.entries + first, bytes, count - 1
    probe.hash = <uint32_t>xxh3(<const uint8_t *>bytes, size)
    probe.kind = <uint32_t>form
    if form != INTEGER and form != DOUBLE:
        # Of a text too long for an entry: no entry has this form.
        probe.kind = NO_KIND if size >> (32 - KIND_BITS) else <uint32_t>form | <uint32_t>size << KIND_BITS
    probe.place = probe.hash & probe.mask
    fetch(probe.entries + probe.place)


cdef void approach(Probe *probe) noexcept nogil:
    """Go to the next entry that has the hash; behind the last one there is none."""
    cdef const Entry *entry
    while True:
        entry = probe.entries + probe.place
        if entry.kind == 0:
            probe.place = probe.mask + 1
            return
        if entry.hash == probe.hash and entry.kind == probe.kind:
            return
        probe.place = (probe.place + 1) & probe.mask


cdef const Entry *settled(Probe *probe, const Sections *arena) noexcept nogil:
    """Return the entry of what is sought, NULL where there is none; the hash says where, comparing says whether."""
    cdef const Entry *entry
    cdef uint32_t form = probe.kind & ((1 << KIND_BITS) - 1)
    while probe.place <= probe.mask:
        entry = probe.entries + probe.place
        if form == INTEGER or form == DOUBLE:
            if memcmp(probe.bytes, &arena.constants[entry.at].value, 8) == 0:
                return entry
        elif memcmp(probe.bytes, arena.texts + entry.at, probe.kind >> KIND_BITS) == 0:
            return entry
        probe.place = (probe.place + 1) & probe.mask
        approach(probe)
    return NULL


cdef const Entry *entry_of(const Sections *arena, uint32_t first, uint32_t count, const Slot *slot, int form) noexcept nogil:
    """Return the entry of a text or of a number, NULL where there is none."""
    cdef Probe probe
    if form == INTEGER or form == DOUBLE:
        seek(&probe, arena, first, count, &slot.integer if form == INTEGER else <const void *>&slot.real, 8, form)
    else:
        seek(&probe, arena, first, count, slot.text, slot.size, form)
    approach(&probe)
    return settled(&probe, arena)


cdef uint64_t key_of(const char *text, uint32_t size, bint folder) noexcept nogil:
    """Return the first eight bytes of a text as a number that orders as they do; `folder` adds a slash."""
    cdef uint8_t first[8]
    cdef uint64_t key = 0
    cdef uint32_t place, taken = min(size, 8)
    for place in range(8):
        first[place] = 0
    memcpy(first, text, taken)
    if folder and taken < 8:
        first[taken] = b"/"
    for place in range(8):
        key = key << 8 | first[place]
    return key


cdef int ordered(const Sections *arena, const Slot *slot, const Beginning *beginning, bint folder) noexcept nogil:
    """Order a text, with a slash behind it under `folder`, and a beginning: below 0, 0 or above."""
    cdef const Constant *constant = arena.constants + beginning.constant
    cdef const uint8_t *text = arena.texts + constant.value
    cdef int order = memcmp(slot.text, text, min(slot.size, constant.size))
    if order != 0 or constant.size <= slot.size:
        return order if order != 0 else <int>(slot.size + folder > constant.size)
    # The text is the shorter one: the slash behind it is compared, if there is one.
    if not folder:
        return -1
    if text[slot.size] != b"/":
        return -1 if b"/" < text[slot.size] else 1
    return 0 if constant.size == slot.size + 1 else -1


cdef bint begins(const Sections *arena, const Slot *slot, const Beginning *beginning, bint folder) noexcept nogil:
    cdef const Constant *constant = arena.constants + beginning.constant
    if folder:
        return below(slot, arena.texts, constant)
    return slot.size >= constant.size and memcmp(slot.text, arena.texts + constant.value, constant.size) == 0


cdef int32_t beginning_of(const Sections *arena, const Beginning *all, uint32_t count, const Slot *slot, bint folder) noexcept nogil:
    """Return the longest of some beginnings that a text has, -1 if it has none; the others are its parents.

    The last one that does not sort behind the text, or a parent of it: what lies between a text's beginning and the text
    begins with it as well.
    """
    cdef uint32_t low = 0, high = count, middle
    cdef uint64_t key = key_of(slot.text, slot.size, folder)
    cdef int32_t found
    while low < high:
        middle = (low + high) >> 1
        if all[middle].key < key or (all[middle].key == key and ordered(arena, slot, all + middle, folder) >= 0):
            low = middle + 1
        else:
            high = middle
    found = <int32_t>low - 1
    while found >= 0 and not begins(arena, slot, all + found, folder):
        found = all[found].parent
    return found


cdef uint32_t segment_of(const Sections *arena, const Tree *tree, const Slot *slot) noexcept nogil:
    """Return how many cuts of a tree a number has passed."""
    cdef const Constant *cuts = arena.constants + tree.cut_first
    cdef uint32_t low = 0, high = tree.cut_count, middle
    cdef int order
    while low < high:
        middle = (low + high) >> 1
        order = compared(slot, cuts + middle)
        if order > 0 or (order == 0 and cuts[middle].shape != BEYOND):
            low = middle + 1
        else:
            high = middle
    return low
