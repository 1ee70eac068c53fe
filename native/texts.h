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

#endif
