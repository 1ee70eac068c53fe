/* SHA-256 (FIPS 180-4) over memory, for hashes too short to be worth a call into a library.
 *
 * One hashlib call costs as much as hashing 500 bytes. On x86-64 the processor's own instructions are used where it
 * has them, asked for when the module is loaded; everywhere else the rounds are plain C. Both give the same bytes.
 */
#ifndef THOTH_SHA256_H
#define THOTH_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define THOTH_SHA256_NI 1
#include <cpuid.h>
#include <immintrin.h>
#else
#define THOTH_SHA256_NI 0
#endif

typedef struct {
    uint32_t state[8];
    uint64_t total;   /* bytes taken so far */
    uint8_t tail[64]; /* the last total % 64 of them */
} sha256_run;

static const uint32_t sha256_k[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t sha256_rotate(uint32_t word, int count) { return (word >> count) | (word << (32 - count)); }

static void sha256_blocks_plain(uint32_t *state, const uint8_t *data, size_t count) {
    while (count--) {
        uint32_t w[64], a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int i = 0; i < 16; i++, data += 4)
            w[i] = (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
        for (int i = 16; i < 64; i++) {
            uint32_t s0 = sha256_rotate(w[i - 15], 7) ^ sha256_rotate(w[i - 15], 18) ^ (w[i - 15] >> 3);
            uint32_t s1 = sha256_rotate(w[i - 2], 17) ^ sha256_rotate(w[i - 2], 19) ^ (w[i - 2] >> 10);
            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        for (int i = 0; i < 64; i++) {
            uint32_t s1 = sha256_rotate(e, 6) ^ sha256_rotate(e, 11) ^ sha256_rotate(e, 25);
            uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + sha256_k[i] + w[i];
            uint32_t s0 = sha256_rotate(a, 2) ^ sha256_rotate(a, 13) ^ sha256_rotate(a, 22);
            uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

#if THOTH_SHA256_NI
/* Two rounds an instruction, on state words laid out as ABEF and CDGH: Intel's "SHA Extensions" paper, 2013. */
__attribute__((target("sha,sse4.1,ssse3")))
static void sha256_blocks_ni(uint32_t *state, const uint8_t *data, size_t count) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(low, high, 8);
    __m128i cdgh = _mm_blend_epi16(high, low, 0xF0);

    while (count--) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; i++, data += 16)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)data), big_endian);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            __m128i word = _mm_add_epi32(w[i & 3], _mm_load_si128((const __m128i *)(sha256_k + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, word);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(word, 0x0E));
            if (i < 12) {
                __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]),
                                            _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(sum, w[(i + 3) & 3]);
            }
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }

    low = _mm_shuffle_epi32(abef, 0x1B);
    high = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
}

/* The same for two messages at once: one instruction waits for the one before it, so two runs take little longer than
 * one. `step` 0 and 1 are the two messages. */
#define SHA256_LOAD(step) \
    __m128i low##step = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state##step), 0xB1); \
    __m128i high##step = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state##step + 4)), 0x1B); \
    __m128i abef##step = _mm_alignr_epi8(low##step, high##step, 8); \
    __m128i cdgh##step = _mm_blend_epi16(high##step, low##step, 0xF0);
