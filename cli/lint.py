"""`thoth lint`: what a policy says that its author hardly meant."""

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..contract import OperationError
from ..engine import load
from ..engine.analyse import CHECKER_CODES, CODES, analyse
from ..engine.files import read_text
from ..engine.testing import Coverage, run_tests
from ..grammar import parse
from ..grammar.messages import did_you_mean
from .arguments import SEVERAL, EvaluatorName, Files, Folders, Format
from .printing import counted, findings_json, print_json, print_messages, say

Ignored = Annotated[
    list[str] | None,
    Parameter(name="--ignore", consume_multiple=SEVERAL, help="codes of findings to leave out"),
]


def lint(
    files: Files,
    /,
    *,
    path: Folders = None,
    ignore: Ignored = None,
    format: Format = "text",
    evaluator: EvaluatorName = "native",
) -> int:
    """Find what a policy says that its author hardly meant.

    Rules that never apply, or that another rule makes useless; restrictions that
    do not say why; `any` where `all` is meant; rules that no test reaches (the
    policy's tests are run for that), names that nothing uses, and the warnings of
    `thoth check`. Each finding has a code in brackets. Leave one out with
    `--ignore CODE`, or in the policy with a comment above the item:

      # lint: ignore no-because
      block * as no-shell when args.command matches "rm -rf"

    Above `policy` it counts for the whole file. Only the files named here are
    remarked upon, not the packs that they use.

    For example:
      thoth lint policy.thoth
      thoth lint policy.thoth --ignore no-because untested

    Exit codes: 0 nothing found, 1 findings, or a mistake in the policy, 2 wrong
    usage or a file that cannot be read.
    """
    for code in ignore or ():
        known = {*CODES, *CHECKER_CODES}
        if code not in known:
            near = did_you_mean(code, known) or f"; the codes are {', '.join(sorted(known))}"
            raise OperationError(f"no finding has the code `{code}`{near}")
    policy, warnings = load(files, path=path or ())
    trees = [parse(read_text(file), str(file)) for file in dict.fromkeys(map(Path, files))]
    coverage = Coverage()
    run_tests(policy, evaluator, coverage)
    found = analyse(policy, trees, now=time.time(), coverage=coverage, warnings=warnings, ignore=ignore or ())
    if format == "json":
        print_json(findings_json(found) | {"ok": not found})
        return 1 if found else 0
    print_messages(found, codes=True)
    named = ", ".join(str(file) for file in files)
    rules = counted(len(policy.rules) + len(policy.result_rules), "rule")
    say(f"{named}: {counted(len(found), 'finding')} about {rules}" if found else f"{named}: nothing found in {rules}")
    return 1 if found else 0
