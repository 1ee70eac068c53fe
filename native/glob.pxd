cdef bint glob_holds(str pattern, str text) noexcept
