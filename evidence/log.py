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
from collections.abc import Callable, Collection, Mapping
from functools import partial
from time import monotonic
from typing import Final, Literal, Self
from weakref import WeakSet

from ..contract import Answer, Approval, Decision, Outcome
from ..native.drafting import Clerk
from ..native.tray import FIRST, LATE, Half, SealKey, Tray
from .errors import SPACE, EvidenceError, NoSpace, explain
from .folder import LogFolder
from .merkle import HASH_SIZE
from .receipt import Receipt, make_receipt
from .record import (
    Draft,
    Shown,
    approval_draft,
    day_of,
    decision_draft,
    heartbeat_draft,
    outcome_draft,
    policy_load_draft,
    recovered_draft,
    redaction_draft,
    shed_draft,
)
from .root import RootLog
from .sheets import decision_sheet, outcome_sheet
from .storage import Storage
from .vault import KEYS_CACHED, Vault, spell_box
from .writer import Place, TreeWriter

QUEUE_MAX: Final = 4_096
CHECKPOINT_S: Final = 1.0
CHECKPOINT_RECORDS: Final = 10_000
HEARTBEAT_US: Final = 1_000_000
ROOT_S: Final = 10.0
RETRY_S: Final = 0.1
LINGER_S: Final = 0.002
"""How long the thread waits for others to share a commit with the first record that waits."""
LATE_US: Final = 2_500
"""When one record has waited so long, the next caller makes way for the thread, which may not get a turn otherwise."""
DAY_US: Final = 86_400_000_000
ANSWERS_MAX: Final = 10_000
NOTHING_SHOWN: Final[frozenset[str]] = frozenset()

RecordingMode = Literal["sync", "async"]
OnFailure = Literal["block", "allow"]


