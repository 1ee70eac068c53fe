"""Many automata in one pass over a text: which of them find something.

All of them together are one automaton, whose state is theirs: of most, that they wait for something to begin. It is made
as a whole when the table is, so that the first text takes as long as any other. One that has found begins anew, and
what was found is noted down beside the state: else there would be a state for each set of them.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

cdef enum:
    ASCII = 128
    STUCK = 0
    FOUND = 1
    NEXT_MAX = 524288        # entries of the table: a megabyte
    STEPS_MAX = 8388608      # in making it; what takes more is left to others

PATTERNS_MAX = PATTERNS


cdef class Sweep:
    """The automata of up to 256 patterns, each as `automaton_of` returns it; `made` is False where they make too many
    states."""

    def __cinit__(self, list automata not None):
        cdef Making making
        assert 0 < len(automata) <= PATTERNS
        self.count = len(automata)
        making = Making(automata)
        self.made = making.make(self)

    def __dealloc__(self):
        PyMem_Free(self.following)
        PyMem_Free(self.finds)
        PyMem_Free(self.ends)

    def found(self, str text not None) -> list | None:
        """Return the places of the patterns found, rising; None for a text that is not ASCII."""
        cdef uint64_t bits[WORDS]
        cdef int place
        if not self.made or not text.isascii():
            return None
        encoded = text.encode("ascii")
        self.run(<const uint8_t *><const char *>encoded, len(encoded), bits)
        return [place for place in range(self.count) if bits[place >> 6] >> (place & 63) & 1]

    cdef void run(self, const uint8_t *text, Py_ssize_t size, uint64_t *bits) noexcept nogil:
        """Set a bit for each pattern that is found in an ASCII text."""
        cdef const uint16_t *following = self.following
        cdef const uint8_t *classes = self.classes
        cdef uint32_t state = self.start, plain = self.plain, shift = self.shift
        cdef Py_ssize_t place
        memset(bits, 0, WORDS * sizeof(uint64_t))
        if state >= plain:
            self.note(self.finds + WORDS * (state - plain), bits)
        for place in range(size):
            state = following[state << shift | classes[text[place] & (ASCII - 1)]]
            if state >= plain:
                self.note(self.finds + WORDS * (state - plain), bits)
        self.note(self.ends + WORDS * state, bits)

    cdef void note(self, const uint64_t *more, uint64_t *bits) noexcept nogil:
        cdef int word
        for word in range(WORDS):
            bits[word] |= more[word]


cdef class Making:
    """The states met so far. One is known by those of its automata that do not wait, each with its state, and by what is
    found on coming to it."""

    cdef list automata
    cdef int count, width
    cdef const uint8_t *tables[PATTERNS]     # after the classes: for each state the next one by class, then ends
    cdef int widths[PATTERNS]
    cdef int sizes[PATTERNS]
    cdef uint8_t waiting[PATTERNS]           # the state in which each waits
    cdef uint8_t samples[ASCII]              # a character of each class
    cdef uint8_t movers[ASCII * PATTERNS]    # by class, those that wait no longer after it
    cdef int mover_counts[ASCII]
    cdef dict numbers
    cdef list keys                           # of states: (those that do not wait, those that found) as 16-bit numbers
    cdef uint64_t steps

    def __cinit__(self, list automata not None):
        cdef int one
        cdef bytes table
        self.automata, self.count = automata, len(automata)
        for one in range(self.count):
            table, self.sizes[one], self.widths[one], _ = automata[one]
            assert len(table) == ASCII + self.sizes[one] * (self.widths[one] + 1) and self.sizes[one] <= 256
            self.tables[one] = <const uint8_t *><const char *>table
        self.numbers, self.keys, self.steps = {}, [], 0

    cdef uint8_t after(self, int one, uint8_t state, uint8_t character) noexcept:
        cdef const uint8_t *table = self.tables[one]
        return table[ASCII + state * self.widths[one] + table[character]]

    cdef bint make(self, Sweep sweep) except -1:
        cdef int one, at, shift = 0
        cdef dict classes = {}
        cdef list rows = []
        for at in range(ASCII):
            signature = bytes([self.tables[one][at] for one in range(self.count)])
            if signature not in classes:
                self.samples[len(classes)] = at
            sweep.classes[at] = classes.setdefault(signature, len(classes))
        self.width = len(classes)
        while 1 << shift < self.width:
            shift += 1
        sweep.shift = shift
        begun = self.begin()
        while len(rows) < len(self.keys):
            if len(self.keys) << shift > NEXT_MAX or self.steps > STEPS_MAX:
                return False
            rows.append(self.row(<bytes>self.keys[len(rows)][0]))
        if len(self.keys) << shift > NEXT_MAX or len(self.keys) > 0xFFFF:
            return False
        self.lay_out(sweep, rows, begun)
        return True

    cdef int begin(self) except -1:
        """Settle in which state each automaton waits: where characters that mean nothing to most have led it."""
        cdef int one, at, neutral
        cdef uint8_t state
        cdef list begun = [], found = []
        counts = [0] * self.width
        for at in range(self.width):
            for one in range(self.count):
                state = self.automata[one][3]
                counts[at] += self.after(one, state, self.samples[at]) in (state, STUCK)
        neutral = self.samples[counts.index(max(counts))]
        for one in range(self.count):
            state = self.automata[one][3]
            self.waiting[one] = STUCK
            if state == FOUND:
                found.append(one)
                continue
            if state != STUCK and self.after(one, state, neutral) != FOUND:
                self.waiting[one] = self.after(one, state, neutral)
            if state != self.waiting[one]:
                begun.append(one << 8 | state)
        for at in range(self.width):
            for one in range(self.count):
                if self.after(one, self.waiting[one], self.samples[at]) != self.waiting[one]:
                    self.movers[PATTERNS * at + self.mover_counts[at]] = one
                    self.mover_counts[at] += 1
        return self.number(packed(begun), packed(found))

    cdef int number(self, bytes going, bytes found) except -1:
        cdef tuple key = (going, found)
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = len(self.keys)
            self.keys.append(key)
        return number

    cdef list row(self, bytes going):
        """Return the states that follow one in which some automata do not wait, by class."""
        cdef const uint16_t *active = <const uint16_t *><const char *>going
        cdef int active_count = len(going) // 2, at, one, place, mover, kept, found_count
        cdef const uint8_t *movers
        cdef uint16_t kept_ones[PATTERNS]
        cdef uint16_t found_ones[PATTERNS]
        cdef uint8_t state
        cdef list row = []
        for at in range(self.width):
            place = mover = kept = found_count = 0
            movers = self.movers + PATTERNS * at
            while place < active_count or mover < self.mover_counts[at]:
                if place < active_count and (mover == self.mover_counts[at] or active[place] >> 8 <= movers[mover]):
                    one, state = active[place] >> 8, active[place] & 0xFF
                    mover += mover < self.mover_counts[at] and movers[mover] == one
                    place += 1
                else:
                    one = movers[mover]
                    state = self.waiting[one]
                    mover += 1
                self.steps += 1
                state = self.after(one, state, self.samples[at])
                if state == FOUND:
                    found_ones[found_count] = one
                    found_count += 1
                elif state != self.waiting[one]:
                    kept_ones[kept] = <uint16_t>(one << 8 | state)
                    kept += 1
            row.append(self.number((<char *>kept_ones)[:2 * kept], (<char *>found_ones)[:2 * found_count]))
        self.steps += self.width
        return row

    cdef int lay_out(self, Sweep sweep, list rows, int begun) except -1:
        """Number the states anew, those on coming to which something is found last, and write them down."""
        cdef Py_ssize_t states = len(self.keys), old, place
        cdef uint64_t *bits
        cdef int at, one
        cdef uint8_t state
        cdef bytes going
        cdef const uint16_t *ones
        order = sorted(range(states), key=lambda old: len(self.keys[old][1]) > 0)
        number_of = [0] * states
        for place in range(states):
            number_of[order[place]] = place
        sweep.start = number_of[begun]
        sweep.plain = sum([not key[1] for key in self.keys])
        sweep.following = <uint16_t *>PyMem_Calloc(states << sweep.shift, sizeof(uint16_t))
        sweep.finds = <uint64_t *>PyMem_Calloc(max(1, states - sweep.plain) * WORDS, sizeof(uint64_t))
        sweep.ends = <uint64_t *>PyMem_Calloc(states * WORDS, sizeof(uint64_t))
        if sweep.following == NULL or sweep.finds == NULL or sweep.ends == NULL:
            raise MemoryError
        for place in range(states):
            old = order[place]
            for at in range(self.width):
                sweep.following[place << sweep.shift | at] = number_of[rows[old][at]]
            found = <bytes>self.keys[old][1]
            ones = <const uint16_t *><const char *>found
            for one in range(len(found) // 2):
                bits = sweep.finds + WORDS * (place - sweep.plain)
                bits[ones[one] >> 6] |= <uint64_t>1 << (ones[one] & 63)
            going = <bytes>self.keys[old][0]
            ones = <const uint16_t *><const char *>going
            at = 0
            bits = sweep.ends + WORDS * place
            for one in range(self.count):
                state = self.waiting[one]
                if at < len(going) // 2 and ones[at] >> 8 == one:
                    state = ones[at] & 0xFF
                    at += 1
                if self.tables[one][ASCII + self.sizes[one] * self.widths[one] + state]:
                    bits[one >> 6] |= <uint64_t>1 << (one & 63)
        return 0


cdef bytes packed(list numbers):
    return b"".join([number.to_bytes(2, "little") for number in numbers])
