"""What a call takes from a limit, and whether there is room for it.

Who keeps the accounts is somebody else: a ledger is asked for a total, and answers a number, or None where it cannot.
"""

from fractions import Fraction

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

from thoth.native.facts cimport Facts, Reader
from thoth.native.forms cimport Form
from thoth.native.provenance import spell
from thoth.native.values cimport is_number, text_of, unknown

cdef object _fraction = Fraction
cdef object _spell = spell


cdef class Limit:
    """One limit: `most` in `window_s` by what `key` reads, of what `amount` reads, or of calls.

    Without `key` it counts by session. `spelled`: the key is an argument, which may be a number or a boolean.
    """

    def __init__(self, Form form not None, Form counter not None, str id not None, Reader key, Reader amount,
                 bint spelled, most, window_s):
        assert form.names == ("limit", "key", "amount") and counter.names == ("limit", "key", "spent")
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
        spent = ledger.total(self.id, reservation.key, now - self.window_s, leave_out)
        for one in (self.id, reservation.key, spent):
            Py_INCREF(one)
        values[0], values[1], values[2] = <PyObject *>self.id, <PyObject *>reservation.key, <PyObject *>spent
        counters.append(self.counter.made(values))
        return spent is not None and spent + reservation.amount <= self.most
