cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint8_t, uint64_t

from thoth.native.facts cimport Facts
from thoth.native.forms cimport Blank, Form
from thoth.native.signatures cimport Signature
from thoth.native.table cimport Table, Walk

cdef enum:
    SHOWN_MAX = 16                     # rules of an answer
    # What `settled` has settled.
    UNTOLD = 0
    TOLD = 1
    TOLD_BUT_SCOPE = 2

@cython.final
cdef class Place:
    cdef object declared
    cdef Signature signature           # None: nobody declared the tool
    cdef dict kinds
    cdef frozenset optional
    cdef bint positional               # `args` and `arg0` may be arguments without names
    cdef tuple risk, rules             # of Rows
    cdef bint limited                  # a limit is among its rows

@cython.final
cdef class Stance:
    cdef object mode
    cdef int32_t soft                  # how strict the mode is where nothing allows
    cdef bint observing, laddered

@cython.final
cdef class Words:
    cdef object code, ask, tell, retry_after_s
    cdef frozenset controls

cdef struct RowFacts:
    double trial_until                 # recorded only while now is before it
    PyObject *id
    PyObject *alone                    # (id,), made when it is first needed
    PyObject *words                    # Words, or NULL
    PyObject *limit                    # Limit, or NULL
    PyObject *code                     # of the words, or NULL
    int32_t points
    int32_t hold_s
    uint8_t level                      # how strict what it asks for is; 0 permits
    bint stops                         # where it holds, the arguments are changed: not answered here
    bint holds                         # its rule asks for somebody's answer

cdef struct Won:
    Py_ssize_t count, limits           # rows of one level, and how many of them are limits
    bint holding                       # every one of them asks for somebody's answer
    bint worded                        # one of them has words
    PyObject *code                     # the first reason code among them, or NULL

cdef struct Verdict:
    int32_t effect, verdict, soft      # what is enforced, what the rows say, what the mode makes of nothing: how strict
    int32_t by, reason                 # places in `deciders` and `reasons`
    bint named                         # rows ask for `verdict`
    Py_ssize_t on_trial
    Won won                            # the rows that ask for `effect`, and the first of them
    int32_t shown[SHOWN_MAX]

cdef struct Known:
    const char *text                   # the key's of `places`
    Py_ssize_t size
    PyObject *place                    # Place, or NULL: ask elsewhere

@cython.final
cdef class Answers:
    cdef Table table
    cdef Form request, answer, session
    cdef object facts_kind, knowledge, digest, default_reason
    cdef dict places                   # a tool's name -> Place; None: ask elsewhere
    cdef Place unknown
    cdef dict stances                  # what a request says -> Stance
    cdef Stance stance
    cdef RowFacts *rows                # [R]
    cdef readonly tuple rule_ids       # [R]; and, in `held`, limits and words: what `rows` points at
    cdef list held
    cdef Py_ssize_t row_count
    cdef tuple effects, reasons        # by how strict
    cdef tuple deciders
    cdef Blank blank                   # an answer of which nothing is said yet
    cdef Known *known                  # of `places`, the names in ASCII: open addressing; text NULL: nothing
    cdef uint64_t known_mask
    cdef bint permissive, scoped
    cdef Facts spare                   # used before, to be used again
    cdef dict cells                    # of Arrow tables read before, by their columns' paths
    cdef object mode_ask
    cdef int32_t mode_hold_s
    cdef Py_ssize_t tool_name, tool_args, said, scope
    cdef Py_ssize_t id, effect, verdict, by, reason, asked, now, mode, won, more, would_be, trial, risk, args
    cdef Py_ssize_t asks, hold_s, retry_after_s, tells, controls, reservations, call
    cdef Py_ssize_t session_id, begun, opened_at, session_digest, said_digest, counters
    cdef object find(self, object request, object session, object ledger, object now, object id)
    cdef int weigh_one(self, object request, object now, double moment, Verdict *verdict) except -1
    cdef int lay_out_names(self) except -1
    cdef PyObject *place_of(self, object name) except? NULL
    cdef Facts begin(self, object request, object session, object now)
    cdef int end(self, Facts facts) except -1
    cdef int gathered(self, Walk walk, Facts facts, Place place, object ledger, double now, list reserved,
                      list counters) except -1
    cdef int weighed(self, Walk walk, Facts facts, Stance stance, double now, Verdict *verdict) except -1
    cdef int settled(self, Walk walk, int32_t soft, bint observing, bint laddered, double now,
                     Verdict *verdict) noexcept nogil
    cdef object answered(self, Walk walk, Facts facts, Stance stance, list reserved, list counters, double now,
                         object id, Verdict *verdict)
    cdef int look(self, Walk walk, int32_t level, double now, Verdict *verdict) noexcept nogil
    cdef object ids(self, const int32_t *shown, Py_ssize_t count)
    cdef object ids_of_level(self, Walk walk, int32_t level, double now)
    cdef object ids_on_trial(self, Walk walk, double now)
    cdef int told(self, Walk walk, int32_t level, double now, object made) except -1
    cdef int hold(self, Walk walk, int32_t soft, double now, Facts facts, object made) except -1
    cdef int remembered(self, object session, object made) except -1
    cdef int lay_out(self, Py_ssize_t number, tuple row) except -1
