/* Texts and numbers as CPython keeps them: what can be asked of one without a call. */

#ifndef THOTH_TEXTS_H
#define THOTH_TEXTS_H

#include <Python.h>
#include <stdint.h>
#include <string.h>

/* Say whether a text is ASCII throughout. */
static inline int text_is_ascii(PyObject *text) { return PyUnicode_IS_ASCII(text); }

/* Return the hash of a text; one that lies in a dict has been hashed already. */
static inline Py_hash_t text_hash(PyObject *text) {
    Py_hash_t hash = ((PyASCIIObject *)text)->hash;
    return hash == -1 ? PyObject_Hash(text) : hash;
}

/* Return the hash of a text that has been hashed. */
static inline Py_hash_t text_hashed(PyObject *text) { return ((PyASCIIObject *)text)->hash; }

/* Say whether two pieces of memory are the same; most are names of a few bytes, for which a call is much. */
static inline int bytes_same(const char *one, const char *other, size_t size) {
    uint64_t a, b, c, d;
    uint32_t e, f, g, h;
    if (size > 16)
        return memcmp(one, other, size) == 0;
    if (size >= 8) {
        memcpy(&a, one, 8);
        memcpy(&b, other, 8);
        memcpy(&c, one + size - 8, 8);
        memcpy(&d, other + size - 8, 8);
        return ((a ^ b) | (c ^ d)) == 0;
    }
    if (size >= 4) {
        memcpy(&e, one, 4);
        memcpy(&f, other, 4);
        memcpy(&g, one + size - 4, 4);
        memcpy(&h, other + size - 4, 4);
        return ((e ^ f) | (g ^ h)) == 0;
    }
    while (size > 0) {
        size--;
        if (one[size] != other[size])
            return 0;
    }
    return 1;
}

/* Say whether bytes are ASCII throughout. */
static inline int bytes_ascii(const char *data, size_t size) {
    uint64_t word, all = 0;
    if (size >= 8) {
        const char *last = data + size - 8;
        for (; data < last; data += 8) {
            memcpy(&word, data, 8);
            all |= word;
        }
        memcpy(&word, last, 8);
        return ((all | word) & 0x8080808080808080ULL) == 0;
    }
    while (size > 0)
        all |= (unsigned char)data[--size];
    return (all & 0x80) == 0;
}

/* Say whether two texts, both hashed, are the same: a hash can only rule it out, the bytes decide. */
static inline int text_same(PyObject *one, PyObject *other) {
    if (one == other)
        return 1;
    if (((PyASCIIObject *)one)->hash != ((PyASCIIObject *)other)->hash)
        return 0;
    if (PyUnicode_GET_LENGTH(one) != PyUnicode_GET_LENGTH(other))
        return 0;
    if (PyUnicode_IS_COMPACT_ASCII(one) && PyUnicode_IS_COMPACT_ASCII(other))
        return bytes_same((const char *)((PyASCIIObject *)one + 1), (const char *)((PyASCIIObject *)other + 1),
                          PyUnicode_GET_LENGTH(one));
    return PyUnicode_KIND(one) == PyUnicode_KIND(other)
        && memcmp(PyUnicode_DATA(one), PyUnicode_DATA(other), PyUnicode_GET_LENGTH(one) * PyUnicode_KIND(one)) == 0;
}

/* Return a number that is the same for the same bytes, quickly for few of them. It is for tables whose keys are nobody's
   to choose from outside: whoever wants two of them to collide finds some. */
