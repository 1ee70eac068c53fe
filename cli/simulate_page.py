"""The report of a simulation as one page of HTML that needs nothing else: no script, no font, no network."""

from collections.abc import Iterable, Sequence
from html import escape as quoted
from typing import Any, Final

from ..simulation.scores import WORDS
from .printing import plain
from .simulate_charts import EFFECTS, WORD, bar, days, flow, intervals
from .simulate_style import STYLE

ROWS_SHOWN: Final = 25
GROUPS_OPEN: Final = 3
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
HATCH: Final = (
    '<svg width="0" height="0" aria-hidden="true" style="position:absolute"><defs><pattern id="hatch" width="7"'
    ' height="7"'
    ' patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line id="hatch-ground" y2="7" stroke-width="7"'
    ' stroke-opacity=".55"/></pattern></defs></svg>'
)


def page(found: dict[str, Any]) -> str:
    """Return the page of a report (`simulation.summary`)."""
    sections = [
        ("decisions", "Decisions", _decisions(found)),
        ("changes", "What changes", _changes(found)),
        ("scores", "Scores", _scores(found)),
        ("people", "What it asks of people", _people(found)),
        ("rules", "Rules", _rules(found)),
        ("tools", "Tools and agents", _tools(found)),
        ("fit", "Calls that do not fit", _misfits(found)),
        ("read", "What was read", _read(found)),
        ("words", "How to read this", _words(found)),
    ]
    shown = [(id, title, body) for id, title, body in sections if body]
    links = "".join(f'<a href="#{id}">{title}</a>' for id, title, _ in shown)
    bodies = "".join(f'<section id="{id}"><h2>{title}</h2>{body}</section>' for id, title, body in shown)
    name = escape(_name(found))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport"'
        f' content="width=device-width,'
        f' initial-scale=1"><meta http-equiv="Content-Security-Policy" content="{POLICY}"><link rel="icon"'
        f' href="data:,">'
        f"<title>{name}: simulated</title><style>{STYLE}</style></head><body>{HATCH}<header><h1>{name}"
        f"<small>{escape(_against(found))}</small></h1>{_facts(found)}</header>{_verdict(found)}{_cards(found)}"
        f'<nav aria-label="Sections">{links}</nav><main>{bodies}</main></body></html>\n'
    )


def escape(text: object) -> str:
    """Return a text as HTML, control characters as signs."""
    return quoted(plain(str(text)))


def _name(found: dict[str, Any]) -> str:
    return str(found["policy"]["name"] or found["policy"]["files"][0])


def _against(found: dict[str, Any]) -> str:
    against = found["against"]
    files = ", ".join(found["policy"]["files"])
    if against is None:
        return f"{files} on recorded calls"
    if "files" not in against:
        return f"{files}, compared with what was decided when the calls were recorded"
    return f"{files}, compared with {', '.join(against['files'])}"


def _facts(found: dict[str, Any]) -> str:
    facts = [
        (f"{found['calls']:,}", "calls"),
        (f"{found['sessions']:,}", "sessions"),
        (f"{found['days']:,}", f"days, {str(found['from'])[:10]} to {str(found['to'])[:10]}"),
        (f"{found['policy']['rules']:,}", "rules"),
        (found["policy"]["digest"][:12], "policy digest"),
    ]
    return f'<ul class="facts">{"".join(f"<li><b>{escape(n)}</b> {escape(what)}</li>" for n, what in facts)}</ul>'


def _verdict(found: dict[str, Any]) -> str:
    asked = found.get("fail_on")
    if not asked:
        return ""
    expression = f"<code>{escape(asked['expression'])}</code>"
    if not asked["failed"]:
        return f'<div class="banner" role="status"><b>Passes.</b> {expression} does not hold.</div>'
    reasons = "".join(
        f"<li><code>{escape(one['comparison'])}</code>: {escape(one['value'])}</li>" for one in asked["reasons"]
    )
    return f'<div class="banner bad" role="status"><b>Fails.</b> {expression} holds:<ul>{reasons}</ul></div>'


