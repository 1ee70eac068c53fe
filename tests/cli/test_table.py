"""`thoth table` in each of its forms; foreign text stays text."""

import csv
from html.parser import HTMLParser
from pathlib import Path

import pytest

from thoth.cli import main

POLICY = """\
policy shop
tool send(to: list of key email, n: number) is send
allow * as all
block send as outside when any args.to not like "*@acme.example" and (args.n > 10 or args.n < 0)
    because "<script>alert(1)</script> | =1+1"
risk * +5 as odd unless purpose is support
"""


@pytest.fixture
def shown(tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> str:
    """Return what the command prints in the form that the test names."""
    (tmp_path / "p.thoth").write_text(POLICY)
    assert main(["table", str(tmp_path / "p.thoth"), "--format", request.param]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shown", ["text"], indirect=True)
def test_text_has_the_rules_under_their_effects_and_fits(shown: str) -> None:
    lines = shown.splitlines()
    heads = [line.split()[0] for line in lines if "when" in line and "then" in line]
    assert heads == ["BLOCK", "RISK", "ALLOW"]
    assert max(map(len, lines)) <= 110
    assert lines[-1] == "otherwise block what no rule allows"


def test_text_is_as_narrow_as_it_is_asked_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    (tmp_path / "p.thoth").write_text(POLICY)
    assert main(["table", str(tmp_path / "p.thoth")]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines()[1:])) <= 60


@pytest.mark.parametrize("shown", ["csv"], indirect=True)
def test_csv_has_a_column_for_each_condition_and_a_row_for_each_way(shown: str) -> None:
    rows = list(csv.DictReader(shown.splitlines()))
    outside = [row for row in rows if row["rule"] == "outside"]
    assert [(row["args.n > 10"], row["args.n < 0"]) for row in outside] == [("T", ""), ("", "T")]
    assert {row['all args.to like "*@acme.example"'] for row in outside} == {"F"}
    assert next(row for row in rows if row["rule"] == "odd")['purpose is "support"'] == "unless T"
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


@pytest.mark.parametrize("shown", ["markdown"], indirect=True)
def test_markdown_keeps_its_columns_and_takes_no_markup_from_the_policy(shown: str) -> None:
    table = [line for line in shown.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in table} == {7}
    assert "<script" not in shown


@pytest.mark.parametrize("shown", ["html"], indirect=True)
def test_html_is_one_well_formed_page_that_asks_for_nothing(shown: str) -> None:
    open_tags: list[str] = []
    scripts = 0

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            nonlocal scripts
            scripts += tag == "script"
            assert not [value for name, value in attrs if name in ("src", "href") and not (value or "").startswith("#")]
            if tag not in ("meta", "br", "input"):
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Reader().feed(shown)
    assert not open_tags
    assert scripts == 1
    assert "prefers-color-scheme: dark" in shown
