"""`thoth decide`: decisions about requests, or about recorded calls replayed, one JSON line each."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..contract import Decision, Fault, OperationError, read_json
from ..engine import Engine
from ..engine.files import read_text
from ..simulation import Call, ReplayClock, Traces, read_traces, replay
from .arguments import SEVERAL, EvaluatorName, Folders, Learned, PolicyFiles
from .printing import counted, errors, note

if TYPE_CHECKING:
    from ..evidence import EvidenceLog

STDIN = Path("-")
FIRST = ("verdict", "by", "rules", "reason_code")


def decide(
    *,
    policy: PolicyFiles,
    path: Folders = None,
    request: Annotated[
        Path | None, Parameter(allow_leading_hyphen=True, help="one request as JSON, or one a line; - reads stdin")
    ] = None,
    trace: Annotated[
        list[Path] | None,
        Parameter(consume_multiple=SEVERAL, help="recorded calls to replay: trace files, or folders of them"),
    ] = None,
    learned: Learned = None,
    evaluator: EvaluatorName = "native",
    out: Annotated[Path | None, Parameter(help="write the decisions here instead of to stdout")] = None,
    evidence: Annotated[
        Path | None, Parameter(help="record every decision in this evidence log; `thoth evidence init` makes one")
    ] = None,
) -> int:
    """Decide tool calls: JSON in, JSON out, one line a call.

    A request says which tool is about to be called, with which arguments, and
    by whom. Only tool_name is required; what a request does not say is unknown,
    and an unknown never opens anything. A request that is not well-formed is
    answered too: BLOCK, request_invalid.

      {"tool_name": "send_email", "tool_args": {"to": "ann@acme.com"},
       "agent_id": "support-bot", "environment": "prod", "session_id": "s1"}

    With --trace it decides recorded calls again, session by session: the user's
    prompt is said first, each executed call's result is taken in before the next
    call, and the clock is that of the recording. docs/replay.md says what a
    trace holds. A summary goes to stderr.

    For example:
      thoth decide --policy policy.thoth --request request.json
      thoth decide --policy policy.thoth --request - < requests.jsonl
      thoth decide --policy policy.thoth --trace traces --out decisions.jsonl
      thoth decide --policy policy.thoth --request - --evidence var/evidence < requests.jsonl

    Exit codes: 0 all calls are decided, whatever the decisions are, 1 mistakes
    in the policy, 2 wrong usage, or a file or a line of a trace that cannot be
    read.
    """
    if (request is None) == (trace is None):
        raise OperationError("name either requests, `--request FILE`, or recorded calls, `--trace FILE`")
    clock = ReplayClock()
    now: Callable[[], float] = time.time if trace is None else clock
    shown: dict[str, set[str]] = {}
    with _recording(evidence, shown) as log:
        engine = Engine.from_files(
            policy, path=path or (), learned=learned, evaluator=evaluator, clock=now, recorder=log
        )
        if log is not None:
            for name, declarations in engine.policy.tools.items():
                shown[name] = {param.name for tool in declarations for param in tool.params if param.shown}
            log.policy_loaded(engine.policy.digest, files=[str(file) for file in policy])
        if trace is not None:
            return _replay(engine, read_traces(trace), clock, out)
        return _requests(engine, request, out)


@contextmanager
def _recording(directory: Path | None, shown: dict[str, set[str]]) -> "Iterator[EvidenceLog | None]":
    """Open the evidence log, if one is named; `shown` is filled once the policy is read."""
    if directory is None:
        yield None
        return
    from ..evidence import open as open_log

    with open_log(directory, shown=shown) as log:
        yield log


def _requests(engine: Engine, request: Path | None, out: Path | None) -> int:
    assert request is not None
    requests = list(requests_of(sys.stdin.buffer.read() if request == STDIN else read_text(request).encode()))
    if not requests:
        raise OperationError(f"`{request}` holds no request")
    with _writing(out) as stream:
        for one in requests:
            _write(stream, as_json(engine.decide(one)))
    return 0


def requests_of(text: bytes) -> Iterator[bytes]:
    """Return the requests in a text: one object over several lines, or one a line."""
    lines = [line for line in text.splitlines() if line.strip()]
    over_lines = len(lines) > 1 and isinstance(read_json(lines[0]), Fault) and not isinstance(read_json(text), Fault)
    if over_lines or (lines and lines[0].strip() == b"{"):
        yield text
    else:
        yield from lines


def as_json(decision: Decision) -> dict[str, Any]:
    """Return a decision in the wire's names: what decided first, then everything else about it."""
    facts = decision.facts()
    return {"decision": facts.pop("effect"), **{name: facts.pop(name) for name in FIRST}, **facts}


def replayed_json(call: Call, decision: Decision) -> dict[str, Any]:
    """Return a decision about a recorded call, with the call's place in its session."""
    return {
        "session_id": call.session_id,
        "seq": call.seq,
        "decision": decision.effect.value,
        "verdict": decision.verdict.value,
        "by": decision.by.value,
        "rules": list(decision.rules),
        "reason_code": decision.reason_code,
    }


def _replay(engine: Engine, traces: Traces, clock: ReplayClock, out: Path | None) -> int:
    effects: Counter[str] = Counter()
    began = time.monotonic()
    with _writing(out) as stream, _progress(traces) as step:
        for call, decision in replay(engine, traces, clock):
            _write(stream, replayed_json(call, decision))
            effects[decision.effect.value] += 1
            step()
    for problem in traces.problems:
        note(f"not read: {problem}")
    if traces.problem_count > len(traces.problems):
        note(f"not read: {traces.problem_count - len(traces.problems):,} more lines")
    decided = ", ".join(f"{effect} {count:,}" for effect, count in effects.most_common()) or "none"
    seconds = time.monotonic() - began
    note(f"{counted(effects.total(), 'call')} in {seconds:.1f} s: {decided}; not read: {traces.problem_count:,}")
    return 2 if traces.problem_count or not effects else 0


def _write(stream: IO[str], row: dict[str, Any]) -> None:
    stream.write(json.dumps(row, separators=(", ", ": ")) + "\n")


@contextmanager
def _writing(out: Path | None) -> Iterator[IO[str]]:
    if out is None:
        yield sys.stdout
        return
    with out.open("w", encoding="utf-8") as stream:
        yield stream


@contextmanager
def _progress(traces: Traces) -> Iterator[Callable[[], None]]:
    """Show how far a replay is, on a terminal only."""
    console = errors()
    if not console.is_terminal:
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=traces.line_count())
        yield lambda: bar.advance(task)
