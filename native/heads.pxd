from libc.stdint cimport uint8_t

cdef struct Head:
    const uint8_t *key
    const uint8_t *agent             # NULL: there is none
    const uint8_t *body
    Py_ssize_t key_bytes, agent_bytes, body_bytes

cdef bint read_head(bytes data, bytes target, Head *head) noexcept
