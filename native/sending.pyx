"""Writes to a socket past the transport that owns it, as far as the socket takes it at once."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE


def send_now(int descriptor, bytes data not None) -> int:
    """Write to a socket what it takes at once; return how much that was."""
    return taken_at_once(descriptor, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
