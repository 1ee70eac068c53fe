"""The way in: one call takes a request in, and gives its answer out.

What is not plain, and what takes more than the rows that hold, is handed on to functions that can do everything.
"""

from thoth.native.admission cimport Intake
from thoth.native.answer cimport Answers


cdef class Entry:
    """Takes requests in by an `Intake`, or by `admit`, which may return a `fault`; answers by a table, or `in_full`."""

    def __init__(self, Intake intake not None, fault, admit, in_full):
        self.intake, self.fault, self.admit, self.in_full = intake, fault, admit, in_full

    def decide(self, table, given, *, session=None, ledger=None, now, approval=None, str id=""):
        """Decide one request. Total: whatever is given, a decision comes back.

        Cost: one pass over the request, and over the rows of its tool; each distinct test at most once.
        """
        cdef object request = self.intake.read_in(given)
        if request is None:
            request = given if isinstance(given, self.fault) else self.admit(given)
        return self.decided(table, request, session, ledger, now, approval, id)

    def decide_admitted(self, table, request, *, session, ledger, now, approval, str id):
        """Decide what `admit` returned; nobody else may have had a hand on it since."""
        return self.decided(table, request, session, ledger, now, approval, id)

    cdef object decided(self, object table, object request, object session, object ledger, object now, object approval,
                        object id):
        cdef object found
        if approval is None and type(request) is self.intake.form.kind:
            found = (<Answers?>table.answers).find(request, session, ledger, now, id)
            if found is not None:
                return found
        return self.in_full(table, request, session, ledger, now, approval, id)
