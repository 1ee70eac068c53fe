"""The enforcer in this process: an engine, its policy and an evidence log, shared by all clients that name the same.

A fork gets a log of its own: the engine goes on with what it knew, and records into a new shard.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from .contract import Answer, Approval, Effect, Ending, Mode, OperationError, RequestError
from .enforcer import UNTOLD, EnforcerRefused
from .violation import ConfigurationError
from .waiting import Hold

if TYPE_CHECKING:
    from collections.abc import Callable

    from .contract import Decision, Outcome
    from .enforcer import Reply
    from .engine import Engine
    from .evidence import EvidenceLog
    from .sessions import Session

STEP_UP: Final = Effect.STEP_UP
LATE_MAX: Final = 4_096


class Recording:
    """The recorder of an engine: a log that is opened again after a fork, and outcomes that wait where it cannot write.

    A decision that cannot be recorded is the engine's to answer. An outcome cannot be taken back, so it waits here, up
    to 4,096 of them, and is written before the next record.
    """

    def __init__(self, directory: str, *, shown: Any = None, mode: str = "async") -> None:
        """Name the log in `directory`; it is opened when it is used, and made where there is none.

        `mode` says when a decision is given out: `sync` when it is on disk, `async` at once.
        """
        self.directory = directory
        self.mode = mode
        self.lost = 0
        self._shown = shown
        self._late: deque[tuple[Decision, Outcome]] = deque()
        self._lock = threading.Lock()
        self._log: EvidenceLog | None = None
        _RECORDINGS.add(self)

    def _open(self) -> EvidenceLog:
        from . import evidence
        from .evidence.folder import Exists

        if not os.path.exists(os.path.join(self.directory, "log.json")):  # noqa: PTH110, PTH118
            try:
                evidence.init(self.directory)
            except Exists:
                pass  # made by another process just now
        return evidence.open(self.directory, shown=self._shown, mode="sync" if self.mode == "sync" else "async")

    @property
    def log(self) -> EvidenceLog:
        """The log of this process.

        Raises:
            EvidenceError: it cannot be opened.
        """
        log = self._log
        if log is None:
            with self._lock:
                log = self._log = self._log or self._open()
        return log

    def decided(self, decision: Decision) -> None:
        """Write down one decision before it is given out."""
        log = self._log or self.log
        if self._late:
            self._write_late(log)
        log.decided(decision)

    def ended(self, decision: Decision, outcome: Outcome) -> None:
        """Write down how a call ended; where that is not possible now it waits."""
        try:
            (self._log or self.log).ended(decision, outcome)
        except Exception:  # noqa: BLE001 - whatever is wrong with the log, the next decision says so
            self._late.append((decision, outcome))
            if len(self._late) > LATE_MAX:
                self._late.popleft()
                self.lost += 1

    def answered(self, approval: Approval, answer: Answer, decision: Decision) -> None:
        """Write down one approver's answer."""
        self.log.answered(approval, answer, decision)

    def policy_loaded(self, digest: str, files: tuple[str, ...]) -> None:
        """Write down that a policy came into force."""
        self.log.policy_loaded(digest, files=files)

    def _write_late(self, log: EvidenceLog) -> None:
        with self._lock:
            while self._late:
                log.ended(*self._late[0])
                self._late.popleft()

    @property
    def unreported(self) -> int:
        """Outcomes that wait."""
        return len(self._late)

    def forget(self) -> None:
        """After a fork: what was open belongs to the parent, and so does what waits."""
        self._log = None
        self._late.clear()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Write what waits, and close the log."""
        if self._log is not None:
            self._write_late(self._log)
            self._log.close()


_RECORDINGS: Final[weakref.WeakSet[Recording]] = weakref.WeakSet()


def _after_fork() -> None:
    for recording in list(_RECORDINGS):
        recording.forget()


os.register_at_fork(after_in_child=_after_fork)


class Embedded:
    """An engine as an enforcer."""

    name = "embedded"
    immediate = True
    local = True

    def __init__(
        self,
        engine: Engine,
        *,
        recording: Recording | None = None,
        clock: Callable[[], float] = time.time,
        where: str = "",
    ) -> None:
        """Take an engine; `clock` is the one it reads, `where` says for people what it stands on."""
        self.engine = engine
        self.recording = recording
        self.where = where
        self._clock = clock
        self._decide = engine.decide
        self._ended = engine.ended
        self._filtered: tuple[object, dict[str, bool]] = (None, {})
        self._answers: dict[str, Approval] = {}

    # ------------------------------------------------------------ calls

    def _session(self, session: Session) -> Any:
        memory = session.memory
        handle = memory.handles.get(self)
        if handle is None:
            root = None if session.root is None else self._session(session.root)
            handle = memory.handles[self] = self.engine.session(session.id, root=root, tenant_id=memory.tenant)
        return handle

    def check(self, request: dict[str, Any], session: Session) -> Decision:
        """Decide one call."""
        handle = session.memory.handles.get(self)
        return self._decide(request, session=self._session(session) if handle is None else handle)

    def report(self, reply: Reply, ending: Ending, result: object = UNTOLD, *, whole: bool = True) -> Outcome | None:
        """Take in how a call ended."""
        try:
            if result is UNTOLD:
                return self._ended(reply, ending)  # type: ignore[arg-type]
            return self._ended(reply, ending, result, whole=whole)  # type: ignore[arg-type]
        except RequestError as error:
            raise EnforcerRefused(str(error)) from error  # ended before, or so long ago that it was let go

    def said(self, session: Session, text: str) -> None:
        """Take in what the user said."""
        self._session(session).said(text)

    def filters(self, tool: str) -> bool:
        """Say whether a result rule redacts or withholds what this tool returns."""
        policy = self.engine.policy
        of, known = self._filtered
        if of is not policy:  # it was replaced
            known = {}
            self._filtered = policy, known
        if tool not in known:
            from .engine.results import may_filter

            known[tool] = may_filter(policy, tool)
        return known[tool]

    def loosens(self, mode: Mode) -> str | None:
        """Return what the policy makes of a mode that a client asks for, where that is something else."""
        setting = self.engine.policy.mode
        if setting.kind == "from_request" or (setting.kind == "fixed" and setting.mode is mode):
            return None
        modes = list(Mode)
        if setting.kind == "at_least" and modes.index(mode) >= modes.index(setting.mode):
            return None
        kept = "fixes the mode" if setting.kind == "fixed" else "asks for at least mode"
        return (
            f"the policy `{self.engine.policy.name}` {kept} `{setting.mode}`; write `mode from request` in it to choose"
        )

    # ------------------------------------------------------------ holds

    def hold(self, reply: Reply, request: dict[str, Any], session: Session) -> Hold:
        """Return the hold of a call; answers to it are taken here."""
        decision: Any = reply
        expires = None if reply.hold_s is None else decision.now + reply.hold_s

        def answer(approver: str, principal: str, granted: bool) -> None:
            approval = self.engine.answer(decision, approver=approver, principal=principal, granted=granted)
            self._answers[decision.id] = approval
            if self.recording is not None:
                for one in approval.answers[-1:]:
                    self.recording.answered(approval, one, decision)

        return Hold(decision.id, reply, request, session, expires=expires, answer=answer)

    def look(self, hold: Hold) -> Decision | None:
        """Return what a held call is decided as now, None while it still waits."""
        if hold.withdrawn:
            return hold.reply  # type: ignore[return-value]
        decision: Any = hold.reply
        approval = self._answers.get(hold.token)
        over = hold.expires is not None and self._clock() >= hold.expires
        if approval is None and not over:
            return None
        if approval is None:
            approval = Approval(f"approval-{decision.id}", decision.call, hold.expires or 0.0, (), decision.id)
        again = self._decide(hold.request, session=self._session(hold.session), approval=approval)
        if again.effect is STEP_UP and not over:
            self._answers.pop(hold.token, None)  # one answer of several; the next one brings them all
            return None
        self._answers.pop(hold.token, None)
        return again

    def _left(self, hold: Hold) -> float | None:
        return None if hold.expires is None else max(0.0, hold.expires - self._clock())

    def wait(self, hold: Hold) -> Decision:
        """Wait for the answers to a held call; the calling thread alone waits."""
        event = threading.Event()
        end = hold.waking(event.set)
        try:
            while True:
                event.clear()
                decision = self.look(hold)
                if decision is not None:
                    return decision
                event.wait(self._left(hold))
        finally:
            end()

    def withdraw(self, hold: Hold) -> None:
        """Give back what a held call had reserved."""
        self._answers.pop(hold.token, None)
        self.engine.refused(hold.reply)  # type: ignore[arg-type]

    async def await_hold(self, hold: Hold) -> Decision:
        """As `wait`, on an event loop: only the calling task waits."""
        import asyncio

        loop = asyncio.get_running_loop()
        event = asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:
                pass  # the loop is closed, and nobody waits there any more

        end = hold.waking(wake)
        try:
            while True:
                event.clear()
                decision = self.look(hold)
                if decision is not None:
                    return decision
                try:
                    async with asyncio.timeout(self._left(hold)):
                        await event.wait()
                except TimeoutError:
                    pass
        finally:
            end()

    # ------------------------------------------------------------ on a loop, and the rest

    async def alook(self, hold: Hold) -> Decision | None:
        """As `look`."""
        return self.look(hold)

    async def acheck(self, request: dict[str, Any], session: Session) -> Decision:
        """As `check`."""
        return self.check(request, session)

    async def areport(
        self, reply: Reply, ending: Ending, result: object = UNTOLD, *, whole: bool = True
    ) -> Outcome | None:
        """As `report`."""
        return self.report(reply, ending, result, whole=whole)

    async def asaid(self, session: Session, text: str) -> None:
        """As `said`."""
        self.said(session, text)

    def deliver(self, reports: list[dict[str, Any]]) -> int:
        """Nothing is kept for an engine in this process."""
        return 0

    @property
    def unreported(self) -> int:
        """Outcomes that are not written yet."""
        return 0 if self.recording is None else self.recording.unreported

    def close(self) -> None:
        """Close the log."""
        if self.recording is not None:
            self.recording.close()


# ---------------------------------------------------------------- one for all that name the same


_SHARED: Final[dict[tuple[tuple[str, ...], str | None, str], Embedded]] = {}
_SHARING: Final = threading.Lock()


def embedded(files: tuple[str, ...], evidence: str | None, mode: str = "async") -> Embedded:
    """Return the engine for a policy, an evidence folder and the mode of its log; the same have the same engine.

    Raises:
        PolicyError: with every mistake of the policy.
        ConfigurationError: a file cannot be read, or the log not be opened.
    """
    folder = None if evidence is None else os.path.abspath(evidence)  # noqa: PTH100
    key = (tuple(os.path.abspath(file) for file in files), folder, mode)  # noqa: PTH100
    with _SHARING:
        found = _SHARED.get(key)
        if found is None:
            found = _SHARED[key] = _made(*key)
        return found


def _made(files: tuple[str, ...], evidence: str | None, mode: str) -> Embedded:
    from .engine import Engine

    shown: dict[str, list[str]] = {}
    recording = None if evidence is None else Recording(evidence, shown=shown, mode=mode)
    try:
        engine = Engine.from_files(files, recorder=recording)
        if recording is None:
            return Embedded(engine, where=f"{files[0]}, no evidence is kept")
        for name, tools in engine.policy.tools.items():
            names = [param.name for tool in tools for param in tool.params if param.shown]
            if names:  # while nothing is shown of any tool, nobody has to ask for each record
                shown[name] = names
        recording.policy_loaded(engine.policy.digest, files)
    except OperationError as error:
        raise ConfigurationError(str(error)) from error
    return Embedded(engine, recording=recording, where=f"{files[0]}, evidence in {evidence}")


def forget(enforcer: Embedded) -> None:
    """Close an engine's log and let go of it; the next client that names it gets a new one."""
    with _SHARING:
        for key, found in list(_SHARED.items()):
            if found is enforcer:
                del _SHARED[key]
    enforcer.close()
