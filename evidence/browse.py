"""Reading a log: records in the order of their time, receipts and proofs of them, and values given out one by one."""

import heapq
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from ..contract import RequestError
from .checkpoint import open_checkpoint, peek_checkpoint
from .errors import NoLog, explain
from .folder import ROOT, LogFolder, need_cryptography, open_folder
from .hashes import SubtreeHashes
from .merkle import ProofError, check_consistency, consistency_proof, tree_root
from .note import VerifierKey
from .read import Record, leaf_runs, read
from .receipt import Receipt, make_receipt, verify_receipt
from .root import read_note
from .storage import FileStorage, Storage
from .vault import DoesNotFit, Vault, check_value
from .writer import CHECKPOINT


class Entry(msgspec.Struct, frozen=True):
    """One record with its place: `body` is what was stored, `record` what it says."""

    shard: str
    seq: int
    body: bytes
    record: dict[str, Any]

    @property
    def at_us(self) -> int:
        """When it was written."""
        return int(self.record.get("at_us", 0))

    @property
    def place(self) -> str:
        """Its place as one writes it: `00/17`."""
        return f"{self.shard}/{self.seq}"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which records: all that is said must fit; times are microseconds, from `since_us` up to and not `until_us`."""

    since_us: int | None = None
    until_us: int | None = None
    kind: str | None = None
    session: str | None = None
    agent: str | None = None
    tool: str | None = None
    decision: str | None = None
    effect: str | None = None
    rule: str | None = None

    def fits(self, entry: Entry) -> bool:
        """Whether a record is wanted."""
        record = entry.record
        if self.since_us is not None and entry.at_us < self.since_us:
            return False
        if self.until_us is not None and entry.at_us >= self.until_us:
            return False
        for name in ("kind", "session", "agent", "tool", "effect"):
            asked = getattr(self, name)
            if asked is not None and record.get(name) != asked:
                return False
        if self.decision is not None and self.decision not in (record.get("id"), record.get("decision")):
            return False
        return self.rule is None or any(self.rule in record.get(name, ()) for name in ("rules", "would_be", "trial"))


class Disclosure(msgspec.Struct, frozen=True):
    """One value given out, with what it takes to check that it is the one in the record."""

    path: str
    salt: str
    value: str  # in its one spelling
    hash: str
    record: str  # the exact body
    receipt: Receipt

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes | str) -> "Disclosure":
        """Raises:
        ProofError: it is no disclosure.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise ProofError(f"this is not a disclosure: {error}") from None


