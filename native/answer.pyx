"""The answers that were given before, by the rows that held: a call whose rows hold again is answered by filling a form.

Everything in an answer follows from the rows that hold, the posture, and a handful of things that are read from the
call itself. So whoever works an answer out in full hands it over to be kept, under the numbers of its rows and never
under anything of the request. What rows alone do not settle is not kept: then `find` says so, and somebody else decides.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_DECREF
from libc.stdint cimport int32_t

from thoth.native.facts cimport Facts
from thoth.native.forms cimport Form
from thoth.native.limits cimport Limit
from thoth.native.names cimport normal
from thoth.native.table cimport Rows, Table, Walk
from thoth.native.values cimport fits_exactly

cdef extern from "Python.h":
    ctypedef PyObject *(*New)(PyObject *kind, PyObject *args, PyObject *keywords) except NULL
    ctypedef struct PyTypeObject:
        New tp_new

cdef enum:
    KEPT_MAX = 4096
    KEPT_BYTES_MAX = 4 * 1024 * 1024
    FIELDS_MAX = 48
    RISK_MAX = 100

cdef tuple nothing = ()
cdef object never = 0.0


cdef class Place:
    """A tool: its declaration, what of it arguments must fit, and its rows."""

    def __init__(self, declared, tuple params not None, dict kinds not None, frozenset optional not None, bint more,
                 bint lenient, tuple risk not None, tuple rules not None):
        self.declared, self.params, self.kinds, self.optional = declared, params, kinds, optional
        self.more, self.lenient, self.risk, self.rules = more, lenient, risk, rules


cdef class Missing:
    """A call that no answer is kept for: its facts, what it takes from limits (None where unreadable), its rows.

    A row is its number twice, and one more where it is on trial; a limit that has room is left out.
    """


cdef class Template:
    """An answer without what is the call's own. `held`: it binds the call; `scoped`: its reason asks for the scope."""