#define SHA256_TAKE(step) \
    const __m128i abef_before##step = abef##step, cdgh_before##step = cdgh##step; \
    __m128i w##step[4]; \
    for (int i = 0; i < 4; i++, data##step += 16) \
        w##step[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)data##step), big_endian);
#define SHA256_ROUNDS(step) { \
    __m128i word = _mm_add_epi32(w##step[i & 3], _mm_load_si128((const __m128i *)(sha256_k + 4 * i))); \
    cdgh##step = _mm_sha256rnds2_epu32(cdgh##step, abef##step, word); \
    abef##step = _mm_sha256rnds2_epu32(abef##step, cdgh##step, _mm_shuffle_epi32(word, 0x0E)); \
    if (i < 12) { \
        __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w##step[i & 3], w##step[(i + 1) & 3]), \
                                    _mm_alignr_epi8(w##step[(i + 3) & 3], w##step[(i + 2) & 3], 4)); \
        w##step[i & 3] = _mm_sha256msg2_epu32(sum, w##step[(i + 3) & 3]); \
    } }
#define SHA256_ADD(step) \
    abef##step = _mm_add_epi32(abef##step, abef_before##step); \
    cdgh##step = _mm_add_epi32(cdgh##step, cdgh_before##step);
#define SHA256_STORE(step) \
    low##step = _mm_shuffle_epi32(abef##step, 0x1B); \
    high##step = _mm_shuffle_epi32(cdgh##step, 0xB1); \
    _mm_storeu_si128((__m128i *)state##step, _mm_blend_epi16(low##step, high##step, 0xF0)); \
    _mm_storeu_si128((__m128i *)(state##step + 4), _mm_alignr_epi8(high##step, low##step, 8));

__attribute__((target("sha,sse4.1,ssse3")))
static void sha256_blocks_ni_twice(uint32_t *state0, const uint8_t *data0, uint32_t *state1, const uint8_t *data1,
                                   size_t count) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    SHA256_LOAD(0) SHA256_LOAD(1)
    while (count--) {
        SHA256_TAKE(0) SHA256_TAKE(1)
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            SHA256_ROUNDS(0)
            SHA256_ROUNDS(1)
        }
        SHA256_ADD(0) SHA256_ADD(1)
    }
    SHA256_STORE(0) SHA256_STORE(1)
}
#endif

/* Whether this processor has the instructions: SHA is bit 29 of EBX in leaf 7, SSSE3 and SSE4.1 bits 9 and 19 of ECX
 * in leaf 1. None of them needs more of the operating system than SSE2 does, which x86-64 always has. */
static int sha256_has_ni(void) {
#if THOTH_SHA256_NI
    unsigned int eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx >> 9 & 1) || !(ecx >> 19 & 1)) return 0;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx >> 29 & 1);
#else
    return 0;
#endif
}

static void (*sha256_blocks)(uint32_t *state, const uint8_t *data, size_t count) = sha256_blocks_plain;

/* Chooses the rounds for every later hash; 0 asks for plain C. Returns whether the processor's own are in use. */
static int sha256_choose(int want_ni) {
    int ni = want_ni && sha256_has_ni();
#if THOTH_SHA256_NI
    sha256_blocks = ni ? sha256_blocks_ni : sha256_blocks_plain;
#endif
    return ni;
}

static inline void sha256_begin(sha256_run *run) {
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(run->state, start, sizeof start);
    run->total = 0;
}

static inline void sha256_take(sha256_run *run, const uint8_t *data, size_t length) {
    size_t held = run->total % 64;
    if (!length) return; /* and then there may be no data to point at */
    run->total += length;
    if (held) {
        size_t taken = length < 64 - held ? length : 64 - held;
        memcpy(run->tail + held, data, taken);
        data += taken;
        length -= taken;
        if (held + taken < 64) return;
        sha256_blocks(run->state, run->tail, 1);
    }
    if (length >= 64) {
        sha256_blocks(run->state, data, length / 64);
        data += length / 64 * 64;
    }
    memcpy(run->tail, data, length % 64);
}

static inline void sha256_put_word(uint8_t *to, uint32_t word) {
    to[0] = (uint8_t)(word >> 24), to[1] = (uint8_t)(word >> 16), to[2] = (uint8_t)(word >> 8), to[3] = (uint8_t)word;
}

/* Ends the last block, or the last two, of a message of so many bits, of which `held` bytes lie in `last` already, which
 * has room for two blocks; returns how many. */
