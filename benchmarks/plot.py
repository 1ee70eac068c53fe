"""Makes the table and the plot of `benchmarks/README.md` from a run: the newest, or the one that is named.

    python benchmarks/plot.py [RUN.json]

The plot is `benchmarks/p50.svg`: median microseconds of a call against the number of rules, both logarithmic, seven
attributes, fresh requests. The table stands in the README between two comments.
"""

import json
import math
import sys
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
UNPLOTTED = ("decide(Request)", "session facts", "bytes")
"""Ways to ask that lie too close to another to be told apart in the plot; the table has them."""
COLOURS = ("#0b5fa5", "#7aa6cf", "#222222", "#c2410c", "#15803d", "#9333ea", "#b45309", "#be123c", "#0f766e")

Series = dict[str, dict[int, float]]
"""Engine → number of rules → median nanoseconds of a call."""


def newest() -> Path:
    runs = sorted((HERE / "runs").glob("*.json"), key=lambda file: json.loads(file.read_text())["begun"])
    if not runs:
        raise SystemExit("there is no run in `benchmarks/runs`; make one with `make bench`")
    return runs[-1]


def series_of(run: dict[str, Any]) -> Series:
    found: Series = {}
    for result in run["results"]:
        if result["workload"].startswith("typical") and result["attributes"] == 7:
            for name, measured in result["engines"].items():
                found.setdefault(name, {})[result["rules"]] = measured["fresh"]["p50_ns"]
    for result in run["peers"]:
        for measured in result["peers"].values():
            if "problem" not in measured:
                name = f"{measured['package']} {measured['version']}"
                found.setdefault(name, {})[result["rules"]] = measured["p50_ns"]
    return found


# ---------------------------------------------------------------- the plot


