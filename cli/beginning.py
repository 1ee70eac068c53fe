"""The server of `thoth run`, started before the options are read, so that it comes up while the rest is loaded.

A mistake in the options, or whatever else ends the command before it serves, ends the server again.
"""

from collections.abc import Sequence

from ..proxy.process import CannotStart, ServerProcess

_BEGUN: list[ServerProcess | CannotStart] = []


def begin(command: Sequence[str]) -> ServerProcess | CannotStart:
    """Start the server, or return what came of it where that was tried already."""
    if not _BEGUN:
        try:
            _BEGUN.append(ServerProcess(command))
        except CannotStart as error:
            _BEGUN.append(error)
    return _BEGUN[0]


def end() -> None:
    """End the server's processes, where they have not ended yet."""
    while _BEGUN:
        begun = _BEGUN.pop()
        if isinstance(begun, ServerProcess):
            begun.kill()
