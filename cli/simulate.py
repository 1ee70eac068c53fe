"""`thoth simulate`: yesterday's calls under tomorrow's policy; what would change, for whom, and by which rule."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..contract import OperationError
from ..simulation.columns import read_mapping
from ..simulation.metrics import read_fail_on
from ..simulation.simulate import Plan, simulate
from ..simulation.summary import known, summary
from .arguments import SEVERAL, EvaluatorName, Folders, Format, Learned, PolicyFiles
from .printing import complain, errors, print_json
from .simulate_text import say_summary

JOBS_MAX = 64


def simulate_command(
    *,
    policy: PolicyFiles,
    trace: Annotated[
        list[str],
        Parameter(consume_multiple=SEVERAL, help="recordings: traces, events, evidence logs, tables; folders, globs"),
    ],
    against: Annotated[
        list[Path] | None,
        Parameter(consume_multiple=SEVERAL, help="the policy to compare with; if unsaid, what was decided then"),
    ] = None,
    path: Folders = None,
    learned: Learned = None,
    report: Annotated[Path | None, Parameter(help="write the report to this file, as one page of HTML")] = None,
    out: Annotated[Path | None, Parameter(help="write each decision to this file: .jsonl, .jsonl.gz, .parquet")] = None,
    fail_on: Annotated[str | None, Parameter(help='exit 1 where this holds, as in "benign_blocked > 0.5%%"')] = None,
    map: Annotated[
        list[str] | None,
        Parameter(consume_multiple=SEVERAL, help="FIELD=COLUMN, for tables of your own, as in tool_name=action"),
    ] = None,
    jobs: Annotated[int, Parameter(help="how many processes work")] = 1,
    strict: Annotated[bool, Parameter(help="stop at the first thing in a recording that is not understood")] = False,
    no_coverage: Annotated[
        bool, Parameter(help="do not ask which conditions took which value, nor which rules are slow: faster")
    ] = False,
    show_values: Annotated[
        bool, Parameter(help="show texts of arguments in examples: they are in the report then")
    ] = False,
    format: Format = "text",
    evaluator: EvaluatorName = "native",
) -> int:
    """Decide recorded calls under a policy, and report what it would have done.

    Each session replays in order with its facts: what its user said, what each
    call returned. Once a call of a session is stopped, nobody knows whether its
    later calls would have been made: they are decided all the same, and counted
    as hypothetical.

    With --against it shows every decision that changes, by the rule that changed
    it. With labelled recordings it shows how many attacks the policy stops and
    whom it disturbs. docs/simulation.md walks from a trace to a reviewed change.

    Examples show `key` and `shown` arguments and numbers; of texts only their
    length, unless --show-values is given, and of what looks like a secret nothing.

    For example:
      thoth simulate --policy new.thoth --trace traces
      thoth simulate --policy new.thoth --against old.thoth --trace traces --report out.html
      thoth simulate --policy new.thoth --trace 'logs/*.jsonl.gz' --out decisions.parquet --jobs 4
      thoth simulate --policy new.thoth --against old.thoth --trace traces \\
        --fail-on "benign_blocked > 0.5% or flipped(ALLOW, BLOCK) > 0"

    Exit codes: 0 done, 1 --fail-on holds or the policy has mistakes, 2 wrong
    usage, a file that cannot be read or written, no call at all, or, with
    --strict, anything that is not understood.
    """
    asked = read_fail_on(fail_on) if fail_on is not None else None
    if not 1 <= jobs <= JOBS_MAX:
        raise OperationError(f"`--jobs {jobs}`: between 1 and {JOBS_MAX} jobs can work")
    plan = Plan(
        policy=tuple(policy),
        traces=tuple(trace),
        old=tuple(against or ()),
        path=tuple(path or ()),
        learned=learned,
        evaluator=evaluator,
        mapping=read_mapping(map or []),
        strict=strict,
        jobs=jobs,
        out=out,
        coverage=not no_coverage,
        show_values=show_values,
    )
    with _progress() as tick:
        done = simulate(plan, tick)
    if not done.tally.calls:
        for problem in done.problems.named[:10]:
            complain(f"not read: {problem}")
        raise OperationError("there was no call to decide")
    reasons = asked.fails(known(done)) if asked is not None else []
    found = summary(done) | {
        "fail_on": None
        if asked is None
        else {
            "expression": asked.text,
            "failed": bool(reasons),
            "reasons": [{"comparison": reason.text, "value": reason.value} for reason in reasons],
        }
    }
    if report is not None:
        from .simulate_page import page

        try:
            report.write_text(page(found), encoding="utf-8")
        except OSError as error:
            raise OperationError(f"`{report}` cannot be written: {error.strerror or error}") from error
    if format == "json":
        print_json(found)
    else:
        say_summary(found, report, out)
    for reason in reasons:
        complain(f"--fail-on: `{reason.text}` holds: {reason.value}")
    return 1 if reasons else 0


@contextmanager
def _progress() -> Iterator[Callable[[float, int], None]]:
    """Show how far a simulation is and how long it will take, on a terminal only."""
    console = errors()
    if not console.is_terminal:
        yield lambda share, calls: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[said]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0, said="")
        yield lambda share, calls: bar.update(task, completed=share, said=f"{calls:,} calls")
