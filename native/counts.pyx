"""What a session's past calls come to: counts in windows, and labels; brought up to date, never counted anew.

A session's list of calls grows at its end and is shortened at its beginning; an ending that is written stays. So a tally
of calls follows it: new calls are added, those that were awaited are looked at again, and a window is two sums.
"""

from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memmove

from thoth.native.facts cimport Facts, Reader
from thoth.native.forms cimport Form
from thoth.native.values cimport Range, unknown

cdef enum:
    TALLIES_MAX = 4096
    KNOWN_MAX = 4096
    NOT = 0
    PERHAPS = 1
    SURELY = 2
    # Places in the forms.
    CALLS = 0
    LABELS = 1
    DOUBTFUL = 2
    BEGUN = 3
    OPENED_AT = 4
    DROPPED_UNTIL = 5
    COUNTED = 6
    VERSION = 7
    TALLIES = 8
    TOOL = 0
    CLASSES = 1
    AT = 2
    ENDING = 3
    PENDING = 4

cdef object infinity = float("inf")


cdef class Sessions:
    """The forms of a session and of its calls."""

    def __init__(self, Form session not None, Form call not None):
        assert session.names == (
            "calls", "labels", "doubtful", "begun", "opened_at", "dropped_until", "counted", "version", "tallies",
        )
        assert call.names == ("tool", "classes", "at", "ending", "pending")
        self.session, self.call = session, call


cdef class Tally:
    """What was counted of one session for one count; a copy begins anew."""

    def __cinit__(self):
        self.open, self.places, self.rising = [], [], True

    def __dealloc__(self):
        PyMem_Free(self.entries)

    def __reduce__(self):
        return Tally, ()

    cdef int clear(self) except -1:
        self.start = self.count = 0
        self.rising = True
        self.open, self.places = [], []
        return 0

    cdef int add(self, double at, int64_t index, uint8_t counts, uint8_t fits) except -1:
        cdef Entry *room
        cdef Py_ssize_t size
        cdef Entry *last
        if self.count == self.room:
            size = max(16, 2 * self.room)
            room = <Entry *>PyMem_Realloc(self.entries, size * sizeof(Entry))
            if room == NULL:
                raise MemoryError
            self.entries, self.room = room, size
        self.entries[self.count] = Entry(at, index, 0, 0, counts, fits)
        if self.count > self.start and at < self.entries[self.count - 1].at:
            self.rising = False
        self.count += 1
        return self.summed(self.count - 1)

    cdef int summed(self, Py_ssize_t place) except -1:
        """Sum up again from one place on."""
        cdef Entry *one
        for place in range(place, self.count):
            one = self.entries + place
            one.sure = one.most = 0
            if place > 0:
                one.sure, one.most = self.entries[place - 1].sure, self.entries[place - 1].most
            one.sure += one.counts == SURELY
            one.most += one.counts != NOT
        return 0

    cdef int compact(self) except -1:
        """Give back the room of what was dropped."""
        cdef Py_ssize_t gone = self.start, place
        memmove(self.entries, self.entries + gone, (self.count - gone) * sizeof(Entry))
        self.start, self.count = 0, self.count - gone
        self.places = [place - gone for place in self.places]
        self.open = [call for call, place in zip(self.open, self.places) if place >= 0]
        self.places = [place for place in self.places if place >= 0]
        return self.summed(0)


