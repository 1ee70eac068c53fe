/* Bytes as hexadecimal digits, two each; in arithmetic, which a compiler turns into a few vector instructions. */
#ifndef THOTH_DIGITS_H
#define THOTH_DIGITS_H

#include <stddef.h>
#include <stdint.h>

static inline void put_digits(uint8_t *to, const uint8_t *data, size_t length) {
    for (size_t at = 0; at < length; at++) {
        uint8_t high = data[at] >> 4, low = data[at] & 15;
        to[2 * at] = (uint8_t)(high + '0' + (high > 9 ? 'a' - '0' - 10 : 0));
        to[2 * at + 1] = (uint8_t)(low + '0' + (low > 9 ? 'a' - '0' - 10 : 0));
    }
}

#endif
