"""`thoth fmt`: policies in their one canonical form, in place."""

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..contract import OperationError
from ..engine.files import read_text
from ..grammar import Message, PolicyError, format, parse
from .printing import counted, note, print_messages, say

STDIN = Path("-")


def fmt(
    files: Annotated[list[Path], Parameter(name="FILE...", help="policy files, or - for stdin to stdout")],
    /,
    *,
    check: Annotated[bool, Parameter(help="change nothing, list the files that would change")] = False,
) -> int:
    """Write policies in their one canonical form, in place.

    A file is written only when it changes, whole or not at all, and keeps its
    permissions. One with a mistake of syntax stays as it is.

    For example:
      thoth fmt policy.thoth
      thoth fmt --check policy.thoth
      thoth fmt - < policy.thoth

    Exit codes: 0 all files are in the canonical form now, 1 some were not
    (with --check) or hold a mistake, 2 wrong usage or a file that cannot be
    read or written.
    """
    mistakes: list[Message] = []
    changed = 0
    for file in files:
        source = "<stdin>" if file == STDIN else str(file)
        before = sys.stdin.buffer.read() if file == STDIN else read_text(file).encode("utf-8", "surrogatepass")
        try:
            after = format(parse(before.decode("utf-8-sig"), source)).encode()
        except UnicodeDecodeError as error:
            raise OperationError(f"`{source}` is not UTF-8 text, from byte {error.start}") from error
        except PolicyError as error:
            mistakes.extend(error.messages)
            continue
        differs = after != (before if file == STDIN else file.read_bytes())
        changed += differs
        if check:
            if differs:
                say(source)
        elif file == STDIN:
            sys.stdout.buffer.write(after)
        elif differs:
            write_whole(file, after)
            say(f"formatted {source}")
    # An editor that pipes a text through takes all of stdout for the text.
    print_messages(mistakes, stderr=STDIN in files)
    if check and changed:
        note(f"{counted(changed, 'file')} would change; write them with `thoth fmt`")
    return 1 if mistakes or (check and changed) else 0


def write_whole(file: Path, content: bytes) -> None:
    """Put `content` into a file, whole or not at all; a link stays a link, and permissions stay.

    Raises:
        OperationError: it cannot be written.
    """
    target = file.resolve()
    try:
        mode = target.stat().st_mode & 0o7777
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(mode)
            Path(name).replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise OperationError(f"`{file}` cannot be written: {error.strerror or error}") from error
