"""What a call takes from a limit, and whether there is room for it.

Who keeps the accounts is somebody else: a ledger is asked for a total, and answers a number, or None where it cannot.
"""

from fractions import Fraction

from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

from thoth.native.facts cimport Facts, Reader
from thoth.native.forms cimport Form
from thoth.native.provenance import spell
from thoth.native.values cimport is_number, text_of, unknown

cdef enum:
    # Places in the forms.
    SPENT = 0
    LOST_UNTIL = 1
    TIMES = 0
    SUMS = 1
    BEFORE = 2

cdef object _fraction = Fraction
cdef object _spell = spell


cdef class Accounts:
    """The forms of a ledger and of the accounts in it, in which totals are read without asking it.

    A ledger of another class is asked.
    """

    def __init__(self, Form ledger not None, Form account not None):
        assert ledger.names == ("spent", "lost_until") and account.names == ("times", "sums", "before")
        self.ledger, self.account = ledger, account


cdef class Limit:
    """One limit: `most` in `window_s` by what `key` reads, of what `amount` reads, or of calls.

    Without `key` it counts by session. `spelled`: the key is an argument, which may be a number or a boolean.
    """

    def __init__(self, Accounts accounts not None, Form form not None, Form counter not None, str id not None, Reader key, Reader amount,
                 bint spelled, most, window_s):
        assert form.names == ("limit", "key", "amount") and counter.names == ("limit", "key", "spent")
        self.accounts = accounts
        self.form, self.counter, self.id, self.key, self.amount, self.spelled = form, counter, id, key, amount, spelled
        self.most, self.window_s = most.numerator if most.denominator == 1 else most, window_s

    def reserve(self, Facts facts not None):
        """Return the reservation of a call, None where the key or the amount cannot be read."""
        return self.reserved(facts)

    cdef object reserved(self, Facts facts):
        cdef PyObject *values[3]
        cdef object key, amount = 1
        if self.key is None:
            key = None if facts.session is None else facts.session.id
        else:
            key = self.key.value(facts)
            if not self.spelled:
                key = None if key is unknown else key
            elif type(key) is bool:
                key = "true" if key else "false"
            elif is_number(key):
                key = _spell(key)
            else:
                key = text_of(key)
                key = None if key is None else "=" + <str>key
        if self.amount is not None:
            amount = self.amount.value(facts)
        if key is None or not is_number(amount) or amount < 0:
            return None
        if type(amount) is float:
            amount = _fraction(amount)
        for one in (self.id, key, amount):
            Py_INCREF(one)
        values[0], values[1], values[2] = <PyObject *>self.id, <PyObject *>key, <PyObject *>amount
        return self.form.made(values)

    def has_room(self, reservation, now, ledger, str leave_out not None, list counters not None) -> bool:
        """Say whether there is room, and add to `counters` what was read; what could not be made or counted has none."""
        return self.roomy(reservation, now, ledger, leave_out, counters)

    cdef bint roomy(self, object reservation, object now, object ledger, str leave_out, list counters) except -1:
        cdef PyObject *values[3]
        cdef object spent
        if reservation is None or ledger is None:
            return False
        spent = self.spent(ledger, reservation.key, now - self.window_s, leave_out)
        for one in (self.id, reservation.key, spent):
            Py_INCREF(one)
        values[0], values[1], values[2] = <PyObject *>self.id, <PyObject *>reservation.key, <PyObject *>spent
        counters.append(self.counter.made(values))
        return spent is not None and spent + reservation.amount <= self.most

    cdef object spent(self, object ledger, object key, object since, str leave_out):
        """Return what `ledger.total` returns."""
        cdef Form form = self.accounts.ledger, account = self.accounts.account
        cdef PyObject *found
        cdef list times, sums
        cdef double moment
        cdef Py_ssize_t low = 0, high, middle
        if leave_out or type(ledger) is not form.kind:
            return ledger.total(self.id, key, since, leave_out)
        found = PyDict_GetItemWithError(form.read(ledger, SPENT), (self.id, key))
        if found == NULL:
            return None if form.read(ledger, LOST_UNTIL) > since else 0
        if type(<object>found) is not account.kind:
            return ledger.total(self.id, key, since, leave_out)
        times, sums = account.read(<object>found, TIMES), account.read(<object>found, SUMS)
        moment, high = since, len(times)
        if not high or <double>times[high - 1] <= moment:
            return 0
        while low < high:
            middle = (low + high) // 2
            if moment < <double>times[middle]:
                high = middle
            else:
                low = middle + 1
        return sums[len(sums) - 1] - (sums[low - 1] if low else account.read(<object>found, BEFORE))
