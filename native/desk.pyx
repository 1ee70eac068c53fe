"""What an engine does around each decision: the time, an id, the session, the record, and what was let through.

The decisions of one desk are taken one after another. What few calls need is left to the engine's own methods.
"""

cimport cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_New
from libc.string cimport memcpy

from thoth.native.digests cimport after_call, after_end, digest_of
from thoth.native.entry cimport Entry
from thoth.native.forms cimport Blank, Form
from thoth.native.running cimport Running
from thoth.native.wire cimport Wire

cdef extern from "Python.h":
    void PyObject_GC_UnTrack(void *one)

cdef extern from "pythread.h":
    PyThread_type_lock PyThread_allocate_lock()
    void PyThread_free_lock(PyThread_type_lock lock)
    int PyThread_acquire_lock(PyThread_type_lock lock, int mode) nogil
    void PyThread_release_lock(PyThread_type_lock lock)

cdef enum:
    NOW = 0
    WAIT = 1
    ID_CHARS_MAX = 64
    LET_THROUGH = 2          # the kinds of events that a session's digest covers
    ENDED = 4
    # Places in the form of a session.
    CALLS = 0
    LABELS = 1
    VERSION = 2
    COUNTED = 3
    DIGEST = 4
    TENANT = 5
    RESULTS = 6
    REMEMBERED_BYTES = 7
    PROVENANCE_BYTES = 8
    RESULTS_CUT = 9
    # In the form of a call.
    CALL_ID = 0
    CALL_TOOL = 1
    CALL_CLASSES = 2
    CALL_ENDING = 4
    CALL_TOLD = 5
    CALL_PENDING = 6
    CALL_NUMBER = 7
    CALL_FIELDS = 8

cdef object _text = str
cdef object _bytes = bytes
cdef frozenset NOTHING = frozenset()


cdef class Lock:
    """A lock between threads, held by one call at a time; not to be taken twice by one."""

    def __cinit__(self):
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cdef int take(self) except -1:
        if not PyThread_acquire_lock(self.lock, NOW):
            with nogil:
                PyThread_acquire_lock(self.lock, WAIT)
        return 0

    cdef int leave(self) except -1:
        PyThread_release_lock(self.lock)
        return 0

    def __enter__(self):
        self.take()

    def __exit__(self, kind, error, trace):
        self.leave()


cdef class Ids:
    """Ids: a prefix, a dash, and a number that counts."""

    def __init__(self, str prefix not None):
        self.text = prefix
        self.prefix = (prefix + "-").encode("ascii")
        assert len(self.prefix) < ID_CHARS_MAX // 2

    def next(self) -> str:
        """Return an id that was never returned before."""
        return self.made()

    cdef str made(self):
        cdef char digits[ID_CHARS_MAX]
        cdef unsigned long long left
        cdef Py_ssize_t place = ID_CHARS_MAX, before = len(self.prefix)
        cdef object id
        self.number += 1
        left = self.number
        while left:
            place -= 1
            digits[place] = <char>(48 + left % 10)
            left //= 10
        id = PyUnicode_New(before + ID_CHARS_MAX - place, 127)
        memcpy(PyUnicode_1BYTE_DATA(id), <const char *>self.prefix, before)
        memcpy(<char *>PyUnicode_1BYTE_DATA(id) + before, digits + place, ID_CHARS_MAX - place)
        return <str>id


@cython.freelist(16)
cdef class Explainer:
    """Explains the decisions of an engine taken in one session at one moment; it holds none of them."""

    def __call__(self, decision):
        return self.explain(self.engine, self.session, self.approval, self.seen, decision)