cdef class Counted(Reader):
    """The calls of a session in a window, or all, of the tools that `fit`: how many, or the fewest and the most they can be.

    `ending` None counts every call, else those that completed (True), or did not (False); of a call that has not ended
    that is not known. `completed` is the ending of those that did.
    """

    def __init__(self, Sessions forms not None, fit, window_s, completed, ending):
        self.forms, self.fit, self.known = forms, fit, {}
        self.window_s = INFINITY if window_s is None else window_s
        self.ending = ending is not None
        self.completed = (completed, bool(ending))

    cdef object value(self, Facts facts):
        cdef Form form = self.forms.session
        cdef object session = facts.session, tallies
        cdef Tally tally
        cdef Entry *entries
        cdef double since = <double>facts.now - self.window_s, seen_from
        cdef Py_ssize_t low, high, middle
        cdef int64_t sure = 0, all = 0
        if session is None:
            return Range(0, infinity)
        if type(session) is not form.kind:
            raise TypeError("a session is of another class")
        tallies = form.read(session, TALLIES)
        found = (<dict>tallies).get(self)
        if found is None:
            if len(<dict>tallies) >= TALLIES_MAX:
                (<dict>tallies).clear()
            found = tallies[self] = Tally()
        tally = <Tally>found
        self.follow(tally, session)
        entries = tally.entries
        if tally.rising:
            low, high = tally.start, tally.count
            while low < high:
                middle = (low + high) // 2
                if entries[middle].at > since:
                    high = middle
                else:
                    low = middle + 1
            if low < tally.count:
                sure, all = entries[tally.count - 1].sure, entries[tally.count - 1].most
                if low > 0:
                    sure -= entries[low - 1].sure
                    all -= entries[low - 1].most
        else:
            for low in range(tally.start, tally.count):
                if entries[low].at > since:
                    sure += entries[low].counts == SURELY
                    all += entries[low].counts != NOT
        seen_from = form.read(session, DROPPED_UNTIL)
        if not form.read(session, BEGUN):
            seen_from = max(seen_from, <double>form.read(session, OPENED_AT))
        if since < seen_from:
            return Range(sure, infinity)
        return sure if sure == all else Range(sure, all)

    cdef int follow(self, Tally tally, object session) except -1:
        """Bring a tally up to date."""
        cdef Form form = self.forms.session
        cdef object calls = form.read(session, CALLS), call
        cdef Py_ssize_t length = len(<list>calls), place
        cdef int64_t base = <int64_t>form.read(session, COUNTED) - length
        cdef int64_t version = form.read(session, VERSION)
        cdef list open, places
        if calls is not tally.calls or base < tally.base or base - tally.base + length < tally.length:
            tally.clear()
            tally.calls, tally.base, tally.length = calls, base, 0
        elif base == tally.base and length == tally.length and version == tally.version:
            return 0
        # Calls from `base` on are held; up to `tally.base + tally.length` they were looked at before.
        while tally.start < tally.count and tally.entries[tally.start].index < base:
            tally.start += 1
        if tally.start > 64 and 2 * tally.start > tally.count:
            tally.compact()
        for place in range(max(0, tally.base + tally.length - base), length):
            self.take(tally, (<list>calls)[place], base + place)
        tally.base, tally.length, tally.version = base, length, version
        if tally.open:
            open, places, tally.open, tally.places = tally.open, tally.places, [], []
            for call, place in zip(open, places):
                if place < tally.start:
                    continue  # dropped
                if self.forms.call.read(call, ENDING) is None:
                    tally.open.append(call)
                    tally.places.append(place)
                    continue
                if (self.forms.call.read(call, ENDING) is self.completed[0]) == self.completed[1]:
                    tally.entries[<Py_ssize_t>place].counts = tally.entries[<Py_ssize_t>place].fits
                else:
                    tally.entries[<Py_ssize_t>place].counts = NOT
                tally.summed(place)
        return 0

    cdef int take(self, Tally tally, object call, int64_t index) except -1:
        """Take in one more call."""
        cdef Form form = self.forms.call
        cdef uint8_t fits = self.fitting(form.read(call, TOOL), form.read(call, CLASSES)), counts
        if fits == NOT:
            return 0
        counts = fits
        if self.ending:
            if form.read(call, ENDING) is None:
                counts = PERHAPS
                tally.open.append(call)
                tally.places.append(tally.count)
            elif (form.read(call, ENDING) is self.completed[0]) != self.completed[1]:
                return 0
        return tally.add(form.read(call, AT), index, counts, fits)

    cdef int64_t fitting(self, object tool, object classes) except -1:
        """Say whether a tool is one of those counted; each is asked about once."""
        cdef object key = (tool, classes), found = self.known.get(key)
        if found is None:
            fit = self.fit(tool, classes)
            found = PERHAPS if fit is None else SURELY if fit else NOT
            if len(self.known) >= KNOWN_MAX:
                self.known.clear()
            self.known[key] = found
        return found


cdef class Pending(Tally):
    """The calls of a session that may bring labels when they end."""


cdef class Labelled(Reader):
    """Whether a label holds in a session: True, False, or UNKNOWN where it may; asked as a test, None then."""

    def __call__(self, Facts facts not None):
        cdef object truth = self.value(facts)
        return None if truth is unknown else truth

    def __init__(self, Sessions forms not None, str label not None):
        self.forms, self.label = forms, label

    cdef object value(self, Facts facts):
        cdef Form form = self.forms.session
        cdef object session = facts.session
        if session is None:
            return unknown
        if type(session) is not form.kind:
            raise TypeError("a session is of another class")
        if self.label in <set>form.read(session, LABELS):
            return True
        if not form.read(session, BEGUN) or self.label in <set>form.read(session, DOUBTFUL):
            return unknown
        return unknown if self.label in self.pending(session) else False

    cdef set pending(self, object session):
        """Return the labels that calls may yet bring."""
        cdef Form form = self.forms.session
        cdef dict tallies = form.read(session, TALLIES)
        cdef object calls = form.read(session, CALLS), call
        cdef Py_ssize_t length = len(<list>calls), place
        cdef int64_t base = <int64_t>form.read(session, COUNTED) - length
        cdef int64_t version = form.read(session, VERSION)
        cdef Pending tally
        found = tallies.get(Pending)
        if found is None:
            found = tallies[Pending] = Pending()
        tally = <Pending>found
        if calls is not tally.calls or base < tally.base or base - tally.base + length < tally.length:
            tally.clear()
            tally.calls, tally.base, tally.length, tally.labels = calls, base, 0, set()
        elif base == tally.base and length == tally.length and version == tally.version:
            return tally.labels
        for place in range(max(0, tally.base + tally.length - base), length):
            call = (<list>calls)[place]
            if self.forms.call.read(call, PENDING):
                tally.open.append(call)
                tally.places.append(base + place)
        tally.base, tally.length, tally.version, tally.labels = base, length, version, set()
        if tally.open:
            open, places, tally.open, tally.places = tally.open, tally.places, [], []
            for call, index in zip(open, places):
                if index >= base and self.forms.call.read(call, PENDING):
                    tally.open.append(call)
                    tally.places.append(index)
                    tally.labels |= self.forms.call.read(call, PENDING)
        return tally.labels
