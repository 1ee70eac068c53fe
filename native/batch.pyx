"""Many calls decided at once, outside sessions: the answers as columns, nothing made for each call.

A call is read where it stands, not copied, for nobody keeps it. What takes more than the rows that hold is decided in
full, and only its columns are kept.
"""

from bisect import bisect_left

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport int32_t, uint8_t, uint16_t
from libc.string cimport memcpy

from thoth.native.admission cimport Left
from thoth.native.answer cimport Answers, SHOWN_MAX, Verdict
from thoth.native.entry cimport Entry
from thoth.native.forms cimport Form

cdef enum:
    REASONS_MAX = 65_535


cdef class Batch:
    """The answers to n calls, by place: effects, who decided, reason codes, the rules that asked for it.

    `effects`, `deciders` and `reasons` are memory of n numbers each (uint8, uint8, uint16), places in `effects_named`,
    `by_named` and `reasons_named`. The rules of call i are `rules[ends[i - 1]:ends[i]]` (int32), places in `rule_ids`, the
    first 16; `rules_more` says how many more there are, where there are.
    """

    def __init__(self, tuple effects_named not None, tuple by_named not None, tuple reasons_named not None,
                 tuple rule_ids not None):
        self.effects_named, self.by_named, self.rule_ids = effects_named, by_named, rule_ids
        self.reasons_named = list(reasons_named)
        self.reason_of = {code: place for place, code in enumerate(reasons_named)}
        self.rules_more = {}

    def __dealloc__(self):
        PyMem_Free(self.effect)
        PyMem_Free(self.decider)
        PyMem_Free(self.reason)
        PyMem_Free(self.ends)
        PyMem_Free(self.numbers)

    def __len__(self):
        return self.count

    @property
    def effects(self):
        """Return a copy of the effects, a place in `effects_named` each."""
        return memoryview(PyBytes_FromStringAndSize(<char *>self.effect, self.count))

    @property
    def deciders(self):
        """Return a copy of what decided, a place in `by_named` each."""
        return memoryview(PyBytes_FromStringAndSize(<char *>self.decider, self.count))

    @property
    def reasons(self):
        """Return a copy of the reason codes, a place in `reasons_named` each."""
        return memoryview(PyBytes_FromStringAndSize(<char *>self.reason, self.count * sizeof(uint16_t))).cast("H")

    @property
    def rule_ends(self):
        """Return a copy of where each call's rules end in `rules`."""
        return memoryview(PyBytes_FromStringAndSize(<char *>self.ends, self.count * sizeof(int32_t))).cast("i")

    @property
    def rules(self):
        """Return a copy of the rules of all calls, a place in `rule_ids` each."""
        return memoryview(PyBytes_FromStringAndSize(<char *>self.numbers, self.filled * sizeof(int32_t))).cast("i")

    cdef Py_ssize_t placed(self, Py_ssize_t place) except -1:
        if place < 0:
            place += self.count
        if not 0 <= place < self.count:
            raise IndexError("there are not so many calls in this batch")
        return place

    def effect_of(self, Py_ssize_t place):
        """Return the effect of one call."""
        return self.effects_named[self.effect[self.placed(place)]]

    def by_of(self, Py_ssize_t place):
        """Return what decided one call."""
        return self.by_named[self.decider[self.placed(place)]]

    def reason_of_call(self, Py_ssize_t place):
        """Return the reason code of one call."""
        return self.reasons_named[self.reason[self.placed(place)]]

    def rules_of(self, Py_ssize_t place):
        """Return the ids of the rules of one call, the first 16."""
        cdef Py_ssize_t at = self.placed(place), one
        cdef Py_ssize_t first = self.ends[at - 1] if at else 0
        return tuple([self.rule_ids[self.numbers[one]] for one in range(first, self.ends[at])])

    cdef int reserve(self, Py_ssize_t count) except -1:
        """Make room for so many calls more."""
        cdef Py_ssize_t room = self.count + count
        if room <= self.room:
            return 0
        self.effect = <uint8_t *>grown(self.effect, room)
        self.decider = <uint8_t *>grown(self.decider, room)
        self.reason = <uint16_t *>grown(self.reason, room * sizeof(uint16_t))
        self.ends = <int32_t *>grown(self.ends, room * sizeof(int32_t))
        self.room = room
        return 0

    cdef int reserve_rules(self, Py_ssize_t count) except -1:
        cdef Py_ssize_t room = max(self.filled + count, 2 * self.numbers_room)
        if self.filled + count > 0x7FFFFFFF:
            raise MemoryError("the rules of a batch are more than 2,147,483,647; decide it in parts")
        if self.filled + count > self.numbers_room:
            self.numbers = <int32_t *>grown(self.numbers, room * sizeof(int32_t))
            self.numbers_room = room
        return 0

    cdef int reason_place(self, object code) except -1:
        cdef object place = self.reason_of.get(code)
        if place is None:
            place = len(self.reasons_named)
            if place > REASONS_MAX:
                raise OverflowError("the rules have more than 65,536 reason codes")
            self.reasons_named.append(code)
            self.reason_of[code] = place
        return place


