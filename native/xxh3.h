/* XXH3 with 64 bits, seed 0 and the secret it comes with: the xxHash specification, doc/xxhash_spec.md of release 0.8.
 *
 * The xxhash package gives the same numbers, and tests hold the two against each other; it takes a Python call, and
 * frames are marked and checked by the thousand without the interpreter. It tells a torn write, and proves nothing.
 */
#ifndef THOTH_XXH3_H
#define THOTH_XXH3_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const uint8_t xxh3_secret[192] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4, 0x6d, 0xe9,
    0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78,
    0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6,
    0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71,
    0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8, 0xa8, 0xfa, 0x76, 0x3f, 0xe3,
    0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8,
    0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa,
    0x13, 0x63, 0xeb, 0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b,
    0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f, 0x95,
    0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

#define XXH3_P32_1 0x9E3779B1u
#define XXH3_P32_2 0x85EBCA77u
#define XXH3_P32_3 0xC2B2AE3Du
#define XXH3_P64_1 0x9E3779B185EBCA87ull
#define XXH3_P64_2 0xC2B2AE3D27D4EB4Full
#define XXH3_P64_3 0x165667B19E3779F9ull
#define XXH3_P64_4 0x85EBCA77C2B2AE63ull
#define XXH3_P64_5 0x27D4EB2F165667C5ull

static inline uint32_t xxh3_32(const uint8_t *at) { uint32_t word; memcpy(&word, at, 4); return word; }
static inline uint64_t xxh3_64(const uint8_t *at) { uint64_t word; memcpy(&word, at, 8); return word; }
static inline uint64_t xxh3_rotate(uint64_t word, int count) { return (word << count) | (word >> (64 - count)); }

static inline uint64_t xxh3_fold(uint64_t left, uint64_t right) {
#if defined(__SIZEOF_INT128__)
    unsigned __int128 product = (unsigned __int128)left * right;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    uint64_t low = (left & 0xFFFFFFFF) * (right & 0xFFFFFFFF), one = (left >> 32) * (right & 0xFFFFFFFF);
    uint64_t two = (left & 0xFFFFFFFF) * (right >> 32), high = (left >> 32) * (right >> 32);
    uint64_t cross = (low >> 32) + (one & 0xFFFFFFFF) + two;
    return ((one >> 32) + (cross >> 32) + high) ^ ((cross << 32) | (low & 0xFFFFFFFF));
#endif
}

static inline uint64_t xxh3_avalanche(uint64_t hash) {
    hash ^= hash >> 37;
    hash *= 0x165667919E3779F9ull;
    return hash ^ (hash >> 32);
}

static inline uint64_t xxh3_avalanche_of_xxh64(uint64_t hash) {
    hash ^= hash >> 33;
    hash *= XXH3_P64_2;
    hash ^= hash >> 29;
    hash *= XXH3_P64_3;
    return hash ^ (hash >> 32);
}

static inline uint64_t xxh3_mix(const uint8_t *data, const uint8_t *secret) {
    return xxh3_fold(xxh3_64(data) ^ xxh3_64(secret), xxh3_64(data + 8) ^ xxh3_64(secret + 8));
}

