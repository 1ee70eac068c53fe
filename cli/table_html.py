"""A decision table as one HTML page that needs nothing else: no script but a filter, no font, no network."""

from html import escape
from typing import Final

from ..engine.layout import Layout, Row

STYLE: Final = """
:root { color-scheme: light dark; --paper: #fbfbf9; --ink: #1c1d20; --soft: #666a73; --line: #dddcd5; --card: #fff;
  --block: #b3261e; --defer: #8a3ffc; --step_up: #a15c00; --limit: #0b62c4; --modify: #007a78; --risk: #5f6368;
  --allow: #1d7a37; --result: #007a78; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171a; --ink: #e7e8ea; --soft: #9aa0aa; --line: #2e3238;
  --card: #1b1e22; --block: #ff8a80; --defer: #c9a6ff; --step_up: #ffc266; --limit: #86b9ff; --modify: #6fd6d2;
  --risk: #b4bac4; --allow: #80d497; --result: #6fd6d2; } }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; padding: 2rem clamp(1rem, 3vw, 3rem) 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; letter-spacing: -.01em; }
code, .mono { font: .86em/1.55 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.facts { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: .4rem 0 1.4rem; padding: 0; color: var(--soft);
  list-style: none; }
.facts b { color: var(--ink); font-weight: 500; }
nav { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin-bottom: 1rem; }
nav a { padding: .1rem .7rem; border: 1px solid currentColor; border-radius: 1rem; text-decoration: none;
  font-size: .85rem; }
nav input { margin-left: auto; min-width: 14rem; padding: .35rem .7rem; border: 1px solid var(--line);
  border-radius: .4rem; background: var(--card); color: inherit; font: inherit; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: .6rem; background: var(--card); }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .6rem .9rem; border-top: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { border-top: 0; color: var(--soft); font-weight: 500; font-size: .8rem; }
tbody th.group { padding: 1.1rem .9rem .35rem; color: var(--tone); font-size: .82rem; letter-spacing: .06em;
  text-transform: uppercase; }
tbody tr.rule td:first-child { border-left: 3px solid var(--tone); }
.id { font-weight: 600; overflow-wrap: anywhere; }
.tools, .soft { color: var(--soft); }
.line { display: block; overflow-wrap: anywhere; }
.line + .line { margin-top: .1rem; }
@media (min-width: 50rem) { .words { min-width: 52rem; table-layout: fixed; }
  .words thead th:nth-child(1) { width: 20%; } .words thead th:nth-child(2) { width: 30%; }
  .words thead th:nth-child(3) { width: 28%; } }
.unless { color: var(--soft); font-style: italic; font-family: system-ui, sans-serif; }
.block { --tone: var(--block); } .defer { --tone: var(--defer); } .step_up { --tone: var(--step_up); }
.limit { --tone: var(--limit); } .modify { --tone: var(--modify); } .risk { --tone: var(--risk); }
.allow { --tone: var(--allow); } .result { --tone: var(--result); }
nav a { color: var(--tone); }
.otherwise { margin: 1rem .2rem 2rem; }
details summary { cursor: pointer; color: var(--soft); margin-bottom: .6rem; }
.marks { width: auto; font-size: .85rem; }
.marks th, .marks td { padding: .25rem .55rem; }
.marks thead th { height: 16rem; vertical-align: bottom; white-space: nowrap; border-left: 1px solid var(--line); }
.marks thead th span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 15rem; overflow: hidden;
  text-overflow: ellipsis; }
.marks tbody td { text-align: center; border-left: 1px solid var(--line); min-width: 2rem; }
.marks tbody th { position: sticky; left: 0; background: var(--card); font-weight: 500; white-space: nowrap;
  border-left: 3px solid var(--tone); }
.marks thead th:first-child { position: sticky; left: 0; background: var(--card); border-left: 0; }
.t { color: var(--allow); font-weight: 600; } .f { color: var(--block); font-weight: 600; }
@media print { nav, details { display: none; } body { padding: 0; } .wide { border: 0; overflow: visible; }
  tr { break-inside: avoid; } thead { display: table-header-group; } }
@media (max-width: 50rem) { thead { display: none; } .words tr, .words td, .words th { display: block; }
  .words td { border-top: 0; padding: .15rem .9rem; } .words tr.rule { border-top: 1px solid var(--line);
  padding: .5rem 0; } .words tr.rule td { border-left: 3px solid var(--tone); } }
"""

