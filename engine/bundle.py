"""Compiled bundles: a decision table in one file, which is mapped into memory and read where it lies.

    magic, version, size, sections     where each section begins, and its size
    sections                           the table, the policy, its rules one by one, what rows are to answers, sources
    digest                             SHA-256 of everything before it
    key, signature                     of the digest (Ed25519), where it is signed

The digest tells damage, a signature tells who made it. Neither says that the numbers in the table are sound, so each
of them is checked on loading, as if anybody could have written the file. Rules are unpacked one by one, when somebody
wants to read one.
"""

import hashlib
import mmap
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias, TypeVar, cast, overload

import msgspec

from ..contract import Ask, Effect, OperationError
from ..contract.attributes import CWD
from ..native.answer import Words
from ..native.arena import ArenaError
from ..native.facts import Folder
from . import checked as c
from .answers import Laid, Row, laid_out
from .binding import Declarations
from .call import Knowledge
from .collecting import not_collecting
from .columns import Columns
from .compile import DecisionTable, Placement, compile, row_of, table_of
from .digest import versions
from .flat import LINE, Flat
from .forms import REQUEST
from .packing import PackingError, pack, unpack

MAGIC: Final = b"thothbdl"
VERSION: Final = 1
SUFFIX: Final = ".thothb"
HEAD: Final = struct.Struct("<8sIIQ")
SECTION: Final = struct.Struct("<QQ")
SECTIONS: Final = ("about", "policy", "arena", "placement", "rows", "words", "tests", "rules", "sources")
DIGEST_BYTES, KEY_BYTES, SIGNATURE_BYTES = 32, 32, 64
CONTEXT: Final = b"thoth bundle 1\n"
ROW: Final = struct.Struct("<diiBBBB")

T = TypeVar("T")


class BundleError(OperationError):
    """A bundle that is not loaded; the message says which, why, and what to do."""


class About(msgspec.Struct, frozen=True):
    """What a bundle says of itself: the policy's name, version and digest, and what its meaning depends on."""

    name: str
    version: str
    digest: str
    versions: dict[str, str]
    rules: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was loaded: its table, the windows of its limits by rule, its sources, and who signed it.

    `key` is the raw public key, None where it is not signed; whether that is a trusted one was asked on loading.
    """

    about: About
    table: DecisionTable
    windows: dict[str, int]
    sources: Mapping[str, str]
    key: bytes | None


# ---------------------------------------------------------------- writing


def build(
    policy: c.CheckedPolicy,
    sources: Mapping[str, str],
    signing_key: bytes | None = None,
    table: DecisionTable | None = None,
) -> bytes:
    """Return a policy as a bundle; `sources` are the texts of its files, `signing_key` is PEM (Ed25519, PKCS8).

    The policy's tests are left out: they are run on the text. Equal policies and sources make equal bytes, but where
    its `table` is handed in, which may have been laid out in pieces.

    Raises:
        BundleError: the key is none.
    """
    table = compile(policy) if table is None else table
    rules = [row.rule for row in table.rows]
    about = About(policy.name, policy.version, policy.digest, versions(), len(rules))
    plain = replace(policy, rules=(), tests=())
    placement = table.placement
    columns = table.columns
    laid = [laid_out(row) for row in table.rows]
    sections = {
        "about": msgspec.json.encode(about),
        "policy": pack(plain),
        "arena": bytes(table.table.arena.memory()),
        "placement": pack(
            (
                tuple((*name, *buckets) for name, buckets in placement.known.items()),
                placement.unknown,
                placement.results,
                tuple(columns.terms),
                tuple(columns.groups()),
                tuple((number, rule.limit.window_s) for number, rule in enumerate(rules) if rule.limit is not None),
            )
        ),
        "rows": b"".join(ROW.pack(one[1], one[2], one[6], one[3], one[4], one[5], 0) for one in laid),
        "words": msgspec.msgpack.encode(
            [
                [rule.id for rule in rules],
                [number for number, rule in enumerate(rules) if rule.limit is not None],
                [_said(number, row) for number, row in enumerate(table.rows) if laid[number][8] is not None],
            ]
        ),
        "tests": _indexed(pack(test) for test in columns.tests),
        "rules": _indexed(map(pack, rules)),
        "sources": msgspec.msgpack.encode(dict(sources)),
    }
    offset = HEAD.size + SECTION.size * len(SECTIONS)
    places, body = [], []
    for name in SECTIONS:
        section = sections[name]
        padding = -offset % LINE
        places.append(SECTION.pack(offset + padding, len(section)))
        body.append(bytes(padding) + section)
        offset += padding + len(section)
    content = b"".join([HEAD.pack(MAGIC, VERSION, len(SECTIONS), offset), *places, *body])
    digest = hashlib.sha256(content).digest()
    return content + digest + (b"" if signing_key is None else _signed(digest, signing_key))


def write(path: str | os.PathLike[str], bundle: bytes) -> None:
    """Write a bundle's file in one step: whoever has the old one mapped keeps it, and nobody sees half of the new one.

    Raises:
        BundleError: it cannot be written.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("xb") as file:
            file.write(bundle)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise BundleError(f"`{path}` cannot be written: {error.strerror or error}") from None