static inline size_t sha256_end_blocks(uint8_t *last, size_t held, uint64_t bits) {
    size_t blocks = held < 56 ? 1 : 2;
    last[held] = 0x80;
    memset(last + held + 1, 0, 64 * blocks - held - 1);
    sha256_put_word(last + 64 * blocks - 8, (uint32_t)(bits >> 32));
    sha256_put_word(last + 64 * blocks - 4, (uint32_t)bits);
    return blocks;
}

static inline void sha256_put(const uint32_t *state, uint8_t *digest) {
    for (int i = 0; i < 8; i++) sha256_put_word(digest + 4 * i, state[i]);
}

static inline void sha256_end(sha256_run *run, uint8_t *digest) {
    uint8_t last[128];
    memcpy(last, run->tail, 64);
    sha256_blocks(run->state, last, sha256_end_blocks(last, run->total % 64, run->total * 8));
    sha256_put(run->state, digest);
}

/* Rounds over `count` blocks of two messages that have nothing to do with each other. */
static inline void sha256_blocks_two(uint32_t *state0, const uint8_t *data0, uint32_t *state1, const uint8_t *data1,
                                     size_t count) {
#if THOTH_SHA256_NI
    if (sha256_blocks == sha256_blocks_ni) {
        sha256_blocks_ni_twice(state0, data0, state1, data1, count);
        return;
    }
#endif
    sha256_blocks(state0, data0, count);
    sha256_blocks(state1, data1, count);
}

/* A message to be hashed behind one byte of prefix, or behind none where the prefix is below zero. */
typedef struct {
    const uint8_t *data;
    size_t length;
    uint8_t *digest; /* where 32 bytes of it go */
} sha256_message;

/* A message on its way: up to three runs of blocks, of which only the one in the middle lies where the caller has it. */
typedef struct {
    uint32_t state[8];
    const uint8_t *at[3];
    size_t count[3]; /* blocks left of each run; none is empty but the last */
    int run;
    uint8_t *digest;
    uint8_t first[64], last[128];
} sha256_lane;

static inline void sha256_start(uint32_t *state) {
    sha256_run run;
    sha256_begin(&run);
    memcpy(state, run.state, sizeof run.state);
}

static inline void sha256_lane_begin(sha256_lane *lane, int prefix, const sha256_message *message) {
    const uint8_t *rest = message->data;
    size_t left = message->length, held = 0, blocks;
    uint64_t bits = (left + (prefix >= 0)) * (uint64_t)8;
    int run = 0;
    sha256_start(lane->state);
    lane->count[1] = lane->count[2] = 0;
    if (prefix >= 0) {
        if (left >= 63) {
            lane->first[0] = (uint8_t)prefix;
            memcpy(lane->first + 1, rest, 63);
            lane->at[0] = lane->first;
            lane->count[0] = run = 1;
            rest += 63;
            left -= 63;
        } else {
            lane->last[0] = (uint8_t)prefix;
            held = 1;
        }
    }
    blocks = held ? 0 : left / 64;
    if (blocks) {
        lane->at[run] = rest;
        lane->count[run++] = blocks;
        rest += 64 * blocks;
        left -= 64 * blocks;
    }
    if (left) memcpy(lane->last + held, rest, left);
    lane->at[run] = lane->last;
    lane->count[run] = sha256_end_blocks(lane->last, held + left, bits);
    lane->run = 0;
    lane->digest = message->digest;
}

/* Lays out prefix and 64 bytes, two halves, as the two blocks that they fill. */
static inline void sha256_lay_pair(uint8_t *blocks, int prefix, const uint8_t *left, const uint8_t *right) {
    blocks[0] = (uint8_t)prefix;
    memcpy(blocks + 1, left, 32);
    memcpy(blocks + 33, right, 32);
    sha256_end_blocks(blocks, 65, 65 * 8);
}

/* Takes note of `count` blocks that were hashed; whether that was the end of the message, whose digest is then put. */
static inline int sha256_lane_step(sha256_lane *lane, size_t count) {
    int run = lane->run;
    lane->at[run] += 64 * count;
    lane->count[run] -= count;
    if (lane->count[run]) return 0;
    if (run < 2 && lane->count[run + 1]) {
        lane->run = run + 1;
        return 0;
    }
    sha256_put(lane->state, lane->digest);
    return 1;
}

