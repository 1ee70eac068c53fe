"""A stretch of recorded calls: decided one after another, counted, and told to their session.

What takes more than that is handed back, and somebody else goes on from there: a call that was not read in, a decision
that reserves, holds or changes something, a result that is looked at, one that is the first of its kind.
"""

from thoth.native.entry cimport Entry
from thoth.native.forms cimport Form, put

cdef enum:
    # Places in the forms, by the order of their names.
    TOOL_NAME = 0
    TS = 1
    REQUEST = 2
    SUITE = 3
    AGENT = 4
    KIND = 5
    WAS = 6
    RESULT = 7
    WHOLE = 8
    EXECUTED = 9
    ENDED = 10
    TOOL_ERROR = 11
    EFFECT = 0
    VERDICT = 1
    BY = 2
    REASON_CODE = 3
    RULES = 4
    WOULD_BE = 5
    TRIAL = 6
    RESERVATIONS = 7
    VIOLATION = 8
    PROBLEM = 9
    CALLS = 0
    COUNTED = 1
    BLOCKS = 2
    LABELS = 3
    NAME = 0
    CLASSES = 1
    YIELDED = 2
    PENDING = 3
    PLAIN = 4

cdef object nothing = frozenset()


cdef class Forms:
    """The forms of a recorded call, of a decision, of a session, of a call in it, and of what a tool means to it."""

    def __init__(self, Form call not None, Form decision not None, Form session not None, Form past not None,
                 Form kind not None):
        assert call.names == (
            "tool_name", "ts", "request", "suite", "agent_id", "kind", "was", "result", "whole", "executed", "ended",
            "tool_error",
        )
        assert decision.names == (
            "effect", "verdict", "by", "reason_code", "rules", "would_be", "trial", "reservations", "violation", "problem",
        )
        assert session.names == ("calls", "counted", "blocks", "labels")
        assert past.names == ("id", "tool", "classes", "at", "ending", "told", "pending", "number")
        assert kind.names == ("name", "classes", "labels", "pending", "plain")
        self.call, self.decision, self.session, self.past, self.kind = call, decision, session, past, kind


cdef class Passage:
    """Goes through stretches of recorded calls under one table."""

    def __init__(self, Forms forms not None, Entry entry not None, table, dict kinds not None, allow, block, completed,
                 remember, Py_ssize_t calls_max):
        """Take the `kinds` of tools by name and suite, as they come to be known.

        `remember` takes in a call that completed, where what it returned is to be kept; None where nothing is.
        """
        self.forms, self.entry, self.table, self.kinds = forms, entry, table, kinds
        self.allow, self.block, self.completed, self.remember, self.calls_max = allow, block, completed, remember, calls_max
        self.allow_text, self.block_text = allow._value_, block._value_

    def run(self, tuple calls not None, Py_ssize_t at, session, ledger, dict counts not None, set known not None,
            list marks not None, suite, agent, double since, double until, bint stopped, Py_ssize_t number,
            Py_ssize_t shown):
        """Go on from the call at `at`; return where it ended, `stopped`, `number`, and a decision.

        The decision is about the call at which it ended and has not been counted; None where that call has not been
        decided either. Calls are of one `suite` and one `agent`, between `since` and `until`; a kind of outcome is
        handed back until it has been counted `shown` times, if it is a stop.
        """
        cdef Form form = self.forms.call, said = self.forms.decision, inside = self.forms.session, of = self.forms.kind
        cdef object call, request, decision = None, effect, ts, id, tool, means, key, cell, text, result
        cdef double moment
        cdef bint blocks
        while at < len(calls):
            call = calls[at]
            request, ts, tool = form.read(call, REQUEST), form.read(call, TS), form.read(call, TOOL_NAME)
            moment = ts
            if (
                request is None or not (since <= moment < until) or form.read(call, AGENT) != agent
                or form.read(call, SUITE) != suite or form.read(call, KIND) is None or form.read(call, WAS) is not None
                or type(tool) is not str or tool not in known
            ):
                break
            number += 1
            id = str(number)
            decision = self.entry.decided(self.table, request, session, ledger, ts, None, id)
            effect = said.read(decision, EFFECT)
            blocks = effect is self.block
            if not blocks and effect is not self.allow:
                break
            means, result = self.kinds.get((tool, suite)), form.read(call, RESULT)
            if (
                means is None or result is None or self.plain(call, decision, means, effect) == 0
                or len(<list>inside.read(session, CALLS)) >= self.calls_max
            ):
                break
            text = self.block_text if blocks else self.allow_text
            key = (
                tool, form.read(call, KIND), stopped, text, said.read(decision, BY)._value_,
                said.read(decision, REASON_CODE), said.read(decision, RULES),
            )
            cell = counts.get(key)
            if cell is None or (blocks and <Py_ssize_t>(<list>cell)[0] < shown):
                break
            (<list>cell)[0] = <Py_ssize_t>(<list>cell)[0] + 1
            marks.append(text)
            if blocks:
                inside.write(session, BLOCKS, <Py_ssize_t>inside.read(session, BLOCKS) + 1)
                stopped = True
            if self.remember is None:
                self.take_in(session, id, of, means, ts, form.read(call, WHOLE))
            else:
                self.remember(id, means, session, ts, result, form.read(call, WHOLE))
            decision = None
            at += 1
        return at, stopped, number, decision

    cdef bint plain(self, object call, object decision, object means, object effect) except -1:
        """Say whether a decision is nothing but its effect, and its call completed with a result nobody looks at."""
        cdef Form form = self.forms.call, said = self.forms.decision
        return (
            said.read(decision, VERDICT) is effect
            and not <tuple>said.read(decision, RESERVATIONS)
            and said.read(decision, VIOLATION) is None
            and not <str>said.read(decision, PROBLEM)
            and not <tuple>said.read(decision, WOULD_BE)
            and not <tuple>said.read(decision, TRIAL)
            and self.forms.kind.read(means, PLAIN) is True
            and form.read(call, EXECUTED) is True
            and form.read(call, ENDED) is True
            and form.read(call, TOOL_ERROR) is None
        )

    cdef int take_in(self, object session, object id, Form of, object means, object ts, object whole) except -1:
        """Take in a call that completed, as `Rerun.completed` does where nothing that is returned is kept."""
        cdef Form inside = self.forms.session, past = self.forms.past
        cdef object counted = <Py_ssize_t>inside.read(session, COUNTED) + 1
        cdef object call = past.begun(), labels = of.read(means, YIELDED)
        put(past, call, 0, id)
        put(past, call, 1, of.read(means, NAME))
        put(past, call, 2, of.read(means, CLASSES))
        put(past, call, 3, ts)
        put(past, call, 4, self.completed)
        put(past, call, 5, whole)
        put(past, call, 6, nothing if whole is True else of.read(means, PENDING))
        put(past, call, 7, counted)
        inside.write(session, COUNTED, counted)
        (<list>inside.read(session, CALLS)).append(call)
        if labels:
            (<set>inside.read(session, LABELS)).update(labels)
        return 0