class EvidenceLog:
    """A `Recorder` that writes one shard of a log. Safe to use from several threads; after a fork, open another.

    Records are drafted where they are asked for, and wait in a tray. Who drains it seals, hashes and writes all of them
    as one commit: a thread of the log in mode `async`, the first of those who wait in mode `sync`.
    """

    def __init__(
        self,
        folder: LogFolder,
        storage: Storage,
        writer: TreeWriter,
        *,
        mode: RecordingMode,
        on_failure: OnFailure,
        shown: Shown,
        subjects: Mapping[str, str],
        keep_results: bool,
        keep_values: bool,
    ) -> None:
        """For `evidence.open`, which says what each of these is."""
        self.folder = folder
        self.mode = mode
        self.on_failure = on_failure
        self._shown = shown
        self._subjects = subjects
        self._keep_results = keep_results
        self._keep_values = keep_values
        self._storage = storage
        self._writer = writer
        self._vault = Vault(f"{folder.directory}/vault", storage, writer.name)
        self._root = RootLog(folder, storage, folder.signing_key())
        self._engine = _build()
        self._policy = ""
        self._answers: OrderedDict[tuple[str, Answer], None] = OrderedDict()
        self._declared: dict[str, frozenset[str]] = {}
        self._pid = os.getpid()
        self._waits = mode == "sync"
        self._tray = tray = Tray(storage.random, QUEUE_MAX, LATE_US)
        # An argument that says whose values these are is looked up at leisure, for every tool.
        seals, native = keep_values and not subjects, not (keep_values and subjects)
        clerk = partial(Clerk, tray, clock=storage.now, shown=self._shown_of, seals=seals)
        self._clerks = [
            clerk(sheet=decision_sheet(self._engine, mode), keep=True),
            clerk(sheet=outcome_sheet(mode), keep=keep_results),
        ]
        takes = [each.take if native else _nothing for each in self._clerks]
        self._take_decision: Callable[[object, object], int] = takes[0]
        self._take_outcome: Callable[[object, object], int] = takes[1]
        self._left: Half | None = None  # of what was taken out of the tray, what found no room yet: from `_left_at` on
        self._left_at = 0
        self._boxed = False  # the boxes of what was taken out are written
        self._day = ""
        self._settled: dict[int, Place | Exception] = {}  # of mode `sync`: what became of those who wait, by ticket
        self._settled_to = 0
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._taken = threading.Event()
        self._failure: Exception | None = None  # for now: more room may be found
        self._dead: Exception | None = None  # for good
        self._closed = False
        self._heartbeat_us = 0
        self._decisions = 0
        self._shed_count = 0
        self._shed_since_us = 0
        self._shed_until_us = 0
        self._shed_why = ""
        self._shed_lock = threading.Lock()
        self._shed_total = 0
        self._signed_at = monotonic()
        self._rooted_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="thoth-evidence", daemon=True)

    # ------------------------------------------------------------ what is recorded

    def decided(self, decision: Decision) -> None:
        """Write down one decision before it is given out.

        Raises:
            EvidenceError: it cannot be recorded; never where the operator chose `on_failure="allow"`.
        """
        self._decisions += 1
        request = decision.request
        ticket = self._take_decision(decision, request)
        if ticket:
            if ticket & 3 or self._waits:
                self._see_to(ticket)
            return
        tool = request.tool_name if request is not None else ""
        self._keep(
            decision_draft(decision, shown=self._shown_of(tool), subject=self._subjects.get(tool), engine=self._engine)
        )

    def ended(self, decision: Decision, outcome: Outcome) -> None:
        """Write down how a call ended."""
        request = decision.request
        ticket = self._take_outcome(outcome, request)
        if ticket:
            if ticket & 3 or self._waits:
                self._see_to(ticket)
            return
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

    def policy_loaded(self, digest: str, *, previous: str = "", files: Collection[str] = ()) -> None:
        """Write down that a policy came into force, if it is not the one that does already."""
        if digest == self._policy:
            return
        self._keep(policy_load_draft(digest, previous=previous or self._policy, files=files))
        self._policy = digest

    def shows(self, arguments: Mapping[str, Collection[str]]) -> None:
        """Keep these arguments of each tool in clear from now on, besides those that the log was opened with."""
        self._declared = {tool: frozenset(names) for tool, names in arguments.items() if names}
        for clerk in self._clerks:
            clerk.shown = self._shown_of if self._declared or self._shown else None

    def erase(self, tenant: str, subject: str, *, reason: str = "") -> list[str]:
        """Destroy a subject's keys, so that its values are gone, and record it; return the days they were of."""
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
            if self.on_failure != "allow" or self._closed:
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
        if self._dead is not None or self._closed or os.getpid() != self._pid:
            raise self._why_not()
        if self._failure is not None:
            with self._writing:
                self._drain()
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
        if self._waits:
            return self._wait_for(ticket >> 2)
        self._nudge(ticket)
        return None

    def _see_to(self, ticket: int) -> None:
        """Do for a record that native code drafted what `write` does for another."""
        if not self._waits:
            self._nudge(ticket)
            return
        try:
            self._wait_for(ticket >> 2)
        except Exception as error:
            if self.on_failure != "allow" or self._closed:
                raise
            self._shed(error)

    def _nudge(self, ticket: int) -> None:
        """Wake the thread for the first record that waits; make way for it where it is late."""
        if ticket & 3 == FIRST:
            self._wake.set()
        elif ticket & 3 == LATE:
            if self._tray.count > QUEUE_MAX:
                with self._writing:
                    self._drain()
            else:
                self._taken.clear()
                self._hurry.set()
                self._taken.wait(LATE_US / 1e6)

    def _wait_for(self, ticket: int) -> Place:
        with self._writing:
            if self._settled_to < ticket:
                self._drain()
            outcome = self._settled.pop(ticket)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _why_not(self) -> Exception:
        if self._closed:
            return EvidenceError("the evidence log was closed; open it again with `evidence.open`")
        if os.getpid() != self._pid:
            return EvidenceError("the evidence log was opened before a fork; open one in each process, after the fork")
        error = self._dead or self._failure
        assert error is not None
        return error.with_traceback(None)  # raised again and again, it would hold on to every stack

    def _put(self, draft: Draft) -> int:
        """Finish a draft and put it into the tray; 0 where a newer record came meanwhile."""
        now_us = self._storage.now() // 1000
        at_us = max(now_us, self._tray.newest_us)
        if at_us - now_us > HEARTBEAT_US:
            draft.body["clock_back_us"] = at_us - now_us
        key = box = None
        if draft.secrets and self._keep_values:
            key = self._key_of(draft.tenant, draft.subject, at_us)
            box = spell_box(draft.secrets, self._storage.random(28))
            draft.body["sealed"] = {"box": box[:16].hex(), "key": key.name}
        return self._tray.put(self._finished(draft, at_us), key, box, at_us)

    def _finished(self, draft: Draft, at_us: int) -> bytes:
        draft.body["at_us"] = at_us
        draft.body["recording"] = self.mode
        return draft.encode()

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

    def _drain(self) -> None:
        """Write everything that waits, as one commit; the caller holds `_writing`."""
        half, start = self._left, self._left_at
        if half is None:
            half, start = self._tray.take(), 0
            self._boxed = False
            self._taken.set()
            if not half.count:
                return
        leaves: list[bytes] = []
        error: Exception | None = None
        base = self._writer.size
        try:
            if half.box_count and not self._boxed:
                self._vault.write(self._vault.sealed(half), day_of(half.last_us), sync=self.mode == "sync")
            self._boxed = True
            try:
                self._writer.append_half(half, start, leaves)
                self._append_own(half.last_us)
            except NoSpace as full:
                error = full
            self._writer.commit()
        except Exception as failed:  # noqa: BLE001 - whoever waits for one of these records must hear of it
            self._tray.ready = False
            if isinstance(failed, OSError) and failed.errno in SPACE:
                error = NoSpace(self.folder.directory, self.folder.settings.segment_bytes)
            else:
                # After a failed write or sync nobody knows what is on disk.
                directory = self.folder.directory
                self._dead = explain(failed, directory, "write to") if isinstance(failed, OSError) else failed
                self._settle(half, start, b"", base, self._dead)
                return
        written = start + sum(map(len, leaves)) // HASH_SIZE
        if self.mode == "sync":
            self._settle(half, start, b"".join(leaves), base, error)
        elif written < half.count:
            self._left, self._left_at = half, written
        else:
            self._left = None
            self._tray.give_back(half)
        self._failure = error if self.mode == "async" else None
        self._tray.ready = self._failure is None and not self._closed
        if error is None and self._writer.size - self._writer.signed >= CHECKPOINT_RECORDS:
            self._sign()

    def _settle(self, half: Half, start: int, leaves: bytes, base: int, error: Exception | None) -> None:
        """Say to everybody who waits what became of their records: those that have leaves are durable."""
        self._settled_to = half.first_ticket + half.count - 1
        if self.mode == "async":
            return
        for number in range(start, half.count):
            at = HASH_SIZE * (number - start)
            outcome: Place | Exception | None = error
            if at < len(leaves):
                leaf = leaves[at : at + HASH_SIZE].hex()
                outcome = Place(self._writer.name, base + number - start, leaf)
            assert outcome is not None
            self._settled[half.first_ticket + number] = outcome

    def _append_own(self, at_us: int) -> None:
        """What the log says of itself: a heartbeat with the records of each second, and what was shed before them."""
        with self._shed_lock:
            count, self._shed_count = self._shed_count, 0
            shed = shed_draft(count, self._shed_since_us, self._shed_until_us, self._shed_why) if count else None
        if shed is not None:
            try:
                self._writer.append(self._finished(shed, at_us))
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
            decisions=self._decisions,
            shed=self._shed_total,
        )
        self._writer.append(self._finished(draft, at_us))
        self._heartbeat_us = at_us

    def _sign(self) -> None:
        """Sign a checkpoint; the caller holds `_writing`."""
        self._vault.sync_now()
        self._writer.checkpoint()
        self._signed_at = monotonic()

    def begin(self, newest_us: int) -> None:
        """Write the first records of a log that was just opened, whose newest one is of `newest_us`, and go on."""
        at_us = max(newest_us, self._storage.now() // 1000)
        self._tray.begin(at_us)
        dropped = self._writer.recovery.dropped
        if dropped is not None:
            draft = recovered_draft(
                dropped.seq, dropped.segment, dropped.offset, dropped.byte_count, dropped.digest.hex()
            )
            self._writer.append(self._finished(draft, at_us))
        self._beat(at_us, opened=True)
        self._writer.commit()
        self._tray.ready = True
        LOGS.add(self)
        atexit.register(self._close_at_exit)
        self._thread.start()

    def left_behind(self) -> None:
        """The process was forked, and this is the child: the log is the parent's."""
        self._tray.ready = False

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        while True:
            self._wake.wait(self._patience())
            self._wake.clear()
            if self._tray.count and self.mode == "async" and not self._closed:
                self._hurry.wait(LINGER_S)  # others may come, and share the commit
                self._hurry.clear()
            try:
                if self._writer.wants_spare:
                    self._make_ahead()
                with self._writing:
                    if self._closed:
                        return
                    self._drain()
                    self._tick()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next call must hear of it
                self._tray.ready = False
                self._dead = self._dead or error
            if self._dead is not None:
                return

    def _make_ahead(self) -> None:
        with contextlib.suppress(NoSpace):  # there is room in this segment; it is said when there is none
            self._writer.make_ahead()

    def _tick(self) -> None:
        now = monotonic()
        unsigned = self._writer.size - self._writer.signed
        if unsigned and now - self._signed_at >= CHECKPOINT_S:
            self._sign()
            unsigned = 0
        if not unsigned and now - self._rooted_at >= ROOT_S:
            self._rooted_at = now
            with contextlib.suppress(NoSpace):  # the shards' own checkpoints stand; the next update takes them in
                self._root.update()

    def _patience(self) -> float | None:
        if self._failure is not None:
            return RETRY_S
        if self._writer.size > self._writer.signed:
            return max(0.01, CHECKPOINT_S - (monotonic() - self._signed_at))
        return ROOT_S if self._root.held else None

    # ------------------------------------------------------------ asking

    @property
    def shard(self) -> str:
        """The name of the shard that this log writes."""
        return self._writer.name

    def flush(self) -> None:
        """Return when everything recorded so far is durable.

        Raises:
            EvidenceError: it cannot be.
        """
        with self._writing:
            while (self._tray.count or self._left is not None) and self._dead is None:
                self._drain()
                if self._failure is not None:
                    break
        if self._dead is not None or self._failure is not None:
            raise self._why_not()

    def checkpoint(self) -> bytes | None:
        """Make everything durable, sign it, and return the shard's signed checkpoint."""
        self.flush()
        with self._writing:
            self._sign()
            return self._writer.note

    def receipts(self, places: Collection[Place]) -> list[Receipt]:
        """Signed receipts for records of this shard, under a checkpoint that is signed now.

        Cost: for each, 256 leaves are read from the shard, however long it is.
        """
        note = self.checkpoint()
        assert note is not None
        key = self.folder.signing_key(self.shard).verifier()
        with self._writing:
            return [make_receipt(place.seq, note, key, self._writer.hashes) for place in places]

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        """Write what waits, sign it, take it into the root log, and let go of the shard.

        Raises:
            EvidenceError: some of it could not be written; how many records, and why.
        """
        if self._closed or os.getpid() != self._pid:
            return
        atexit.unregister(self._close_at_exit)
        try:
            if self._dead is None:
                self.flush()
                with self._writing:
                    self._closed = True
                    self._tray.ready = False
                    self._drain()  # what came since
                    self._sign()
                    with contextlib.suppress(NoSpace):
                        self._root.update()
        finally:
            self._closed = True
            self._tray.ready = False
            self._wake.set()
            self._hurry.set()
            self._thread.join()
            with contextlib.suppress(OSError):
                self._vault.close()
            self._root.close()
            self._writer.close()
        if self._dead is not None:
            raise self._dead

    def _close_at_exit(self) -> None:
        with contextlib.suppress(EvidenceError):
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _nothing(main: object, request: object) -> int:
    """Draft nothing."""
    return 0


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