static uint64_t xxh3_short(const uint8_t *data, size_t length) {
    const uint8_t *secret = xxh3_secret;
    if (length > 8) {
        uint64_t low = xxh3_64(data) ^ (xxh3_64(secret + 24) ^ xxh3_64(secret + 32));
        uint64_t high = xxh3_64(data + length - 8) ^ (xxh3_64(secret + 40) ^ xxh3_64(secret + 48));
        uint64_t swapped = low;
        swapped = (swapped & 0x00FF00FF00FF00FFull) << 8 | (swapped >> 8 & 0x00FF00FF00FF00FFull);
        swapped = (swapped & 0x0000FFFF0000FFFFull) << 16 | (swapped >> 16 & 0x0000FFFF0000FFFFull);
        swapped = xxh3_rotate(swapped, 32);
        return xxh3_avalanche(length + swapped + high + xxh3_fold(low, high));
    }
    if (length >= 4) {
        uint64_t both = xxh3_32(data + length - 4) + ((uint64_t)xxh3_32(data) << 32);
        uint64_t hash = both ^ (xxh3_64(secret + 8) ^ xxh3_64(secret + 16));
        hash ^= xxh3_rotate(hash, 49) ^ xxh3_rotate(hash, 24);
        hash *= 0x9FB21C651E98DF25ull;
        hash ^= (hash >> 35) + length;
        hash *= 0x9FB21C651E98DF25ull;
        return hash ^ (hash >> 28);
    }
    if (length) {
        uint32_t all = (uint32_t)data[0] << 16 | (uint32_t)data[length >> 1] << 24 | data[length - 1] | (uint32_t)length << 8;
        return xxh3_avalanche_of_xxh64(all ^ (uint64_t)(xxh3_32(secret) ^ xxh3_32(secret + 4)));
    }
    return xxh3_avalanche_of_xxh64(xxh3_64(secret + 56) ^ xxh3_64(secret + 64));
}

static uint64_t xxh3_middling(const uint8_t *data, size_t length) {
    const uint8_t *secret = xxh3_secret;
    uint64_t hash = length * XXH3_P64_1;
    if (length <= 128) {
        for (size_t i = (length - 1) / 32; i > 0; i--)
            hash += xxh3_mix(data + 16 * i, secret + 32 * i) + xxh3_mix(data + length - 16 * (i + 1), secret + 32 * i + 16);
        hash += xxh3_mix(data, secret) + xxh3_mix(data + length - 16, secret + 16);
        return xxh3_avalanche(hash);
    }
    for (size_t i = 0; i < 8; i++) hash += xxh3_mix(data + 16 * i, secret + 16 * i);
    hash = xxh3_avalanche(hash);
    for (size_t i = 8; i < length / 16; i++) hash += xxh3_mix(data + 16 * i, secret + 16 * (i - 8) + 3);
    return xxh3_avalanche(hash + xxh3_mix(data + length - 16, secret + 136 - 17));
}

static inline void xxh3_stripe(uint64_t *sums, const uint8_t *data, const uint8_t *secret) {
    for (int i = 0; i < 8; i++) {
        uint64_t value = xxh3_64(data + 8 * i), keyed = value ^ xxh3_64(secret + 8 * i);
        sums[i ^ 1] += value;
        sums[i] += (keyed & 0xFFFFFFFF) * (keyed >> 32);
    }
}

static uint64_t xxh3_long(const uint8_t *data, size_t length) {
    uint64_t sums[8] = {XXH3_P32_3, XXH3_P64_1, XXH3_P64_2, XXH3_P64_3, XXH3_P64_4, XXH3_P32_2, XXH3_P64_5, XXH3_P32_1};
    const uint8_t *secret = xxh3_secret, *last = data + length - 64;
    size_t blocks = (length - 1) / 1024;
    for (size_t block = 0; block < blocks; block++, data += 1024) {
        for (size_t i = 0; i < 16; i++) xxh3_stripe(sums, data + 64 * i, secret + 8 * i);
        for (int i = 0; i < 8; i++)
            sums[i] = (sums[i] ^ (sums[i] >> 47) ^ xxh3_64(secret + 128 + 8 * i)) * XXH3_P32_1;
    }
    for (size_t i = 0; i < (length - 1 - 1024 * blocks) / 64; i++) xxh3_stripe(sums, data + 64 * i, secret + 8 * i);
    xxh3_stripe(sums, last, secret + 192 - 64 - 7);
    uint64_t hash = length * XXH3_P64_1;
    for (int i = 0; i < 4; i++)
        hash += xxh3_fold(sums[2 * i] ^ xxh3_64(secret + 11 + 16 * i), sums[2 * i + 1] ^ xxh3_64(secret + 19 + 16 * i));
    return xxh3_avalanche(hash);
}

/* Little endian machines only. */
static uint64_t xxh3(const uint8_t *data, size_t length) {
    if (length <= 16) return xxh3_short(data, length);
    return length <= 240 ? xxh3_middling(data, length) : xxh3_long(data, length);
}

#endif
