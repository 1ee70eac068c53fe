from thoth.native.entry cimport Entry
from thoth.native.forms cimport Blank, Form
from thoth.native.running cimport Running
from thoth.native.wire cimport Wire

cdef extern from "pythread.h":
    ctypedef void *PyThread_type_lock

cdef class Lock:
    cdef PyThread_type_lock lock
    cdef int take(self) except -1
    cdef int leave(self) except -1

cdef class Ids:
    cdef readonly str text       # the prefix
    cdef bytes prefix
    cdef unsigned long long number
    cdef str made(self)

cdef class Explainer:
    cdef object explain, engine, session, approval, seen

cdef class Desk:
    cdef readonly Lock lock
    cdef readonly Ids ids
    cdef Entry entry                     # None: `decide_in_full` decides, after `admit`
    cdef object table, admit, admit_text, decide_in_full
    cdef public object ledger, recorder
    cdef Wire wire
    cdef readonly Running running        # session of each call that was let through and has not ended
    cdef object clock, engine, explain, session_of, unrecorded, account, remember, allow
    cdef Explainer explainer             # of decisions outside sessions
    cdef Form request, decision, session, call, outcome, heard
    cdef object sessions                 # id -> session, the one used last at the end; with `move_to_end`
    cdef dict memories                   # a tool's name -> its classes, and the labels that it brings
    cdef frozenset plain                 # tools of which all calls are remembered alike
    cdef frozenset quiet                 # those of them of whose results no rule says anything, and that bring no label
    cdef tuple endings                   # (ending, its text) of each
    cdef double in_flight_s
    cdef Blank refusal                   # a call that is not decided at all: BLOCK by error
    cdef Py_ssize_t running_max, calls_max
    cdef Py_ssize_t session_id, tenant_id, tool_name, asked, effect, reservations, violation, explaining, id, now
    cdef Py_ssize_t args, reason_code, problem, tool_args
    cdef object version_of(self, object session)
    cdef Explainer explainer_of(self, object session, object approval, object seen)
    cdef object decide_taken(self, object admitted, object session, object approval)
    cdef object taken_for(self, bytes given, str tenant)
    cdef object decide_one(self, object given, object session, object approval)
    cdef object taken_in(self, object given)
    cdef object refused(self, object admitted, object reason_code, object problem)
    cdef object known_session(self, object request)
    cdef object decided(self, object admitted, object session, object approval)
    cdef int count(self, object request, str id, object now, object session) except -1
    cdef bytes hear(self, object session, str id, object ending, str text)