cdef class Answers:
    """The answers kept for one table. Safe between threads: nothing here is written in two steps that must agree."""

    def __cinit__(self, Table table not None, Form request not None, Form answer not None, facts_kind, knowledge,
                  digest, default_reason, dict places not None, Place unknown not None, dict postures not None,
                  frozenset observing not None, list rows not None, list limits not None):
        """Take each row as (end of its trial, points, how strict it is, whether rows do not say it all if it holds)."""
        cdef Py_ssize_t number
        assert answer.count <= FIELDS_MAX and len(rows) == len(limits) and issubclass(facts_kind, Facts)
        self.table, self.request, self.answer = table, request, answer
        self.facts_kind, self.knowledge, self.digest, self.default_reason = facts_kind, knowledge, digest, default_reason
        self.places, self.unknown = places, unknown
        self.postures, self.posture, self.observing = postures, postures[None], observing
        self.limits, self.row_count = limits, len(rows)
        self.rows = <RowFacts *>PyMem_Calloc(max(1, self.row_count), sizeof(RowFacts))
        if self.rows == NULL:
            raise MemoryError
        for number in range(self.row_count):
            trial_until, points, level, stops = rows[number]
            self.rows[number] = RowFacts(trial_until, points, level, stops)
        self.kept = {}
        self.tool_name, self.tool_args = request.place("tool_name"), request.place("tool_args")
        self.mode = request.place("enforcement_mode")
        self.id, self.asked, self.now, self.args, self.risk, self.reason, self.reservations, self.call = map(
            answer.place, ("id", "request", "now", "args", "risk", "reason_code", "reservations", "call")
        )
        self.session_id, self.begun, self.opened_at, self.session_digest, self.said_digest, self.counters = map(
            answer.place, ("session_id", "session_begun", "session_opened_at", "session_digest", "said_digest", "counters")
        )

    def __dealloc__(self):
        PyMem_Free(self.rows)

    def find(self, request, session, ledger, now, id):
        """Return an answer; what is missing, where it has to be worked out and kept; or None: work it out, do not keep it.

        Cost: one look at the arguments, and at the rows of the tool that its pivots let through.
        """
        cdef Place place
        cdef Facts facts
        cdef Walk walk
        cdef Limit limit
        cdef dict args = self.request.read(request, self.tool_args)
        cdef str name = normal(self.request.read(request, self.tool_name))
        cdef object said = self.request.read(request, self.mode), found, reservation
        cdef Missing missing
        cdef bytes key
        cdef list reserved = None, counters = None
        cdef double moment = now
        cdef int32_t posture = self.posture, number
        cdef Py_ssize_t one, count = 0, first
        cdef int risk = 0
        found = self.places.get(name, self.unknown)
        if found is None:
            return None
        place = <Place>found
        if place.declared is None or place.more:
            if "args" in args or "arg0" in args:
                return None
        if place.declared is not None and not fits_exactly(args, place.params, place.more, place.lenient):
            return None
        if type(said) is str:
            posture = self.postures.get(said, posture)

        facts = taken((<PyTypeObject *>self.facts_kind).tp_new(<PyObject *>self.facts_kind, <PyObject *>nothing, NULL))
        facts.knowledge, facts.request, facts.name, facts.declared = self.knowledge, request, name, place.declared
        facts.read, facts.kinds, facts.optional, facts.readable = args, place.kinds, place.optional, True
        facts.session, facts.now, facts.risk = session, now, 0

        walk = self.table.begin(facts)
        for rows in place.risk:
            walk.gather(<Rows>rows, moment)
        for one in range(walk.found_count):
            number = walk.found[one]
            if moment < self.rows[number].trial_until:
                walk.found[count] = number << 1 | 1
                count += 1
            else:
                risk = min(RISK_MAX, risk + self.rows[number].points)
        if risk:
            facts.risk = risk
        walk.found_count = first = count
        for rows in place.rules:
            walk.gather(<Rows>rows, moment)
        for one in range(first, walk.found_count):
            number = walk.found[one]
            if self.rows[number].stops:
                self.table.end(walk)
                return None
            if self.limits[number] is not None:
                limit = <Limit>self.limits[number]
                reservation = limit.reserved(facts)
                if reserved is None:
                    reserved, counters = [], []
                reserved.append(reservation)
                if limit.roomy(reservation, now, ledger, "", counters):
                    continue
            walk.found[count] = number << 1 | (moment < self.rows[number].trial_until)
            count += 1
        walk.found_count = count
        key = self.keyed(walk, posture)
        found = self.kept.get(key)
        if found is None:
            missing = Missing()
            missing.key, missing.facts = key, facts
            missing.reserved, missing.counters = reserved or [], counters or []
            missing.rows = [walk.found[one] for one in range(count)]
            self.table.end(walk)
            return missing
        self.table.end(walk)
        return self.filled(<Template>found, facts, args, reserved, counters, id)

    cdef object keyed(self, Walk walk, int32_t posture):
        """Return the key of the rows found: where one restricts, the milder ones only say whether any permits."""
        cdef Py_ssize_t one, count = walk.found_count
        cdef int32_t level, strictest = 0
        cdef bint permitted = False
        if posture not in self.observing:
            for one in range(count):
                if not walk.found[one] & 1:
                    level = self.rows[walk.found[one] >> 1].level
                    permitted = permitted or level == 0
                    strictest = max(strictest, level)
        walk.put(posture << 1 | permitted)
        for one in range(count):
            if walk.found[one] & 1 or strictest == 0 or self.rows[walk.found[one] >> 1].level == strictest:
                walk.put(walk.found[one])
        return PyBytes_FromStringAndSize(<char *>(walk.found + count), (walk.found_count - count) * sizeof(int32_t))

    cdef object filled(self, Template template, object about, object args, list reserved, list counters, object id):
        cdef PyObject *values[FIELDS_MAX]
        cdef Facts facts = <Facts>about
        cdef Py_ssize_t place
        cdef object reservations = nothing, call = None, reason = None, session = facts.session
        cdef object session_id = None, begun = True, opened_at = never, digest = b"", said = b"", read = nothing
        if session is not None:
            session_id = session.id
            digest = session.digest
            said = session.said_digest if session.root is None else session.speaker().said_digest
            begun, opened_at = session.begun, session.opened_at
        if counters is not None:
            read = tuple(counters)
        if template.held:
            call = self.digest(facts.request, args, facts.session)
        if template.scoped:
            reason = self.default_reason(facts)
        if reserved is not None and template.reserving:
            reservations = tuple([reservation for reservation in reserved if reservation is not None])
        for place in range(self.answer.count):
            values[place] = <PyObject *>template.values[place]
        values[self.id], values[self.asked], values[self.now] = <PyObject *>id, <PyObject *>facts.request, <PyObject *>facts.now
        values[self.args], values[self.risk] = <PyObject *>args, <PyObject *>facts.risk
        values[self.reservations] = <PyObject *>reservations
        values[self.session_id], values[self.begun] = <PyObject *>session_id, <PyObject *>begun
        values[self.opened_at] = <PyObject *>opened_at
        values[self.session_digest], values[self.said_digest] = <PyObject *>digest, <PyObject *>said
        values[self.counters] = <PyObject *>read
        if template.held:
            values[self.call] = <PyObject *>call
        if template.scoped:
            values[self.reason] = <PyObject *>reason
        for place in range(self.answer.count):
            Py_INCREF(<object>values[place])
        return self.answer.made(values)

    def keep(self, bytes key not None, answer, bint held, bint reserving, bint scoped) -> None:
        """Keep an answer for the rows of `key`; what is the call's own in it is left out."""
        cdef Template template = Template()
        cdef Py_ssize_t place
        if len(self.kept) >= KEPT_MAX or self.kept_bytes + len(key) > KEPT_BYTES_MAX:
            self.kept = {}
            self.kept_bytes = 0
        template.held, template.reserving, template.scoped = held, reserving, scoped
        own = (self.id, self.asked, self.now, self.args, self.reservations, self.call if held else self.args,
               self.session_id, self.begun, self.opened_at, self.session_digest, self.said_digest,
               self.counters)
        template.values = tuple([
            None if place in own else self.answer.read(answer, place) for place in range(self.answer.count)
        ])
        self.kept[key] = template
        self.kept_bytes += len(key)


cdef object taken(PyObject *made):
    """Return a new object, of which one reference is counted already."""
    cdef object one = <object>made
    Py_DECREF(one)
    return one