static inline uint64_t bytes_mixed(const char *data, size_t size) {
    uint64_t word = 0, mixed = size * 0x9E3779B97F4A7C15ULL;
    uint32_t half;
    if (size >= 8) {
        const char *last = data + size - 8;
        for (; data < last; data += 8) {
            memcpy(&word, data, 8);
            mixed = (mixed ^ word) * 0xC2B2AE3D27D4EB4FULL;
            mixed ^= mixed >> 29;
        }
        memcpy(&word, last, 8);
    } else if (size >= 4) {
        memcpy(&half, data, 4);
        word = half;
        memcpy(&half, data + size - 4, 4);
        word |= (uint64_t)half << 32;
    } else
        while (size > 0)
            word = word << 8 | (unsigned char)data[--size];
    /* A product reaches upwards only, and names often differ in their last bytes alone: so once more, turned over. */
    mixed = (mixed ^ word) * 0xC2B2AE3D27D4EB4FULL;
    mixed = (mixed ^ mixed >> 32) * 0xC2B2AE3D27D4EB4FULL;
    return mixed ^ mixed >> 32;
}

/* Say whether an integer fits into 60 bits, if that can be seen at once; 0 is no verdict. */
static inline int int_is_short(PyObject *number) {
#if PY_VERSION_HEX >= 0x030C0000
    return PyUnstable_Long_IsCompact((PyLongObject *)number);
#else
    Py_ssize_t size = Py_SIZE(number);
    return -2 <= size && size <= 2;
#endif
}

/* Count so many references more, or fewer, of an object that others hold as well. */
static inline void refs_add(PyObject *one, Py_ssize_t count) {
#if PY_VERSION_HEX >= 0x030C0000 || defined(Py_REF_DEBUG)
    for (; count > 0; count--)
        Py_INCREF(one);
    for (; count < 0; count++)
        Py_DECREF(one);
#else
    one->ob_refcnt += count;
#endif
}

/* Say whether an ASCII text holds nothing but letters, digits, `_`, `-`, `/` and `.`, and no slash or dot behind a slash:
   as a path it is in its normal form, a slash at its end apart. Eight bytes at a time: a byte's high bit says what it is,
   for none is set before (Hacker's Delight, 6-1). */
static inline int bytes_plain_path(const char *data, size_t size) {
    const uint64_t each = 0x0101010101010101ULL, high = 0x8080808080808080ULL;
    uint64_t word, lower, plain, slashes, others, behind = 0;
    size_t place = 0;
    unsigned char c, before = 0;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    while (size >= 8) {
        memcpy(&word, data + place, 8);
        lower = word | each * 0x20;
        plain = (lower + each * (0x80 - 'a')) & ~(lower + each * (0x7F - 'z'));
        plain |= (word + each * (0x80 - '-')) & ~(word + each * (0x7F - '9'));
        plain |= ~((word ^ each * '_') + each * 0x7F);
        slashes = ~((word ^ each * '/') + each * 0x7F) & high;
        others = ~(((word ^ each * '.') & each * 0xFE) + each * 0x7F);
        if ((~plain & high) | ((slashes << 8 | behind) & others))
            return 0;
        if (place + 8 == size)
            return 1;
        /* The last eight begin where they have to: what lies before them was looked at. */
        behind = slashes >> 56;
        place += 8;
        if (place + 8 > size) {
            place = size - 8;
            behind = 0;
        }
    }
#endif
    for (; place < size; place++) {
        c = (unsigned char)data[place];
        if (before == '/' && (c == '/' || c == '.'))
            return 0;
        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '-' && c <= '9') && c != '_')
            return 0;
        before = c;
    }
    return 1;
}

/* Say whether an ASCII text is an absolute path that nothing has to be done to: no sign that programs read differently,
   no empty component and none that begins with a dot. */
static inline int text_is_settled_path(PyObject *text) {
    static const char odd[] = "\\*?[]{}%$~\177";
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), place;
    const unsigned char *data;
    if (!PyUnicode_IS_ASCII(text) || length < 2)
        return 0;
    data = (const unsigned char *)PyUnicode_DATA(text);
    if (data[0] != '/' || data[length - 1] == '/')
        return 0;
    for (place = 0; place < length; place++) {
        unsigned char c = data[place];
        if (c == '/') {
            if (data[place + 1] == '/' || data[place + 1] == '.')
                return 0;
        } else if (c < 32 || (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && strchr(odd, c) != NULL))
            return 0;
    }
    return 1;
}

#endif
