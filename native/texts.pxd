from libc.stdint cimport uint64_t

cdef extern from "texts.h":
    bint text_is_ascii(object text) noexcept
    Py_hash_t text_hash(object text) except -1
    Py_hash_t text_hashed(object text) noexcept
    bint text_same(object one, object other) noexcept
    bint bytes_same(const char *one, const char *other, size_t size) noexcept nogil
    bint bytes_ascii(const char *data, size_t size) noexcept nogil
    bint bytes_plain_path(const char *data, size_t size) noexcept nogil
    uint64_t bytes_mixed(const char *data, size_t size) noexcept nogil
    bint text_is_settled_path(object text) noexcept
    bint int_is_short(object number) noexcept
    void refs_add(object one, Py_ssize_t count) noexcept
