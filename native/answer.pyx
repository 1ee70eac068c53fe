"""From one call to its answer: the tool's rows that hold, and what the strictest of them ask for.

What a row asks for lies beside it as numbers and ready objects, so that an answer is put together without asking anybody.
A call that takes more than that (arguments to be read loosely or changed, a declaration chosen by the environment, the
ladder) is not answered here: then `find` returns None, and somebody else decides.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_REFCNT, Py_XDECREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH
from libc.stdint cimport int32_t, uint64_t
from libc.stdlib cimport qsort

from thoth.native.facts cimport Facts
from thoth.native.forms cimport Blank, Form, held, put, say
from thoth.native.limits cimport Limit
from thoth.native.names cimport normal
from thoth.native.signatures cimport Signature
from thoth.native.table cimport Rows, Table, Walk
from thoth.native.texts cimport bytes_mixed, bytes_same, text_is_ascii

cdef extern from "Python.h":
    ctypedef PyObject *(*New)(PyObject *kind, PyObject *args, PyObject *keywords) except NULL
    ctypedef struct PyTypeObject:
        New tp_new

cdef enum:
    RISK_MAX = 100
    # How strict the effects are.
    ALLOWS = 0
    HOLDS = 2
    DEFERS = 3
    BLOCKS = 4
    LEVELS = 5
    # Who decides, by place; and reasons behind those of the effects.
    BY_RULE = 0
    BY_LIMIT = 1
    BY_MODE = 2
    BY_DEFAULT = 3
    DECIDERS = 4
    LIMIT = 5
    NOBODY_MAY_ANSWER = 6
    NOTHING_OBJECTS = 7
    OBSERVED = 8
    MODE_ASKS = 9
    NOTHING_ALLOWS = 10
    OUT_OF_SCOPE = 11
    REASONS = 12
    # Places in the form of a session.
    ID = 0
    BEGUN = 1
    OPENED_AT = 2
    DIGEST = 3
    SAID_DIGEST = 4
    ROOT = 5

cdef tuple nothing = ()
cdef object zero = 0


cdef class Place:
    """A tool: its declaration, the signature that its arguments must fit, its rows, and whether a limit is among them."""

    def __init__(self, declared, Signature signature, dict kinds not None, frozenset optional not None,
                 tuple risk not None, tuple rules not None, bint limited):
        self.declared, self.signature, self.kinds, self.optional = declared, signature, kinds, optional
        self.positional = signature is None or signature.more
        self.risk, self.rules, self.limited = risk, rules, limited


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

        `effects` and `reasons` are by how strict; more reasons stand behind these, as above. `permissive`: what
        nothing forbids is allowed; `scoped`: `default_reason` has to be asked. `blank` is an answer's own fields
        unsaid.
        """
        cdef Py_ssize_t number
        assert issubclass(facts_kind, Facts)
        assert len(effects) == LEVELS and len(reasons) == REASONS and len(deciders) == DECIDERS
        assert session.names == ("id", "begun", "opened_at", "digest", "said_digest", "root")
        self.table, self.request, self.answer, self.session = table, request, answer, session
        self.facts_kind, self.knowledge, self.digest, self.default_reason = facts_kind, knowledge, digest, default_reason
        self.places, self.unknown, self.stances, self.stance = places, unknown, stances, stances[None]
        self.effects, self.reasons = effects, reasons
        self.deciders = deciders
        self.permissive, self.scoped, self.mode_ask, self.mode_hold_s = permissive, scoped, mode_ask, mode_hold_s
        self.row_count, self.spare, self.cells = len(rows), None, {}
        self.rule_ids, self.held = tuple([row[0] for row in rows]), []
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
        own = (
            self.id, self.effect, self.verdict, self.by, self.reason, self.asked, self.now, self.mode, self.args,
        )
        self.blank = Blank(answer, blank, own)
        self.lay_out_names()
        self.session_id, self.begun, self.opened_at, self.session_digest, self.said_digest, self.counters = map(
            answer.place, ("session_id", "session_begun", "session_opened_at", "session_digest", "said_digest", "counters")
        )

    cdef int lay_out(self, Py_ssize_t number, tuple row) except -1:
        cdef RowFacts *one = self.rows + number
        cdef Limit limit
        cdef Words words
        id, one.trial_until, one.points, one.level, one.stops, one.holds, one.hold_s, limit, words = row
        assert type(id) is str and ALLOWS <= one.level <= BLOCKS
        one.id = <PyObject *>id
        one.limit = NULL if limit is None else <PyObject *>limit
        one.words = NULL if words is None else <PyObject *>words
        one.code = NULL if words is None or words.code is None else <PyObject *>words.code
        self.held += [kept for kept in (limit, words) if kept is not None]
        return 0

    cdef int lay_out_names(self) except -1:
        """Lay the names in ASCII out, to be found without a hash of Python's."""
        cdef Py_ssize_t size = 8, at
        while size < 2 * len(self.places):
            size *= 2
        self.known = <Known *>PyMem_Calloc(size, sizeof(Known))
        if self.known == NULL:
            raise MemoryError
        self.known_mask = size - 1
        for name, place in self.places.items():
            if not text_is_ascii(name):
                continue
            at = bytes_mixed(<char *>PyUnicode_DATA(name), PyUnicode_GET_LENGTH(name)) & self.known_mask
            while self.known[at].text != NULL:
                at = (at + 1) & self.known_mask
            self.known[at] = Known(<char *>PyUnicode_DATA(name), PyUnicode_GET_LENGTH(name), NULL)
            if place is not None:
                self.known[at].place = <PyObject *>place
        return 0

    cdef PyObject *place_of(self, object name) except? NULL:
        """Return the place of a tool, NULL where it is not answered here."""
        cdef const char *text
        cdef Py_ssize_t size
        cdef uint64_t at
        cdef object found
        if text_is_ascii(name):
            text, size = <const char *>PyUnicode_DATA(name), PyUnicode_GET_LENGTH(name)
            at = bytes_mixed(text, size) & self.known_mask
            while self.known[at].text != NULL:
                if self.known[at].size == size and bytes_same(self.known[at].text, text, size):
                    return self.known[at].place
                at = (at + 1) & self.known_mask
            return <PyObject *>self.unknown
        found = self.places.get(name, self.unknown)
        if found is None:
            return NULL
        return <PyObject *>found  # which `places` holds

    def __dealloc__(self):
        cdef Py_ssize_t number
        PyMem_Free(self.known)
        if self.rows != NULL:
            for number in range(self.row_count):
                Py_XDECREF(self.rows[number].alone)
        PyMem_Free(self.rows)

    cdef object find(self, object request, object session, object ledger, object now, object id):
        """Return an answer, or None where it takes more than the rows that hold.

        Cost: one look at the arguments, and at the rows of the tool that its pivots let through.
        """
        cdef Verdict verdict
        cdef double moment = now
        cdef Facts facts = self.begin(request, session, now)
        cdef Place place
        cdef Walk walk
        cdef list reserved = None, counters = None
        cdef object found = None
        if facts is None:
            return None
        place = <Place>facts.place
        walk = self.table.begin(facts)
        if place.limited:
            reserved, counters = [], []
        if self.gathered(walk, facts, place, ledger, moment, reserved, counters):
            if self.weighed(walk, facts, <Stance>facts.stance, moment, &verdict):
                found = self.answered(walk, facts, <Stance>facts.stance, reserved, counters, moment, id, &verdict)
        self.table.end(walk)
        self.end(facts)
        return found

    cdef int weigh_one(self, object request, object now, double moment, Verdict *verdict) except -1:
        """Weigh one call outside sessions and without a ledger; say whether that could be done here."""
        cdef Facts facts = self.begin(request, None, now)
        cdef Place place
        cdef Walk walk
        cdef list reserved = None, counters = None
        cdef int weighed
        if facts is None:
            return 0
        place = <Place>facts.place
        facts.hold()
        walk = self.table.begin(facts)
        if place.limited:
            reserved, counters = [], []
        weighed = self.gathered(walk, facts, place, None, moment, reserved, counters)
        if weighed:
            weighed = self.weighed(walk, facts, <Stance>facts.stance, moment, verdict)
        self.table.end(walk)
        self.end(facts)
        return weighed

    cdef Facts begin(self, object request, object session, object now):
        """Return the facts of one call, to be handed back to `end`; None where it is not answered here."""
        cdef dict args = <dict>held(self.request, request, self.tool_args)
        cdef str name = normal(<str>held(self.request, request, self.tool_name))
        cdef object said = <object>held(self.request, request, self.said)
        cdef PyObject *found = self.place_of(name)
        cdef Place place
        cdef Stance stance = self.stance
        cdef Facts facts
        if found == NULL or (session is not None and type(session) is not self.session.kind):
            return None
        place = <Place>found
        if place.positional and ("args" in args or "arg0" in args):
            return None
        facts = self.spare
        if facts is not None:
            self.spare = None
        else:
            facts = taken((<PyTypeObject *>self.facts_kind).tp_new(<PyObject *>self.facts_kind, <PyObject *>nothing, NULL))
            facts.knowledge, facts.readable, facts.result = self.knowledge, True, None
        if place.signature is not None:
            if not place.signature.fits(args, &facts.fitted):
                self.end(facts)
                return None
            facts.params = place.signature.each
        if type(said) is str:
            said = self.stances.get(said)
            if said is not None:
                stance = <Stance>said
        facts.place, facts.stance = place, stance
        facts.request, facts.name, facts.declared = request, name, place.declared
        facts.read, facts.kinds, facts.optional = args, place.kinds, place.optional
        facts.session, facts.now, facts.risk = session, now, zero
        return facts

    cdef int end(self, Facts facts) except -1:
        """Forget the call, and keep the object unless somebody else still holds it."""
        if Py_REFCNT(facts) == 1:  # the reference of `find`
            facts.request = facts.read = facts.session = None
            facts.let_go()
            self.spare = facts
        return 0

    cdef int gathered(self, Walk walk, Facts facts, Place place, object ledger, double now, list reserved,
                      list counters) except -1:
        """Find the rows that hold, in rising order, those that add risk first, and ask each limit what it has left.

        Say whether the rows say it all. What limits are asked is added to `reserved` and `counters`.
        """
        cdef Py_ssize_t one, count = 0, first
        cdef int32_t number
        cdef int risk = 0
        cdef object reservation
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
                return 0
            if self.rows[number].limit != NULL:
                reservation = (<Limit>self.rows[number].limit).reserved(facts)
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
        return 1

    cdef int weighed(self, Walk walk, Facts facts, Stance stance, double now, Verdict *verdict) except -1:
        """Say what follows from the rows that hold; or that a ladder has to say it."""
        cdef int said = self.settled(walk, stance.soft, stance.observing, stance.laddered, now, verdict)
        if said == TOLD_BUT_SCOPE:
            if self.scoped or held(self.request, facts.request, self.scope) != <PyObject *>None:
                if self.default_reason(facts) != self.reasons[NOTHING_ALLOWS]:
                    verdict.reason = OUT_OF_SCOPE
        return said != UNTOLD

    cdef int settled(self, Walk walk, int32_t soft, bint observing, bint laddered, double now,
                     Verdict *verdict) noexcept nogil:
        """As `weighed`; where a scope may be why nothing allows, that is left to be looked at."""
        cdef Won *won = &verdict.won
        cdef Py_ssize_t one, permitting = 0
        cdef int32_t strictest = ALLOWS, base
        cdef RowFacts *row
        verdict.on_trial = 0
        for one in range(walk.found_count):
            row = self.rows + walk.found[one]
            if now < row.trial_until:
                verdict.on_trial += 1
            elif row.level == ALLOWS:
                permitting += 1
            elif row.level > strictest:
                strictest = row.level
        base = verdict.soft = ALLOWS
        if not permitting and not self.permissive:
            if laddered:
                return UNTOLD
            base, verdict.soft = BLOCKS, soft
        verdict.verdict = max(base, strictest)
        verdict.effect = ALLOWS if observing else max(verdict.soft, strictest)
        verdict.named = verdict.verdict == strictest
        if verdict.effect == HOLDS:
            for one in range(walk.more_count):
                if self.rows[walk.more[one].number].level == HOLDS:
                    return UNTOLD  # everybody who asks has to be named, and these are many
        won[0] = Won(0, 0, True, False, NULL)
        if permitting > 0 if verdict.effect == ALLOWS else verdict.effect == strictest:
            self.look(walk, verdict.effect, now, verdict)

        if won.count > won.limits:
            verdict.by, verdict.reason = BY_RULE, verdict.effect
            if verdict.effect == BLOCKS and won.holding:
                verdict.reason = NOBODY_MAY_ANSWER
        elif won.count:
            verdict.by, verdict.reason = BY_LIMIT, LIMIT
        elif observing and verdict.verdict != ALLOWS:
            verdict.by, verdict.reason = BY_MODE, OBSERVED
        elif base == BLOCKS and verdict.soft == verdict.effect == HOLDS:
            verdict.by, verdict.reason = BY_MODE, MODE_ASKS
        elif verdict.effect == ALLOWS:
            verdict.by, verdict.reason = BY_DEFAULT, NOTHING_OBJECTS
        else:
            verdict.by, verdict.reason = BY_DEFAULT, NOTHING_ALLOWS
            return TOLD_BUT_SCOPE
        return TOLD

    cdef object answered(self, Walk walk, Facts facts, Stance stance, list reserved, list counters, double now,
                         object id, Verdict *verdict):
        """Return the answer."""
        cdef Form form = self.answer
        cdef object made = self.blank.begun()
        cdef Won *won = &verdict.won
        cdef int32_t effect = verdict.effect
        put(form, made, self.id, id)
        put(form, made, self.effect, self.effects[effect])
        put(form, made, self.verdict, self.effects[verdict.verdict])
        put(form, made, self.by, self.deciders[verdict.by])
        put(form, made, self.reason, self.reasons[verdict.reason] if won.code == NULL else <object>won.code)
        put(form, made, self.asked, facts.request)
        put(form, made, self.now, facts.now)
        put(form, made, self.mode, stance.mode)
        put(form, made, self.args, facts.read)
        if facts.risk:
            say(form, made, self.risk, facts.risk)
        if won.count:
            say(form, made, self.won, self.ids(verdict.shown, won.count))
            if won.count > SHOWN_MAX:
                say(form, made, self.more, won.count - SHOWN_MAX)
            if won.worded:
                self.told(walk, effect, now, made)
        if verdict.verdict != effect and verdict.named:
            say(form, made, self.would_be, self.ids_of_level(walk, verdict.verdict, now))
        if verdict.on_trial:
            say(form, made, self.trial, self.ids_on_trial(walk, now))
        if effect == HOLDS:
            self.hold(walk, verdict.soft, now, facts, made)
        if reserved and effect <= HOLDS:
            say(form, made, self.reservations, tuple(reserved))
        if counters:
            say(form, made, self.counters, tuple(counters))
        if facts.session is not None:
            self.remembered(facts.session, made)
        return made

    cdef int look(self, Walk walk, int32_t level, double now, Verdict *verdict) noexcept nogil:
        """Look at the rows of one level that are not on trial."""
        cdef Won *won = &verdict.won
        cdef Py_ssize_t one
        cdef RowFacts *row
        for one in range(walk.found_count):
            row = self.rows + walk.found[one]
            if row.level != level or now < row.trial_until:
                continue
            if won.count < SHOWN_MAX:
                verdict.shown[won.count] = walk.found[one]
            won.count += 1
            if row.limit != NULL:
                won.limits += 1
            if not row.holds:
                won.holding = False
            if row.words != NULL:
                won.worded = True
                if won.code == NULL:
                    won.code = row.code
        for one in range(walk.more_count):
            # Those that a survey only counts have the same of everything as the sixteen that it names; in a table that
            # somebody made up there may be fewer.
            if won.count >= SHOWN_MAX and self.rows[walk.more[one].number].level == level:
                won.count += walk.more[one].count
        return 0

    cdef object ids(self, const int32_t *shown, Py_ssize_t count):
        """Return the ids of the first of some rows; of a single one it is always the same tuple."""
        cdef RowFacts *row = self.rows + shown[0]
        cdef tuple ids
        cdef Py_ssize_t one
        if count == 1:
            if row.alone == NULL:
                ids = (<object>row.id,)
                Py_INCREF(ids)
                row.alone = <PyObject *>ids
            return <object>row.alone
        count = min(count, SHOWN_MAX)
        ids = PyTuple_New(count)
        for one in range(count):
            Py_INCREF(<object>self.rows[shown[one]].id)
            PyTuple_SET_ITEM(ids, one, <object>self.rows[shown[one]].id)
        return ids

    cdef object ids_of_level(self, Walk walk, int32_t level, double now):
        """Return the ids of the rows of one level that are not on trial, the first few."""
        cdef Verdict found
        found.won = Won(0, 0, True, False, NULL)
        self.look(walk, level, now, &found)
        return self.ids(found.shown, found.won.count)

    cdef object ids_on_trial(self, Walk walk, double now):
        """Return the ids of the rows on trial."""
        cdef Py_ssize_t one
        cdef list ids = []
        for one in range(walk.found_count):
            if now < self.rows[walk.found[one]].trial_until:
                ids.append(<object>self.rows[walk.found[one]].id)
        return tuple(ids)

    cdef int told(self, Walk walk, int32_t level, double now, object made) except -1:
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
            say(self.answer, made, self.tells, tuple(tells))
        if controls is not None:
            say(self.answer, made, self.controls, tuple(sorted(controls)))
        if level == DEFERS and retry_after_s is not None:
            say(self.answer, made, self.retry_after_s, retry_after_s)
        return 0

    cdef int hold(self, Walk walk, int32_t soft, double now, Facts facts, object made) except -1:
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
        say(self.answer, made, self.asks, tuple(asks))
        say(self.answer, made, self.hold_s, hold_s)
        say(self.answer, made, self.call, self.digest(facts.request, facts.read, facts.session))
        return 0

    cdef int remembered(self, object session, object made) except -1:
        """Put down which session it was, and the digests of what was known of it."""
        cdef Form form = self.session
        say(self.answer, made, self.session_id, form.read(session, ID))
        say(self.answer, made, self.begun, form.read(session, BEGUN))
        say(self.answer, made, self.opened_at, form.read(session, OPENED_AT))
        say(self.answer, made, self.session_digest, form.read(session, DIGEST))
        if form.read(session, ROOT) is not None:
            session = session.speaker()
        say(self.answer, made, self.said_digest, form.read(session, SAID_DIGEST))
        return 0


def _source(ask):
    return ask.source


cdef int before(const void *one, const void *other) noexcept nogil:
    cdef int32_t left = (<const int32_t *>one)[0], right = (<const int32_t *>other)[0]
    return (left > right) - (left < right)


cdef object taken(PyObject *made):
    """Return a new object, of which one reference is counted already."""
    cdef object one = <object>made
    Py_DECREF(one)
    return one
