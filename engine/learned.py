"""A learned baseline: for each tool and argument, digests of the values that were used in recorded behaviour.

The file is JSON: {"thoth_learned": 1, "values": {TOOL: {ARGUMENT: {DIGEST: COUNT}}}}, or a list of digests
in place of the counts. A digest is the SHA-256 (hex) of the value's normal form, so the values themselves
are not in the file. Of a URL there are two: of the whole, and of `host`, a zero byte and its host.
"""

import hashlib
from collections.abc import Mapping

from ..contract import Fault, Json, OperationError, Request, read_json
from .checked import CheckedPolicy
from .reference_binding import bind
from .reference_facts import Facts, token_of
from .reference_values import UNKNOWN, plain

Baseline = dict[tuple[str, str], frozenset[str]]


def read_learned(text: bytes | str, source: str = "learned file") -> Baseline:
    """Read a learned file.

    Raises:
        OperationError: it is not one; the message says where.
    """
    given = read_json(text)
    if isinstance(given, Fault):
        raise OperationError(f"`{source}`: {given}")
    if not isinstance(given, dict) or given.get("thoth_learned") != 1 or not isinstance(given.get("values"), dict):
        raise OperationError(f'`{source}` is not a learned file; it would start with {{"thoth_learned": 1, "values": …')
    baseline: Baseline = {}
    values = given["values"]
    assert isinstance(values, dict)
    for tool, arguments in values.items():
        if not isinstance(arguments, Mapping):
            raise OperationError(f"`{source}`: `values.{tool}` is not an object of arguments")
        for argument, digests in arguments.items():
            if not isinstance(digests, Mapping | list) or not all(isinstance(d, str) for d in digests):
                raise OperationError(f"`{source}`: `values.{tool}.{argument}` holds no digests")
            baseline[tool, argument] = frozenset(str(digest) for digest in digests)
    return baseline


def digest_of(value: Json, kind: str = "any") -> str | None:
    """Return the digest of one value of a declared type, None where it says too little to be remembered."""
    token = token_of(plain(value, kind), False)
    return None if token is None else _digest(token[1], False)


def host_digest_of(value: Json, kind: str = "any") -> str | None:
    """Return the digest of a URL's host, for `by host in baseline`; None where a value is no plain URL."""
    token = token_of(plain(value, kind), True)
    return None if token is None else _digest(token[1], True)


def key_digests(policy: CheckedPolicy, request: Request) -> list[tuple[str, str]] | None:
    """Return argument and digest of each value of each key argument of a call, hosts of URLs as well.

    None where the tool is not declared, or the arguments do not fit its declaration.
    """
    bound = bind(policy, request)
    carried = Facts(policy, request, bound, None, 0.0).key_arguments()
    if carried is None or bound.problem:
        return None
    found = []
    for argument, value in carried:
        for item in value if isinstance(value, list) else [value]:
            for by_host in (False, True):
                token = None if item is UNKNOWN else token_of(item, by_host)
                if token is not None:
                    found.append((argument, _digest(token[1], by_host)))
    return found


def _digest(text: str, by_host: bool) -> str:
    return hashlib.sha256((f"host\0{text}" if by_host else text).encode()).hexdigest()