def _cards(found: dict[str, Any]) -> str:
    cards: list[tuple[str, str, str]] = []
    if found["changes"] is not None:
        changed = found["changes"]
        cards.append(
            (
                f"{changed['changed']:,}",
                "decisions change",
                f"{changed['stricter']:,} stricter, {changed['milder']:,} milder",
            )
        )
    pooled = next((score for score in found["scores"] if score["source"] == "*"), None)
    named = {"GCS": "of attackers' calls stopped", "BHD": "of benign calls blocked", "NCD": "of needed calls blocked"}
    for name, what in named.items():
        if pooled and pooled[name]["value"] is not None:
            low, high = pooled[name]["interval"]
            interval = f"95 %: {100 * low:.1f} to {100 * high:.1f}"
            cards.append((f"{100 * pooled[name]['value']:.1f} %", what, interval))
    people = found["people"]
    cards.append(
        (
            f"{people['per_100_calls'] or 0:.1f}",
            "questions to people per 100 calls",
            f"{people['step_ups']:,} questions in all",
        )
    )
    if found["undeclared"]["calls"]:
        cards.append((f"{found['undeclared']['calls']:,}", "calls to undeclared tools", ""))
    shown = "".join(
        f'<div class="card"><b>{n}</b><span>{what}</span><i>{more}</i></div>' for n, what, more in cards[:6]
    )
    return f'<div class="cards">{shown}</div>'


# ---------------------------------------------------------------- decisions and changes


def _decisions(found: dict[str, Any]) -> str:
    every, behind = found["effects"]["all"], found["effects"]["hypothetical"]
    label = "; ".join(f"{every[e]:,} {WORD[e]}, of which {behind[e]:,} hypothetical" for e in EFFECTS if every[e])
    whole = bar([(e, every[e], behind[e]) for e in EFFECTS], found["calls"], label)
    legend = "".join(
        f'<li><i class="{e.lower()}"></i>{WORD[e]} <b>{every[e]:,}</b> '
        f'<span class="soft">{100 * every[e] / found["calls"]:.1f} %</span></li>'
        for e in EFFECTS
        if every[e]
    )
    hatched = (
        '<li><i class="hatch"></i><span class="soft">striped: hypothetical</span></li>' if found["hypothetical"] else ""
    )
    said = ""
    if found["hypothetical"]:
        said = (
            f"<p>{found['sessions_stopped']:,} of {found['sessions']:,} sessions would be stopped somewhere. The"
            f" {found['hypothetical']:,} calls behind a stop might never have been made: they are decided all the"
            f" same, and"
            " called hypothetical.</p>"
        )
    return f'{said}<div class="wide plain tall">{whole}<ul class="legend">{legend}{hatched}</ul></div>'


def _changes(found: dict[str, Any]) -> str:
    if found["changes"] is None:
        if not found["stopped"]:
            return "<p>Nothing is stopped.</p>"
        return (
            f"<p>There is nothing to compare with, so this is what is stopped, and by what."
            f"</p>{_groups(found['stopped'])}"
        )
    changes = found["changes"]
    if not changes["changed"]:
        return f"<p>Nothing: all {changes['compared']:,} calls are decided as before.</p>"
    said = (
        f"<p>{changes['changed']:,} of {changes['compared']:,} calls come out differently. On the left what they"
        f" were, in the"
        " middle what changed them, on the right what they are now.</p>"
    )
    return f"{said}{flow(changes['groups'])}{_groups(changes['groups'])}"


def _groups(groups: Sequence[dict[str, Any]]) -> str:
    return "".join(_group(group, place < GROUPS_OPEN) for place, group in enumerate(groups))


def _group(group: dict[str, Any], opened: bool) -> str:
    before = f"{_pill(group['was'])} → " if group["was"] else ""
    kinds = "".join(f' <span class="chip">{count:,} {escape(kind)}</span>' for kind, count in group["kinds"].items())
    lifted = ' <span class="soft">applies no longer</span>' if group["stricter"] is False else ""
    tools = ", ".join(f"<code>{escape(one['tool'])}</code> {one['calls']:,}" for one in group["tools"])
    behind = f" {group['hypothetical']:,} of them are hypothetical." if group["hypothetical"] else ""
    examples = "".join(f"<li>{escape(one['text'])}</li>" for one in group["examples"])
    return (
        f'<details{" open" if opened else ""}><summary><span class="n">{group["calls"]:,}</span>'
        f"<b>{escape(group['cause'])}"
        f"</b>{lifted}<span>{before}{_pill(group['now'])}</span><span>{kinds}</span></summary>"
        f'<div class="inside"><span class="soft">{tools}.{behind}</span><ul class="examples">{examples}</ul></div>'
        f"</details>"
    )


