from thoth.native.admission cimport Intake

cdef class Entry:
    cdef Intake intake
    cdef object fault, admit, in_full
    cdef object decided(self, object table, object request, object session, object ledger, object now, object approval,
                        object id)
