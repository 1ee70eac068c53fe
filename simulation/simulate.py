"""A whole simulation: policies, recordings and jobs in, one tally out, and a decisions file on the way.

Jobs are processes. Each reads all the files and decides the sessions of its part, so nothing but paths goes in and
nothing but counts and lines comes back; the lines of all jobs are put in the order of the recording.
"""

import heapq
import multiprocessing
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Literal

from ..engine import load
from ..engine.checked import CheckedPolicy
from ..engine.rerun import Rerun
from .counting import Groups, counted_by, said_of_jobs
from .coverage import Coverage
from .decisions import Writer, writing
from .opening import Progress
from .problems import Problems
from .sources import Sources, read_sources
from .step import Replayer, replay_group
from .tally import Tally

FRAME: Final = struct.Struct("<QI")
SAY_EVERY: Final = 2_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What to simulate. `old` is the policy to compare with, empty for what was decided at the time.

    `show_values`: examples in reports show texts in clear.
    """

    policy: tuple[Path, ...]
    traces: tuple[str, ...]
    old: tuple[Path, ...] = ()
    path: tuple[Path, ...] = ()
    learned: Path | None = None
    evaluator: Literal["native", "reference"] = "native"
    mapping: dict[str, str] = field(default_factory=dict)
    strict: bool = False
    jobs: int = 1
    out: Path | None = None
    coverage: bool = True
    show_values: bool = False


@dataclass(slots=True)
class Simulation:
    """What came of it."""

    plan: Plan
    new: CheckedPolicy
    old: CheckedPolicy | None
    files: list[Path]
    tally: Tally
    coverage: Coverage | None
    problems: Problems
    jobs: int
    jobs_said: str
    seconds: float
    rerun: Rerun
    rerun_old: Rerun | None = None


def simulate(plan: Plan, tick: Callable[[float, int], None] = lambda share, calls: None) -> Simulation:
    """Replay all recordings under a policy; `tick` is told now and then how much is done (0 to 1), and how many calls.

    Raises:
        PolicyError: with every mistake of a policy.
        OperationError: a file cannot be read or written, or, under `strict`, holds something that is not understood.
    """
    began = time.monotonic()
    new, _ = load(plan.policy, path=plan.path, learned=plan.learned)
    old = load(plan.old, path=plan.path, learned=plan.learned)[0] if plan.old else None
    sources = read_sources(plan.traces, mapping=plan.mapping, strict=plan.strict)
    by = counted_by(new, *([old] if old else []))
    groups = Groups(by) if by else None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="thoth-simulate-")))
        sources.lay_down(folder, groups, Progress(sources.files))
        said = said_of_jobs(by, groups.count, plan.jobs) if groups else ""
        jobs = min(plan.jobs, max(1, groups.count)) if groups else plan.jobs
        rerun = Rerun(new, plan.evaluator)
        rerun_old = Rerun(old, plan.evaluator) if old else None
        coverage = Coverage.of(new) if plan.coverage else None
        writer = stack.enter_context(writing(plan.out)) if plan.out is not None else None
        if jobs == 1:
            carry = Replayer(rerun, rerun_old, coverage=coverage)
            if writer is not None:
                carry.write = lambda place, line: writer.write(line)
            sources.traces.progress = progress = Progress(sources.traces.files)
            replay_group(carry, _ticking(sources.sessions(), carry, progress, tick))
            tally, problems = carry.tally, sources.problems()
        else:
            tally, problems = _in_jobs(plan, sources, jobs, folder, coverage, writer, tick)
    seconds = time.monotonic() - began
    return Simulation(
        plan, new, old, sources.files, tally, coverage, problems, jobs, said, seconds, rerun, rerun_old
    )  # fmt: skip


def _ticking(
    sessions: Iterator[Any], carry: Replayer, progress: Progress, tick: Callable[[float, int], None]
) -> Iterator[Any]:
    said = 0
    for session in sessions:
        yield session
        if carry.tally.calls - said >= SAY_EVERY:
            said = carry.tally.calls
            tick(progress.share(), said)


# ---------------------------------------------------------------- jobs


def _in_jobs(
    plan: Plan,
    sources: Sources,
    jobs: int,
    folder: Path,
    coverage: Coverage | None,
    writer: Writer | None,
    tick: Callable[[float, int], None],
) -> tuple[Tally, Problems]:
    """Let processes replay the parts; return what they counted together."""
    context = multiprocessing.get_context("spawn")  # a fork would share our threads' locks as they happen to stand
    done = context.Array("q", jobs)
    share = context.Value("d", 0.0)
    tally, problems = Tally(), Problems()
    problems.add(sources.laid)
    with context.Pool(jobs, _begin, (plan, sources, jobs, folder, done, share)) as pool:
        waiting = [pool.apply_async(_work, (part,)) for part in range(jobs)]
        while not all(one.ready() for one in waiting):
            waiting[-1].wait(0.2)
            tick(share.value, sum(done[:]))
            failed = next((one for one in waiting if one.ready() and not one.successful()), None)
            if failed is not None:
                failed.get()
        for one in waiting:
            counted, found, looked = one.get()
            tally.add(counted)
            problems.add(found)
            if coverage is not None and looked is not None:
                coverage.add(*looked)
    if writer is not None:
        with ExitStack() as stack:
            parts = [stack.enter_context((folder / f"part-{part}").open("rb")) for part in range(jobs)]
            for _, lines in heapq.merge(*(_frames(part) for part in parts), key=lambda frame: frame[0]):
                for line in lines.splitlines():
                    writer.write(line)
    return tally, problems


_job: dict[str, Any] = {}


def _begin(plan: Plan, sources: Sources, jobs: int, folder: Path, done: Any, share: Any) -> None:
    _job.update(plan=plan, sources=sources, jobs=jobs, folder=folder, done=done, share=share)


def _work(part: int) -> tuple[Tally, Problems, tuple[Any, ...] | None]:
    """Replay one part, in a process of its own."""
    plan, sources, folder = _job["plan"], _job["sources"], _job["folder"]
    new, _ = load(plan.policy, path=plan.path, learned=plan.learned)
    old = load(plan.old, path=plan.path, learned=plan.learned)[0] if plan.old else None
    coverage = Coverage.of(new) if plan.coverage else None
    carry = Replayer(Rerun(new, plan.evaluator), Rerun(old, plan.evaluator) if old else None, coverage=coverage)
    sources.traces.progress = progress = Progress(sources.traces.files)

    def tick(share: float, calls: int) -> None:
        _job["done"][part] = calls
        if part == 0:
            _job["share"].value = share

    sessions = _ticking(sources.sessions(part, _job["jobs"]), carry, progress, tick)
    if plan.out is None:
        replay_group(carry, sessions)
    else:
        with (folder / f"part-{part}").open("wb") as stream:
            frames = _Frames(stream)
            carry.write = frames.write
            replay_group(carry, sessions)
            frames.flush()
    sources.laid = Problems()
    looked = (coverage.counts(), coverage.calls, coverage.looked) if coverage else None
    return carry.tally, sources.problems(), looked


@dataclass(slots=True)
class _Frames:
    """Lines of one place, laid down together with it."""

    stream: IO[bytes]
    place: int = -1
    lines: list[bytes] = field(default_factory=list)

    def write(self, place: int, line: bytes) -> None:
        if place != self.place:
            self.flush()
            self.place = place
        self.lines.append(line)

    def flush(self) -> None:
        if self.lines:
            body = b"\n".join(self.lines)
            self.stream.write(FRAME.pack(self.place, len(body)) + body)
            self.lines.clear()


def _frames(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    while head := stream.read(FRAME.size):
        place, length = FRAME.unpack(head)
        yield place, stream.read(length)