def _pill(effect: str) -> str:
    return f'<span class="pill {effect.lower()}">{WORD[effect]}</span>'


# ---------------------------------------------------------------- scores and people


def _scores(found: dict[str, Any]) -> str:
    scores = found["scores"]
    if not scores:
        return ""
    figures = []
    several = len({score["source"] for score in scores}) > 2
    for name, words in WORDS.items():
        rows = [
            (
                "all"
                if score["source"] == "*"
                else f"{score['suite']} · {score['source']}"
                if several
                else score["suite"],
                score[name],
                score["source"] == "*",
            )
            for score in scores
            if score[name]["value"] is not None and (score["suite"] != "*" or score["source"] == "*")
        ]
        if rows:
            label = "; ".join(f"{n} {100 * rate['value']:.1f} %" for n, rate, _ in rows)
            figures.append(
                f"<figure><figcaption><b>{name}</b> {escape(words)}"
                f"</figcaption>{intervals(rows, f'{name}: {label}')}</figure>"
            )
    before = next((score for score in found["scores_before_a_stop"] if score["source"] == "*"), None)
    said = ""
    if before and before["GCS"]["value"] is not None:
        said = (
            f"<p>Counted only up to the first stop of each session: GCS {100 * before['GCS']['value']:.1f} % of"
            f" {before['GCS']['of']:,}, BHD {_share(before['BHD'])}, BSU {_share(before['BSU'])}.</p>"
        )
    return (
        "<p>Labelled calls, by suite and pooled, with Wilson 95 % intervals. They compare policies; they do not"
        " certify one."
        f'</p><div class="forest">{"".join(figures)}</div>{said}'
    )


def _share(rate: dict[str, Any]) -> str:
    return "–" if rate["value"] is None else f"{100 * rate['value']:.1f} % of {rate['of']:,}"


def _people(found: dict[str, Any]) -> str:
    people = found["people"]
    if not people["step_ups"]:
        return "<p>Nobody is asked anything.</p>"
    chart = days(people["days"], f"{people['step_ups']:,} questions over {len(people['days'])} days")
    rows = "".join(
        f'<tr><th>{escape(one["approver"])}</th><td class="n">{one["questions"]:,}</td><td'
        f' class="n">{one["per_day"]:.1f}</td>'
        f'<td class="n">{one["most_in_a_day"]:,}</td></tr>'
        for one in people["approvers"][:ROWS_SHOWN]
    )
    users = "".join(
        f'<tr><th>{escape(one["user"])}</th><td class="n">{one["questions"]:,}</td><td'
        f' class="n">{one["per_day"]:.1f}</td>'
        f'<td class="n">{one["most_in_a_day"]:,}</td></tr>'
        for one in people["users"][:ROWS_SHOWN]
    )
    head = '<th class="n">questions</th><th class="n">a day</th><th class="n">most in a day</th>'
    return (
        f"<p>{people['step_ups']:,} questions, {people['per_100_calls']:.1f} per 100 calls;"
        f" {people['as_recorded']:,} of them"
        f" do not stand behind another stop.</p><figure><figcaption>Questions a day</figcaption>{chart}</figure>"
        f"<h3>Who is asked</h3>{_table(f'<th>approver</th>{head}', rows)}"
        f"<h3>Whose agents wait</h3>{_table(f'<th>user</th>{head}', users)}"
    )


def _table(head: str, rows: str) -> str:
    return f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


# ---------------------------------------------------------------- rules


