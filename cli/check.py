"""`thoth check`: every mistake of a policy and its modules, in one run."""

from ..engine import load
from ..grammar import PolicyError
from .arguments import Files, Folders, Format
from .printing import counted, findings_json, print_json, print_messages, say


def check(files: Files, /, *, path: Folders = None, format: Format = "text") -> int:
    """Find every mistake of a policy in one run.

    Reads the files, and the modules that they use, and says where something is
    wrong and what to write instead. Without a mistake it prints one line: what
    the policy holds, and the digest by which decisions will name it.

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
        print_json(findings_json(warnings) | {"policy": held})
        return 0
    print_messages(warnings)
    named = ", ".join(str(file) for file in files)
    say(f"{named}: {counted(rules, 'rule')}, {counted(len(policy.tools), 'tool')}, digest {policy.digest[:12]}")
    return 0
