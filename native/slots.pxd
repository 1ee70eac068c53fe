from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from thoth.native.arena cimport TEXT, Beginning, Entry, Sections, Test, Tree

cdef enum:
    DECLINED = 4         # in place of an answer: only Python can tell

cdef extern from "Python.h":
    void *PyUnicode_DATA(object text)
    bint PyUnicode_IS_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef extern from *:
    void fetch "__builtin_prefetch" (const void *at) noexcept nogil

cdef struct Slot:
    int64_t integer
    double real
    const char *text     # UTF-8, kept alive by the value itself
    uint32_t size        # of the text, bytes
    uint32_t chars
    uint32_t first, count    # of a list, its items
    uint8_t form
    uint8_t plain        # of a path: 1 it is in its normal form, 2 that is not known, 0 not looked at
    bint ascii

cdef struct Probe:       # what is sought among entries
    const Entry *entries
    const void *bytes    # of the text, or of the number
    uint32_t mask        # of the number of entries
    uint32_t hash, kind  # as an entry has them
    uint32_t place       # where it may be; `mask + 1` where it is not

cdef int fill(Slot *slot, object value) except -1
cdef int answer_of(const Sections *arena, const Test *test, Slot *slot, Slot *items, Py_ssize_t scan_chars) noexcept nogil
cdef void seek(Probe *probe, const Sections *arena, uint32_t first, uint32_t count, const void *bytes, size_t size, int form) noexcept nogil
cdef void approach(Probe *probe) noexcept nogil
cdef const Entry *settled(Probe *probe, const Sections *arena) noexcept nogil
cdef const Entry *entry_of(const Sections *arena, uint32_t first, uint32_t count, const Slot *slot, int form) noexcept nogil
cdef int32_t beginning_of(const Sections *arena, const Beginning *all, uint32_t count, const Slot *slot, bint folder) noexcept nogil
cdef uint32_t segment_of(const Sections *arena, const Tree *tree, const Slot *slot) noexcept nogil
cdef bint plain_folder(Slot *slot) noexcept nogil


cdef inline bint fill_ascii(Slot *slot, object text) noexcept:
    """Take a text in, if it is ASCII: that is in NFC as it stands."""
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text)
    if not PyUnicode_IS_ASCII(text) or size > 0x7FFFFFFF:
        return False
    slot.form, slot.plain, slot.ascii = TEXT, 0, True
    slot.text, slot.size, slot.chars = <const char *>PyUnicode_DATA(text), <uint32_t>size, <uint32_t>size
    return True


cdef inline bint begins_as_mark(object text) noexcept:
    """Say whether a text in ASCII may be what a client put in the place of a value that it could not send."""
    return PyUnicode_GET_LENGTH(text) > 0 and (<const char *>PyUnicode_DATA(text))[0] == b"["