def _rules(found: dict[str, Any]) -> str:
    rules = found["rules"]
    most = max((one["calls"] for one in rules), default=1) or 1
    deciding = sorted((one for one in rules if one["calls"]), key=lambda one: -one["calls"])
    rows = "".join(
        f'<tr><th>{escape(one["rule"])}<br><span class="soft" style="font-weight:400">{escape(one["because"])}'
        f"</span></th>"
        f'<td>{_rule_pill(one["effect"])}</td><td class="n">{one["calls"]:,}</td>'
        f'<td class="chart hide">{_rule_bar(one, most)}</td>'
        f'<td class="n">{one["goal"] or ""}</td><td class="n">{one["benign"] or ""}</td></tr>'
        for one in deciding[:ROWS_SHOWN]
    )
    head = (
        '<th>rule</th><th>effect</th><th class="n">decides</th><th class="hide"></th><th class="n">attackers’'
        '</th><th class="n">benign</th>'
    )
    parts = [_table(head, rows), _more(len(deciding))]
    never = found["never_fired"]
    if never:
        listed = "".join(
            f'<tr><th>{escape(one["rule"])}</th><td>{escape(one["fate"])}</td><td class="soft">{_place(one)}</td></tr>'
            for one in never[:ROWS_SHOWN]
        )
        parts.append(
            f"<h3>{len(never)} rules decide nothing here"
            f"</h3>{_table('<th>rule</th><th>why</th><th>where</th>', listed)}"
        )
        parts.append(_more(len(never)))
    if found["conditions"]:
        looked = found["looked_at"]
        listed = "".join(
            f"<tr><th>{escape(one['rule'])}</th><td><code>{escape(one['condition'])}</code></td>"
            f"<td>never {' nor '.join(one['never'])}</td></tr>"
            for one in found["conditions"][:ROWS_SHOWN]
        )
        parts.append(
            f"<h3>Conditions that never took a value</h3><p>In {looked['calls']:,} of {looked['of']:,} calls that"
            f" were looked"
            " at. A condition that is always the same may be superfluous, or the recording lacks the case.</p>"
            f"{_table('<th>rule</th><th>condition</th><th></th>', listed)}{_more(len(found['conditions']))}"
        )
    if found["slowest"]:
        slowest = max(one["us"] for one in found["slowest"]) or 1
        listed = "".join(
            f'<tr><th>{escape(one["rule"])}</th><td class="n">{one["us"]:.1f} µs</td><td class="chart">'
            f'{_slow_bar(one["us"], slowest)}</td><td class="soft">{_place(one)}</td></tr>'
            for one in found["slowest"]
        )
        parts.append(
            "<h3>The slowest rules</h3><p>Each asked alone, from the outside; in a decision what rules share is"
            " asked once, so"
            " read these as an order.</p>"
            + _table('<th>rule</th><th class="n">a call</th><th></th><th>where</th>', listed)
        )
    return "".join(parts)


def _rule_pill(effect: str) -> str:
    return (
        f'<span class="pill {effect}">{effect.replace("_", " ")}</span>' if effect.upper() in WORD else escape(effect)
    )


def _rule_bar(one: dict[str, Any], most: int) -> str:
    kind = one["effect"].upper() if one["effect"].upper() in WORD else "BLOCK"
    return bar([(kind, one["calls"], one["calls"] - one["as_recorded"])], most, f"{one['calls']:,} calls")


def _slow_bar(us: float, slowest: float) -> str:
    return bar([("MODIFY", round(us * 1000), 0)], round(slowest * 1000), f"{us:.1f} µs")


def _place(one: dict[str, Any]) -> str:
    return f"{escape(one['file'])}:{one['line']}" if one["file"] else ""


def _more(count: int) -> str:
    return (
        f'<p class="soft">… and {count - ROWS_SHOWN:,} more; <code>--format json</code> has all.</p>'
        if count > ROWS_SHOWN
        else ""
    )


# ---------------------------------------------------------------- tools, agents, what does not fit


def _tools(found: dict[str, Any]) -> str:
    return (
        f"<h3>By tool</h3>{_broken_down(found['tools'], 'tool')}<h3>By agent"
        f"</h3>{_broken_down(found['agents'], 'agent')}"
    )


