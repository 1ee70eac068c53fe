from thoth.native.docket cimport Docket
from thoth.native.lane cimport Street
from thoth.native.spelling cimport Ink

cdef enum:
    SHOWN_MAX = 32

cdef class Asker:
    cdef readonly str name
    cdef object tenant, agent                # None: for all of them
    cdef bint asks
    cdef double until                        # epoch seconds

cdef class Template:
    cdef tuple shown
    cdef bytes before
    cdef bytes behind                        # the trace, if the envelope has one; None: it has none
    cdef list between                        # what stands between the ids, and around them

cdef class Posts:
    cdef Street street
    cdef Docket docket
    cdef bytes target
    cdef dict askers                         # SHA-256 of a key -> who asks with it
    cdef dict templates                      # (tool, rules) -> its templates, the one used last first
    cdef Py_ssize_t template_count
    cdef Py_ssize_t places[SHOWN_MAX]        # of what an envelope shows of a decision
    cdef Py_ssize_t shown_count
    cdef object policy, policy_of, cut, spell, clock
    cdef public object mine                  # says of a session whether it is kept here; None: all are
    cdef Py_ssize_t rules, session_id, tenant_id, agent_id, tool_name, environment
    cdef Ink ink
    cdef bint may_ask(self, Asker asker, object request) except -1
    cdef Template template_of(self, object decision, object request, bint traced)
    cdef bint fits(self, Template one, object decision, object request, bint traced) except -1
    cdef bytes filled(self, Template one, str id, double latency_s, bytes trace)
