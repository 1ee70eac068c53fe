/* Texts as CPython keeps them: what can be asked of one without a call. */

#ifndef THOTH_TEXTS_H
#define THOTH_TEXTS_H

#include <Python.h>
#include <string.h>

/* Say whether a text is ASCII throughout. */
static inline int text_is_ascii(PyObject *text) { return PyUnicode_IS_ASCII(text); }

/* Return the hash of a text; one that lies in a dict has been hashed already. */
static inline Py_hash_t text_hash(PyObject *text) {
    Py_hash_t hash = ((PyASCIIObject *)text)->hash;
    return hash == -1 ? PyObject_Hash(text) : hash;
}

/* Say whether two texts, both hashed, are the same: a hash can only rule it out, the bytes decide. */
static inline int text_same(PyObject *one, PyObject *other) {
    if (one == other)
        return 1;
    if (((PyASCIIObject *)one)->hash != ((PyASCIIObject *)other)->hash)
        return 0;
    if (PyUnicode_GET_LENGTH(one) != PyUnicode_GET_LENGTH(other) || PyUnicode_KIND(one) != PyUnicode_KIND(other))
        return 0;
    return memcmp(PyUnicode_DATA(one), PyUnicode_DATA(other), PyUnicode_GET_LENGTH(one) * PyUnicode_KIND(one)) == 0;
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