def _broken_down(rows: Sequence[dict[str, Any]], name: str) -> str:
    legend = "".join(f'<li><i class="{e.lower()}"></i>{WORD[e]}</li>' for e in EFFECTS if any(row[e] for row in rows))
    listed = "".join(
        f'<tr><th>{escape(row[name] or "(not said)")}{_undeclared(row)}</th><td class="n">{row["calls"]:,}</td><td'
        f' class="chart">'
        f"{bar([(e, row[e], 0) for e in EFFECTS], row['calls'], _said(row))}</td>"
        f'<td class="n hide">{100 * (1 - (row["ALLOW"] + row["MODIFY"]) / row["calls"]):.1f} %</td></tr>'
        for row in rows[:ROWS_SHOWN]
    )
    head = f'<th>{name}</th><th class="n">calls</th><th></th><th class="n hide">stopped</th>'
    return f'{_table(head, listed)}<ul class="legend">{legend}</ul>{_more(len(rows))}'


def _undeclared(row: dict[str, Any]) -> str:
    return f' <span class="chip">{row["undeclared"]:,} undeclared</span>' if row.get("undeclared") else ""


def _said(row: dict[str, Any]) -> str:
    return ", ".join(f"{row[e]:,} {WORD[e]}" for e in EFFECTS if row[e])


def _misfits(found: dict[str, Any]) -> str:
    undeclared, misfits = found["undeclared"], found["misfits"]
    parts = []
    if undeclared["calls"]:
        rows = _counted((one["tool"], "", one["calls"]) for one in undeclared["tools"][:ROWS_SHOWN])
        title = f"{undeclared['calls']:,} calls to tools that nobody declared where they were called"
        parts.append(f"<h3>{title}</h3>" + _table('<th>tool</th><th></th><th class="n">calls</th>', rows))
    if misfits["calls"]:
        rows = _counted((one["tool"], one["problem"], one["calls"]) for one in misfits["kinds"][:ROWS_SHOWN])
        title = f"{misfits['calls']:,} calls that fail their tool’s declaration"
        parts.append(f"<h3>{title}</h3>" + _table('<th>tool</th><th>what is wrong</th><th class="n">calls</th>', rows))
    return "".join(parts)


def _counted(rows: Iterable[tuple[str, str, int]]) -> str:
    return "".join(
        f'<tr><th>{escape(tool or "(not a text)")}</th><td>{escape(what)}</td><td class="n">{calls:,}</td></tr>'
        for tool, what, calls in rows
    )


def _read(found: dict[str, Any]) -> str:
    read = found["read"]
    files = "".join(f"<li><code>{escape(file)}</code></li>" for file in found["sources"])
    said = "<p>Every line was understood.</p>"
    if read["not_read"] or read["remarks"]:
        problems = "".join(f"<li>{escape(problem)}</li>" for problem in read["problems"][:ROWS_SHOWN])
        remarks = "".join(
            f"<li>{one['count']:,} × {escape(one['what'])}, first at <code>{escape(one['first'])}</code></li>"
            for one in read["remarks"]
        )
        said = f"<p>{read['not_read']:,} lines could not be read.</p><ul>{problems}{remarks}</ul>"
    jobs = f"<p>{escape(found['jobs']['said'])}</p>" if found["jobs"]["said"] else ""
    return f"<ul>{files}</ul>{said}{jobs}"


def _words(found: dict[str, Any]) -> str:
    words = {
        "hypothetical": "An earlier call of the session was stopped, so nobody knows whether this one would have"
        " been made. It"
        " is decided on what really happened.",
        "held for a person": "STEP_UP: the call waits until somebody approves it; without an answer it is blocked.",
        "goal, benign, needed, twin": "What labelled recordings say of a call: it does what an attacker asked for;"
        " it belongs"
        " to a session without an attack; the user’s task needs it, under attack; the user asks for what attackers"
        " ask for"
        " elsewhere.",
        "GCS": "Of the attackers’ calls, those not let through; GCS_block and GCS_step_up split it.",
        "BHD and BSU": "Of the calls of benign sessions, those blocked, and those held for a person.",
        "NCD": "Of the calls that a user’s task needs in an attacked session, those blocked.",
        "twin": "Of the calls by which users ask for what attackers ask for elsewhere, those not blocked.",
    }
    listed = "".join(f"<dt>{term}</dt><dd>{meaning}</dd>" for term, meaning in words.items())
    return f'<dl>{listed}</dl><p class="soft">Policy digest <code>{found["policy"]["digest"]}</code>.</p>'
