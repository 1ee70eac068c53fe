"""docs/sidecar.md: its bytes are made again, and what it says of options, routes and kinds is all there is."""

import json
import re
import tomllib
from inspect import signature
from pathlib import Path

import msgspec

from thoth.cli.serve import serve
from thoth.contract import REASONS
from thoth.contract.frames import Kind, message
from thoth.server import Settings, routes
from thoth.server.openapi import description

PAGE = (Path(__file__).parents[2] / "docs" / "sidecar.md").read_text("utf-8")


def test_the_bytes_on_the_page_are_those_of_a_question() -> None:
    (shown,) = re.findall(r"^→ ([0-9a-f ]+)\n  ([0-9a-f]+)$", PAGE, re.MULTILINE)
    made = message(Kind.DECIDE, 1, {"tool_name": "search", "tool_args": {"q": "owls"}})
    assert bytes.fromhex("".join(shown)) == made


def test_every_kind_of_frame_is_on_the_page() -> None:
    rows = dict(re.findall(r"^\| (\d+) (\w+) \|", PAGE, re.MULTILINE))
    assert rows == {str(kind.value): kind.name.lower() for kind in Kind}


def test_every_option_is_on_the_page_in_the_file_and_on_the_command_line() -> None:
    table = PAGE[PAGE.index("| option |") : PAGE.index("`deploy/thoth.service`")]
    named = set(
        re.findall(r"`(\w+)(?:\.NAME)?`", "".join(row.split("|")[1] for row in table.splitlines() if "|" in row))
    )
    assert named == set(Settings.__struct_fields__)
    assert set(signature(serve).parameters) - {"config"} == named - {"approvers", "operators"}


def test_the_settings_on_the_page_can_be_read() -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert msgspec.convert(tomllib.loads(text), Settings).approvers["finance-leads"].members


def test_every_reason_on_the_page_is_one() -> None:
    named = set(re.findall(r"BLOCK `(\w+)`", PAGE))
    assert named
    assert named <= REASONS.keys()


def test_every_route_is_described_and_every_described_route_is_served() -> None:
    described = json.loads(description("0"))["paths"]
    source = "".join(path.read_text("utf-8") for path in sorted(Path(routes.__file__).parent.glob("*routes.py")))
    for path in described:
        assert path.split("{")[0].rstrip("/") in source, path
    assert {"/v1/enforce", "/healthz", "/metrics", "/openapi.json"} <= described.keys()
