"""What a socket takes at once."""

cdef extern from "sys/socket.h" nogil:
    ssize_t c_send "send"(int descriptor, const void *data, size_t length, int flags)
    enum:
        MSG_DONTWAIT
        MSG_NOSIGNAL

cdef inline size_t taken_at_once(int descriptor, const void *data, size_t length) noexcept nogil:
    """Write to a socket what it takes without waiting; return how many bytes that was."""
    cdef ssize_t done = c_send(descriptor, data, length, MSG_DONTWAIT | MSG_NOSIGNAL)
    return <size_t>done if done > 0 else 0
