/* XXH64 (Yann Collet, BSD-2-Clause) of a few bytes, as https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 * describes it. It picks a slot; comparing the bytes decides. */

#ifndef THOTH_XXH64_H
#define THOTH_XXH64_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define XXH_1 0x9E3779B185EBCA87ULL
#define XXH_2 0xC2B2AE3D27D4EB4FULL
#define XXH_3 0x165667B19E3779F9ULL
#define XXH_4 0x85EBCA77C2B2AE63ULL
#define XXH_5 0x27D4EB2F165667C5ULL

static inline uint64_t xxh_rotl(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

/* Little-endian reads: the arena, too, is laid out for little-endian machines, and checked to be. */
static inline uint64_t xxh_read64(const uint8_t *at) { uint64_t x; memcpy(&x, at, 8); return x; }
static inline uint64_t xxh_read32(const uint8_t *at) { uint32_t x; memcpy(&x, at, 4); return x; }

static inline uint64_t xxh_round(uint64_t lane, uint64_t input) {
    return xxh_rotl(lane + input * XXH_2, 31) * XXH_1;
}

static inline uint64_t xxh64(const void *bytes, size_t length, uint64_t seed) {
    const uint8_t *at = (const uint8_t *)bytes, *end = at + length;
    uint64_t hash;
    if (length >= 32) {
        uint64_t a = seed + XXH_1 + XXH_2, b = seed + XXH_2, c = seed, d = seed - XXH_1;
        do {
            a = xxh_round(a, xxh_read64(at));
            b = xxh_round(b, xxh_read64(at + 8));
            c = xxh_round(c, xxh_read64(at + 16));
            d = xxh_round(d, xxh_read64(at + 24));
            at += 32;
        } while (at + 32 <= end);
        hash = xxh_rotl(a, 1) + xxh_rotl(b, 7) + xxh_rotl(c, 12) + xxh_rotl(d, 18);
        hash = (hash ^ xxh_round(0, a)) * XXH_1 + XXH_4;
        hash = (hash ^ xxh_round(0, b)) * XXH_1 + XXH_4;
        hash = (hash ^ xxh_round(0, c)) * XXH_1 + XXH_4;
        hash = (hash ^ xxh_round(0, d)) * XXH_1 + XXH_4;
    } else {
        hash = seed + XXH_5;
    }
    hash += (uint64_t)length;
    for (; at + 8 <= end; at += 8) hash = xxh_rotl(hash ^ xxh_round(0, xxh_read64(at)), 27) * XXH_1 + XXH_4;
    for (; at + 4 <= end; at += 4) hash = xxh_rotl(hash ^ (xxh_read32(at) * XXH_1), 23) * XXH_2 + XXH_3;
    for (; at < end; at++) hash = xxh_rotl(hash ^ (*at * XXH_5), 11) * XXH_1;
    hash = (hash ^ (hash >> 33)) * XXH_2;
    hash = (hash ^ (hash >> 29)) * XXH_3;
    return hash ^ (hash >> 32);
}

#endif
