"""From the words of a command line to an exit code: 0 fine, 1 findings, 2 usage or unreadable files, 3 false evidence.

A command is a function in a file of its own; it is imported when it is called, so `thoth --help` stays quick.
It returns its exit code, or raises: mistakes of a policy are printed as findings (1), those of whoever runs
the command in one line on stderr (2). A closed pipe and Ctrl-C end quietly (130).
"""

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Final

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    # name: (where its function is, what it does); in the order in which an author meets them
    "init": ("thoth.cli.init:init", "write a starter policy whose tests pass"),
    "check": ("thoth.cli.check:check", "find every mistake of a policy in one run"),
    "fmt": ("thoth.cli.fmt:fmt", "write policies in their one canonical form"),
    "lint": ("thoth.cli.lint:lint", "find what a policy says that its author hardly meant"),
    "build": ("thoth.cli.build:build", "compile a policy into one file, signed if you like"),
    "test": ("thoth.cli.test:run", "run the tests of a policy, and say what they reach"),
    "explain": ("thoth.cli.explain:explain", "say why one call is decided as it is"),
    "decide": ("thoth.cli.decide:decide", "decide tool calls, or recorded ones again: JSON in, JSON out"),
    "serve": ("thoth.cli.serve:serve", "run the sidecar: answer the agents of this machine over a socket"),
    "diff": ("thoth.cli.diff:diff", "show calls that two policies decide differently"),
    "learn": ("thoth.cli.learn:learn", "learn a least-privilege policy from recorded good behaviour"),
    "simulate": ("thoth.cli.simulate:simulate_command", "say what a policy would have done to recorded calls"),
    "approvals": ("thoth.cli.approvals:app", "answer calls that wait for a person"),
    "override": ("thoth.cli.override:app", "break-glass: let through what the policy refuses, for a while"),
    "keys": ("thoth.cli.keys:app", "make and revoke keys for the sidecar's HTTP door"),
    "run": ("thoth.cli.run:run", "govern an MCP server: each tool call is decided before the server hears of it"),
    "mcp": ("thoth.cli.mcp:app", "see the tools of MCP servers, as they are and as they were approved"),
    "wrap-config": ("thoth.cli.clients:wrap_config", "put `thoth run` in front of every server of an MCP client"),
    "discover": ("thoth.cli.clients:discover", "find the MCP servers that the clients of this machine start"),
    "status": ("thoth.cli.doctor:status", "show what is governed on this machine"),
    "health": ("thoth.cli.doctor:health", "say in one word whether the agents of this machine are governed"),
    "doctor": ("thoth.cli.doctor:doctor", "find what is wrong, and say how to mend it"),
    "manual": ("thoth.cli.doctor:manual", "print the manual"),
    "evidence": ("thoth.cli.evidence:app", "keep evidence of decisions, read it, prove it"),
    "table": ("thoth.cli.table:table", "show a policy as a decision table for people"),
    "tools": ("thoth.cli.tools:tools", "write tool lines from an MCP tool list or JSON Schema"),
}
QUIETLY: Final = 130

FIRST: Final = """\
thoth says whether the tool call of an agent may run: the rules are a text, the answers come with reasons.

First:
  thoth init                                                    write policy.thoth
  thoth test policy.thoth                                       watch its tests pass
  thoth explain --policy policy.thoth --request request.json    see why one call is decided as it is

Commands:
{commands}

`thoth COMMAND --help` teaches each of them, with an example. `thoth --version` prints the version.
Exit codes: 0 fine, 1 findings, 2 wrong usage or a file that cannot be read, 3 evidence that does not fit.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; `argv` stands without the program's name."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name need not be Unicode, nor the terminal UTF-8
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return QUIETLY
    except BrokenPipeError:
        # Nobody reads on. What is still buffered must not raise once more when the interpreter ends.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return QUIETLY
    return code


def _run(words: list[str]) -> int:
    if words[:1] == ["help"] and len(words) > 1:
        words = [*words[1:], "--help"]
    match words:
        case [] | ["help" | "--help" | "-h"]:
            listed = (f"  {name:11} {summary}" for name, (_, summary) in COMMANDS.items())
            sys.stdout.write(FIRST.format(commands="\n".join(listed)))
            return 0
        case ["--version" | "-V"]:
            from thoth import __version__

            sys.stdout.write(f"thoth {__version__}\n")
            return 0
    if words[:2] == ["run", "--upstream"]:
        return _run_elsewhere(words)
    if words[:1] == ["run"] and "--" in words and words[-1] != "--":
        return _run_server(words)
    from .dispatch import dispatch  # loads the command-line library: not for a page of help

    return dispatch(words, COMMANDS)


def _run_elsewhere(words: list[str]) -> int:
    """Run in front of a server at a URL, without the command-line library where the options are plain."""
    from .running import options_of, serve

    options = options_of(words[1:])
    if options is not None:
        from ..contract import OperationError

        try:
            return serve((), options)
        except OperationError as error:
            sys.stderr.write(f"thoth: {error}\n")
            return 2
    from .dispatch import dispatch

    return dispatch(words, COMMANDS)


def _run_server(words: list[str]) -> int:
    """Start the server of `thoth run` first: it comes up while the rest is loaded."""
    from . import beginning

    cut = words.index("--")
    beginning.begin(words[cut + 1 :])
    try:
        from .running import options_of, serve

        options = options_of(words[1:cut])
        if options is not None:
            from ..contract import OperationError

            try:
                return serve(words[cut + 1 :], options)
            except OperationError as error:
                sys.stderr.write(f"thoth: {error}\n")
                return 2
        from .dispatch import dispatch

        return dispatch(words, COMMANDS)
    finally:
        beginning.end()
