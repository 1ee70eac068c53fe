"""`thoth check`: every mistake of a policy and its modules, in one run."""

import time
from dataclasses import asdict
from typing import Annotated, Final, TypeAlias

from cyclopts import Parameter

from ..contract import Request
from ..engine import load
from ..engine.call import Call
from ..engine.checked import CheckedPolicy
from ..engine.compile import compile
from ..engine.cost import cost_of
from ..grammar import PolicyError
from ..native.names import nfc
from .arguments import Files, Folders, Format
from .printing import counted, findings_json, print_json, print_messages, say

WithCost: TypeAlias = Annotated[bool, Parameter(name="--cost", negative="", help="what a decision can cost at most")]
TIMES: Final = 101


def check(files: Files, /, *, path: Folders = None, format: Format = "text", cost: WithCost = False) -> int:
    """Find every mistake of a policy in one run.

    Reads the files, and the modules that they use, and says where something is
    wrong and what to write instead. Without a mistake it prints one line: what
    the policy holds, and the digest by which decisions will name it.

    With --cost it also prints what a decision can cost at most: values read,
    rows looked at, bytes scanned, and nanoseconds of the search on this machine.

    For example:
      thoth check policy.thoth
      thoth check policy.thoth --path modules --format json

    Exit codes: 0 no mistakes (there may be warnings), 1 mistakes, 2 wrong usage
    or a file that cannot be read.
    """
    try:
        policy, warnings = load(files, path=path or ())
    except PolicyError as error:
        if format == "json":
            print_json(findings_json(error.messages) | {"policy": None})
        else:
            print_messages(error.messages)
        return 1
    rules = len(policy.rules) + len(policy.result_rules)
    if format == "json":
        held = {
            "name": policy.name,
            "version": policy.version,
            "rules": rules,
            "tools": len(policy.tools),
            "tests": len(policy.tests),
            "digest": policy.digest,
        }
        if cost:
            held |= {"cost": bound_of(policy)}
        print_json(findings_json(warnings) | {"policy": held})
        return 0
    print_messages(warnings)
    named = ", ".join(str(file) for file in files)
    say(f"{named}: {counted(rules, 'rule')}, {counted(len(policy.tools), 'tool')}, digest {policy.digest[:12]}")
    if cost:
        for name, amount in bound_of(policy).items():
            say(f"  {name.replace('_', ' '):14} {amount:,}" if isinstance(amount, int) else f"  {name:14} {amount}")
    return 0


def bound_of(policy: CheckedPolicy) -> dict[str, int | str]:
    """Return the policy's bound, and what the search for the rows of its largest tool takes on this machine."""
    table = compile(policy)
    bound = cost_of(table)
    request = Request(tool_name=bound.tool)
    name = nfc(bound.tool)
    binding = table.declarations.bind(name, None, {})
    call = Call(table.knowledge, request, name, binding, None, time.time())
    bucket = table.bucket(name, -1 if call.declared is None else call.declared.number)
    taken = [
        sum(table.table.clocked(call, rows, call.now) for rows in bucket.risk + bucket.rules) for _ in range(TIMES)
    ]
    return asdict(bound) | {"search_ns": sorted(taken)[TIMES // 2]}