def plot(series: Series, caption: str) -> str:
    """Return the SVG; text in the colour of its line stands where the line ends."""
    width, height, left, right, top, bottom = 860, 520, 70, 250, 50, 60
    sizes = sorted({size for points in series.values() for size in points})
    values = [ns / 1_000 for points in series.values() for ns in points.values()]
    x_low, x_high = math.log10(sizes[0]), max(math.log10(sizes[-1]), math.log10(sizes[0]) + 1)
    y_low, y_high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(size: float) -> float:
        return left + (math.log10(size) - x_low) / (x_high - x_low) * (width - left - right)

    def y(us: float) -> float:
        return height - bottom - (math.log10(us) - y_low) / (y_high - y_low) * (height - top - bottom)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        ' font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="24" font-size="16">One decision from Python, median µs, by number of rules</text>',
        f'<text x="{left}" y="{height - 8}" font-size="11" fill="#555">{escape(caption)}</text>',
    ]
    for exponent in range(y_low, y_high + 1):
        at = y(10**exponent)
        parts.append(f'<path d="M{left} {at:.1f}H{width - right}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{10**exponent:,g} µs</text>')
    for size in sizes:
        parts.append(f'<path d="M{x(size):.1f} {top}V{height - bottom}" stroke="#eee"/>')
        parts.append(f'<text x="{x(size):.1f}" y="{height - bottom + 20}" text-anchor="middle">{size:,}</text>')
    labels = []
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        ordered = [(x(size), y(ns / 1_000)) for size, ns in sorted(points.items())]
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in ordered)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in ordered]
        labels.append([ordered[-1][1], ordered[-1][0], colour, name])
    placed = top - 16.0
    for at, from_x, colour, name in sorted(labels):
        placed = max(at + 4, placed + 16)
        label_x = width - right + 14
        parts.append(
            f'<path d="M{from_x + 4:.1f} {at:.1f}L{label_x - 4} {placed - 4:.1f}" stroke="{colour}" opacity=".3"/>'
        )
        parts.append(f'<text x="{label_x}" y="{placed:.1f}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


# ---------------------------------------------------------------- the table


def table(run: dict[str, Any]) -> str:
    """Return what the README says of a run, in Markdown."""
    told = run["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in told["packages"].items())
    load = told["load_average"][0]
    lines = [
        f"Measured {run['begun'][:10]}, `{run['plan']}`, seed {run['seed']}, commit {told['commit']}: {told['cpu']},",
        f"{told['cores']} cores, load {load} at the beginning; {told['system']}; {told['python']}; {packages}.",
        f"Loading took {loading(run)} s (text to engine; laying out alone).",
        f"The timer's own {run['timer_ns']['p50']} ns are part of every figure.",
        "",
    ]
    if run["note"]:
        lines += [f"**{run['note']}**", ""]
    sizes = sorted({size for points in series_of(run).values() for size in points})
    lines += [
        "![Median time of a call against the number of rules](p50.svg)",
        "",
        "Median µs of a call, seven attributes, each request fresh from JSON and used once:",
        "",
        f"| engine | {' | '.join(f'{size:,} rules' for size in sizes)} |",
        f"|---|{'---:|' * len(sizes)}",
    ]
    for name, points in series_of(run).items():
        lines.append(f"| {name} | {' | '.join(us(points.get(size)) for size in sizes)} |")
    lines += [
        "",
        "Ours and handwritten, everything that was measured (µs):",
        "",
        "| workload | engine | p50 | p50 of each round | p99 | max | p50, dicts re-used |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for result in run["results"]:
        for name, measured in result["engines"].items():
            reused = us(measured["reused"]["p50_ns"])
            lines.append(f"| {result['workload']} | {name} {cells(measured['fresh'])} | {reused} |")
    if run.get("extras"):
        lines += ["", "Beside the rules (`extras.py`; median of five rounds, the lowest and the highest of them):", ""]
        lines += ["| | | figure |", "|---|---|---:|"]
        for name, figures in run["extras"].items():
            lines += [f"| {name} | {what.replace('_', ' ')} | {figure(found)} |" for what, found in figures.items()]
    if run["peers"]:
        lines += ["", "Peers (µs):", "", "| workload | peer | p50 | p50 of each round | p99 | max | answers checked |"]
        lines += ["|---|---|---:|---:|---:|---:|---|"]
    for result in run["peers"]:
        for name, found in result["peers"].items():
            if "problem" in found:
                lines.append(f"| {result['workload']} | {name} | | | | | {found['problem'].replace('|', '/')} |")
                continue
            wrong = f"{found['checked']:,}, {found['mismatches'] or 'no'} mismatches"
            lines.append(f"| {result['workload']} | {found['package']} {found['version']} {cells(found)} | {wrong} |")
    return "\n".join(lines)


def loading(run: dict[str, Any]) -> str:
    """Return what loading took, by number of rules, seven attributes."""
    typical = [r for r in run["results"] if r["workload"].startswith("typical") and r["attributes"] == 7]
    return ", ".join(f"{r['load_s']:g} and {r['lay_out_s']:g} for {r['rules']:,} rules" for r in typical)


def figure(found: Any) -> str:
    if not isinstance(found, dict):
        return f"{found:,}"
    low, high = found["rounds"]
    return f"{found['median']:,} ({low:,}–{high:,})"


def cells(measured: dict[str, Any]) -> str:
    rounds = "–".join(map(us, measured["p50_ns_rounds"]))
    return f"| {us(measured['p50_ns'])} | {rounds} | {us(measured['p99_ns'])} | {us(measured['max_ns'])}"


def us(ns: float | None) -> str:
    """Return nanoseconds as microseconds with three digits."""
    if ns is None:
        return ""
    return f"{ns / 1_000:,.{2 if ns < 10_000 else 1 if ns < 100_000 else 0}f}"


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else newest()
    run = json.loads(file.read_text())
    told = run["machine"]
    caption = (
        f"{told['cpu']}, {told['cores']} cores, {told['python'].split(',')[0]}; {run['begun'][:10]}; seven attributes"
    )
    plotted = {name: p for name, p in series_of(run).items() if not any(word in name for word in UNPLOTTED)}
    (HERE / "p50.svg").write_text(plot(plotted, f"{caption}. {run['note']}"))
    before, _, rest = README.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    README.write_text(f"{before}{BEGIN}\n{table(run)}\n{END}{after}")
    print(f"table and plot are of {file.name}")


if __name__ == "__main__":
    main()
