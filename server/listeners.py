"""Where HTTP is taken: a TCP address, with a certificate where other machines reach it, and a Unix socket.

The certificate is read again with the policy, so that a renewed one counts for the next connection.
"""

import asyncio
import contextlib
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from socket import AF_UNIX, socket
from typing import TYPE_CHECKING, Self

from ..contract import OperationError
from .http import HttpDoor
from .settings import Settings, http_address
from .sockets import BoundSocket, listen_tcp

if TYPE_CHECKING:
    from .http import Takes


class Listeners:
    """The HTTP sockets of one process, and what is served on them."""

    def __init__(self, settings: Settings) -> None:
        """Listen; nothing is taken until `start`.

        Raises:
            OperationError: an address is taken, or needs a certificate, or the certificate cannot be read.
        """
        self._files = Path(settings.tls_cert), Path(settings.tls_key)
        self.tls = tls_of(*self._files) if settings.tls_cert else None
        self._open = contextlib.ExitStack()
        self.sockets: list[socket] = []
        try:
            if settings.http:
                self.sockets.append(listen_tcp(*http_address(settings.http, self.tls is not None)))
                self._open.callback(self.sockets[-1].close)
            if settings.http_socket:
                bound = BoundSocket(Path(settings.http_socket))
                self._open.callback(bound.close)
                self.sockets.append(bound.socket)
        except BaseException:
            self._open.close()
            raise

    async def start(self, routes: "Takes", loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        """Take requests to `routes`."""
        self.web = HttpDoor(routes, loop, clock)
        self._servers: list[asyncio.AbstractServer] = []
        for sock in self.sockets:
            if sock.family == AF_UNIX:
                self._servers.append(await loop.create_unix_server(self.web, sock=sock))
            else:
                self._servers.append(await loop.create_server(self.web, sock=sock, ssl=self.tls))

    def renew(self) -> None:
        """Read the certificate again, for the connections that come from now on.

        Raises:
            OperationError: it cannot be read; the one that was read before stays.
        """
        if self.tls is not None:
            tls_of(*self._files)  # half a renewal, a key that does not fit say, changes nothing
            self.tls.load_cert_chain(*self._files)

    def inherited(self) -> Self:
        """Return the same for a process that was forked: closing it leaves the sockets to the others."""
        self._open = contextlib.ExitStack()
        for sock in self.sockets:
            self._open.callback(sock.close)
        return self

    def leave(self) -> None:
        """Take no new connection, answer what was read, and close the connections."""
        for server in self._servers:
            server.close()
        self.web.leave()

    def drop(self) -> None:
        """Close what is left."""
        for connection in list(self.web.connections):
            connection.transport.close()

    def close(self) -> None:
        """Let go of the sockets."""
        self._open.close()


def tls_of(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what a TLS server needs: version 1.2 or later, the certificate with its chain, and its key (PEM).

    Raises:
        OperationError: one cannot be read, they do not fit, or everybody may read the key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if key.stat().st_mode & stat.S_IROTH:
            raise OperationError(f"`{key}` can be read by everybody; write `chmod o-r {key}`")
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror or error
        raise OperationError(f"`{certificate}` and `{key}` are no certificate and its key: {why}") from error
    return context