class LogReader:
    """A log to read, while it is written or long after. Nothing is locked, nothing is changed."""

    def __init__(self, directory: str | os.PathLike[str], *, storage: Storage | None = None) -> None:
        """Raises:
        NoLog: there is none here.
        """
        self._storage = storage or FileStorage()
        self.folder: LogFolder = open_folder(directory, self._storage)
        self.vault = Vault(f"{self.folder.directory}/vault", self._storage)
        self._trees: dict[str, SubtreeHashes] = {}

    def shards(self) -> list[str]:
        """The names of the shards."""
        return self.folder.shards(self._storage)

    def entries(self, wanted: Wanted | None = None, *, start: dict[str, int] | None = None) -> Iterator[Entry]:
        """Records of all shards by their times; of each shard from the number that `start` says."""
        start = start or {}
        streams = [self._shard_entries(shard, start.get(shard, 0)) for shard in self.shards()]
        for entry in heapq.merge(*streams, key=lambda entry: entry.at_us):
            if wanted is None or wanted.fits(entry):
                yield entry

    def _shard_entries(self, shard: str, start: int) -> Iterator[Entry]:
        try:
            for record in read(self.folder.shard_path(shard), start, storage=self._storage):
                yield self._entry(shard, record)
        except NoLog:
            return  # made a moment ago, and nothing in it yet

    def _entry(self, shard: str, record: Record) -> Entry:
        try:
            said = msgspec.json.decode(record.body, type=dict[str, Any])
        except msgspec.DecodeError:
            said = {"kind": "unreadable"}
        return Entry(shard, record.seq, record.body, said)

    def entry(self, place: str) -> Entry:
        """The record at a place, written `00/17`.

        Raises:
            RequestError: there is no such place.
        """
        shard, _, number = place.rpartition("/")
        if not (number.isascii() and number.isdigit()) or shard not in self.shards():
            names = ", ".join(f"`{name}`" for name in self.shards()) or "none"
            raise RequestError(f"`{place}` is not a place; write shard and number, e.g. `00/17`; shards here: {names}")
        seq = int(number)
        for record in read(self.folder.shard_path(shard), seq, seq + 1, storage=self._storage):
            return self._entry(shard, record)
        raise RequestError(f"shard `{shard}` has no record {seq} yet")

    def decision(self, decision_id: str) -> Entry:
        """The record of a decision. Cost: one pass over the log.

        Raises:
            RequestError: there is none.
        """
        for entry in self.entries():
            if entry.record.get("kind") == "decision" and entry.record.get("id") == decision_id:
                return entry
        raise RequestError(f"no record of the decision `{decision_id}`; `thoth evidence show` lists what there is")

    # ------------------------------------------------------------ proofs

    def checkpoint(self, shard: str | None = None) -> bytes | None:
        """The newest signed checkpoint of a shard, or of the root log; None where there is none yet."""
        directory = f"{self.folder.directory}/{ROOT}" if shard is None else self.folder.shard_path(shard)
        path = f"{directory}/{CHECKPOINT}"
        try:
            return read_note(path, self._storage)
        except OSError as error:
            raise explain(error, path, "read") from error

    def verifier(self, shard: str) -> VerifierKey:
        """The public key of a shard, from the folder."""
        return VerifierKey(self.folder.shard_origin(shard), self.folder.public_key().public)

    def tree(self, shard: str | None, size: int) -> SubtreeHashes:
        """The hashes of a shard's first records, or of the root log's. Cost: they are read when it is first asked.

        Raises:
            ProofError: there are fewer.
        """
        directory = f"{self.folder.directory}/{ROOT}" if shard is None else self.folder.shard_path(shard)
        tree = self._trees.get(directory)
        if tree is None:
            tree = self._trees[directory] = SubtreeHashes(
                lambda begin, end: b"".join(leaf_runs(directory, begin, end, storage=self._storage))
            )
        if tree.size < size:
            for leaves in leaf_runs(directory, tree.size, size, storage=self._storage):
                tree.extend(leaves)
        if tree.size < size:
            raise ProofError(f"`{directory}` holds {tree.size} records, and its checkpoint was signed for {size}")
        return tree

    def receipt(self, entry: Entry) -> Receipt:
        """A signed receipt for a record, under the newest checkpoint of its shard.

        Raises:
            RequestError: no checkpoint covers it yet.
        """
        need_cryptography()
        note = self.checkpoint(entry.shard)
        size = peek_checkpoint(note).size if note is not None else 0
        if note is None or entry.seq >= size:
            raise RequestError(
                f"no checkpoint covers record {entry.place} yet; a writer signs one each second, and at its end"
            )
        return make_receipt(entry.seq, note, self.verifier(entry.shard), self.tree(entry.shard, size))

    def consistency(self, old: bytes) -> tuple[bytes, list[bytes]]:
        """The newest checkpoint of the tree that an older one is of, and the proof that it continues that one.

        It is checked before it is given out.

        Raises:
            ProofError: it does not continue that one, or the records are not what was signed for.
        """
        origin = peek_checkpoint(old).origin
        shard = origin.removeprefix(f"{self.folder.origin}/")
        own = None if origin == self.folder.origin else shard
        if own is not None and own not in self.shards():
            raise ProofError(f"the checkpoint is of `{origin}`, and this log is `{self.folder.origin}`")
        key = self.folder.public_key() if own is None else self.verifier(own)
        new = self.checkpoint(own)
        if new is None:
            raise ProofError(f"`{origin}` was signed for once, and has no checkpoint any more")
        earlier, newest = open_checkpoint(old, key), open_checkpoint(new, key)
        tree = self.tree(own, newest.size)
        proof = consistency_proof(earlier.size, newest.size, tree)
        # The records may be others than those that were signed for: then the hashes of them prove nothing.
        found = tree_root(newest.size, tree)
        if found != newest.root:
            raise ProofError(
                f"the first {newest.size} records of `{origin}` have the root {found.hex()}, and its checkpoint was"
                f" signed for {newest.root.hex()}"
            )
        check_consistency(earlier.size, earlier.root, newest.size, newest.root, proof)
        return new, proof

    # ------------------------------------------------------------ values

    def values(self, entry: Entry) -> dict[str, tuple[bytes, bytes]]:
        """The sealed values of a record: by path, salt and spelling.

        Raises:
            Erased: its key is gone.
            DoesNotFit: its box is missing, or does not hold what the record commits to.
        """
        need_cryptography()
        sealed = entry.record.get("sealed")
        if not isinstance(sealed, dict):
            return {}
        return self.vault.open(str(sealed["box"]), str(sealed["key"]))

    def disclose(self, entry: Entry, path: str) -> Disclosure:
        """One value, checked, with its record and a receipt for it: for an auditor who may see this value only."""
        values = self.values(entry)
        if path not in values:
            names = ", ".join(f"`{name}`" for name in sorted(values)) or "nothing"
            raise RequestError(f"record {entry.place} seals no `{path}`; it seals {names}")
        salt, value = values[path]
        if not value:
            raise RequestError(f"record {entry.place} seals no value of `{path}`, only the salt to check one with")
        committed = commitment_at(entry.record, path)
        check_value(committed, path, salt, value)
        return Disclosure(path, salt.hex(), value.decode(), committed, entry.body.decode(), self.receipt(entry))

    def stats(self) -> dict[str, Any]:
        """How many records of which kind, effect and shard there are, from when to when. Cost: one pass."""
        kinds: Counter[str] = Counter()
        effects: Counter[str] = Counter()
        shards: Counter[str] = Counter()
        first = last = shed = body_bytes = 0
        for entry in self.entries():
            kinds[str(entry.record.get("kind"))] += 1
            shards[entry.shard] += 1
            body_bytes += len(entry.body)
            if "effect" in entry.record:
                effects[str(entry.record["effect"])] += 1
            if entry.record.get("kind") == "shed":
                shed += int(entry.record.get("count", 0))
            first = first or entry.at_us
            last = entry.at_us
        return {
            "origin": self.folder.origin,
            "records": shards.total(),
            "kinds": dict(kinds.most_common()),
            "effects": dict(effects.most_common()),
            "shards": dict(sorted(shards.items())),
            "shed": shed,
            "body_bytes": body_bytes,
            "first_us": first,
            "last_us": last,
        }


