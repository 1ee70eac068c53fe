"""The server's program, found and started in a process group of its own. Loads no event loop: it is started first."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

from .keeper import Keeper, end_group

OURS: Final = "THOTH_"
"""How the environment's names begin that are ours; keys among them are none of the server's business."""

FALLBACK_FOLDERS: Final = (
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/usr/bin",
    "/bin",
    "~/.local/bin",
    "~/.volta/bin",
    "~/.bun/bin",
    "~/.cargo/bin",
)
"""Where programs are that a desktop application, started without a shell's PATH, does not find."""


class CannotStart(Exception):
    """The server's program cannot be started; the text says why."""


class ServerProcess:
    """One server's process and its pipes."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Start it; to be called before there are threads.

        Raises:
            CannotStart: there is no such program, or it may not be run.
        """
        env = dict(os.environ if env is None else env)
        self.program = find_program(command[0], env)
        env = {name: value for name, value in env.items() if not name.startswith(OURS)}
        self.ended = False
        self.keeper = Keeper()
        try:
            self.popen = subprocess.Popen(
                [self.program, *command[1:]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=env,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self.keeper.dismiss()
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise CannotStart(f"the server's program `{command[0]}` cannot be started: {why}") from error
        self.group = self.popen.pid
        self.keeper.watch(self.group)

    def kill(self) -> None:
        """End the group now; nothing where it was ended before."""
        if self.ended:
            return
        self.ended = True
        end_group(self.group, 0.2)
        for stream in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if stream is not None:
                stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(0.2)
        self.keeper.dismiss()


def find_program(name: str, env: Mapping[str, str]) -> str:
    """Return the program that a name means: on the PATH, then in the folders where such programs usually are.

    Raises:
        CannotStart: it is nowhere.
    """
    found = shutil.which(name, path=env.get("PATH"))
    if found is None and os.sep not in name:
        for folder in FALLBACK_FOLDERS:
            found = found or shutil.which(name, path=os.path.expanduser(folder))  # noqa: PTH111 - no Path: start-up
    if found is None:
        where = "there is no such file that may be run" if os.sep in name else "it is not on the PATH"
        raise CannotStart(f"the server's program `{name}` cannot be started: {where}")
    return found
