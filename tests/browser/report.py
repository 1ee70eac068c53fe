"""The report of `thoth simulate` in a real browser: `make browser`. Pictures are left in out/browser.

Nothing is requested but the page itself, the console stays empty, a phone need not scroll sideways, the keyboard
reaches and opens everything, and every text can be read against what is behind it, in light and in dark.
"""

import io
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from thoth.cli import main

from .chromium import Chromium, find

HOUSE = Path(__file__).resolve().parents[2]
OUT = HOUSE / "out/browser"
DRAFT = (
    '\nblock send_mail as inside-only when any args.to not like company_mail because "mail stays in the <company>"\n'
)
CONTRAST = """(() => {
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(v => v / 255).map(v =>
    v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$|transparent/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
  const poor = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(e.closest('svg') ? style.fill : style.color), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    const told = e.textContent.slice(0, 40);
    if (ratio < 4.5) poor.push(`${e.tagName}.${e.getAttribute('class')} ${ratio.toFixed(2)} ${told}`);
  }
  return [...new Set(poor)]; })()"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with something in every section."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "draft.thoth").write_text((HOUSE / "examples/demo.thoth").read_text() + DRAFT)
    words = ["simulate", "--policy", folder / "draft.thoth", "--against", HOUSE / "examples/demo.thoth"]
    words += ["--trace", HOUSE / "examples/traces", "--report", folder / "report.html"]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        code = main([*map(str, words), "--fail-on", "benign_blocked > 2%"])
    assert code == 1
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    path = find()
    assert path is not None, "there is no Chromium; install one, as in `apt-get install chromium`"
    OUT.mkdir(parents=True, exist_ok=True)
    with Chromium(path) as browser:
        yield browser


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1200, 900), (390, 844)], ids=["desk", "phone"])
def test_it_asks_for_nothing_complains_of_nothing_and_can_be_read(
    browser: Chromium, report: Path, width: int, height: int, dark: bool
) -> None:
    page = browser.visit(report, width, height, dark)
    browser.picture(OUT / f"report-{'dark' if dark else 'light'}-{width}.png")
    assert [url for url in page.requests if not url.startswith("data:")] == [report.resolve().as_uri()]
    assert page.complaints == []
    assert browser.run("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert browser.run(CONTRAST) == []
    assert browser.run("document.querySelectorAll('svg[role=img]:not([aria-label])').length") == 0
    assert browser.run("document.scripts.length") == 0


def test_the_keyboard_reaches_and_opens_every_group_of_changes(browser: Chromium, report: Path) -> None:
    browser.visit(report, 1200, 900)
    browser.run("document.querySelectorAll('details').forEach(one => one.open = false)")
    groups = browser.run("document.querySelectorAll('details').length")
    assert groups
    opened = 0
    for _ in range(500):
        if opened == groups:
            break
        browser.press("Tab", 9)
        if browser.run("document.activeElement.tagName") == "SUMMARY":
            browser.press("Enter", 13, "\r")
            opened += 1
    assert browser.run("document.querySelectorAll('details[open]').length") == groups


def test_what_people_wrote_stays_text(browser: Chromium, report: Path) -> None:
    browser.visit(report, 1200, 900)
    assert "mail stays in the <company>" in browser.run("document.body.innerText")
