"""Does a glob cover a whole text: two pointers and the last star.

`*` is any run of characters, none included; `?` is exactly one; a backslash
takes the next character as it is, and a last backslash is itself. A character
is a code point: nothing is folded and nothing normalised.
"""

from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ


def match_glob(str pattern not None, str text not None) -> bool:
    """True when `pattern` covers all of `text`.

    Cost: at most len(pattern) * len(text) steps, for only the last star is ever tried again; no memory.
    """
    return glob_holds(pattern, text)


cdef bint glob_holds(str pattern, str text) noexcept:
    # Giving the last star one more character loses nothing: what stood before it has matched as early as it could,
    # so a longer run for an earlier star leaves the rest less text, never more.
    cdef int pattern_kind = PyUnicode_KIND(pattern)
    cdef int text_kind = PyUnicode_KIND(text)
    cdef void *pattern_data = PyUnicode_DATA(pattern)
    cdef void *text_data = PyUnicode_DATA(text)
    cdef Py_ssize_t pattern_length = PyUnicode_GET_LENGTH(pattern)
    cdef Py_ssize_t text_length = PyUnicode_GET_LENGTH(text)
    cdef Py_ssize_t p = 0, t = 0
    cdef Py_ssize_t after_star = -1   # in pattern; -1 until a star has been seen
    cdef Py_ssize_t star_end = 0      # in text: where the last star's run ends, for now
    cdef Py_UCS4 wanted
    cdef bint holds

    while t < text_length:
        holds = False
        if p < pattern_length:
            wanted = PyUnicode_READ(pattern_kind, pattern_data, p)
            if wanted == u"*":
                p += 1
                after_star = p
                star_end = t
                continue
            if wanted == u"?":
                holds = True
            else:
                if wanted == u"\\" and p + 1 < pattern_length:
                    wanted = PyUnicode_READ(pattern_kind, pattern_data, p + 1)
                    holds = wanted == PyUnicode_READ(text_kind, text_data, t)
                    p += holds    # the backslash; the character itself is stepped over below
                else:
                    holds = wanted == PyUnicode_READ(text_kind, text_data, t)
        if holds:
            p += 1
            t += 1
        elif after_star >= 0:
            star_end += 1
            t = star_end
            p = after_star
        else:
            return False

    while p < pattern_length and PyUnicode_READ(pattern_kind, pattern_data, p) == u"*":
        p += 1
    return p == pattern_length
