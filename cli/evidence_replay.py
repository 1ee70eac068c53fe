"""`thoth evidence replay`: every decision of a log derived again."""

import json

from ..engine import load
from ..evidence import LogReader
from ..simulation.derive import Count, Status, derive
from .arguments import EvaluatorName, Folders, Format, Learned, PolicyFiles
from .evidence_write import Directory
from .printing import counted, print_json, say

DIFFERENT = 1


def replay(
    directory: Directory,
    /,
    *,
    policy: PolicyFiles,
    path: Folders = None,
    learned: Learned = None,
    evaluator: EvaluatorName = "native",
    format: Format = "text",
) -> int:
    """Derive every decision of a log again, and report those that come out differently.

    The log holds each request, with its arguments in the vault, and how calls
    ended; sessions and counters are built up again from these. A decision that
    cannot be derived is counted under its reason: its values were erased or
    shortened, another policy was in force, approvers had answered, or a rule asks
    where a value comes from, and the words of users and tools are not kept.

    For example:
      thoth evidence replay var/evidence --policy policy.thoth
      thoth evidence replay var/evidence --policy policy.thoth --format json

    Exit codes: 0 no decision comes out differently, 1 one does,
    2 there is no log, or a file cannot be read.
    """
    checked, _ = load(policy, path=path or (), learned=learned)
    count = Count().take(derive(LogReader(directory), [checked], evaluator))
    if format == "json":
        print_json(
            {
                "decisions": {status.value: number for status, number in sorted(count.by_status.items())},
                "different": [one.as_json() for one in count.different],
            }
        )
    else:
        _say(count)
    return DIFFERENT if count.by_status.get(Status.DIFFERENT) else 0


def _say(count: Count) -> None:
    say(f"{counted(sum(count.by_status.values()), 'decision')} in the log")
    for status in Status:
        if count.by_status.get(status):
            say(f"  {count.by_status[status]:>8,}  {_reason(status)}")
    for one in count.different:
        say(f"{one.place} decision {one.id}")
        for name, recorded in one.recorded.items():
            if recorded != one.derived[name]:
                say(f"  {name}: recorded {json.dumps(recorded)}, derived {json.dumps(one.derived[name])}")


def _reason(status: Status) -> str:
    derivable = {Status.SAME: "derived again, the same", Status.DIFFERENT: "derived again, and different"}
    return derivable.get(status, f"not derived: {status.value}")
