"""Bytes copied into large pages where the system has them, so that their addresses are translated from what is at hand.

A decision in a table of many megabytes looks at few bytes in each of dozens of places: in small pages nearly every one of
these costs a walk through the page tables.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport uint8_t
from libc.stdlib cimport free
from libc.string cimport memcpy

cdef extern from *:
    """
    #include <stdlib.h>
    #include <sys/mman.h>

    static void *thoth_pages(size_t size, size_t large) {
        void *at = NULL;
        if (posix_memalign(&at, size >= large ? large : 64, size ? size : 1)) return NULL;
    #ifdef MADV_HUGEPAGE
        /* What lies behind the last whole one stays in small pages. That there are none is no error. */
        if (size >= large) (void)madvise(at, size - size % large, MADV_HUGEPAGE);
    #endif
        return at;
    }
    """
    void *thoth_pages(size_t size, size_t large) nogil

cdef enum:
    LARGE = 2097152          # bytes of a large page, where there are any


cdef class Pages:
    """A copy of some bytes, to be read through the buffer protocol; it begins at a multiple of 64."""

    cdef void *at
    cdef Py_ssize_t size

    def __cinit__(self, const uint8_t[::1] content not None):
        self.size = content.shape[0]
        self.at = thoth_pages(self.size, LARGE)
        if self.at == NULL:
            raise MemoryError
        if self.size:
            memcpy(self.at, &content[0], self.size)

    def __dealloc__(self):
        free(self.at)

    def __len__(self):
        return self.size

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.at, self.size, True, flags)