Said: TypeAlias = tuple[int, str | None, tuple[str, ...], int, str, int | None, tuple[str, ...]]
"""What a row says when it applies: number, code, who is asked, how many of them, tell, when to come back, controls."""


def _said(number: int, row: Row) -> Said:
    rule = row.rule
    approvers = rule.ask.approvers if row.asks is Effect.STEP_UP else ()
    return number, rule.code or None, approvers, rule.ask.quorum, rule.tell, rule.retry_after_s, rule.controls


def _indexed(packed: Iterable[bytes]) -> bytes:
    """Return pieces behind a list of where each ends."""
    pieces = list(packed)
    ends, end = [], 0
    for piece in pieces:
        end += len(piece)
        ends.append(end)
    return b"".join([struct.pack(f"<Q{len(ends)}Q", len(ends), *ends), *pieces])


# ---------------------------------------------------------------- keys


def _signed(digest: bytes, pem: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (TypeError, ValueError):
        raise BundleError("the signing key is no private key in PEM (PKCS8) without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(f"the signing key is of another kind ({type(key).__name__}); an Ed25519 key is needed")
    return key.public_key().public_bytes_raw() + key.sign(CONTEXT + digest)


def public_key(pem: bytes) -> bytes:
    """Return the raw public key of PEM text, be it the public half of a key or the private one.

    Raises:
        BundleError: it is no Ed25519 key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    key: object = None
    try:
        key = load_pem_public_key(pem) if b"PUBLIC KEY" in pem else load_pem_private_key(pem, password=None)
    except (TypeError, ValueError):
        raise BundleError("a trusted key is not in PEM; an Ed25519 public key begins `-----BEGIN PUBLIC KEY`") from None
    if isinstance(key, Ed25519PrivateKey):
        key = key.public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(f"a trusted key is of another kind ({type(key).__name__}); an Ed25519 key is needed")
    return key.public_bytes_raw()


def _verify(name: str, digest: bytes, key: bytes, signature: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, CONTEXT + digest)
    except (InvalidSignature, ValueError):
        raise BundleError(f"`{name}` bears a signature that is not its own; build it again") from None


# ---------------------------------------------------------------- reading


def is_bundle(path: str | os.PathLike[str]) -> bool:
    """Say whether a file begins as bundles do; a pipe is none, for it is read once only."""
    path = Path(path)
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read(path: str | os.PathLike[str], trusted: Sequence[bytes] | None = None) -> Bundle:
    """Map a bundle's file and return its table; with `trusted` (PEM) only if one of these keys signed it.

    Raises:
        BundleError: it cannot be read, is damaged, was made by another version, or is not signed by a trusted key.
    """
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise BundleError(f"`{name}` cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return load(mapped, name, trusted)


def load(content: bytes | memoryview, name: str, trusted: Sequence[bytes] | None = None) -> Bundle:
    """Return the table of a bundle in memory; see `read`.

    Cost: one pass over the bytes, and one over the numbers of the table.
    """
    view = memoryview(content)
    sections, key = _sections(view, name, trusted)
    try:
        with not_collecting():
            return _loaded(sections, name, key)
    except (ArenaError, PackingError, msgspec.DecodeError, struct.error) as error:
        raise BundleError(f"`{name}` is no sound bundle: {error}; build it again") from None
    except (TypeError, ValueError, LookupError, AttributeError, AssertionError, ArithmeticError) as error:
        raise BundleError(f"`{name}` is no sound bundle: its parts do not fit ({error}); build it again") from None


def _sections(
    view: memoryview, name: str, trusted: Sequence[bytes] | None
) -> tuple[dict[str, memoryview], bytes | None]:
    """Return the sections of a bundle whose digest is right, and the key that signed it."""
    head = HEAD.size + SECTION.size * len(SECTIONS)
    if len(view) < head + DIGEST_BYTES or bytes(view[: len(MAGIC)]) != MAGIC:
        raise BundleError(f"`{name}` is no bundle; `thoth build` makes one")
    _, version, count, size = HEAD.unpack_from(view)
    if version != VERSION or count != len(SECTIONS):
        raise BundleError(f"`{name}` was built by another version of thoth; build it again")
    behind = len(view) - size - DIGEST_BYTES
    if size < head or behind not in (0, KEY_BYTES + SIGNATURE_BYTES):
        raise BundleError(f"`{name}` is damaged: it is longer or shorter than it says; build it again")
    digest = bytes(view[size : size + DIGEST_BYTES])
    if hashlib.sha256(view[:size]).digest() != digest:
        raise BundleError(f"`{name}` is damaged: its digest is not its own; build it again")
    key = None
    if behind:
        key = bytes(view[size + DIGEST_BYTES : size + DIGEST_BYTES + KEY_BYTES])
        _verify(name, digest, key, bytes(view[-SIGNATURE_BYTES:]))
    if trusted is not None:
        if key is None:
            raise BundleError(f"`{name}` is not signed, and only trusted keys count here; build it with `--sign`")
        if key not in map(public_key, trusted):
            raise BundleError(f"`{name}` is signed by a key that is not among the trusted ones")
    found = {}
    for number, section in enumerate(SECTIONS):
        offset, length = SECTION.unpack_from(view, HEAD.size + SECTION.size * number)
        if offset < head or offset > size or length > size - offset:
            raise BundleError(f"`{name}` is no sound bundle: a section lies outside; build it again")
        found[section] = view[offset : offset + length]
    return found, key


def _loaded(sections: dict[str, memoryview], name: str, key: bytes | None) -> Bundle:
    about = msgspec.json.decode(sections["about"], type=About)
    if about.versions != versions():
        theirs = ", ".join(f"{word} {version}" for word, version in about.versions.items())
        raise BundleError(f"`{name}` was built for {theirs}, which are not what runs here; build it again")
    rules: Lazy[c.Rule] = Lazy(sections["rules"], _of(c.Rule))
    plain = unpack(sections["policy"])
    if type(plain) is not c.CheckedPolicy or len(rules) != about.rules:
        raise PackingError("it holds no policy, or not all of its rules")
    policy = replace(plain, rules=cast("tuple[c.Rule, ...]", rules), digest=about.digest)
    known, unknown, results, terms, groups, windows = unpack(sections["placement"])
    declarations = Declarations(policy.tools, policy.lenient)
    columns = Columns(Knowledge(policy), Flat())
    columns.restore(Lazy(sections["tests"], _of(c.Test)), terms, groups, lambda: Folder(REQUEST, *CWD))
    ids, limited, worded = msgspec.msgpack.decode(sections["words"], type=tuple[list[str], list[int], list[Said]])
    numbers = list(ROW.iter_unpack(sections["rows"]))
    if len(ids) != len(rules) or len(numbers) != len(rules):
        raise PackingError("not every rule has its row")
    rows = Rows(rules, columns)
    # Few rules differ in this: their numbers are kept once.
    same = {one: (one[0], one[1], one[3], bool(one[4]), bool(one[5]), one[2]) for one in set(numbers)}
    laid: list[Laid] = [(id, *same[one], None, None) for id, one in zip(ids, numbers, strict=True)]
    asks: dict[tuple[tuple[str, ...], int], tuple[tuple[str, ...], int]] = {}
    for number, code, approvers, quorum, tell, retry_after_s, controls in worded:
        id = ids[number]
        who = asks.setdefault((approvers, quorum), (approvers, quorum))
        ask = Ask(id, *who) if approvers else None
        words = Words(code, ask, (id, tell) if tell else None, retry_after_s, frozenset(controls))
        laid[number] = (*laid[number][:8], words)
    for number in limited:
        laid[number] = laid_out(rows[number])
    placement = Placement({(tool, place): (risk, others) for tool, place, risk, others in known}, unknown, results)
    table = table_of(policy, columns, declarations, sections["arena"], placement, rows, laid)
    sources: dict[str, str] = msgspec.msgpack.decode(sections["sources"], type=dict[str, str])
    return Bundle(about, table, {ids[number]: window for number, window in windows}, sources, key)


def _of(kind: type[T]) -> Callable[[bytes | memoryview], T]:
    """Return what unpacks one of a kind."""

    def unpacked(packed: bytes | memoryview) -> T:
        one = unpack(packed)
        if type(one) is not kind:
            raise PackingError(f"something else where a {kind.__name__} should stand")
        return one

    return unpacked


class Lazy(Sequence[T]):
    """Pieces that are unpacked one by one, when somebody wants to read one."""

    def __init__(self, section: memoryview, unpacked: Callable[[bytes | memoryview], T]) -> None:
        """Take the pieces of `_indexed`; where each of them ends is checked."""
        (count,) = struct.unpack_from("<Q", section)
        if count > (len(section) - 8) // 8:
            raise PackingError("more pieces than there is room for")
        self._pieces = section[8 + 8 * count :]
        self._ends = section[8 : 8 + 8 * count].cast("Q")
        ends = self._ends.tolist()
        if ends != sorted(ends) or (ends[-1] if ends else 0) != len(self._pieces):
            raise PackingError("a piece lies outside")
        self._unpacked = unpacked

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> list[T]: ...
    def __getitem__(self, place: int | slice) -> T | list[T]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        if place < 0:
            place += len(self)
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._unpacked(self._pieces[self._ends[place - 1] if place else 0 : self._ends[place]])

    def __iter__(self) -> Iterator[T]:
        return (self[place] for place in range(len(self)))


class Rows(Sequence[Row]):
    """The rows of a bundle's rules, made when they are asked for; the last few are kept."""

    KEPT_MAX: Final = 4096

    def __init__(self, rules: Sequence[c.Rule], columns: Columns) -> None:
        self._rules, self._columns = rules, columns
        self._kept: dict[int, Row] = {}

    def __len__(self) -> int:
        return len(self._rules)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        found = self._kept.get(place)
        if found is None:
            found = row_of(self._rules[place], self._columns)
            if len(self._kept) >= self.KEPT_MAX:
                self._kept = {}
            self._kept[place] = found
        return found
