"""Finds the command that a command line means, binds its arguments, and puts what it raises into words."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from cyclopts import App, Parameter
from cyclopts.exceptions import (
    CoercionError,
    ConsumeMultipleError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from ..contract import OperationError, RequestError
from ..grammar import PolicyError
from ..grammar.messages import did_you_mean
from .printing import complain, errors, findings_json, output, print_json, print_messages

if TYPE_CHECKING:
    from cyclopts.help.protocols import HelpFormatter


def dispatch(words: list[str], commands: Mapping[str, tuple[str, str]]) -> int:
    """Run the command that `words` begin with; return its exit code."""
    name = words[0]
    if name not in commands:
        complain(_not_a_command(name, commands))
        return 2
    app = app_of(commands)
    # A lone - means stdin, and looks like an option; as a path, ./- is the same.
    words = ["./-" if word == "-" else word for word in words]
    try:
        code = app(words, console=output(), error_console=errors())
    except CycloptsError as error:
        complain(f"{name}: {what_is_wrong(error)}")
    except PolicyError as error:
        if asks_for_json(words):
            print_json(findings_json(error.messages))
        else:
            print_messages(error.messages)
        return 1
    except (OperationError, RequestError) as error:
        complain(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        complain(f"`{error.filename}`: {error.strerror}" if error.filename else str(error))
    else:
        return code if isinstance(code, int) else 0
    return 2


def asks_for_json(words: list[str]) -> bool:
    """Say whether a command line wants JSON, and so what a program reads where it fails as well."""
    ours = words[: words.index("--")] if "--" in words else words
    return "--format=json" in ours or ("--format", "json") in pairwise(ours)


def app_of(commands: Mapping[str, tuple[str, str]]) -> App:
    """Return the application; a command's module is imported when the command is called."""
    app = App(
        name="thoth",
        version_flags=(),
        help_format="plaintext",
        help_formatter=_formatter(),
        default_parameter=Parameter(negative=(), show_default=False),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        exit_on_error=False,
        print_error=False,
    )
    for name, (path, _) in commands.items():
        app.command(path, name=name)
    return app


def _formatter() -> "HelpFormatter":
    from cyclopts.help.formatters.default import DefaultFormatter
    from cyclopts.help.specs import PanelSpec
    from rich import box

    return DefaultFormatter(panel_spec=PanelSpec(box=box.ROUNDED if output().is_terminal else box.ASCII2))


def _not_a_command(name: str, commands: Iterable[str]) -> str:
    if name.startswith("-"):
        return f"unknown option `{name}`; options stand behind the command, `thoth` alone lists the commands"
    return f"unknown command `{name}`{did_you_mean(name, commands) or '; `thoth` alone lists the commands'}"


def what_is_wrong(error: CycloptsError) -> str:
    """Return what is wrong with a command line, and what to write instead."""
    match error:
        case UnknownCommandError() if error.unused_tokens and error.command_chain:
            token, group = error.unused_tokens[0], " ".join(error.command_chain)
            known = list(error.app) if error.app is not None else []
            return f"unknown command `{token}`{did_you_mean(token, known) or f'; `thoth {group}` alone lists them'}"
        case UnknownOptionError():
            given = (error.token.keyword or error.token.value).partition("=")[0]
            known = [name for argument in error.argument_collection for name in argument.names]
            return f"unknown option `{given}`{did_you_mean(given, known) or '; `--help` lists the options'}"
        case ConsumeMultipleError() | MissingArgumentError() if error.argument is not None:
            if error.keyword:
                return f"`{error.keyword}` needs a value; `--help` shows an example"
            return f"`{error.argument.name}` is missing; `--help` shows an example"
        case CoercionError() if error.argument is not None and error.token is not None:
            choices = list(error.argument.get_choices() or ())
            asked = error.token.keyword or error.argument.name
            if choices:
                meant = did_you_mean(error.token.value, choices) or f"; write {' or '.join(f'`{c}`' for c in choices)}"
                return f"`{asked}` cannot be `{error.token.value}`{meant}"
            return f"`{asked}` cannot be `{error.token.value}`; `--help` shows an example"
        case RepeatArgumentError():
            return f"`{error.token.keyword}` is given more than once; give it once"
        case UnusedCliTokensError() if error.unused_tokens:
            unused = ", ".join(f"`{token}`" for token in error.unused_tokens)
            return f"{unused}: nothing more is expected here; `--help` shows an example"
    text = str(error).rstrip(".")
    return text[:1].lower() + text[1:]
