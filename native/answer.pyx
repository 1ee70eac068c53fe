"""From one call to its answer: the tool's rows that hold, and what the strictest of them ask for.

What a row asks for lies beside it as numbers and ready objects, so that an answer is put together without asking anybody.
A call that takes more than that (arguments to be read loosely or changed, a declaration chosen by the environment, the
ladder) is not answered here: then `find` returns None, and somebody else decides.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_REFCNT, Py_XDECREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport int32_t
from libc.stdlib cimport qsort

from thoth.native.facts cimport Facts
from thoth.native.forms cimport Form
from thoth.native.limits cimport Limit
from thoth.native.names cimport normal
from thoth.native.signatures cimport Signature
from thoth.native.table cimport Rows, Table, Walk

cdef extern from "Python.h":
    ctypedef PyObject *(*New)(PyObject *kind, PyObject *args, PyObject *keywords) except NULL
    ctypedef struct PyTypeObject:
        New tp_new

cdef enum:
    FIELDS_MAX = 48
    RISK_MAX = 100
    SHOWN_MAX = 16
    SPARE_MAX = 4
    # How strict the effects are.
    ALLOWS = 0
    HOLDS = 2
    DEFERS = 3
    BLOCKS = 4
    LEVELS = 5
    # Places in the form of a session.
    ID = 0
    BEGUN = 1
    OPENED_AT = 2
    DIGEST = 3
    SAID_DIGEST = 4
    ROOT = 5

cdef tuple nothing = ()


cdef class Place:
    """A tool: its declaration, the signature that its arguments must fit, and its rows."""

    def __init__(self, declared, Signature signature, dict kinds not None, frozenset optional not None,
                 tuple risk not None, tuple rules not None):
        self.declared, self.signature, self.kinds, self.optional = declared, signature, kinds, optional
        self.positional = signature is None or signature.more
        self.risk, self.rules = risk, rules


cdef class Stance:
    """What a mode makes of a call that nothing allows: how strict it is then, unless a ladder has to say that."""

    def __init__(self, mode, int32_t soft, bint observing, bint laddered):
        assert ALLOWS <= soft <= BLOCKS
        self.mode, self.soft, self.observing, self.laddered = mode, soft, observing, laddered


cdef class Words:
    """What few rules say: a reason code, who is asked, what is told, when to come back, controls."""

    def __init__(self, code, ask, tell, retry_after_s, frozenset controls not None):
        self.code, self.ask, self.tell, self.retry_after_s, self.controls = code, ask, tell, retry_after_s, controls


cdef class Answers:
    """Answers by one table. Safe between threads: what one call uses, no other does."""

    def __cinit__(self, Table table not None, Form request not None, Form answer not None, Form session not None,
                  facts_kind, knowledge, digest, default_reason, dict places not None, Place unknown not None,
                  dict stances not None, list rows not None, tuple effects not None, tuple reasons not None, tuple deciders not None,
                  tuple blank not None, bint permissive, bint scoped, mode_ask, int32_t mode_hold_s):
        """Take each row as (id, trial end, points, how strict, stops, holds, hold_s, Limit or None, Words or None).

        `effects` and `reasons` are by how strict; of `reasons` six more stand for: a limit, a hold that nobody
        may answer, nothing that objects, a mode that observes, one that asks, nothing that allows. `permissive`: what
        nothing forbids is allowed; `scoped`: `default_reason` has to be asked. `blank` is an answer's own fields
        unsaid.
        """
        cdef Py_ssize_t number
        assert answer.count <= FIELDS_MAX and len(blank) == answer.count and issubclass(facts_kind, Facts)
        assert len(effects) == LEVELS and len(reasons) == LEVELS + 6 and len(deciders) == 4
        assert session.names == ("id", "begun", "opened_at", "digest", "said_digest", "root")
        self.table, self.request, self.answer, self.session = table, request, answer, session
        self.facts_kind, self.knowledge, self.digest, self.default_reason = facts_kind, knowledge, digest, default_reason
        self.places, self.unknown, self.stances, self.stance = places, unknown, stances, stances[None]
        self.effects, self.reasons, self.blank = effects, reasons, blank
        self.by_rule, self.by_limit, self.by_mode, self.by_default = deciders
        self.permissive, self.scoped, self.mode_ask, self.mode_hold_s = permissive, scoped, mode_ask, mode_hold_s
        self.row_count, self.held, self.spare = len(rows), rows, []
        self.rows = <RowFacts *>PyMem_Calloc(max(1, self.row_count), sizeof(RowFacts))
        if self.rows == NULL:
            raise MemoryError
        for number in range(self.row_count):
            self.lay_out(number, rows[number])
        self.tool_name, self.tool_args, self.said, self.scope = map(
            request.place, ("tool_name", "tool_args", "enforcement_mode", "approved_scope")
        )
        self.id, self.effect, self.verdict, self.by, self.reason, self.asked, self.now, self.mode = map(
            answer.place, ("id", "effect", "verdict", "by", "reason_code", "request", "now", "mode")
        )
        self.won, self.more, self.would_be, self.trial, self.risk, self.args, self.asks, self.hold_s = map(
            answer.place, ("rules", "rules_more", "would_be", "trial", "risk", "args", "asks", "hold_s")
        )
        self.retry_after_s, self.tells, self.controls, self.reservations, self.call = map(
            answer.place, ("retry_after_s", "tells", "controls", "reservations", "call")
        )
        self.session_id, self.begun, self.opened_at, self.session_digest, self.said_digest, self.counters = map(
            answer.place, ("session_id", "session_begun", "session_opened_at", "session_digest", "said_digest", "counters")
        )

    cdef int lay_out(self, Py_ssize_t number, tuple row) except -1:
        cdef RowFacts *one = self.rows + number
        cdef Limit limit
        cdef Words words
        id, one.trial_until, one.points, one.level, one.stops, one.holds, one.hold_s, limit, words = row
        assert type(id) is str and one.level <= BLOCKS
        one.id = <PyObject *>id
        one.limit = NULL if limit is None else <PyObject *>limit
        one.words = NULL if words is None else <PyObject *>words
        return 0

    def __dealloc__(self):
        cdef Py_ssize_t number
        if self.rows != NULL:
            for number in range(self.row_count):
                Py_XDECREF(self.rows[number].alone)
        PyMem_Free(self.rows)

    cdef object find(self, object request, object session, object ledger, object now, object id):
        """Return an answer, or None where it takes more than the rows that hold.

        Cost: one look at the arguments, and at the rows of the tool that its pivots let through.
        """
        cdef dict args = self.request.read(request, self.tool_args)
        cdef str name = normal(self.request.read(request, self.tool_name))
        cdef object said = self.request.read(request, self.said), found
        cdef double moment = now
        cdef Place place
        cdef Stance stance = self.stance
        cdef Facts facts
        cdef Walk walk
        found = self.places.get(name, self.unknown)
        if found is None or (session is not None and type(session) is not self.session.kind):
            return None
        place = <Place>found
        if place.positional and ("args" in args or "arg0" in args):
            return None
        if place.signature is not None and not place.signature.fits(args):
            return None
        if type(said) is str:
            stance = <Stance>self.stances.get(said, stance)
        facts = self.begin(place, request, args, name, session, now)
        walk = self.table.begin(facts)
        found = self.judged(walk, facts, place, stance, ledger, moment, id)
        self.table.end(walk)
        self.end(facts)
        return found

    cdef Facts begin(self, Place place, object request, dict args, str name, object session, object now):
        """Return the facts of one call, to be handed back to `end`."""
        cdef Facts facts
        if self.spare:
            facts = <Facts>self.spare.pop()
        else:
            facts = taken((<PyTypeObject *>self.facts_kind).tp_new(<PyObject *>self.facts_kind, <PyObject *>nothing, NULL))
            facts.knowledge, facts.readable, facts.result = self.knowledge, True, None
        facts.request, facts.name, facts.declared = request, name, place.declared
        facts.read, facts.kinds, facts.optional = args, place.kinds, place.optional
        facts.session, facts.now, facts.risk = session, now, 0
        return facts

    cdef int end(self, Facts facts) except -1:
        """Forget the call, and keep the object unless somebody else still holds it."""
        if Py_REFCNT(facts) == 1 and len(self.spare) < SPARE_MAX:  # the reference of `find`
            facts.request = facts.name = facts.declared = facts.read = facts.session = facts.now = None
            self.spare.append(facts)
        return 0

    cdef object judged(self, Walk walk, Facts facts, Place place, Stance stance, object ledger, double now, object id):
        """Find the rows that hold, those that add risk first, and ask of each limit among them what it has left."""
        cdef Py_ssize_t one, count = 0, first
        cdef int32_t number
        cdef int risk = 0
        cdef object reservation
        cdef list reserved = None, counters = None
        cdef bint sorted
        if place.risk:
            for rows in place.risk:
                walk.gather(<Rows>rows, now)
            for one in range(walk.found_count):
                number = walk.found[one]
                if now < self.rows[number].trial_until:
                    walk.found[count] = number
                    count += 1
                else:
                    risk = min(RISK_MAX, risk + self.rows[number].points)
            facts.risk = risk
        walk.found_count = first = count
        sorted = first < 2
        for rows in place.rules:
            walk.survey(<Rows>rows, now)
        for one in range(first, walk.found_count):
            number = walk.found[one]
            if self.rows[number].stops:
                return None
            if self.rows[number].limit != NULL:
                reservation = (<Limit>self.rows[number].limit).reserved(facts)
                if reserved is None:
                    reserved, counters = [], []
                if reservation is not None:
                    reserved.append(reservation)
                if (<Limit>self.rows[number].limit).roomy(reservation, facts.now, ledger, "", counters):
                    continue
            walk.found[count] = number
            if count and number < walk.found[count - 1]:
                sorted = False
            count += 1
        walk.found_count = count
        if not sorted:
            qsort(walk.found, count, sizeof(int32_t), before)
        return self.answered(walk, facts, stance, reserved, counters, now, id)

    cdef object answered(self, Walk walk, Facts facts, Stance stance, list reserved, list counters, double now, object id):
        """Return the answer that follows from the rows that hold, which stand in rising order."""
        cdef PyObject *values[FIELDS_MAX]
        cdef Won won
        cdef Py_ssize_t one, on_trial = 0, permitting = 0
        cdef int32_t strictest = ALLOWS, base, soft, verdict, effect
        cdef RowFacts *row
        cdef object reason, by
        for one in range(walk.found_count):
            row = self.rows + walk.found[one]
            if now < row.trial_until:
                on_trial += 1
            elif row.level == ALLOWS:
                permitting += 1
            elif row.level > strictest:
                strictest = row.level
        base = soft = ALLOWS
        if not permitting and not self.permissive:
            if stance.laddered:
                return None
            base, soft = BLOCKS, stance.soft
        verdict = max(base, strictest)
        effect = ALLOWS if stance.observing else max(soft, strictest)
        if effect == HOLDS:
            for one in range(walk.more_count):
                if self.rows[walk.more[one].number].level == HOLDS:
                    return None  # everybody who asks has to be named, and these are many
        if effect == ALLOWS and not permitting or effect > strictest and not effect == ALLOWS:
            won = Won(0, 0, False, False, NULL)
        else:
            self.look(walk, effect, now, &won)

        if won.count > won.limits:
            by = self.by_rule
            reason = self.reasons[effect]
            if effect == BLOCKS and won.holding:
                reason = self.reasons[LEVELS + 1]
        elif won.count:
            by = self.by_limit
            reason = self.reasons[LEVELS]
        elif stance.observing and verdict != ALLOWS:
            by, reason = self.by_mode, self.reasons[LEVELS + 3]
        elif base == BLOCKS and soft == effect == HOLDS:
            by, reason = self.by_mode, self.reasons[LEVELS + 4]
        elif effect == ALLOWS:
            by, reason = self.by_default, self.reasons[LEVELS + 2]
        else:
            by, reason = self.by_default, None
        if won.code != NULL:
            reason = <object>won.code
        elif reason is None:
            reason = self.never_allowed(facts)

        for one in range(self.answer.count):
            values[one] = NULL
        try:
            put(values, self.id, id)
            put(values, self.effect, self.effects[effect])
            put(values, self.verdict, self.effects[verdict])
            put(values, self.by, by)
            put(values, self.reason, reason)
            put(values, self.asked, facts.request)
            put(values, self.now, facts.now)
            put(values, self.mode, stance.mode)
            put(values, self.args, facts.read)
            if facts.risk:
                put(values, self.risk, facts.risk)
            if won.count:
                put(values, self.won, self.ids(walk, effect, False, now, won.count))
                if won.count > SHOWN_MAX:
                    put(values, self.more, won.count - SHOWN_MAX)
                if won.worded:
                    self.told(walk, effect, now, values)
            if verdict != effect and strictest == verdict:
                put(values, self.would_be, self.ids(walk, verdict, False, now, SHOWN_MAX))
            if on_trial:
                put(values, self.trial, self.ids(walk, 0, True, now, on_trial))
            if effect == HOLDS:
                self.hold(walk, soft, now, facts, values)
            if reserved is not None and effect <= HOLDS:
                put(values, self.reservations, tuple(reserved))
            if counters:
                put(values, self.counters, tuple(counters))
            if facts.session is not None:
                self.remembered(facts.session, values)
        except:
            for one in range(self.answer.count):
                Py_XDECREF(values[one])
            raise
        for one in range(self.answer.count):
            if values[one] == NULL:
                put(values, one, self.blank[one])
        return self.answer.made(values)

    cdef object never_allowed(self, Facts facts):
        """Return why the default blocks."""
        if self.scoped or self.request.read(facts.request, self.scope) is not None:
            return self.default_reason(facts)
        return self.reasons[LEVELS + 5]

    cdef int look(self, Walk walk, int32_t level, double now, Won *won) noexcept:
        """Look at the rows of one level that are not on trial."""
        cdef Py_ssize_t one
        cdef RowFacts *row
        won[0] = Won(0, 0, True, False, NULL)
        for one in range(walk.found_count):
            row = self.rows + walk.found[one]
            if row.level != level or now < row.trial_until:
                continue
            won.count += 1
            if row.limit != NULL:
                won.limits += 1
            if not row.holds:
                won.holding = False
            if row.words != NULL:
                won.worded = True
                if won.code == NULL and (<Words>row.words).code is not None:
                    won.code = <PyObject *>(<Words>row.words).code
        for one in range(walk.more_count):
            # Those that a survey only counts have the same of everything as the sixteen that it names.
            if self.rows[walk.more[one].number].level == level:
                won.count += walk.more[one].count
        return 0

    cdef object ids(self, Walk walk, int32_t level, bint on_trial, double now, Py_ssize_t count):
        """Return the ids of rows of one level that are not on trial, the first few; or of all that are."""
        cdef Py_ssize_t one, place = 0
        cdef RowFacts *row
        cdef PyObject *shown[SHOWN_MAX]
        cdef tuple ids
        cdef list more = None
        for one in range(walk.found_count):
            row = self.rows + walk.found[one]
            if (now < row.trial_until) != on_trial or (not on_trial and row.level != level):
                continue
            if place == SHOWN_MAX:
                if not on_trial:
                    break
                if more is None:
                    more = [<object>shown[place] for place in range(SHOWN_MAX)]
                    place = SHOWN_MAX
                more.append(<object>row.id)
                continue
            shown[place] = row.id
            place += 1
            if count == 1:
                if row.alone == NULL:
                    ids = (<object>row.id,)
                    Py_INCREF(ids)
                    row.alone = <PyObject *>ids
                return <object>row.alone
        if more is not None:
            return tuple(more)
        ids = PyTuple_New(place)
        for one in range(place):
            Py_INCREF(<object>shown[one])
            PyTuple_SET_ITEM(ids, one, <object>shown[one])
        return ids

    cdef int told(self, Walk walk, int32_t level, double now, PyObject **values) except -1:
        """Put down what the winning rows tell, which controls they serve, and when to come back."""
        cdef Py_ssize_t one
        cdef RowFacts *row
        cdef Words words
        cdef list tells = None
        cdef object controls = None, retry_after_s = None
        for one in range(walk.found_count):
            row = self.rows + walk.found[one]
            if row.level != level or row.words == NULL or now < row.trial_until:
                continue
            words = <Words>row.words
            if words.tell is not None:
                if tells is None:
                    tells = []
                tells.append(words.tell)
            if words.controls:
                controls = words.controls if controls is None else controls | words.controls
            if words.retry_after_s is not None and (retry_after_s is None or words.retry_after_s > retry_after_s):
                retry_after_s = words.retry_after_s
        if tells is not None:
            put(values, self.tells, tuple(tells))
        if controls is not None:
            put(values, self.controls, tuple(sorted(controls)))
        if level == DEFERS and retry_after_s is not None:
            put(values, self.retry_after_s, retry_after_s)
        return 0

    cdef int hold(self, Walk walk, int32_t soft, double now, Facts facts, PyObject **values) except -1:
        """Put down who is asked about a call that is held, for how long, and what binds their answer to it."""
        cdef Py_ssize_t one
        cdef RowFacts *row
        cdef list asks = []
        cdef int32_t hold_s = self.mode_hold_s if soft == HOLDS else 0x7FFFFFFF
        for one in range(walk.found_count):
            row = self.rows + walk.found[one]
            if row.level == HOLDS and not now < row.trial_until:
                asks.append((<Words>row.words).ask)
                hold_s = min(hold_s, row.hold_s)
        if soft == HOLDS:
            asks.append(self.mode_ask)
            asks.sort(key=_source)
        put(values, self.asks, tuple(asks))
        put(values, self.hold_s, hold_s)
        put(values, self.call, self.digest(facts.request, facts.read, facts.session))
        return 0

    cdef int remembered(self, object session, PyObject **values) except -1:
        """Put down which session it was, and the digests of what was known of it."""
        cdef Form form = self.session
        put(values, self.session_id, form.read(session, ID))
        put(values, self.begun, form.read(session, BEGUN))
        put(values, self.opened_at, form.read(session, OPENED_AT))
        put(values, self.session_digest, form.read(session, DIGEST))
        if form.read(session, ROOT) is not None:
            session = session.speaker()
        put(values, self.said_digest, form.read(session, SAID_DIGEST))
        return 0


def _source(ask):
    return ask.source


cdef int before(const void *one, const void *other) noexcept nogil:
    cdef int32_t left = (<const int32_t *>one)[0], right = (<const int32_t *>other)[0]
    return (left > right) - (left < right)


cdef inline int put(PyObject **values, Py_ssize_t place, object value) noexcept:
    """Keep a value, and a reference to it."""
    Py_INCREF(value)
    values[place] = <PyObject *>value
    return 0


cdef object taken(PyObject *made):
    """Return a new object, of which one reference is counted already."""
    cdef object one = <object>made
    Py_DECREF(one)
    return one
