"""`thoth tools import`: the `tool` lines of a policy, from the schemas that others wrote."""

import sys
import zlib
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from ..contract import Fault, OperationError, read_json
from ..engine.declare import Undeclarable, declare
from ..grammar import format
from .fmt import write_whole
from .printing import counted, note, plain, say

STDIN: Final = Path("-")
SIZE_MAX: Final = 256 * 1024 * 1024
"""Longest document, in bytes, unpacked."""


def tools(
    action: Annotated[Literal["import"], Parameter(name="import", help="the word `import`")],
    file: Annotated[Path, Parameter(name="FILE", help="JSON, also packed with gzip, or - for stdin")],
    /,
    *,
    env: Annotated[str | None, Parameter(help="group them in `for env NAME`; of a catalog, take this suite")] = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="write here, not to stdout")] = None,
) -> int:
    """Write the `tool` lines of a policy from the schemas that others wrote.

    Reads what an MCP server answers to `tools/list`, tool lists as OpenAI and
    Anthropic take them, JSON Schemas ({NAME: SCHEMA}, or one with a title), and
    catalogs ({SUITE: {"tools": ...}}, one group `for env` each). What a schema
    says and a declaration cannot is told on stderr.

    Classes are a start, to be read by somebody: they come from the hints of the
    server (readOnlyHint: read; destructiveHint: write, destructive;
    openWorldHint: external where it writes, untrusted where it reads) or from
    the catalog (`write_external`: write, external). Nobody checked those hints.

    For example:
      thoth tools import tools.json
      thoth tools import tools.json --env prod -o tools.thoth

    Exit codes: 0 written (also with notes), 2 wrong usage, or no tools there.
    """
    given = read_json(_read(file))
    if isinstance(given, Fault):
        raise OperationError(f"`{file}` is not JSON: {given}")
    try:
        declared = declare(given, env)
    except Undeclarable as error:
        raise OperationError(f"`{file}`: {error}") from error
    text = format(declared.policy)
    for told in declared.notes:
        note(f"note: {told}")
    if output is None or output == STDIN:
        sys.stdout.write(plain(text))
        return 0
    if output.exists():
        write_whole(output, text.encode())
    else:
        output.write_bytes(text.encode())
    say(f"{output}: {counted(declared.tool_count, 'tool')}")
    return 0


def _read(file: Path) -> bytes:
    """Return a file's bytes, unpacked where they are packed."""
    try:
        content = sys.stdin.buffer.read(SIZE_MAX + 1) if file == STDIN else file.read_bytes()
        if content[:2] == b"\x1f\x8b":
            unpacker = zlib.decompressobj(wbits=31)
            content = unpacker.decompress(content, SIZE_MAX + 1)
            if len(content) <= SIZE_MAX and not unpacker.eof:
                raise OperationError(f"`{file}` ends in the middle of its packed text")
    except OSError as error:
        raise OperationError(f"`{file}` cannot be read: {error.strerror or error}") from error
    except zlib.error as error:
        raise OperationError(f"`{file}` is packed, and cannot be unpacked: {error}") from error
    if len(content) > SIZE_MAX:
        raise OperationError(f"`{file}` is longer than {SIZE_MAX >> 20} MB")
    return content
