"""A log that is open for writing: takes decisions and endings, and has them on disk before or soon after it answers.

Mode `sync`: a call returns when its record is durable; whoever comes meanwhile goes into the same commit. Mode `async`:
a call returns at once, and a thread commits within 5 ms; at most 4,096 records wait. Either way a record that cannot be
written is an error of the call, of the next one at the latest, and the engine answers BLOCK `evidence_unavailable`.
"""

import atexit
import contextlib
import importlib.metadata
import os
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, Final, Literal, Self
from weakref import WeakSet

from ..contract import Answer, Approval, Decision, Outcome
from ..native.drafting import Clerk
from ..native.tray import SealKey
from .drain import Drain
from .errors import SPACE, EvidenceError, NoSpace, explain
from .folder import LogFolder
from .receipt import Receipt, make_receipt
from .record import (
    Draft,
    Shown,
    approval_draft,
    day_of,
    decision_draft,
    heartbeat_draft,
    outcome_draft,
    override_draft,
    policy_load_draft,
    recovered_draft,
    redaction_draft,
    shed_draft,
)
from .sheets import decision_sheet, outcome_sheet
from .storage import Storage
from .vault import KEYS_CACHED, Vault, spell_box
from .writer import Place, TreeWriter

HEARTBEAT_US: Final = 1_000_000
DAY_US: Final = 86_400_000_000
ANSWERS_MAX: Final = 10_000
NOTHING_SHOWN: Final[frozenset[str]] = frozenset()

RecordingMode = Literal["sync", "async"]
OnFailure = Literal["block", "allow"]


