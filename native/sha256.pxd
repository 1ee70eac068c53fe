"""SHA-256 in C, as `sha256.h` says; a module that hashes calls `sha256_choose(1)` once, when it is loaded."""

from libc.stdint cimport uint8_t

cdef extern from "sha256.h" nogil:
    ctypedef struct sha256_run:
        pass
    ctypedef struct sha256_message:
        const uint8_t *data
        size_t length
        uint8_t *digest
    ctypedef struct sha256_chain:
        uint8_t *link
        const uint8_t *leaves
        size_t count
        int prefix
    int sha256_choose(int want_ni)
    void sha256_begin(sha256_run *run)
    void sha256_take(sha256_run *run, const uint8_t *data, size_t length)
    void sha256_end(sha256_run *run, uint8_t *digest)
    void sha256_prefixed(uint8_t prefix, const uint8_t *first, size_t first_length,
                         const uint8_t *second, size_t second_length, uint8_t *digest)
    void sha256_two_nodes(uint8_t prefix, const uint8_t *first, uint8_t *first_digest, const uint8_t *second,
                          uint8_t *second_digest)
    void sha256_many(int prefix, const sha256_message *messages, size_t count, sha256_chain *chain)
