"""docs/cli.md: every example is run, in order and in one folder, and prints what stands on the page."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BLOCK = re.compile(r"(?:^`(?P<file>[\w.]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
# A digest changes with the libraries that it covers.
DIGEST = re.compile(r"\b[0-9a-f]{12}\b")


def recreated(page: str, desk: Any) -> str:
    """Return the page with the output that its commands have now."""

    def block(found: re.Match[str]) -> str:
        if found["file"]:
            desk.write(found["file"], found["body"])
        if found["kind"] != "console":
            return found[0]
        return "```console\n" + "".join(typed(found["body"], desk)) + "```"

    return BLOCK.sub(block, page)


def typed(body: str, desk: Any) -> Iterator[str]:
    for line in body.splitlines():
        if line.startswith("$ "):
            shown = desk.type(line[2:])
            yield f"{line}\n{DIGEST.sub('DIGEST', shown.out)}"


def test_the_examples_on_the_page_print_what_stands_there(empty_desk: Any) -> None:
    page = PAGE.read_text("utf-8")
    assert recreated(page, empty_desk) == page
