/* A dict's entries where they lie, for dicts whose keys are texts throughout: what PyDict_Next does, without a call each.

   Which dicts those are, and where the entries lie, CPython's own headers say, for the version that this is compiled for.
   Where they do not say it, no dict is one, and whoever asks goes another way. */

#ifndef THOTH_ENTRIES_H
#define THOTH_ENTRIES_H

#include <Python.h>

typedef struct {
    PyObject *key;      /* a text, hashed already */
    PyObject *value;    /* borrowed; NULL: the entry is free */
} Entered;

#if PY_VERSION_HEX >= 0x030B0000 && !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED) && !defined(Py_LIMITED_API)
#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#define THOTH_BUILD_CORE
#endif
#include "internal/pycore_dict.h"
#ifdef THOTH_BUILD_CORE
#undef Py_BUILD_CORE
#undef THOTH_BUILD_CORE
#endif

/* Return the entries of a dict and how many there are, NULL where they have to be asked for one by one. */
static inline Entered *dict_entries(PyObject *dict, Py_ssize_t *count) {
    PyDictKeysObject *keys = ((PyDictObject *)dict)->ma_keys;
    if (((PyDictObject *)dict)->ma_values != NULL || keys->dk_kind != DICT_KEYS_UNICODE)
        return NULL;
    _Static_assert(sizeof(Entered) == sizeof(PyDictUnicodeEntry), "an entry is a key and a value");
    *count = keys->dk_nentries;
    return (Entered *)DK_UNICODE_ENTRIES(keys);
}
#else
static inline Entered *dict_entries(PyObject *dict, Py_ssize_t *count) { return NULL; }
#endif

#endif
