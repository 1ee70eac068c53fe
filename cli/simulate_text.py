"""The summary of a simulation on a terminal: what changes first, then whom it costs what, then what to look at."""

from pathlib import Path
from typing import Any, Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from ..contract import Effect
from ..simulation.scores import WORDS
from .printing import EFFECT_STYLES, counted, note, output, plain, say

GROUPS_SHOWN: Final = 8
ROWS_SHOWN: Final = 8
EXAMPLES_SHOWN: Final = 2
BAR: Final = 40
STYLES: Final = {effect.value: style for effect, style in EFFECT_STYLES.items()}
WORD: Final = {
    "ALLOW": "allowed", "MODIFY": "changed", "STEP_UP": "held for a person", "DEFER": "put off", "BLOCK": "blocked",
}  # fmt: skip


def say_summary(found: dict[str, Any], report: Path | None, out: Path | None) -> None:
    """Print a report's main figures."""
    _say_head(found)
    _say_effects(found)
    _say_scores(found["scores"])
    if found["changes"] is not None:
        _say_changes(found["changes"])
    else:
        _say_groups("What is stopped, and by what", found["stopped"])
    _say_people(found)
    _say_rules(found)
    _say_tools(found)
    _say_read(found["read"])
    if found["jobs"]["said"]:
        note(found["jobs"]["said"])
    if report is not None:
        say(Text.assemble("report: ", (plain(str(report)), "bold")))
    if out is not None:
        say(Text.assemble("decisions: ", (plain(str(out)), "bold")))


def _heading(text: str) -> None:
    say()
    say(text, "bold")


def _say_head(found: dict[str, Any]) -> None:
    against = found["against"]
    name = plain(found["policy"]["name"] or found["policy"]["files"][0])
    other = "" if against is None else f" against {plain(against['name'] or 'the other policy')}"
    say(Text.assemble((name, "bold"), other))
    calls, sessions, days = (counted(found[f"{noun}s"], noun) for noun in ("call", "session", "day"))
    say(f"{calls} in {sessions} on {days}, decided in {found['seconds']:.1f} s")


def _say_effects(found: dict[str, Any]) -> None:
    _heading("Decisions")
    total, hypothetical = found["effects"]["all"], found["effects"]["hypothetical"]
    most = max(total.values()) or 1
    for effect, count in total.items():
        if not count:
            continue
        bar = "█" * max(1, round(BAR * count / most))
        behind = f"  {hypothetical[effect]:,} hypothetical" if hypothetical[effect] else ""
        say(
            Text.assemble(
                (f"{WORD[effect]:18}", STYLES[effect]), f"{count:>10,}  {100 * count / found['calls']:5.1f}%  ",
                (f"{bar:{BAR}}", STYLES[effect].removeprefix("bold ")), (behind, "dim"),
            )
        )  # fmt: skip
    if found["hypothetical"]:
        stopped = counted(found["sessions_stopped"], "session")
        note(f"{stopped} would be stopped; what comes behind a stop is hypothetical: it might not have been called")


def _say_scores(scores: list[dict[str, Any]]) -> None:
    if not scores:
        return
    _heading("Scores, with 95% intervals")
    pooled = next(score for score in scores if score["source"] == "*")
    for name, words in WORDS.items():
        rate = pooled[name]
        if rate["value"] is None:
            continue
        low, high = rate["interval"]
        say(
            Text.assemble(
                (f"{name:13}", "bold"), f"{100 * rate['value']:6.1f}%  ",
                (f"{100 * low:5.1f} – {100 * high:5.1f}%  of {rate['of']:>6,}  ", "dim"), words,
            )
        )  # fmt: skip
    suites = [score for score in scores if score["suite"] != "*"]
    if len(suites) > 1:
        names = [name for name in WORDS if pooled[name]["value"] is not None]
        width = max(cell_len(f"{score['source']}/{score['suite']}") for score in suites)
        say(Text(" " * width + "".join(f"{name:>14}" for name in names), style="dim"))
        for score in suites:
            cells = ("     –" if score[n]["value"] is None else f"{100 * score[n]['value']:.1f}%" for n in names)
            label = plain(f"{score['source']}/{score['suite']}")
            say(f"{label:{width}}" + "".join(f"{cell:>14}" for cell in cells))


def _say_changes(changes: dict[str, Any]) -> None:
    _heading("What changes")
    if not changes["changed"]:
        say(f"nothing: all {changes['compared']:,} calls are decided as before")
        return
    say(
        f"{changes['changed']:,} of {counted(changes['compared'], 'call')} come out differently:"
        f" {changes['stricter']:,} stricter, {changes['milder']:,} milder"
    )
    _say_groups("", changes["groups"])


