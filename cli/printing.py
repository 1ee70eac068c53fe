"""What commands print: colours on a terminal only, control characters of other people's texts never.

Text that came from a policy, a request or a file name can hold escape sequences that would rewrite the
terminal; `plain` shows them as signs instead.
"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from ..contract import Effect
from ..grammar import Message

EFFECT_STYLES: Final = {
    Effect.ALLOW: "bold green",
    Effect.MODIFY: "bold cyan",
    Effect.STEP_UP: "bold yellow",
    Effect.DEFER: "bold blue",
    Effect.BLOCK: "bold red",
}
SEVERITY_STYLES: Final = {"error": "bold red", "warning": "bold yellow"}
BIDI: Final = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)
_SIGNS: Final = {
    **{code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)},
    0x7F: 0x2421,
    **dict.fromkeys((*range(0x80, 0xA0), *BIDI, 0x2028, 0x2029), 0xFFFD),
}


def output() -> Console:
    """Return the console of stdout, as stdout is now."""
    return _console(stderr=False)


def errors() -> Console:
    """Return the console of stderr, as stderr is now."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    # NO_COLOR asks for no colours; bold and dim are left away with them.
    colours = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Console(
        file=stream,
        color_system="auto" if colours else None,
        force_terminal=stream.isatty(),
        markup=False,
        emoji=False,
        highlight=False,
    )


def plain(text: str) -> str:
    """Return a text with signs in place of control characters; line ends and tabs stay."""
    return text.translate(_SIGNS)


def say(text: str | Text = "", style: str = "") -> None:
    """Print one piece of text to stdout; long lines are left to the terminal."""
    _put(Text(plain(text), style=style) if isinstance(text, str) else text)


def complain(text: str) -> None:
    """Print what went wrong to stderr, in one line."""
    _put(Text.assemble(("thoth: ", "bold red"), plain(text)), stderr=True)


def note(text: str) -> None:
    """Print a remark to stderr that is no mistake."""
    _put(Text(plain(text), style="dim"), stderr=True)


def print_messages(messages: Iterable[Message], *, codes: bool = False, stderr: bool = False) -> None:
    """Print findings, each as place, text, excerpt and caret; to stderr where stdout carries something else.

    With `codes`, each finding's code stands behind its text.
    """
    for message in messages:
        shown = replace(message, text=f"{message.text} [{message.code}]") if codes else message
        _put(coloured(shown), stderr)


def _put(text: Text, stderr: bool = False) -> None:
    """Write styled text to a terminal, and to anything else the very text: tabs, long lines and all."""
    console = errors() if stderr else output()
    if console.is_terminal:
        console.print(text, soft_wrap=True)
    else:
        console.file.write(text.plain + "\n")


def coloured(message: Message) -> Text:
    """Return a finding with its place in bold and its caret in the colour of its severity."""
    text = Text(plain(message.render()))
    style = SEVERITY_STYLES.get(message.severity, "bold")
    first, _, rest = text.plain.partition("\n")
    text.stylize("bold", 0, len(plain(f"{message.source}:{message.at.line}:{message.at.column}:")))
    if message.severity == "warning":
        start = first.find("warning:")
        text.stylize(style, start, start + len("warning:"))
    excerpt, _, caret = rest.partition("\n")
    if caret:
        caret_start = len(first) + len(excerpt) + 2
        text.stylize("dim", len(first) + 1, len(first) + 1 + excerpt.find("|") + 1)
        text.stylize("dim", caret_start, caret_start + caret.find("|") + 1)
        text.stylize(style, caret_start + caret.find("|") + 1)
    return text


def print_json(value: Any) -> None:
    """Print one JSON object to stdout; in ASCII where stdout is not UTF-8."""
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=ascii_only) + "\n")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as one says it: 1 rule, 2 rules."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def findings_json(messages: Sequence[Message]) -> dict[str, Any]:
    """Return findings as commands print them in JSON: `ok`, `errors`, `warnings`, `messages`."""
    mistakes = sum(message.severity == "error" for message in messages)
    return {
        "ok": not mistakes,
        "errors": mistakes,
        "warnings": len(messages) - mistakes,
        "messages": [message.as_json() for message in messages],
    }
