"""`thoth diff`: calls that two policies decide differently."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from ..contract import Decision, OperationError
from ..engine import load
from ..engine.difference import TRIES, Difference, Group, Witness, difference
from .arguments import Folders, Format, Learned
from .printing import EFFECT_STYLES, counted, plain, print_json, say


def diff(
    old: Annotated[Path, Parameter(name="OLD", help="the policy as it was")],
    new: Annotated[Path, Parameter(name="NEW", help="the policy as it will be")],
    /,
    *,
    path: Folders = None,
    learned: Learned = None,
    tries: Annotated[int, Parameter(help=f"how many calls to try ({TRIES:,})")] = TRIES,
    examples: Annotated[int, Parameter(help="how many calls to show for each cause (3)")] = 3,
    tests: Annotated[bool, Parameter(help="show each call as a `test` block that holds under NEW")] = False,
    format: Format = "text",
) -> int:
    """Show calls that two policies decide differently.

    No recording is needed: calls are made of what both policies ask about, from
    the ends of ranges, members of sets, paths, hours, labels and counts, and
    decided under both. Each call that is shown is confirmed by both evaluators
    and made as plain as it can be; they are grouped by the rule without whose
    change there is no difference. Decisions differ in their effect, in the arguments as they would
    run, in who is asked, or in how long; not by the name of a rule alone.

    What a baseline holds is part of a situation: a call may be decided differently
    where recorded behaviour used its values. --learned adds a baseline to both.

    It is a search. What is shown is certain; where nothing is found, something
    may still be there.

    For example:
      thoth diff old.thoth new.thoth
      thoth diff old.thoth new.thoth --tests >> new-tests.thoth
      thoth diff old.thoth new.thoth --format json

    Exit codes: 0 none found, 1 calls are decided differently, or a mistake in a
    policy, 2 wrong usage or a file that cannot be read.
    """
    if tries < 1 or examples < 1:
        raise OperationError("`--tries` and `--examples` are 1 or more")
    before, after = (load([file], path=path or (), learned=learned)[0] for file in (old, new))
    found = difference(before, after, tries=tries, kept=examples)
    if format == "json":
        print_json(as_json(found))
    elif tests:
        for test in _tests(found):
            say(test)
    else:
        _say(found)
    return 1 if found.groups else 0


def as_json(found: Difference) -> dict[str, Any]:
    """Return what was found as JSON values; `ok` says that nothing was."""
    return {
        "ok": not found.groups,
        "tried": found.tried,
        "unconfirmed": found.unconfirmed,
        "changed": [{"rule": name, "change": change} for name, change in found.changed.items()],
        "without_witness": list(found.unseen),
        "differences": [
            {
                "by": group.name,
                "change": group.change or None,
                "found": group.count,
                "witnesses": [_witness_json(witness, group) for witness in group.witnesses],
            }
            for group in found.groups
        ],
    }


def _witness_json(witness: Witness, group: Group) -> dict[str, Any]:
    situation = witness.situation
    return {
        "call": situation.sentence(),
        **situation.as_json(),
        "old": _decision_json(witness.old),
        "new": _decision_json(witness.new),
        "test": situation.test(_title(group, 1), _expects(witness.new)),
    }


def _decision_json(decision: Decision) -> dict[str, Any]:
    facts = decision.facts()
    named = ("verdict", "by", "rules", "reason_code", "asks", "hold_s", "retry_after_s", "args")
    return {"decision": decision.effect.value} | {name: facts[name] for name in named if name in facts}


def _say(found: Difference) -> None:
    if found.changed:
        said = ", ".join(f"{name} ({change})" for name, change in found.changed.items())
        say(f"{counted(len(found.changed), 'rule')} not the same in both: {said}")
    for group in found.groups:
        how = f", {group.change}" if group.change else ""
        say()
        say(f"{group.name}{how}: {counted(group.count, 'call')} decided differently", "bold")
        for witness in group.witnesses:
            say(_arrow(witness))
            say(f"    {witness.situation.sentence()}")
    if found.unseen and found.groups:
        say()
        say(f"no call found that shows the change of {', '.join(found.unseen)}")
    if not found.groups:
        say(f"none found in {counted(found.tried, 'call')}; what was not tried may still be decided differently")
    if found.unconfirmed:
        say(f"{counted(found.unconfirmed, 'call')} left out: the evaluators do not agree on them; please report this")


def _arrow(witness: Witness) -> Text:
    old, new = witness.old, witness.new
    line = Text("  ")
    for place, decision in enumerate((old, new)):
        line.append(" → " if place else "")
        line.append(decision.effect.value, EFFECT_STYLES[decision.effect])
    said = [plain(f"{_by(old)} → {_by(new)}")]
    if old.effect == new.effect:
        said += _unlike(old, new)
    line.append(f"  ({'; '.join(said)})")
    return line


def _by(decision: Decision) -> str:
    return ", ".join(decision.rules[:3]) or f"{decision.by.value} {decision.reason_code}"


def _unlike(old: Decision, new: Decision) -> list[str]:
    """Return in what two decisions of one effect differ."""
    pairs = [
        ("verdict", old.verdict.value, new.verdict.value),
        ("asks", _asked(old), _asked(new)),
        ("within", old.hold_s, new.hold_s),
        ("retry after", old.retry_after_s, new.retry_after_s),
        ("arguments", old.args, new.args),
    ]
    return [f"{name} {before} → {after}" for name, before, after in pairs if before != after]


def _asked(decision: Decision) -> str:
    return " and ".join(f"{ask.quorum} of {', '.join(ask.approvers)}" for ask in decision.asks) or "nobody"


def _tests(found: Difference) -> list[str]:
    """Return each witness as a test that holds under the new policy, as far as tests can say it."""
    written = []
    for group in found.groups:
        for place, witness in enumerate(group.witnesses, 1):
            test = witness.situation.test(_title(group, place), _expects(witness.new))
            if test is not None:
                written.append(test + "\n")
    return written


def _title(group: Group, place: int) -> str:
    return f"{group.name}{f', {group.change}' if group.change else ''}: {place}"


def _expects(decision: Decision) -> str:
    effect = decision.effect.value.lower()
    return f"{effect} by {', '.join(decision.rules)}" if decision.rules else f"{effect} code {decision.reason_code}"
