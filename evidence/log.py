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
from collections import deque
from collections.abc import Collection, Mapping
from time import monotonic
from typing import Final, Literal, Self

from ..contract import Answer, Approval, Decision, Outcome
from .errors import SPACE, EvidenceError, NoSpace, explain
from .folder import LogFolder
from .merkle import HashTree
from .read import read
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
from .storage import Storage
from .vault import Vault
from .writer import Place, TreeWriter

QUEUE_MAX: Final = 4_096
CHECKPOINT_S: Final = 1.0
CHECKPOINT_RECORDS: Final = 10_000
HEARTBEAT_US: Final = 1_000_000
ROOT_S: Final = 10.0
RETRY_S: Final = 0.1

RecordingMode = Literal["sync", "async"]
OnFailure = Literal["block", "allow"]


class _Item:
    __slots__ = ("body", "error", "frame", "place")

    def __init__(self, body: bytes, frame: bytes) -> None:
        self.body = body
        self.frame = frame
        self.place: Place | None = None
        self.error: Exception | None = None


class EvidenceLog:
    """A `Recorder` that writes one shard of a log. Safe to use from several threads; after a fork, open another."""

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
    ) -> None:
        """For `open_log`, which has checked everything."""
        self.folder = folder
        self.mode = mode
        self.on_failure = on_failure
        self._shown = shown
        self._subjects = subjects
        self._keep_results = keep_results
        self._storage = storage
        self._writer = writer
        self._vault = Vault(f"{folder.directory}/vault", storage, writer.name)
        self._root = RootLog(folder, storage, folder.signing_key())
        self._engine = _build()
        self._pid = os.getpid()
        self._queue: deque[_Item] = deque()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._failure: Exception | None = None  # for now: more room may be found
        self._dead: Exception | None = None  # for good
        self._closed = False
        self._newest_us = 0
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
        tool = decision.request.tool_name if decision.request is not None else ""
        draft = decision_draft(
            decision, shown=self._shown_of(tool), subject=self._subjects.get(tool), engine=self._engine
        )
        self._decisions += 1
        self._keep(draft)

    def ended(self, decision: Decision, outcome: Outcome) -> None:
        """Write down how a call ended."""
        tool = decision.request.tool_name if decision.request is not None else ""
        subject = self._subjects.get(tool)
        self._keep(outcome_draft(outcome, decision.request, subject=subject, keep_result=self._keep_results))

    def answered(self, approval: Approval, answer: Answer, decision: Decision) -> None:
        """Write down one approver's answer to a held call."""
        self._keep(approval_draft(approval, answer, decision))

    def policy_loaded(self, digest: str, *, previous: str = "", files: Collection[str] = ()) -> None:
        """Write down that a policy came into force."""
        self._keep(policy_load_draft(digest, previous=previous, files=files))

    def erase(self, tenant: str, subject: str, *, reason: str = "") -> list[str]:
        """Destroy a subject's keys, so that its values are gone, and record it; return the days they were of."""
        days = self._vault.erase(tenant, subject)
        self.write(redaction_draft(tenant, subject, days, reason))
        self.flush()
        return days

    def _shown_of(self, tool: str) -> Collection[str]:
        if callable(self._shown):
            return self._shown(tool)
        if not self._shown:
            return ()
        return {*self._shown.get(tool, ()), *self._shown.get("*", ())}

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
        try:
            item = self._sealed(draft)
        except OSError as error:
            if error.errno in SPACE:
                raise NoSpace(self.folder.directory, self.folder.settings.segment_bytes) from error
            raise explain(error, self.folder.directory, "write to") from error
        self._queue.append(item)
        if self.mode == "sync":
            with self._writing:
                if item.place is None and item.error is None:
                    self._drain()
            if item.error is not None:
                raise item.error
            return item.place
        if self._failure is not None or len(self._queue) > QUEUE_MAX:
            with self._writing:
                self._drain()
            if self._failure is not None or self._dead is not None:
                with contextlib.suppress(ValueError):
                    self._queue.remove(item)  # the call is refused, so its record must not come later
                raise self._why_not()
        elif not self._wake.is_set():
            self._wake.set()
        return None

    def _why_not(self) -> Exception:
        if self._closed:
            return EvidenceError("the evidence log was closed; open it again with `evidence.open`")
        if os.getpid() != self._pid:
            return EvidenceError("the evidence log was opened before a fork; open one in each process, after the fork")
        error = self._dead or self._failure
        assert error is not None
        return error.with_traceback(None)  # raised again and again, it would hold on to every stack

    def _sealed(self, draft: Draft) -> _Item:
        now_us = self._storage.now() // 1000
        newest_us = self._newest_us
        at_us = max(now_us, newest_us)
        self._newest_us = at_us
        draft.body["at_us"] = at_us
        if at_us - now_us > HEARTBEAT_US:
            draft.body["clock_back_us"] = at_us - now_us
        draft.body["recording"] = self.mode
        frame = b""
        if draft.secrets:
            sealed = self._vault.seal(draft.tenant, draft.subject, day_of(at_us), draft.secrets)
            draft.body["sealed"] = {"box": sealed.box, "key": sealed.key}
            frame = sealed.frame
        return _Item(draft.encode(), frame)

    def _drain(self) -> None:
        """Write everything that waits, as one commit; the caller holds `_writing`."""
        taken: list[_Item] = []
        with contextlib.suppress(IndexError):
            while len(taken) < QUEUE_MAX:
                taken.append(self._queue.popleft())
        if not taken:
            return
        error: Exception | None = None
        try:
            frames = [item.frame for item in taken if item.frame]
            self._vault.write(frames, day_of(self._newest_us), sync=self.mode == "sync")
            places = []
            try:
                for item in taken:
                    places.append(self._writer.append(item.body))
                self._append_own()
            except NoSpace as full:
                error = full
            self._writer.commit()
            for item, place in zip(taken, places, strict=False):
                item.place = place
        except Exception as failed:  # noqa: BLE001 - whoever waits for one of these records must hear of it
            if isinstance(failed, OSError) and failed.errno in SPACE:
                error = NoSpace(self.folder.directory, self.folder.settings.segment_bytes)
            else:
                # After a failed write or sync nobody knows what is on disk.
                directory = self.folder.directory
                self._dead = explain(failed, directory, "write to") if isinstance(failed, OSError) else failed
                for item in taken:
                    item.error = self._dead
                return
        self._failure = error
        if error is not None:
            left = [item for item in taken if item.place is None]
            if self.mode == "sync":
                for item in left:
                    item.error = error
            else:
                self._queue.extendleft(reversed(left))
        elif self._writer.size - self._writer.signed >= CHECKPOINT_RECORDS:
            self._sign()

    def _append_own(self) -> None:
        """What the log says of itself: a heartbeat with the records of each second, and what was shed before them."""
        with self._shed_lock:
            count, self._shed_count = self._shed_count, 0
            shed = shed_draft(count, self._shed_since_us, self._shed_until_us, self._shed_why) if count else None
        if shed is not None:
            try:
                self._writer.append(self._sealed(shed).body)
            except NoSpace:
                with self._shed_lock:
                    self._shed_count += count
                raise
        if self._newest_us - self._heartbeat_us >= HEARTBEAT_US:
            self._beat(opened=False)

    def _beat(self, *, opened: bool) -> None:
        draft = heartbeat_draft(
            opened=opened,
            on_failure=self.on_failure,
            engine=self._engine,
            decisions=self._decisions,
            shed=self._shed_total,
        )
        self._writer.append(self._sealed(draft).body)
        self._heartbeat_us = self._newest_us

    def _sign(self) -> None:
        """Sign a checkpoint; the caller holds `_writing`."""
        self._vault.sync_now()
        self._writer.checkpoint()
        self._signed_at = monotonic()

    def begin(self, newest_us: int) -> None:
        """Write the first records of a log that was just opened, whose newest one is of `newest_us`, and go on."""
        self._newest_us = newest_us
        dropped = self._writer.recovery.dropped
        if dropped is not None:
            draft = recovered_draft(
                dropped.seq, dropped.segment, dropped.offset, dropped.byte_count, dropped.digest.hex()
            )
            self._writer.append(self._sealed(draft).body)
        self._beat(opened=True)
        self._writer.commit()
        atexit.register(self._close_at_exit)
        self._thread.start()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        while True:
            self._wake.wait(self._patience())
            self._wake.clear()
            try:
                if self._writer.wants_spare:
                    self._make_ahead()
                with self._writing:
                    if self._closed:
                        return
                    self._drain()
                    self._tick()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next call must hear of it
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
            while self._queue and self._dead is None:
                self._drain()
                if self._failure is not None:
                    break
        if self._dead is not None or self._queue:
            raise self._why_not()

    def checkpoint(self) -> bytes | None:
        """Make everything durable, sign it, and return the shard's signed checkpoint."""
        self.flush()
        with self._writing:
            self._sign()
            return self._writer.note

    def receipts(self, places: Collection[Place]) -> list[Receipt]:
        """Signed receipts for records of this shard, under a checkpoint that is signed now.

        Cost: the shard is read once, 64 bytes of memory a record.
        """
        note = self.checkpoint()
        assert note is not None
        directory, size = self.folder.shard_path(self.shard), self._writer.signed
        tree = HashTree(record.leaf for record in read(directory, stop=size, storage=self._storage))
        key = self.folder.signing_key(self.shard).verifier()
        return [make_receipt(place.seq, note, key, tree) for place in places]

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
                    self._sign()
                    with contextlib.suppress(NoSpace):
                        self._root.update()
        finally:
            self._closed = True
            self._wake.set()
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


def _build() -> str:
    try:
        return f"thoth-runtime {importlib.metadata.version('thoth-runtime')}"
    except importlib.metadata.PackageNotFoundError:
        return "thoth-runtime"