cdef void *grown(void *memory, size_t size) except NULL:
    memory = PyMem_Realloc(memory, max(<size_t>64, size))
    if memory == NULL:
        raise MemoryError
    return memory


cdef class Batching:
    """A batch in the making."""

    def __init__(self, Entry entry not None, table, now, Batch batch not None):
        cdef Py_ssize_t place
        self.entry, self.table, self.answers, self.batch = entry, table, table.answers, batch
        self.moment, self.now = now, now
        self.scratch = self.answers.request.empty()
        for place, by in enumerate(self.answers.deciders):
            self.deciders[place] = <uint8_t>batch.by_named.index(by)

    def take_all(self, calls):
        """Decide each call of a sequence."""
        cdef list held = calls if type(calls) is list else list(calls)
        cdef Py_ssize_t place
        self.batch.reserve(len(held))
        place = 0
        while place < len(held):  # what is called may change it
            self.batch.reserve(1)
            self.add(held[place])
            place += 1
        return self.batch

    cdef int add(self, object given) except -1:
        """Decide one more call."""
        if type(given) is dict and self.entry.intake.borrow(<dict>given, self.scratch):
            if self.add_taken():
                return self.forget()
        self.forget()
        return self.add_in_full(given)

    cdef bint fit(self, object request, Py_ssize_t text, Py_ssize_t members) except -1:
        """Say whether a request that was filled is one: it names a tool, has arguments, and holds no more than may be."""
        cdef Left left = Left(self.entry.intake.bounds.values, self.entry.intake.bounds.chars)
        cdef Form form = self.answers.request
        cdef Py_ssize_t field
        cdef object value = form.read(request, text)
        if type(value) is not str or not len(<str>value) or type(form.read(request, members)) is not dict:
            return False
        for field in range(form.count):
            value = form.read(request, field)
            if not self.entry.intake.plain_one(&left, value) and not self.entry.intake.sound(&left, value, 1):
                return False
        return True

    cdef int forget(self) except -1:
        self.answers.request.wipe(self.scratch)
        return 0

    cdef int add_taken(self) except -1:
        """Decide the call that was taken into `scratch`; say whether that could be done here."""
        cdef Verdict verdict
        if not self.answers.weigh_one(self.scratch, self.moment, self.now, &verdict):
            return 0
        self.note(&verdict)
        return 1

    cdef int note(self, const Verdict *verdict) except -1:
        """Write one more verdict down."""
        cdef Batch batch = self.batch
        cdef Py_ssize_t count, place = batch.count
        batch.effect[place] = <uint8_t>verdict.effect
        batch.decider[place] = self.deciders[verdict.by]
        batch.reason[place] = <uint16_t>verdict.reason
        if verdict.won.code != NULL:
            batch.reason[place] = <uint16_t>batch.reason_place(<object>verdict.won.code)
        count = min(verdict.won.count, <Py_ssize_t>SHOWN_MAX)
        if count:
            batch.reserve_rules(count)
            memcpy(batch.numbers + batch.filled, verdict.shown, count * sizeof(int32_t))
            batch.filled += count
            if verdict.won.count > SHOWN_MAX:
                batch.rules_more[place] = verdict.won.count - SHOWN_MAX
        batch.ends[place] = <int32_t>batch.filled
        batch.count += 1
        return 0

    cdef int add_in_full(self, object given) except -1:
        """Decide one more call as any other is decided."""
        cdef Batch batch = self.batch
        cdef Py_ssize_t place = batch.count, number
        cdef object decision = self.entry.decide(self.table, given, now=self.moment)
        batch.effect[place] = <uint8_t>batch.effects_named.index(decision.effect)
        batch.decider[place] = <uint8_t>batch.by_named.index(decision.by)
        batch.reason[place] = <uint16_t>batch.reason_place(decision.reason_code)
        batch.reserve_rules(len(decision.rules))
        for id in decision.rules:
            number = bisect_left(batch.rule_ids, id)  # they stand in order
            batch.numbers[batch.filled] = <int32_t>number
            batch.filled += 1
        if decision.rules_more:
            batch.rules_more[place] = decision.rules_more
        batch.ends[place] = <int32_t>batch.filled
        batch.count += 1
        return 0
