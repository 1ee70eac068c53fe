"""The charts of a simulation's report as inline SVG: colours by class, so that they follow light, dark and print."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

EFFECTS: Final = ("ALLOW", "MODIFY", "STEP_UP", "DEFER", "BLOCK")
WORD: Final = {
    "ALLOW": "allowed", "MODIFY": "changed", "STEP_UP": "held for a person", "DEFER": "put off", "BLOCK": "blocked",
}  # fmt: skip
FLOW_WIDTH: Final = 760
FLOW_HEIGHT: Final = 300
NODE: Final = 12
GAP: Final = 14
CAUSES_SHOWN: Final = 9
LABEL: Final = 165
PLOT: Final = 235
ROW: Final = 22
DAYS_WIDTH: Final = 760


def number(value: float) -> str:
    """Return a coordinate, as short as it can be."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


def bar(parts: Iterable[tuple[str, int, int]], most: int, label: str) -> str:
    """Return a bar of parts, each (effect, calls, of which hypothetical); `most` is what a whole bar stands for."""
    at, drawn = 0.0, []
    for effect, calls, hypothetical in parts:
        width = 1000 * calls / most if most else 0
        if not width:
            continue
        kind = effect.lower()
        drawn.append(f'<rect class="{kind}" x="{number(at)}" width="{number(width)}" height="20"/>')
        if hypothetical:
            part = 1000 * hypothetical / most
            x = at + width - part
            drawn.append(f'<rect class="behind" x="{number(x)}" width="{number(part)}" height="20"/>')
        at += width
    return (
        f'<svg class="bar" viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        f"{''.join(drawn)}</svg>"
    )


# ---------------------------------------------------------------- what changes


def flow(groups: Sequence[dict[str, Any]]) -> str:
    """Return the changed calls as a flow: what they were, what changed them, what they are now."""
    groups = sorted(groups, key=lambda group: -group["calls"])
    causes: dict[str, int] = {}
    for group in groups:
        causes[group["cause"]] = causes.get(group["cause"], 0) + group["calls"]
    named = set(sorted(causes, key=lambda cause: -causes[cause])[:CAUSES_SHOWN])
    others = f"{len(causes) - len(named)} others"
    left: dict[tuple[str, str], int] = {}
    right: dict[tuple[str, str], int] = {}
    for group in groups:
        cause = group["cause"] if group["cause"] in named else others
        left[group["was"], cause] = left.get((group["was"], cause), 0) + group["calls"]
        right[cause, group["now"]] = right.get((cause, group["now"]), 0) + group["calls"]
    total = sum(left.values())
    if not total:
        return ""
    middle = list(dict.fromkeys([cause for _, cause in left]))
    becomes = {
        cause: max((EFFECTS.index(now), n) for (one, now), n in right.items() if one == cause) for cause in middle
    }
    middle.sort(key=lambda cause: (cause == others, becomes[cause][0], -causes.get(cause, 0)))
    befores, afters = {was for was, _ in left}, {now for _, now in right}
    sides: list[list[str]] = [[e for e in EFFECTS if e in befores], middle, [e for e in EFFECTS if e in afters]]
    height = max(FLOW_HEIGHT, len(middle) * 30)
    places = [_places(column, sums, total, height) for column, sums in zip(sides, _sums(left, right), strict=True)]
    x = (0, FLOW_WIDTH / 2 - NODE / 2, FLOW_WIDTH - NODE)
    drawn = _ribbons(left, places[0], places[1], x[0] + NODE, x[1], total, height, of_source=True)
    drawn += _ribbons(right, places[1], places[2], x[1] + NODE, x[2], total, height, of_source=False)
    for column, side in enumerate(sides):
        for node in side:
            top, tall = places[column][node]
            kind = node.lower() if column != 1 else "cause"
            drawn.append(
                f'<rect class="{kind}" x="{number(x[column])}" y="{number(top)}" width="{NODE}"'
                f' height="{number(tall)}" rx="2"/>'
            )
            anchor = "start" if column < 2 else "end"
            at = x[column] + NODE + 6 if column < 2 else x[column] - 6
            name = WORD.get(node, node) if column != 1 else _cut(node, 34)
            calls = sum(n for pair, n in (right if column else left).items() if node in pair)
            drawn.append(
                f'<text x="{number(at)}" y="{number(top + tall / 2 + 4)}" text-anchor="{anchor}">{escape(name)}'
                f' <tspan class="count">{calls:,}</tspan></text>'
            )
    label = f"{total:,} changed calls: what they were, what changed them, what they are now"
    return (
        f'<div class="wide plain"><svg class="flow" viewBox="0 -4 {FLOW_WIDTH} {number(height + 8)}" role="img"'
        f' aria-label="{escape(label)}">{"".join(drawn)}</svg></div>'
    )


def _sums(left: dict[tuple[str, str], int], right: dict[tuple[str, str], int]) -> list[dict[str, int]]:
    sums: list[dict[str, int]] = [{}, {}, {}]
    for (was, cause), calls in left.items():
        sums[0][was] = sums[0].get(was, 0) + calls
        sums[1][cause] = sums[1].get(cause, 0) + calls
    for (_, now), calls in right.items():
        sums[2][now] = sums[2].get(now, 0) + calls
    return sums


def _places(column: Sequence[str], sums: dict[str, int], total: int, height: float) -> dict[str, tuple[float, float]]:
    """Return top and height of each node: in proportion, but never too low to be seen or to carry a label."""
    room = height - GAP * (len(column) - 1)
    least = 3.0
    tall = {node: max(least, room * sums[node] / total) for node in column}
    scale = room / sum(tall.values()) if sum(tall.values()) > room else 1
    found, at = {}, 0.0
    for node in column:
        found[node] = (at, tall[node] * scale)
        at += tall[node] * scale + GAP
    return found


