"""`thoth table`: a policy as a decision table for people, on the terminal, in documents, in spreadsheets."""

import csv
import io
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..engine import load
from ..engine.files import read_text
from ..engine.layout import Layout, Row, lay_out
from ..grammar import parse
from .arguments import Files, Folders
from .printing import output as console_of_stdout
from .printing import plain
from .table_html import html

WIDTH = 110
"""Columns where nobody says how wide the terminal is."""

STYLES = {
    "block": "bold red",
    "defer": "bold magenta",
    "step_up": "bold yellow",
    "limit": "bold blue",
    "modify": "bold cyan",
    "risk": "bold",
    "allow": "bold green",
    "on result": "bold cyan",
}
MARKUP = frozenset("&<>|`*_[]\\#~!")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take for the beginning of a formula."""

Kind = Annotated[
    Literal["text", "markdown", "csv", "html"],
    Parameter(name="--format", help="text (the default), markdown, csv with one column a condition, or html"),
]


def table(files: Files, /, *, path: Folders = None, format: Kind = "text") -> int:
    """Show a policy as a decision table, for people.

    One row a rule, the strictest effects first: what it is about, when it
    applies, what it asks for, and why. `--format csv` has a column for each
    distinct condition instead, with T where a rule needs it true, F where it
    needs it false, and nothing where it does not matter; a rule that can apply
    in several ways has a row for each.

    For example:
      thoth table policy.thoth
      thoth table policy.thoth --format html > policy.html

    Exit codes: 0 shown, 1 a mistake in the policy, 2 wrong usage or a file that
    cannot be read.
    """
    policy, _ = load(files, path=path or ())
    layout = lay_out(policy, [parse(read_text(file), str(file)) for file in dict.fromkeys(map(Path, files))])
    match format:
        case "text":
            print_table(layout, console_of_stdout())
        case "markdown":
            sys.stdout.write(plain(markdown(layout)))
        case "csv":
            sys.stdout.write(plain(marks(layout)))
        case "html":
            sys.stdout.write(plain(html(layout)))
    return 0


# ---------------------------------------------------------------- text


def print_table(layout: Layout, console: Console) -> None:
    """Print the rows in words, as wide as the terminal is."""
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH
    title = Text.assemble((plain(layout.name), "bold"))
    for name, value in layout.facts:
        title.append(f"  {name} ", "dim")
        title.append(plain(value))
    console.print(title, soft_wrap=True)
    because = any(row.because for row in layout.rows)
    for group, rows in layout.groups:
        shown = Table(box=SIMPLE_HEAD, width=console.width, pad_edge=False, padding=(0, 1), show_edge=False)
        shown.add_column(Text(group.upper(), STYLES[group]), ratio=5, overflow="fold")
        shown.add_column("when", ratio=8, overflow="fold")
        shown.add_column("then", ratio=6, overflow="fold")
        if because:
            shown.add_column("because", ratio=6, overflow="fold")
        for row in rows:
            cells = [_head(row), _conditions(row), Text(plain("\n".join(row.then)))]
            shown.add_row(*cells, *([Text(plain(row.because))] if because else []))
        console.print()
        console.print(shown)
    console.print()
    console.print(Text.assemble(("otherwise ", "dim"), plain(layout.otherwise)), soft_wrap=True)


def _head(row: Row) -> Text:
    return Text.assemble((plain(row.id), "bold"), "\n", (plain(row.tools), "dim"))


def _conditions(row: Row) -> Text:
    lines = [*row.when]
    text = Text(plain("\n".join(lines)) if lines else "" if row.unless else "always", "" if lines else "dim")
    for place, line in enumerate(row.unless):
        text.append("\n" if place or lines else "")
        text.append("unless " if not place else "       ", "dim")
        text.append(plain(line), "")
    return text


# ---------------------------------------------------------------- documents and spreadsheets


def markdown(layout: Layout) -> str:
    """Return the rows in words as Markdown, one table for each effect."""
    facts = ", ".join(f"{name} {_escaped(value)}" for name, value in layout.facts)
    lines = [f"# {_escaped(layout.name)}", "", facts, ""]
    for group, rows in layout.groups:
        lines += [f"## {group}", "", "| rule | tools | when | unless | then | because |", "|---|---|---|---|---|---|"]
        for row in rows:
            cells = ([row.id], [row.tools], row.when, row.unless, row.then)
            code = (_code(cell) for cell in cells)
            lines.append(f"| {' | '.join(code)} | {_escaped(row.because)} |")
        lines.append("")
    lines.append(f"Otherwise: {layout.otherwise}.")
    return "\n".join(lines) + "\n"


def _code(lines: list[str] | tuple[str, ...]) -> str:
    """Return lines as code that a table can hold."""
    return "<br>".join(f"<code>{_escaped(line)}</code>" for line in lines if line)


def _escaped(text: str) -> str:
    """Return a text in which no sign means anything to Markdown or HTML."""
    return "".join(f"&#{ord(sign)};" if sign in MARKUP else sign for sign in text.replace("\n", " "))


def marks(layout: Layout) -> str:
    """Return the rows as marks, one column a condition, in CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    head = ["effect", "rule", "tools", *layout.columns, "when", "unless", "then", "because", "place"]
    writer.writerow([_safe(cell) for cell in head])
    for row in layout.rows:
        excused = len(row.excuses) == 1 or not row.excuses
        for way in row.marks or ({},):
            cells = [way.get(column, "") for column in layout.columns]
            if excused and row.excuses:
                excuse = row.excuses[0]
                for place, column in enumerate(layout.columns):
                    if column in excuse:
                        cells[place] = f"{cells[place]} unless {excuse[column]}".strip()
            words = (" and ".join(row.when), " and ".join(row.unless), "; ".join(row.then))
            writer.writerow([_safe(c) for c in (row.group, row.id, row.tools, *cells, *words, row.because, row.place)])
    return stream.getvalue()


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell
