"""The process beside the sidecar that compiles policies: `python -m thoth.server.compiling FD`, started by `compiler`.

It reads a policy, runs its tests, and hands the compiled bundle over as an open file that has no name. It shares
nothing with the sidecar but one socket: no listening socket, no lock, no log. It takes what the sidecar leaves of the
processor, within a bound on its memory, and ends when the sidecar does.
"""

import contextlib
import os
import resource
import socket
import struct
import sys
import tempfile
import traceback
from collections.abc import Iterator
from typing import Final

import msgspec

from ..contract import OperationError
from ..engine import PolicyError, bundle, load
from ..engine.collecting import not_collecting
from ..engine.compiler import Compiler
from ..engine.evaluators import Native
from ..engine.testing import run_tests
from .bound import check_bound
from .settings import Settings

MEMORY_MAX: Final = 4 << 30
MESSAGES_MAX: Final = 3
NICE: Final = 10
KEPT_S: Final = 600.0
"""So long what was read of a policy is kept for its next change."""
SIZE: Final = struct.Struct("<I")
CHUNK: Final = 1 << 16


class Told(msgspec.Struct, frozen=True):
    """What came of it: what is wrong with the policy, or how many tests it passed. `trace` is for our own mistakes."""

    problem: str = ""
    tests: int = 0
    trace: str = ""


def compiled(settings: Settings, compiler: Compiler) -> tuple[bytes, int]:
    """Return the policy of the settings as a bundle, and how many tests it passed.

    What has not changed since the last time is not read again.

    Raises:
        PolicyError: with every mistake of the policy.
        OperationError: a file cannot be read, a test fails, or a name asks somebody whom nobody stands behind.
    """
    if len(settings.policy) == 1 and bundle.is_bundle(settings.policy[0]):
        read = bundle.read(settings.policy[0])
        check_bound(read.table.policy, settings)
        with open(settings.policy[0], "rb") as file:  # noqa: PTH123 - what was checked is read from a copy
            content = file.read()
        bundle.load(content, settings.policy[0])
        return content, 0
    policy, _ = load(settings.policy, path=settings.path, learned=settings.learned or None, compiler=compiler)
    check_bound(policy, settings)
    table = compiler.compile(policy)
    results = run_tests(policy, laid_out=Native.over(table))
    failed = [result.test.name for result in results if not result.passed]
    if failed:
        raise OperationError(f"{len(failed)} of {len(results)} tests of the policy fail, `{failed[0]}` first")
    return bundle.build(policy, {}, table=table), len(results)


def told_of(settings: Settings, compiler: Compiler) -> tuple[Told, bytes]:
    """Return what came of compiling, and the bundle, which is empty where something is wrong."""
    try:
        with not_collecting():
            content, tests = compiled(settings, compiler)
    except PolicyError as error:
        return Told("; ".join(str(message) for message in error.messages[:MESSAGES_MAX])), b""
    except OperationError as error:
        return Told(str(error)), b""
    except Exception as error:  # noqa: BLE001 - the sidecar says it where its log is
        return Told(f"the policy could not be taken ({type(error).__name__})", trace=traceback.format_exc()), b""
    return Told(tests=tests), content


# ---------------------------------------------------------------- over the socket


def send(channel: socket.socket, message: object, descriptors: list[int] | None = None) -> None:
    """Send one message, and open files with it."""
    body = msgspec.msgpack.encode(message)
    if descriptors:
        socket.send_fds(channel, [SIZE.pack(len(body))], descriptors)
        channel.sendall(body)
    else:
        channel.sendall(SIZE.pack(len(body)) + body)


def receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Return one message and the open files that came with it; no bytes when the other side is gone."""
    head, descriptors, _, _ = socket.recv_fds(channel, SIZE.size, 1)
    body = bytearray()
    while head and len(head) < SIZE.size:
        more = channel.recv(SIZE.size - len(head))
        head = head + more if more else b""
    left = SIZE.unpack(head)[0] if head else 0
    while left:
        part = channel.recv(min(left, CHUNK))
        if not part:
            return b"", descriptors
        body += part
        left -= len(part)
    return bytes(body), descriptors


@contextlib.contextmanager
def nameless(content: bytes) -> Iterator[int]:
    """Yield a file that holds these bytes, has no name, and, where the system can do that, never changes again."""
    if hasattr(os, "memfd_create"):
        import fcntl

        number = os.memfd_create("thoth-bundle", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with open(number, "wb", buffering=0) as file:  # noqa: PTH123 - it has no path
            view = memoryview(content)
            while view:
                view = view[file.write(view) :]
            fcntl.fcntl(number, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
            yield number
    else:
        with tempfile.TemporaryFile(buffering=0) as file:
            file.write(content)
            yield file.fileno()


def step_back() -> None:
    """Let whoever decides go first, and take no more memory than the bound.

    Not the idle class of the scheduler: on a busy machine a policy would wait for ever.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with contextlib.suppress(OSError):
        os.nice(NICE)
    if "ASAN_OPTIONS" not in os.environ:  # AddressSanitizer reserves terabytes and uses little of it
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))


def serve(channel: socket.socket) -> None:
    """Compile whenever the sidecar asks, until it is gone, or has not asked for long."""
    channel.settimeout(KEPT_S)
    decode = msgspec.msgpack.Decoder(Settings).decode
    compiler = Compiler()
    while True:
        asked, _ = receive(channel)
        if not asked:
            return
        told, content = told_of(decode(asked), compiler)
        if not content:
            send(channel, told)
            continue
        with nameless(content) as number:
            send(channel, told, [number])


def main() -> None:
    step_back()
    with socket.socket(fileno=int(sys.argv[1])) as channel, contextlib.suppress(ConnectionError, TimeoutError):
        serve(channel)


if __name__ == "__main__":
    main()
