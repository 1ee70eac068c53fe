cdef extern from "texts.h":
    bint text_is_ascii(object text) noexcept
    Py_hash_t text_hash(object text) except -1
    bint text_same(object one, object other) noexcept
    bint text_is_settled_path(object text) noexcept
