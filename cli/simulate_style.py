"""How the report of a simulation looks: light, dark, on paper, and on a phone."""

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --paper: #fbfbf9; --ink: #1c1d20; --soft: #5f636c; --line: #dddcd5; --card: #fff;
  --block: #b3261e; --defer: #8a3ffc; --step_up: #9a5b00; --modify: #007a78; --allow: #1f7d38; --accent: #0b62c4;
  --good: #1d7a37; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171a; --ink: #e7e8ea; --soft: #a2a8b2; --line: #30343a;
  --card: #1b1e22; --block: #ff8a80; --defer: #c9a6ff; --step_up: #ffc266; --modify: #6fd6d2; --allow: #80d497;
  --accent: #86b9ff; --good: #80d497; --bad: #ff8a80; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0 auto; max-width: 72rem; padding: 2.2rem clamp(1rem, 4vw, 3rem) 5rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: clamp(1.5rem, 4vw, 2.1rem); letter-spacing: -.02em; line-height: 1.2; }
h1 small { display: block; font-size: .95rem; font-weight: 400; color: var(--soft); letter-spacing: 0; }
h2 { margin: 3rem 0 .3rem; font-size: 1.3rem; letter-spacing: -.01em; }
h3 { margin: 1.6rem 0 .4rem; font-size: 1rem; }
p { margin: .3rem 0 1rem; max-width: 46rem; }
code { font: .86em/1.55 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: .3rem; }
.soft { color: var(--soft); }
.facts { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: .7rem 0 1rem; padding: 0; color: var(--soft);
  list-style: none; font-size: .92rem; }
.facts b { color: var(--ink); font-weight: 600; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: .6rem 0; border-block: 1px solid var(--line);
  font-size: .9rem; }
nav a { text-decoration: none; } nav a:hover { text-decoration: underline; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.4rem, 1fr)); gap: .8rem; margin: 1.4rem 0; }
.card { padding: .9rem 1.1rem 1rem; border: 1px solid var(--line); border-radius: .8rem; background: var(--card); }
.card b { display: block; font-size: 1.9rem; font-weight: 650; letter-spacing: -.02em; line-height: 1.15;
  font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .88rem; } .card i { display: block; font-style: normal;
  color: var(--soft);
  font-size: .8rem; }
.banner { margin: 1.2rem 0; padding: .8rem 1.1rem; border-left: 5px solid var(--good); border-radius: .5rem;
  background: var(--card); } .banner.bad { border-color: var(--bad); }
.banner ul { margin: .3rem 0 0; padding-left: 1.2rem; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: .7rem; background: var(--card); }
.wide.plain { padding: 1rem 1.1rem; }
table { width: 100%; border-collapse: collapse; font-size: .92rem; }
th, td { padding: .5rem .8rem; border-top: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { border-top: 0; color: var(--soft); font-weight: 500; font-size: .8rem; white-space: nowrap; }
tbody th { font-weight: 600; min-width: 9.5rem; }
th, td { overflow-wrap: break-word; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
td.chart { min-width: 9rem; width: 30%; vertical-align: middle; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; margin: .6rem 0 0; padding: 0; list-style: none;
  font-size: .88rem; }
.legend i { display: inline-block; width: .8rem; height: .8rem; margin-right: .45rem; border-radius: .2rem;
  background: var(--tone); vertical-align: -.06rem; }
.legend i.hatch { background: repeating-linear-gradient(45deg, var(--soft) 0 2px, transparent 2px 5px); }
.allow { --tone: var(--allow); fill: var(--allow); } .modify { --tone: var(--modify); fill: var(--modify); }
.step_up { --tone: var(--step_up); fill: var(--step_up); } .defer { --tone: var(--defer); fill: var(--defer); }
.block { --tone: var(--block); fill: var(--block); }
.pill { display: inline-block; padding: 0 .6rem; border: 1px solid var(--tone); border-radius: 1rem;
  color: var(--tone);
  font-size: .82rem; white-space: nowrap; }
.chip { display: inline-block; padding: 0 .5rem; border-radius: .3rem; background: var(--line); font-size: .8rem; }
svg { display: block; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .count, svg .tick { fill: var(--soft); font-size: 11px; }
svg .grid { stroke: var(--line); } svg .axis { stroke: var(--soft); }
svg.bar { width: 100%; height: 1.15rem; border-radius: .25rem; overflow: hidden; background: var(--line); }
svg.bar.tall, .tall svg.bar { height: 2.4rem; border-radius: .45rem; } svg .behind { fill: url(#hatch); }
#hatch-ground { stroke: var(--card); }
svg.flow { width: 100%; min-width: 40rem; }
svg.flow text { paint-order: stroke; stroke: var(--card); stroke-width: 3px; stroke-linejoin: round; }
  svg .cause { fill: var(--soft); }
svg .ribbon { fill-opacity: .28; } svg .ribbon:hover { fill-opacity: .5; }
.forest { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: .9rem; }
figure { margin: 0; padding: .9rem 1.1rem; border: 1px solid var(--line); border-radius: .8rem;
  background: var(--card); }
figcaption { margin-bottom: .5rem; font-size: .9rem; color: var(--soft); } figcaption b { color: var(--ink); }
svg.intervals, svg.days { width: 100%; } svg .span { stroke: var(--soft); stroke-width: 2; stroke-linecap: round; }
svg .dot { fill: var(--soft); } svg .span.pooled { stroke: var(--accent); stroke-width: 3; }
svg .dot.pooled { fill: var(--accent); } svg .pooled { font-weight: 650; }
details { border: 1px solid var(--line); border-radius: .7rem; background: var(--card); margin: .6rem 0; }
summary { display: flex; flex-wrap: wrap; gap: .2rem .7rem; align-items: baseline; padding: .65rem 1rem;
  cursor: pointer; }
summary::before { content: "▸"; color: var(--soft); } details[open] > summary::before { content: "▾"; }
summary::-webkit-details-marker { display: none; }
summary .n { min-width: 4.2rem; font-weight: 650; font-variant-numeric: tabular-nums; text-align: right; }
details .inside { padding: 0 1.1rem 1rem 1.1rem; } .examples { margin: .5rem 0; padding: 0; list-style: none; }
.examples li { margin: .5rem 0; padding-left: .9rem; border-left: 3px solid var(--line); font-size: .93rem; }
dl { display: grid; grid-template-columns: minmax(7rem, 13rem) 1fr; gap: .35rem 1.2rem; margin: .6rem 0;
  max-width: 52rem; }
dt { font-weight: 600; } dd { margin: 0; color: var(--soft); }
@media (max-width: 40rem) { body { padding-top: 1.2rem; font-size: 15px; } th, td { padding: .4rem .5rem; }
  td.chart { min-width: 6rem; }
  svg.intervals text { font-size: 14px; } svg.days text { font-size: 20px; }
  dl { grid-template-columns: 1fr; gap: .1rem; } dd { margin-bottom: .6rem; } .hide { display: none; }
  summary .n { min-width: 0; } }
@media print { nav { display: none; } body { max-width: none; padding: 0; font-size: 11px; }
  details { break-inside: avoid; }
  .card, figure, .wide { break-inside: avoid; } * { print-color-adjust: exact; } h2 { break-after: avoid; } }
"""