COLUMNS_MAX: Final = 300
"""Most conditions that a page shows a column each for: it grows with their number times the rules'."""

FILTER: Final = """
const box = document.getElementById('filter');
box.addEventListener('input', () => {
  const asked = box.value.toLowerCase();
  for (const row of document.querySelectorAll('tr.rule')) row.hidden = !row.textContent.toLowerCase().includes(asked);
  for (const part of document.querySelectorAll('.words tbody'))
    part.hidden = !part.querySelector('tr.rule:not([hidden])');
});
"""


def html(layout: Layout) -> str:
    """Return the page: the rows in words, and the same as marks to unfold."""
    name = escape(layout.name)
    facts = "".join(f"<li>{escape(fact)} <b>{escape(value)}</b></li>" for fact, value in layout.facts)
    links = "".join(
        f'<a class="{_class(group)}" href="#{_class(group)}">{escape(group)} {len(rows)}</a>'
        for group, rows in layout.groups
    )
    bodies = "".join(_body(group, rows) for group, rows in layout.groups)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name} – decision table</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{name}</h1>
<ul class="facts">{facts}</ul>
<nav>{links}<input id="filter" type="search" placeholder="filter rules" aria-label="filter rules"></nav>
<div class="wide"><table class="words">
<thead><tr><th>rule</th><th>when</th><th>then</th><th>because</th></tr></thead>
{bodies}
</table></div>
<p class="otherwise"><span class="soft">Otherwise:</span> {escape(layout.otherwise)}.</p>
{_marks(layout)}
<script>{FILTER}</script>
</body>
</html>
"""


def _class(group: str) -> str:
    return group.rpartition(" ")[2]


def _body(group: str, rows: tuple[Row, ...]) -> str:
    inner = "\n".join(_row(row) for row in rows)
    kind = _class(group)
    head = f'<tr><th class="group" id="{kind}" colspan="4">{escape(group)}</th></tr>'
    return f'<tbody class="{kind}">{head}\n{inner}</tbody>'


def _row(row: Row) -> str:
    when = "".join(_line(line) for line in row.when)
    when += "".join(
        _line(line, '<span class="unless">unless</span> ' if not place else "") for place, line in enumerate(row.unless)
    )
    head = f'<span class="id" title="{escape(row.place)}">{escape(row.id)}</span>'
    return (
        f'<tr class="rule"><td>{head}<br><code class="tools">{escape(row.tools)}</code></td>'
        f'<td class="when">{when or "<span class=soft>always</span>"}</td>'
        f"<td>{''.join(_line(line) for line in row.then)}</td>"
        f'<td class="why">{escape(row.because)}</td></tr>'
    )


def _line(line: str, before: str = "") -> str:
    return f'<code class="line">{before}{escape(line)}</code>'


def _marks(layout: Layout) -> str:
    """Return the second view: one column a condition."""
    if not layout.columns:
        return ""
    if len(layout.columns) > COLUMNS_MAX:
        return '<p class="soft">Too many conditions for a column each; <code>--format csv</code> has them.</p>'
    heads = "".join(f'<th title="{escape(c)}"><span class="mono">{escape(c)}</span></th>' for c in layout.columns)
    rows = []
    for row in layout.rows:
        for way in row.marks or ({},):
            excuse = row.excuses[0] if len(row.excuses) == 1 else {}
            cells = "".join(_mark(way.get(column, ""), excuse.get(column, "")) for column in layout.columns)
            rows.append(
                f'<tr class="{_class(row.group)}"><th title="{escape(row.tools)}">{escape(row.id)}</th>{cells}</tr>'
            )
    return (
        f"<details><summary>One column a condition: T it must be true, F it must be false, in brackets what excuses"
        f'</summary><div class="wide"><table class="marks"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _mark(must: str, excuse: str) -> str:
    shown = must + (f" ({excuse})" if excuse else "")
    kind = {"T": ' class="t"', "F": ' class="f"'}.get(must, "")
    return f"<td{kind}>{shown.strip()}</td>"
