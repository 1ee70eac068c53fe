"""`thoth learn`: a least-privilege policy, and a baseline, from recorded good behaviour."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..contract import OperationError
from ..engine import load
from ..simulation.columns import read_mapping
from ..simulation.learn import learn as learn_from
from ..simulation.sources import read_sources
from .arguments import SEVERAL, Folders
from .printing import counted, note


def learn(
    *,
    trace: Annotated[
        list[str],
        Parameter(consume_multiple=SEVERAL, help="recordings: traces, events, evidence logs, tables; folders, globs"),
    ],
    where: Annotated[
        str, Parameter(help="which sessions are good ones, as a condition over the fields of a trace")
    ] = "",
    map: Annotated[
        list[str] | None,
        Parameter(consume_multiple=SEVERAL, help="FIELD=COLUMN, for tables of your own, as in tool_name=action"),
    ] = None,
    policy: Annotated[
        list[Path] | None,
        Parameter(consume_multiple=SEVERAL, help="a policy that declares the tools; without it they are guessed"),
    ] = None,
    path: Folders = None,
    out: Annotated[
        Path | None, Parameter(name=["-o", "--out"], help="write the policy here instead of to stdout")
    ] = None,
    learned_out: Annotated[
        Path | None, Parameter(help="write the baseline here, for `--learned` and `in baseline`")
    ] = None,
) -> int:
    """Learn a least-privilege policy from recorded good behaviour.

    The policy permits what was seen: each agent the tools that it used, with
    arguments of the shapes that they had. What acts on a value that neither the
    user nor the recorded past has named is held, and limits are suggested from
    the most that a session did. It is commented with counts, has tests drawn from
    the sessions, and says what could not be generalised. Read it as a proposal.

    --where picks the sessions: the policy language's own condition, asked of the
    fields of each call. Labels only pick sessions; no rule sees them.

    Recordings are whatever `thoth simulate` reads. Calls that did not run, that
    failed, or whose end is not known teach nothing.

    --learned-out writes the baseline: digests (SHA-256) of the values of `key`
    arguments, with counts and where they were seen. Keep it as you keep the
    traces: what is short can be guessed from a digest.

    For example:
      thoth learn --trace traces -o policy.thoth --learned-out learned.json
      thoth learn --trace traces --where 'run_kind is "benign" and utility is true' -o policy.thoth
      thoth learn --trace traces --policy policy.thoth --learned-out learned.json

    Exit codes: 0 learned, 1 mistakes in the policy, 2 wrong usage, nothing to
    learn from, or a file or a line of a trace that cannot be read.
    """
    for file in (out, learned_out):
        if file is not None and not file.parent.is_dir():
            raise OperationError(f"`{file.parent}` is no folder; make it first")
    declared = load(policy, path=path or ())[0] if policy else None
    sources = read_sources(trace, mapping=read_mapping(map or []))
    with tempfile.TemporaryDirectory(prefix="thoth-learn-") as folder:
        sources.lay_down(Path(folder), None)
        learned = learn_from(sources, where=where, policy=declared, name=out.stem if out is not None else "learned")
        problems = sources.problems()
    if out is not None:
        out.write_text(learned.policy, "utf-8")
    elif learned_out is None:
        sys.stdout.write(learned.policy)
    if learned_out is not None:
        learned_out.write_text(learned.learned, "utf-8")
    for remark in learned.remarks:
        note(f"not generalised: {remark}")
    for problem in problems.named:
        note(f"not read: {problem}")
    if problems.count > len(problems.named):
        note(f"not read: {problems.count - len(problems.named):,} more lines")
    values = sum(len(digests) for digests in learned.recorded.values.values())
    note(
        f"{counted(learned.sessions, 'session')}, {counted(learned.calls, 'call')}:"
        f" {counted(values, 'digest')}, {counted(learned.tests, 'test')}; not read: {problems.count:,}"
    )
    return 2 if problems.count else 0