def commitment_at(record: dict[str, Any], path: str) -> str:
    """The commitment that stands in a record for a path, e.g. `args.to`.

    Raises:
        DoesNotFit: there is none.
    """
    if path == "result" and isinstance(record.get("result"), str):
        return str(record["result"])
    group, dot, name = path.partition(".")  # a name may be empty: `args.` is one value, `args` all of them
    held = record.get(group, ())
    if isinstance(held, dict) and "*" in held and not dot:
        return str(held["*"])
    if isinstance(held, list) and dot:
        for item in held:
            if isinstance(item, list) and item[0] == name:
                return str(item[1])
    raise DoesNotFit(f"the record commits to no value of `{path}`")


def verify_disclosure(disclosure: Disclosure, key: VerifierKey) -> None:
    """Return if a disclosed value is the one that a record in the log commits to; `key` is that of the record's shard.

    Raises:
        ProofError: the record is not in the log.
        DoesNotFit: the value is another one.
    """
    body = disclosure.record.encode()
    verify_receipt(disclosure.receipt, body, key)
    committed = commitment_at(msgspec.json.decode(body, type=dict[str, Any]), disclosure.path)
    if committed != disclosure.hash:
        raise DoesNotFit(f"the record commits to another value of `{disclosure.path}`: {committed}")
    try:
        salt = bytes.fromhex(disclosure.salt)
    except ValueError:
        salt = b""
    if salt.hex() != disclosure.salt:
        raise DoesNotFit(f"the salt of `{disclosure.path}` is not in lower-case hexadecimal digits")
    check_value(committed, disclosure.path, salt, disclosure.value.encode())