def _say_groups(title: str, groups: list[dict[str, Any]]) -> None:
    if title and groups:
        _heading(title)
    for group in groups[:GROUPS_SHOWN]:
        before: list[tuple[str, str] | str] = (
            [(WORD[group["was"]], STYLES[group["was"]]), " → "] if group["was"] else []
        )
        lifted = " (lifted)" if group["stricter"] is False else ""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in group["kinds"].items())
        say(
            Text.assemble(
                f"{group['calls']:>8,}  ", *before, (WORD[group["now"]], STYLES[group["now"]]), "  by ",
                (plain(group["cause"]), "bold"), lifted, (f"  {kinds}" if kinds else "", "dim"),
            )
        )  # fmt: skip
        for example in group["examples"][:EXAMPLES_SHOWN]:
            say(f"          {_fitting(example['text'], 10)}", "dim")
    if len(groups) > GROUPS_SHOWN:
        more = len(groups) - GROUPS_SHOWN
        say(f"          … and {more} more group{'s'[: more > 1]}; `--report FILE.html` shows all", "dim")


def _fitting(text: str, indent: int) -> str:
    """Return a text as wide as the terminal, or whole where there is none."""
    console = output()
    text = plain(text).replace("\n", " ")
    room = console.width - indent
    return text if not console.is_terminal or cell_len(text) <= room else set_cell_size(text, room - 1) + "…"


def _say_people(found: dict[str, Any]) -> None:
    people = found["people"]
    if not people["step_ups"]:
        return
    _heading("What it asks of people")
    say(
        f"{counted(people['step_ups'], 'question')}, {people['per_100_calls']:.1f} per 100 calls;"
        f" {people['as_recorded']:,} of them not behind another stop"
    )
    for row in people["approvers"][:ROWS_SHOWN]:
        often = f"{row['per_day']:.1f} a day, at most {row['most_in_a_day']:,}"
        say(f"{row['questions']:>8,}  to {plain(row['approver'])}: {often}")


def _say_rules(found: dict[str, Any]) -> None:
    never = found["never_fired"]
    if never:
        _heading("Rules that decide nothing here")
        for rule in never[:ROWS_SHOWN]:
            say(
                Text.assemble(
                    "          ", (plain(rule["rule"]), "bold"), f"  {rule['fate']}", (f"  {_place(rule)}", "dim")
                )
            )
        if len(never) > ROWS_SHOWN:
            say(f"          … and {len(never) - ROWS_SHOWN} more", "dim")
    if found["conditions"]:
        looked = found["looked_at"]
        _heading(f"Conditions that never took a value ({looked['calls']:,} of {looked['of']:,} calls looked at)")
        for one in found["conditions"][:ROWS_SHOWN]:
            never_words = " nor ".join(one["never"])
            say(
                Text.assemble(
                    "          ", (plain(one["rule"]), "bold"), f"  {plain(one['condition'])}  never {never_words}"
                )
            )
        if len(found["conditions"]) > ROWS_SHOWN:
            say(f"          … and {len(found['conditions']) - ROWS_SHOWN} more", "dim")
    if found["slowest"]:
        named = ", ".join(f"{plain(one['rule'])} {one['us']:.0f} µs" for one in found["slowest"][:3])
        note(f"slowest rules, asked alone: {named}")


def _place(rule: dict[str, Any]) -> str:
    return plain(f"{rule['file']}:{rule['line']}") if rule["file"] else ""


def _say_tools(found: dict[str, Any]) -> None:
    undeclared, misfits = found["undeclared"], found["misfits"]
    if undeclared["calls"]:
        _heading(f"Calls to tools that nobody declared: {undeclared['calls']:,}")
        for one in undeclared["tools"][:ROWS_SHOWN]:
            say(f"{one['calls']:>8,}  {plain(one['tool'])}")
    if misfits["calls"]:
        _heading(f"Calls that fail their tool's declaration: {misfits['calls']:,}")
        for one in misfits["kinds"][:ROWS_SHOWN]:
            say(f"{one['calls']:>8,}  {plain(one['tool'])}: {plain(one['problem'])}")


def _say_read(read: dict[str, Any]) -> None:
    if read["not_read"] or read["remarks"]:
        _heading("What was not understood")
    if read["not_read"]:
        say(f"{read['not_read']:>8,}  could not be read", STYLES[Effect.BLOCK.value])
        for problem in read["problems"][:ROWS_SHOWN]:
            say(f"          {plain(problem)}", "dim")
        if read["not_read"] > ROWS_SHOWN:
            say(f"          … and {read['not_read'] - ROWS_SHOWN:,} more", "dim")
    for one in read["remarks"][:ROWS_SHOWN]:
        say(f"{one['count']:>8,}  {plain(one['what'])}, first at {plain(one['first'])}")
    if len(read["remarks"]) > ROWS_SHOWN:
        say(f"          … and {len(read['remarks']) - ROWS_SHOWN} more kinds", "dim")