cdef class Desk:
    """One engine's decisions."""

    def __init__(self, *, str prefix not None, Wire wire not None, admit_text, clock, recorder, ledger, sessions, engine, explain, session_of,
                 unrecorded, account, remember, allow, Form request not None, Form decision not None, Form session not None, Form call not None,
                 Form outcome not None, Form heard not None, endings, Py_ssize_t running_max, Py_ssize_t calls_max):
        assert session.names == ("calls", "labels", "version", "counted", "digest", "tenant", "results", "remembered_bytes",
                                 "provenance_bytes", "results_cut")
        assert outcome.names == ("decision_id", "ending", "result", "withheld", "rules", "labels", "heard", "part",
                                 "perhaps", "late")
        assert heard.names == ("tool", "classes", "text")
        assert call.names == ("id", "tool", "classes", "at", "ending", "told", "pending", "number")
        self.lock, self.ids = Lock(), Ids(prefix)
        self.wire, self.admit_text, self.clock, self.recorder, self.ledger = wire, admit_text, clock, recorder, ledger
        self.running = Running(prefix)
        self.engine, self.explain, self.session_of, self.unrecorded = engine, explain, session_of, unrecorded
        self.account, self.remember, self.allow = account, remember, allow
        self.request, self.decision, self.session, self.call = request, decision, session, call
        self.outcome, self.heard, self.endings = outcome, heard, tuple([(each, each.value) for each in endings])
        self.running_max, self.calls_max = running_max, calls_max
        self.explainer = self.explainer_of(None, None, 0)
        assert isinstance(sessions, dict)
        self.sessions = sessions
        self.session_id, self.tenant_id, self.tool_name = map(request.place, ("session_id", "tenant_id", "tool_name"))
        self.asked, self.effect, self.reservations, self.violation, self.explaining, self.id, self.now = map(
            decision.place, ("request", "effect", "reservations", "violation", "explainer", "id", "now")
        )
        self.args, self.reason_code, self.problem = map(decision.place, ("args", "reason_code", "problem"))
        self.tool_args = request.place("tool_args")

    def take(self, Entry entry, table, admit, decide_in_full, frozenset plain not None, frozenset quiet not None, double in_flight_s,
             tuple refusal not None):
        """Decide by this from the next call on; with the lock held, if calls may be under way.

        `refusal` is what a call is told that is not decided, but for what is its own. Without an entry `decide_in_full` decides. `plain` are the tools of which all calls are remembered alike;
        of the results of those that are `quiet` no rule says anything, and they bring no label. A call that ends later
        than `in_flight_s` after its decision counts in no session.
        """
        self.entry, self.table, self.admit, self.decide_in_full, self.plain = entry, table, admit, decide_in_full, plain
        self.quiet, self.in_flight_s, self.memories = quiet, in_flight_s, {}
        own = (self.id, self.asked, self.now, self.args, self.reason_code, self.problem)
        self.refusal = Blank(self.decision, refusal, own)

    cdef object version_of(self, object session):
        if type(session) is self.session.kind:
            return self.session.read(session, VERSION)
        return 0 if session is None else session.version

    cdef Explainer explainer_of(self, object session, object approval, object seen):
        cdef Explainer made = Explainer()
        made.explain, made.engine, made.session, made.approval = self.explain, self.engine, session, approval
        made.seen = seen
        return made

    def decide(self, given, session, approval):
        """Decide one call: whatever is given, a decision comes back, recorded and counted."""
        return self.decide_one(given, session, approval)

    def decide_admitted(self, admitted):
        """Decide a request that was taken in just now, and that nobody else has a hand on."""
        return self.decide_taken(admitted, None, None)

    def refuse(self, admitted, reason_code, problem):
        """Return what a call is told that is not decided at all, recorded as any decision is."""
        return self.refused(admitted, reason_code, problem)

    cdef object refused(self, object admitted, object reason_code, object problem):
        cdef object decision, args = None
        cdef Form form = self.decision
        if type(admitted) is not self.request.kind:
            admitted = None  # it is not known what was asked
        else:
            args = self.request.read(admitted, self.tool_args)
        self.lock.take()
        try:
            now, id = self.clock(), self.ids.made()
            decision = self.refusal.begun()
            form.write(decision, self.id, id)
            form.write(decision, self.now, now)
            form.write(decision, self.asked, admitted)
            form.write(decision, self.args, args)
            form.write(decision, self.reason_code, reason_code)
            form.write(decision, self.problem, problem)
            if self.recorder is not None:
                try:
                    self.recorder.decided(decision)
                except Exception as error:  # it is BLOCK already; say that there is no evidence of it
                    decision = self.unrecorded(decision, error)
            return decision
        finally:
            self.lock.leave()

    cdef object taken_in(self, object given):
        """Return the request that bytes or a text hold, or what is wrong with it."""
        cdef object admitted = self.wire.read_in(given)
        return self.admit_text(given) if admitted is None else admitted

    cdef object decide_one(self, object given, object session, object approval):
        cdef object admitted = None
        cdef Entry entry = self.entry
        if isinstance(given, _text) or isinstance(given, _bytes):
            admitted = self.taken_in(given)
        else:
            if entry is not None:
                admitted = entry.intake.read_in(given)
            if admitted is None:
                admitted = self.admit(given)
        return self.decide_taken(admitted, session, approval)

    cdef object taken_for(self, bytes given, str tenant):
        """Return the request that bytes hold, which is this tenant's, or nobody's and then this tenant's; None of another."""
        cdef object admitted = self.wire.read_in(given), whose
        if admitted is not None:
            whose = self.request.read(admitted, self.tenant_id)
            if whose is None:
                self.request.write(admitted, self.tenant_id, tenant)
            elif type(whose) is not str or whose != tenant:
                return None
        return admitted

    cdef object decide_taken(self, object admitted, object session, object approval):
        self.lock.take()
        try:
            if session is None and type(admitted) is self.request.kind \
                    and self.request.read(admitted, self.session_id) is not None:
                session = self.known_session(admitted)
                if session is None:
                    session = self.session_of(admitted)
            return self.decided(admitted, session, approval)
        finally:
            self.lock.leave()

    cdef object known_session(self, object request):
        """Return the session that a request names, if it is open, and the request's to ask in; else None."""
        cdef object id = self.request.read(request, self.session_id)
        cdef object tenant = self.request.read(request, self.tenant_id), session
        cdef PyObject *found
        if type(id) is not str or (tenant is not None and type(tenant) is not str):
            return None
        found = PyDict_GetItemWithError(<dict>self.sessions, id)
        if found == NULL:
            return None
        session = <object>found
        if type(session) is not self.session.kind:
            return None
        owner = self.session.read(session, TENANT)
        if owner is not None and owner != tenant:
            return None
        self.sessions.move_to_end(id)
        return session

    cdef object decided(self, object admitted, object session, object approval):
        cdef object now = self.clock(), decision
        cdef str id = self.ids.made()
        cdef Form form = self.decision
        if self.entry is None:
            decision = self.decide_in_full(
                admitted, session=session, ledger=self.ledger, now=now, approval=approval, id=id
            )
        else:
            decision = self.entry.decided(self.table, admitted, session, self.ledger, now, approval, id)
        # Not a function of the decision itself: then each would be a circle, and wait for the collector.
        if session is None and approval is None:
            form.write(decision, self.explaining, self.explainer)
        else:
            form.write(
                decision, self.explaining, self.explainer_of(session, approval, self.version_of(session))
            )
        if self.recorder is not None:
            try:
                self.recorder.decided(decision)
            except Exception as error:  # whatever went wrong, there is no evidence
                decision = self.unrecorded(decision, error)
        if form.read(decision, self.effect) is self.allow and approval is None \
                and not form.read(decision, self.reservations) and form.read(decision, self.violation) is None:
            self.count(form.read(decision, self.asked), id, now, session)
        else:
            self.account(decision, session, approval)
        return decision

    def let_through(self, decision, session):
        """Count a call as let through."""
        if decision.request is not None:
            self.count(decision.request, decision.id, decision.now, session)

    cdef int count(self, object request, str id, object now, object session) except -1:
        cdef PyObject *values[CALL_FIELDS]
        cdef object classes, labels, pending, name, call, memory
        cdef list calls
        cdef Form form = self.session
        cdef Py_ssize_t field
        if request is None:
            return 0
        self.running.put(id, session)
        if self.running.count > self.running_max:
            self.running.take(self.running.oldest())
        if session is None:
            return 0
        name = self.request.read(request, self.tool_name)
        memory = self.memories.get(name)
        if memory is None:
            memory = self.remember(request)
            if name in self.plain:
                self.memories[name] = memory
        classes, labels, pending = <tuple>memory
        counted = form.read(session, COUNTED) + 1
        fields = (id, name, classes, now, None, False, pending, counted)
        for field in range(CALL_FIELDS):
            Py_INCREF(<object>(<tuple>fields)[field])
            values[field] = <PyObject *>(<tuple>fields)[field]
        call = self.call.made(values)
        PyObject_GC_UnTrack(<void *>call)  # it holds texts and sets of them, and is in no circle
        calls = form.read(session, CALLS)
        if len(calls) >= self.calls_max:
            session.let_through(call, labels)  # one has to go
            return 0
        form.write(session, VERSION, form.read(session, VERSION) + 1)
        form.write(session, COUNTED, counted)
        form.write(session, DIGEST, after_call(form.read(session, DIGEST), LET_THROUGH, now, name, classes, labels, pending))
        calls.append(call)
        if labels:
            (<set>form.read(session, LABELS)).update(labels)
        return 0

    def ended(self, decision, ending, result, whole):
        """Take in how a call ended that is told of as most are, record it, and return its outcome.

        None, and nothing is taken in: somebody else has to. The result is a scalar, whole, of a quiet tool, and the call
        is under way and has nothing reserved.
        """
        cdef object request, session, outcome, given = None
        cdef str id, text
        cdef bytes told = None
        cdef bint late
        if whole is not True or type(decision) is not self.decision.kind:
            return None
        request = self.decision.read(decision, self.asked)
        if type(request) is not self.request.kind or self.decision.read(decision, self.reservations):
            return None
        if self.request.read(request, self.tool_name) not in self.quiet:
            return None
        for each, said in self.endings:
            if each is ending:
                given = said
        if given is None:
            return None
        if type(result) is str:
            text = <str>result
        elif result is None:
            text = ""
        elif type(result) is bool:
            text = "true" if result else "false"
        elif type(result) is int or type(result) is float:
            try:
                text = str(result)
            except ValueError:  # an integer of more digits than Python spells
                return None
        else:
            return None
        id = self.decision.read(decision, self.id)
        self.lock.take()
        try:
            if id not in self.running:
                return None
            session = self.running.take(id)
            late = not self.clock() - self.decision.read(decision, self.now) <= self.in_flight_s
            if session is not None and not late:
                told = self.hear(session, id, ending, text)
        finally:
            self.lock.leave()
        outcome = self.outcome.fill(
            (id, ending, result, False, (), (), "" if told is None else told.hex(), False, (), late)
        )
        if self.recorder is not None:
            self.recorder.ended(decision, outcome)
        return outcome

    cdef bytes hear(self, object session, str id, object ending, str text):
        """Take in how a call of a session ended, and what it returned as text; its digest, None if it is not held."""
        cdef list calls = self.session.read(session, CALLS)
        cdef Py_ssize_t place = len(calls) - 1
        cdef object call = None, before, held, heard, said = None
        cdef bytes told
        while place >= 0:
            call = calls[place]
            if self.call.read(call, CALL_ID) == id:
                break
            place -= 1
        if place < 0:
            return None
        for each, value in self.endings:
            if each is ending:
                said = value
        told = digest_of(text)
        self.session.write(session, VERSION, self.session.read(session, VERSION) + 1)
        self.call.write(call, CALL_ENDING, ending)
        before = self.session.read(session, DIGEST)
        self.session.write(session, DIGEST, after_end(before, ENDED, self.call.read(call, CALL_NUMBER), said, told))
        self.call.write(call, CALL_TOLD, True)
        self.call.write(call, CALL_PENDING, NOTHING)
        if not text:
            return told  # nothing comes from it, and the bound would not see how many there are
        held = self.session.read(session, REMEMBERED_BYTES)
        if held + len(text) > self.session.read(session, PROVENANCE_BYTES):
            self.session.write(session, RESULTS_CUT, True)
            return told
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode("utf-8")
        heard = self.heard.fill((self.call.read(call, CALL_TOOL), self.call.read(call, CALL_CLASSES), text))
        PyObject_GC_UnTrack(<void *>heard)  # as a call is: sessions keep many, and the collector would walk them all
        (<list>self.session.read(session, RESULTS)).append(heard)
        self.session.write(session, REMEMBERED_BYTES, held + len(text))
        return told