def _ribbons(
    pairs: dict[tuple[str, str], int],
    here: dict[str, tuple[float, float]],
    there: dict[str, tuple[float, float]],
    x1: float,
    x2: float,
    total: int,
    height: float,
    *,
    of_source: bool,
) -> list[str]:
    left = {node: sum(n for (one, _), n in pairs.items() if one == node) for node in here}
    right = {node: sum(n for (_, one), n in pairs.items() if one == node) for node in there}
    out, into = dict.fromkeys(here, 0.0), dict.fromkeys(there, 0.0)
    drawn = []
    order_here, order_there = list(here), list(there)
    for (one, other), calls in sorted(
        pairs.items(), key=lambda p: (order_here.index(p[0][0]), order_there.index(p[0][1]))
    ):
        thick1, thick2 = here[one][1] * calls / left[one], there[other][1] * calls / right[other]
        y1, y2 = here[one][0] + out[one], there[other][0] + into[other]
        out[one] += thick1
        into[other] += thick2
        bend = (x1 + x2) / 2
        kind = (one if of_source else other).lower()
        drawn.append(
            f'<path class="ribbon {kind}" d="M{number(x1)} {number(y1)}C{number(bend)} {number(y1)} {number(bend)}'
            f" {number(y2)} {number(x2)} {number(y2)}V{number(y2 + thick2)}C{number(bend)} {number(y2 + thick2)}"
            f' {number(bend)} {number(y1 + thick1)} {number(x1)} {number(y1 + thick1)}Z"/>'
        )
    return drawn


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"


# ---------------------------------------------------------------- scores


def intervals(rows: Sequence[tuple[str, dict[str, Any], bool]], label: str) -> str:
    """Return rates with their 95 % intervals, one row each: (name, rate, whether it is the pooled one)."""
    most = max((rate["interval"][1] for _, rate, _ in rows), default=1.0)
    top = next((step for step in (0.02, 0.05, 0.1, 0.2, 0.5) if most <= step), 1.0)
    low = min((rate["interval"][0] for _, rate, _ in rows), default=0.0)
    bottom = next((step for step in (0.98, 0.95, 0.9, 0.8, 0.5) if low >= step), 0.0) if top == 1.0 else 0.0

    def x(share: float) -> float:
        return LABEL + (share - bottom) / (top - bottom) * PLOT

    height = ROW * len(rows) + 24
    drawn = []
    for step in range(5):
        share = bottom + (top - bottom) * step / 4
        drawn.append(
            f'<line class="grid" x1="{number(x(share))}" x2="{number(x(share))}" y1="0" y2="{ROW * len(rows) + 4}"/>'
        )
        drawn.append(
            f'<text class="tick" x="{number(x(share))}" y="{height - 4}"'
            f' text-anchor="middle">{number(100 * share)}%</text>'
        )
    for place, (name, rate, pooled) in enumerate(rows):
        y = ROW * place + ROW / 2
        low, high = rate["interval"]
        kind = " pooled" if pooled else ""
        drawn.append(f'<text class="name{kind}" x="0" y="{number(y + 4)}">{escape(_cut(name, 25))}</text>')
        drawn.append(
            f'<line class="span{kind}" x1="{number(x(low))}" x2="{number(x(high))}" y1="{number(y)}" y2="{number(y)}"/>'
        )
        drawn.append(
            f'<circle class="dot{kind}" cx="{number(x(rate["value"]))}" cy="{number(y)}" r="{5 if pooled else 4}"/>'
        )
        drawn.append(
            f'<text class="value{kind}" x="{LABEL + PLOT + 12}" y="{number(y + 4)}">{100 * rate["value"]:.1f}%'
            f' <tspan class="count">of {rate["of"]:,}</tspan></text>'
        )
    return (
        f'<svg class="intervals" viewBox="0 0 {LABEL + PLOT + 130} {height}" role="img" aria-label="{escape(label)}">'
        f"{''.join(drawn)}</svg>"
    )


# ---------------------------------------------------------------- days


def days(rows: Sequence[dict[str, Any]], label: str) -> str:
    """Return questions by day as columns: {"day", "questions"}, every day of the recording."""
    if not rows:
        return ""
    most = max(row["questions"] for row in rows) or 1
    width = DAYS_WIDTH / len(rows)
    drawn = [
        f'<line class="grid" x1="0" x2="{DAYS_WIDTH}" y1="{number(120 - 100 * share)}"'
        f' y2="{number(120 - 100 * share)}"/>'
        f'<text class="tick" x="0" y="{number(116 - 100 * share)}">{number(most * share)}</text>'
        for share in (0.5, 1)
    ]
    for place, row in enumerate(rows):
        tall = 100 * row["questions"] / most
        drawn.append(
            f'<rect class="step_up" x="{number(place * width + width * 0.1)}" y="{number(120 - tall)}"'
            f' width="{number(max(1, min(40, width * 0.8)))}" height="{number(tall)}"><title>{row["day"]}:'
            f" {row['questions']:,}</title></rect>"
        )
    drawn.append(f'<line class="axis" x1="0" x2="{DAYS_WIDTH}" y1="120" y2="120"/>')
    drawn.append(f'<text class="tick" x="0" y="136">{rows[0]["day"]}</text>')
    if len(rows) > 1:
        drawn.append(f'<text class="tick" x="{DAYS_WIDTH}" y="136" text-anchor="end">{rows[-1]["day"]}</text>')
    return (
        f'<svg class="days" viewBox="0 0 {DAYS_WIDTH} 142" role="img"'
        f' aria-label="{escape(label)}">{"".join(drawn)}</svg>'
    )
