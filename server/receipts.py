"""Signed receipts for decisions that were just taken: made by a thread, all that are asked for meanwhile together.

A receipt needs the record's place in the log, which it has once it is written, and a signed checkpoint. Both cost: the
newest records are read through until those asked for are found, one signature for all of them. So a receipt is made for
who asks for one; every answer has the id by which it can be asked for later, here or with `thoth evidence receipt`.
"""

import logging
import queue
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ..contract.envelope import ReceiptReference
from ..evidence import EvidenceLog, Receipt
from ..evidence.checkpoint import peek_checkpoint
from ..evidence.read import read
from ..evidence.writer import Place

BACK_MAX: Final = 50_000
"""How far back a record is looked for, in records of this process's shard."""
TOGETHER_MAX: Final = 256
DASH: Final = "\N{EM DASH} "

Told = Callable[["dict[str, Found]"], None]
"""Takes what was found, by the id of the decision; on the loop."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """One record of a decision or of an ending: its exact text, the record's leaf before it, and its receipt."""

    record: str
    previous_hash: str
    receipt: Receipt

    @property
    def signature(self) -> str:
        """The Ed25519 signature of the checkpoint, as the note spells it: the key's four bytes before it."""
        return self._last[-1]

    @property
    def key(self) -> str:
        """The name of the key that signed."""
        return self._last[0]

    @property
    def _last(self) -> list[str]:
        return self.receipt.checkpoint.rstrip("\n").rpartition(DASH)[2].split(" ")


class Receipts:
    """Makes receipts for records of one log."""

    def __init__(self, evidence: EvidenceLog, later: Callable[..., object]) -> None:
        """`later` runs a function on the loop from any thread."""
        self._log, self._later = evidence, later
        self._queue: queue.SimpleQueue[tuple[Collection[str], str, Told] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="thoth-receipts", daemon=True)
        self._thread.start()
        self.under_way = 0

    def ask(self, ids: Collection[str], told: Told, kind: str = "decision") -> None:
        """Have `told` called with the receipts of these decisions, of those that are found.

        `kind` is `decision`, or `outcome` for the records of how the calls ended.
        """
        self.under_way += 1
        self._queue.put((ids, kind, told))

    def _run(self) -> None:
        while True:
            taken = [self._queue.get()]
            while taken[-1] is not None and len(taken) < TOGETHER_MAX and not self._queue.empty():
                taken.append(self._queue.get())
            asked = [one for one in taken if one is not None]
            found: dict[tuple[str, str], Found] = {}
            try:
                if asked:
                    found = self._find({(kind, id) for ids, kind, _ in asked for id in ids})
            except Exception as error:  # noqa: BLE001 - whoever asked has the decision, and asks again
                log.error("no_receipt error=%s", type(error).__name__)
            for ids, kind, told in asked:
                mine = {id: found[kind, id] for id in ids if (kind, id) in found}
                self._later(self._tell, told, mine)
            if taken[-1] is None:
                return

    def _tell(self, told: Told, found: dict[str, Found]) -> None:
        self.under_way -= 1
        told(found)

    def _find(self, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], Found]:
        note = self._log.checkpoint()
        if note is None:
            return {}
        size, shard = peek_checkpoint(note).size, self._log.shard
        start = max(0, size - BACK_MAX - 1)
        marks = {id.encode() for _, id in wanted}
        places: dict[tuple[str, str], tuple[Place, str, str]] = {}
        previous = ""
        for record in read(self._log.folder.shard_path(shard), start, size):
            leaf = record.leaf.hex()
            if any(mark in record.body for mark in marks):
                said = msgspec.json.decode(record.body)
                name = str(said["kind"]), str(said.get("id" if said["kind"] == "decision" else "decision"))
                if name in wanted:
                    places[name] = Place(shard, record.seq, leaf), record.body.decode(), previous
            previous = leaf
        receipts = self._log.receipts([place for place, _, _ in places.values()])
        return {
            name: Found(body, before, receipt)
            for (name, (_, body, before)), receipt in zip(places.items(), receipts, strict=True)
        }

    def close(self) -> None:
        """Stop the thread."""
        self._queue.put(None)
        self._thread.join()


def reference_of(decision_id: str, found: Found | None) -> ReceiptReference:
    """Return what an envelope says of a decision's receipt: the receipt itself where it was made."""
    if found is None:
        return ReceiptReference(f"rec_{decision_id}", decision_id)
    proof: dict[str, Any] = msgspec.to_builtins(found.receipt)
    return ReceiptReference(
        f"rec_{decision_id}",
        decision_id,
        signing_algorithm="ed25519",
        key_id=found.key,
        signature=found.signature,
        chain_index=found.receipt.chain_index,
        hash=found.receipt.hash,
        previous_hash=found.previous_hash,
        record=found.record,
        proof=proof,
    )
