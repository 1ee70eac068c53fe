# As match_glob, for other extensions; neither may be None, and nothing here looks.
cdef bint glob_holds(str pattern, str text) noexcept