class EvidenceLog:
    """A `Recorder` that writes one shard of a log. Safe to use from several threads; after a fork, open another.

    Records are drafted where they are asked for, and wait in a tray, which `drain.py` empties.
    """

    def __init__(
        self,
        folder: LogFolder,
        storage: Storage,
        writer: TreeWriter,
        *,
        mode: RecordingMode,
        recording: RecordingMode,
        on_failure: OnFailure,
        shown: Shown,
        subjects: Mapping[str, str],
        keep_results: bool,
        keep_values: bool,
    ) -> None:
        """For `evidence.open`, which says what each of these is."""
        self.folder = folder
        self.mode = mode
        self.recording = recording
        self.on_failure = on_failure
        self._shown = shown
        self._subjects = subjects
        self._keep_results = keep_results
        self._keep_values = keep_values
        self._storage = storage
        self._vault = Vault(f"{folder.directory}/vault", storage, writer.name)
        self._drain = Drain(folder, storage, writer, self._vault, self, waits=mode == "sync")
        self._tray = tray = self._drain.tray
        self._engine = _build()
        self._body_bytes_max = writer.body_bytes_max
        self._policy = ""
        self._answers: OrderedDict[tuple[str, Answer], None] = OrderedDict()
        self._declared: dict[str, frozenset[str]] = {}
        self._pid = os.getpid()
        self._day = ""
        self._heartbeat_us = 0
        self._shed_count = 0
        self._shed_since_us = 0
        self._shed_until_us = 0
        self._shed_why = ""
        self._shed_lock = threading.Lock()
        self._shed_total = 0
        # An argument that says whose values these are is looked up at leisure, for every tool.
        seals, native = keep_values and not subjects, not (keep_values and subjects)
        clerk = partial(
            Clerk, tray, clock=storage.now, shown=self._shown_of, seals=seals, see_to=self._see_to, waits=mode == "sync"
        )
        self._decisions = clerk(
            sheet=decision_sheet(self._engine, recording, writer.body_bytes_max),
            keep=True,
            drafts=native,
            at_leisure=self._decided_at_leisure,
        )
        self._outcomes = clerk(
            sheet=outcome_sheet(recording, writer.body_bytes_max),
            keep=keep_results,
            drafts=native,
            at_leisure=self._ended_at_leisure,
        )
        # Each call of a tool comes through here twice, so these two are native code from the first step on.
        self.decided = self._decisions.decided  # type: ignore[method-assign]
        self.ended = self._outcomes.ended  # type: ignore[method-assign]

    # ------------------------------------------------------------ what is recorded

    def decided(self, decision: Decision) -> None:
        """Write down one decision before it is given out.

        Raises:
            EvidenceError: it cannot be recorded; never where the operator chose `on_failure="allow"`.
        """
        raise AssertionError("a log that is made has one of native code")

    def ended(self, decision: Decision, outcome: Outcome) -> None:
        """Write down how a call ended."""
        raise AssertionError("a log that is made has one of native code")

    def _decided_at_leisure(self, decision: Decision) -> None:
        tool = decision.request.tool_name if decision.request is not None else ""
        self._keep(
            decision_draft(decision, shown=self._shown_of(tool), subject=self._subjects.get(tool), engine=self._engine)
        )

    def _ended_at_leisure(self, decision: Decision, outcome: Outcome) -> None:
        request = decision.request
        subject = self._subjects.get(request.tool_name) if request is not None else None
        self._keep(outcome_draft(outcome, request, subject=subject, keep_result=self._keep_results))

    def answered(self, approval: Approval, answer: Answer, decision: Decision) -> None:
        """Write down one approver's answer to a held call; once, though engine and enforcement point both say so."""
        said = (approval.id, answer)
        if said in self._answers:
            return
        self._keep(approval_draft(approval, answer, decision))
        self._answers[said] = None
        while len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)

    def overridden(self, id: str, operator: str, what: str, facts: Mapping[str, Any]) -> None:
        """Write down that an operator's override began or was ended; durable when this returns."""
        self.write(override_draft(id, operator, what, facts))
        self.flush()

    def policy_loaded(self, digest: str, *, previous: str = "", files: Collection[str] = ()) -> None:
        """Write down that a policy came into force, if it is not the one that does already."""
        if digest == self._policy:
            return
        self._keep(policy_load_draft(digest, previous=previous or self._policy, files=files))
        self._policy = digest

    def shows(self, arguments: Mapping[str, Collection[str]]) -> None:
        """Keep these arguments of each tool in clear from now on, besides those that the log was opened with."""
        self._declared = {tool: frozenset(names) for tool, names in arguments.items() if names}
        for clerk in (self._decisions, self._outcomes):
            clerk.shown = self._shown_of if self._declared or self._shown else None

    def erase(self, tenant: str, subject: str, *, reason: str = "") -> list[str]:
        """Destroy a subject's keys, so that its values are gone, and record it; return the days they were of.

        Raises:
            EvidenceError: what waits cannot be written, and nothing was destroyed; or not all of it could be.
        """
        self.flush()  # what waits is sealed when it is written, and would get a new key after this
        days = self._vault.erase(tenant, subject)
        self.write(redaction_draft(tenant, subject, days, reason))
        self.flush()
        return days

    def _shown_of(self, tool: str) -> Collection[str]:
        declared = self._declared.get(tool, NOTHING_SHOWN)
        if callable(self._shown):
            return {*self._shown(tool), *declared}
        if not self._shown:
            return declared
        return {*self._shown.get(tool, ()), *self._shown.get("*", ()), *declared}

    def _keep(self, draft: Draft) -> None:
        try:
            self.write(draft)
        except Exception as error:
            if self.on_failure != "allow" or self._drain.closed:
                raise
            self._shed(error)

    def _shed(self, error: Exception) -> None:
        now_us = self._storage.now() // 1000
        with self._shed_lock:
            self._shed_since_us = self._shed_since_us if self._shed_count else now_us
            self._shed_until_us = now_us
            self._shed_count += 1
            self._shed_total += 1
            self._shed_why = type(error).__name__

    # ------------------------------------------------------------ writing

    def write(self, draft: Draft) -> Place | None:
        """Write a record. In mode `sync` it is durable when its place is returned; in mode `async` it has none yet.

        Raises:
            EvidenceError: it cannot be recorded; what happened, and what to do.
        """
        drain = self._drain
        if drain.dead is not None or drain.closed or os.getpid() != self._pid:
            raise self._why_not()
        if drain.failure is not None:
            drain.try_again()
            if not self._tray.ready:
                raise self._why_not()
        ticket = 0
        try:
            while not ticket:
                ticket = self._put(draft)
        except OSError as error:
            if error.errno in SPACE:
                raise NoSpace(self.folder.directory, self.folder.settings.segment_bytes) from error
            raise explain(error, self.folder.directory, "write to") from error
        return drain.see_to(ticket)

    def _see_to(self, ticket: int) -> None:
        """Do for a record that native code drafted what `write` does for another."""
        try:
            self._drain.see_to(ticket)
        except Exception as error:
            if not self._drain.waits or self.on_failure != "allow" or self._drain.closed:
                raise
            self._shed(error)

    def _why_not(self) -> Exception:
        drain = self._drain
        if drain.closed:
            return EvidenceError("the evidence log was closed; open it again with `evidence.open`")
        if os.getpid() != self._pid:
            return EvidenceError("the evidence log was opened before a fork; open one in each process, after the fork")
        error = drain.dead or drain.failure
        assert error is not None
        return error.with_traceback(None)  # raised again and again, it would hold on to every stack

    def _put(self, draft: Draft) -> int:
        """Finish a draft and put it into the tray; 0 where a newer record came meanwhile."""
        now_us = self._storage.now() // 1000
        at_us = max(now_us, self._tray.newest_us)
        if at_us - now_us > HEARTBEAT_US:
            draft.body["clock_back_us"] = at_us - now_us
        draft.fold(self._body_bytes_max)
        key = box = None
        if draft.secrets and self._keep_values:
            key = self._key_of(draft.tenant, draft.subject, at_us)
            box = spell_box(draft.secrets, self._storage.random(28))
            draft.body["sealed"] = {"box": box[:16].hex(), "key": key.name}
        return self._tray.put(self._finished(draft, at_us), key, box, at_us)

    def _finished(self, draft: Draft, at_us: int) -> bytes:
        draft.body["at_us"] = at_us
        draft.body["recording"] = self.recording
        return draft.encode(self._body_bytes_max)

    def _key_of(self, tenant: str, subject: str, at_us: int) -> SealKey:
        """The key for a subject today; the next record of it finds it at hand."""
        day = day_of(at_us)
        key = self._vault.key(tenant, subject, day)
        tray = self._tray
        if day != self._day or len(tray.keys) >= KEYS_CACHED:
            tray.keys, self._day = {}, day
            tray.day_ends_us = (at_us // DAY_US + 1) * DAY_US
        tray.keys[(tenant, subject)] = key
        if not tenant or not subject:  # a request says nothing by None
            tray.keys[(tenant or None, subject or None)] = key
        return key

    # ------------------------------------------------------------ what the log says of itself

    def due(self, at_us: int) -> bool:
        """Whether a heartbeat is due, which comes with the records of each second, or something was shed."""
        return at_us - self._heartbeat_us >= HEARTBEAT_US or self._shed_count > 0

    def say(self, at_us: int) -> None:
        """Append what was shed, and a heartbeat if one is due; for the drain."""
        with self._shed_lock:
            count, self._shed_count = self._shed_count, 0
            shed = shed_draft(count, self._shed_since_us, self._shed_until_us, self._shed_why) if count else None
        if shed is not None:
            try:
                self._drain.writer.append(self._finished(shed, at_us))
            except NoSpace:
                with self._shed_lock:
                    self._shed_count += count
                raise
        if at_us - self._heartbeat_us >= HEARTBEAT_US:
            self._beat(at_us, opened=False)

    def _beat(self, at_us: int, *, opened: bool) -> None:
        draft = heartbeat_draft(
            opened=opened,
            on_failure=self.on_failure,
            engine=self._engine,
            decisions=self._decisions.count,
            shed=self._shed_total,
        )
        self._drain.writer.append(self._finished(draft, at_us))
        self._heartbeat_us = at_us

    def begin(self, newest_us: int) -> None:
        """Write the first records of a log that was just opened, whose newest one is of `newest_us`, and go on."""
        at_us = max(newest_us, self._storage.now() // 1000)
        self._tray.begin(at_us)
        writer = self._drain.writer
        dropped = writer.recovery.dropped
        if dropped is not None:
            draft = recovered_draft(
                dropped.seq, dropped.segment, dropped.offset, dropped.byte_count, dropped.digest.hex()
            )
            writer.append(self._finished(draft, at_us))
        self._beat(at_us, opened=True)
        writer.commit()
        LOGS.add(self)
        atexit.register(self._close_at_exit)
        self._drain.begin()

    def left_behind(self) -> None:
        """The process was forked, and this is the child: the log is the parent's."""
        self._tray.ready = False

    # ------------------------------------------------------------ asking

    @property
    def lag_s(self) -> float:
        """How long the oldest record has waited to be taken into a commit, in seconds; 0 where none waits."""
        tray = self._tray
        return max(0.0, self._storage.now() / 1e9 - tray.first_us / 1e6) if tray.count else 0.0

    @property
    def shard(self) -> str:
        """The name of the shard that this log writes."""
        return self._drain.writer.name

    def flush(self) -> None:
        """Return when everything recorded so far is durable.

        Raises:
            EvidenceError: it cannot be.
        """
        if os.getpid() != self._pid or not self._drain.flush():
            raise self._why_not()

    def checkpoint(self) -> bytes | None:
        """Make everything durable, sign it, and return the shard's signed checkpoint."""
        self.flush()
        with self._drain.held():
            self._drain.sign()
            return self._drain.writer.note

    def receipts(self, places: Collection[Place]) -> list[Receipt]:
        """Signed receipts for records of this shard, under a checkpoint that is signed now.

        Cost: for each, 256 leaves are read from the shard, however long it is.
        """
        note = self.checkpoint()
        assert note is not None
        key = self.folder.signing_key(self.shard).verifier()
        with self._drain.held():
            return [make_receipt(place.seq, note, key, self._drain.writer.hashes) for place in places]

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        """Write what waits, sign it, take it into the root log, and let go of the shard.

        Raises:
            EvidenceError: some of it could not be written; how many records, and why.
        """
        if self._drain.closed or os.getpid() != self._pid:
            return
        atexit.unregister(self._close_at_exit)
        self._drain.close(self.flush)

    def _close_at_exit(self) -> None:
        with contextlib.suppress(EvidenceError):
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


LOGS: Final[WeakSet[EvidenceLog]] = WeakSet()


def _leave_behind() -> None:
    for log in list(LOGS):
        log.left_behind()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_behind)


def _build() -> str:
    try:
        return f"thoth-runtime {importlib.metadata.version('thoth-runtime')}"
    except importlib.metadata.PackageNotFoundError:
        return "thoth-runtime"
