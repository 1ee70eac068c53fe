"""A server at a URL, as options and the configurations of clients name it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..contract import OperationError

if TYPE_CHECKING:
    from ..proxy.upstream import HttpServer


def server_at(url: str, header_env: Sequence[str], env: Mapping[str, str], ca: str | None) -> "tuple[HttpServer, str]":
    """Return the server at a URL, and what of that may be told; `header_env` has NAME=VARIABLE of `env`.

    Raises:
        OperationError: it may not be spoken to, or the client for it is not installed.
    """
    from ..proxy.web_address import WrongAddress, headers_from, origin_of

    try:
        origin = origin_of(url)
        headers = headers_from(header_env, env)
    except WrongAddress as error:
        raise OperationError(str(error)) from error
    try:
        from ..proxy.upstream import HttpServer
    except ModuleNotFoundError as error:
        raise OperationError(f"`--upstream` needs `{error.name}`: pip install 'thoth-runtime[mcp]'") from error
    try:
        return HttpServer(url, origin, headers=headers, ca=ca), origin
    except OSError as error:
        raise OperationError(f"`--ca {ca}` cannot be used: {error.strerror or error}") from error
