from libc.stdint cimport int32_t

from thoth.native.forms cimport Form
from thoth.native.table cimport Table, Walk

cdef class Place:
    cdef object declared
    cdef tuple params, risk, rules     # risk and rules are Rows
    cdef dict kinds
    cdef frozenset optional
    cdef bint more, lenient

cdef class Missing:
    cdef readonly bytes key
    cdef readonly object facts
    cdef readonly list rows, reserved, counters

cdef class Template:
    cdef tuple values                  # one for each field of the answer
    cdef bint held, reserving, scoped

cdef struct RowFacts:
    double trial_until                 # recorded only while now is before it
    int32_t points
    int32_t level                      # how strict it is; 0 permits
    bint stops                         # where it holds, rows do not say it all

cdef class Answers:
    cdef Table table
    cdef Form request, answer
    cdef object facts_kind, knowledge, digest, default_reason
    cdef dict places                   # a tool's name -> Place; None: ask elsewhere
    cdef Place unknown
    cdef dict postures
    cdef int32_t posture
    cdef frozenset observing           # postures in which every row counts
    cdef RowFacts *rows                # [R]
    cdef list limits                   # [R] Limit or None
    cdef dict kept                     # rows and posture -> Template
    cdef Py_ssize_t row_count, kept_bytes
    cdef Py_ssize_t tool_name, tool_args, mode
    cdef Py_ssize_t id, asked, now, args, risk, reason, reservations, call
    cdef Py_ssize_t session_id, begun, opened_at, session_digest, said_digest, counters
    cdef object keyed(self, Walk walk, int32_t posture)
    cdef object filled(self, Template template, object facts, object args, list reserved, list counters, object id)
