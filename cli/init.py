"""`thoth init`: a starter policy to change, with tests that pass."""

import importlib.resources
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..contract import OperationError
from .printing import say

FILE = "policy.thoth"


def init(
    directory: Annotated[Path, Parameter(name="DIR", help="the folder to write it in; this one if unsaid")] = Path(),
    /,
) -> int:
    """Write a starter policy whose tests pass.

    It is one file, policy.thoth: a rule of each kind, each with a comment that
    says why it is there, and tests that reach them all. A file that is there
    already is never touched.

    For example:
      thoth init
      thoth init policies

    Exit codes: 0 written, 2 there is one already, or it cannot be written.
    """
    text = importlib.resources.files("thoth.policies").joinpath("starter.thoth").read_text("utf-8")
    file = directory / FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except FileExistsError:
        if not directory.is_dir():
            raise OperationError(f"`{directory}` is not a folder; name one, e.g. `thoth init policies`") from None
        raise OperationError(
            f"`{file}` is there already and stays as it is; name another folder, e.g. `thoth init policies`"
        ) from None
    except OSError as error:
        raise OperationError(f"`{file}` cannot be written: {error.strerror or error}") from error
    say(f"Wrote {file}: a policy with a rule of each kind, and tests that reach them all\n")
    say("What next:")
    say(f"  thoth test {file}               run its tests")
    say(f"  thoth test {file} --coverage    see which rules and conditions they reach")
    say("  Put your own tools and agents in place of the ones there; change rules and tests together.")
    return 0