/* A chain that is to be made while messages are hashed: link = SHA256(prefix || link || next of the leaves). */
typedef struct {
    uint8_t *link;
    const uint8_t *leaves; /* 32 bytes each */
    size_t count;
    int prefix;
} sha256_chain;

/* Begins the next message of a lane; whether there was one. Links come first, one at a time, in the second lane. */
static inline int sha256_lane_next(sha256_lane *lane, int prefix, const sha256_message **messages, size_t *count,
                                   sha256_chain *chain) {
    if (chain && chain->count) {
        sha256_start(lane->state);
        sha256_lay_pair(lane->last, chain->prefix, chain->link, chain->leaves);
        lane->at[0] = lane->last;
        lane->count[0] = 2;
        lane->count[1] = 0;
        lane->run = 0;
        lane->digest = chain->link;
        chain->leaves += 32;
        chain->count--;
        return 1;
    }
    if (!*count) return 0;
    sha256_lane_begin(lane, prefix, (*messages)++);
    (*count)--;
    return 1;
}

/* Hashes messages, and the links of a chain or NULL, two at a time: one instruction waits for the one before it, so two
 * runs take little longer than one. Nothing may depend on a digest of the same call. */
static void sha256_many(int prefix, const sha256_message *messages, size_t count, sha256_chain *chain) {
    sha256_lane lane0, lane1;
    int more0 = sha256_lane_next(&lane0, prefix, &messages, &count, NULL);
    int more1 = sha256_lane_next(&lane1, prefix, &messages, &count, chain);
    while (more0 && more1) {
        size_t left0 = lane0.count[lane0.run], left1 = lane1.count[lane1.run];
        size_t both = left0 < left1 ? left0 : left1;
        sha256_blocks_two(lane0.state, lane0.at[lane0.run], lane1.state, lane1.at[lane1.run], both);
        if (sha256_lane_step(&lane0, both)) more0 = sha256_lane_next(&lane0, prefix, &messages, &count, NULL);
        if (sha256_lane_step(&lane1, both)) more1 = sha256_lane_next(&lane1, prefix, &messages, &count, chain);
    }
    while (more0 || more1) {
        sha256_lane *lane = more0 ? &lane0 : &lane1;
        size_t left = lane->count[lane->run];
        sha256_blocks(lane->state, lane->at[lane->run], left);
        if (!sha256_lane_step(lane, left)) continue;
        if (more0) more0 = 0;
        else more1 = sha256_lane_next(&lane1, prefix, &messages, &count, chain);
    }
}

/* SHA256(prefix || 64 bytes), twice: two nodes of a tree. */
static inline void sha256_two_nodes(uint8_t prefix, const uint8_t *first, uint8_t *first_digest, const uint8_t *second,
                                    uint8_t *second_digest) {
    uint32_t states[2][8];
    uint8_t blocks[2][128];
    sha256_start(states[0]);
    sha256_start(states[1]);
    sha256_lay_pair(blocks[0], prefix, first, first + 32);
    sha256_lay_pair(blocks[1], prefix, second, second + 32);
    sha256_blocks_two(states[0], blocks[0], states[1], blocks[1], 2);
    sha256_put(states[0], first_digest);
    sha256_put(states[1], second_digest);
}

/* SHA256(prefix || first || second): a leaf, a tree node, or a link of the chain. */
static inline void sha256_prefixed(uint8_t prefix, const uint8_t *first, size_t first_length,
                                   const uint8_t *second, size_t second_length, uint8_t *digest) {
    sha256_run run;
    sha256_begin(&run);
    sha256_take(&run, &prefix, 1);
    sha256_take(&run, first, first_length);
    sha256_take(&run, second, second_length);
    sha256_end(&run, digest);
}

#endif
