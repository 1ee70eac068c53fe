from thoth.native.facts cimport Facts, Reader
from thoth.native.forms cimport Form

cdef class Accounts:
    cdef Form ledger, account

cdef class Limit:
    cdef Accounts accounts
    cdef Form form, counter
    cdef str id
    cdef Reader key, amount    # None: the session's id; None: one
    cdef bint spelled
    cdef object most, window_s
    cdef object reserved(self, Facts facts)
    cdef object spent(self, object ledger, object key, object since, str leave_out)
    cdef bint roomy(self, object reservation, object now, object ledger, str leave_out, list counters) except -1
