"""A second verifier, for auditors: `python -m thoth.evidence.verify DIR --key KEY`.

It is one file of plain Python that imports nothing of this house, so it can be read in one sitting, copied to another
machine, and run there. It shares no line with the writer or with `thoth evidence verify`; where the two disagree, one
of them is wrong. It needs `cryptography` for signatures and `xxhash` for the marks of torn writes, and says so where
they are missing. Exit codes: 0 all is well, 3 something does not fit, 2 it could not be read.
"""

import argparse
import base64
import binascii
import hashlib
import json
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

PAGE = 4096
SEGMENT = struct.Struct("<8sIIQQ32s")
FRAME = struct.Struct("<4sIQQQQ")
SEGMENT_MAGIC, FRAME_MAGIC = b"\x9eTHOTHSG", b"\x9eTF1"
BODY_MAX = 65_535
HEADER = FRAME.size
ZEROS = bytes(8)
KIND = b',"kind":"'
TRIES, PAUSE_S = 20, 0.005
EM_DASH = "\N{EM DASH} "

Check = Callable[[bytes], int] | None
Signed = tuple[int, bytes, str]  # size, root, where it was read


class Misfit(Exception):
    """Something in the log is not as it was written."""


class Unreadable(Exception):
    """The log, the key or the checkpoint is not there, or is something else."""


# ---------------------------------------------------------------- hashes


class Tree:
    """The Merkle tree of RFC 6962: its complete subtrees from left to right, one for each bit that its size has."""

    def __init__(self) -> None:
        self.size = 0
        self.peaks: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        size, node = self.size, leaf
        while size & 1:
            node = sha256(b"\x01" + self.peaks.pop() + node)
            size >>= 1
        self.peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        if not self.peaks:
            return sha256(b"")
        root = self.peaks[-1]
        for left in self.peaks[-2::-1]:
            root = sha256(b"\x01" + left + root)
        return root


def sha256(data: bytes, hash_of: Callable[[bytes], "hashlib._Hash"] = hashlib.sha256) -> bytes:
    return hash_of(data).digest()


def frame_check() -> Check:
    """xxh3, with which a writer marks every frame; None where the library is missing."""
    try:
        import xxhash
    except ImportError:
        return None
    return xxhash.xxh3_64_intdigest


# ---------------------------------------------------------------- keys and checkpoints


class Key:
    """A public key `name+hash+base64`."""

    def __init__(self, text: str) -> None:
        name, _, rest = text.strip().partition("+")
        mark, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise Unreadable(f"`{text.strip()[:80]}` is not a public key; it looks like `name+hash+base64`") from None
        if len(raw) != 33 or raw[0] != 1:
            raise Unreadable(f"`{name}` is not an Ed25519 key")
        self.name, self.public = name, raw[1:]
        if mark != self.mark(name).hex():
            raise Unreadable(f"the public key of `{name}` does not fit together; copy it again, whole")

    def mark(self, name: str) -> bytes:
        """The four bytes by which a signature line names the key."""
        return sha256(name.encode() + b"\n\x01" + self.public)[:4]

    def check(self, signature: bytes, message: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


def can_check_signatures() -> bool:
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401
    except ImportError:
        return False
    return True


def read_checkpoint(note: bytes, key: Key, signatures: bool, where: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint that this key signed under the origin's name."""
    text, blank, below = note.decode("utf-8", "replace").rpartition("\n\n")
    lines = text.split("\n")
    if not blank or len(lines) < 3 or not (lines[1].isascii() and lines[1].isdigit() and len(lines[1]) < 20):
        raise Misfit(f"{where} is not a signed checkpoint")
    origin, size = lines[0], int(lines[1])
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (binascii.Error, ValueError):
        raise Misfit(f"{where}: its root is not base64") from None
    if signatures:
        mark = key.mark(origin)
        for line in below.splitlines():
            name, _, encoded = line.removeprefix(EM_DASH).rpartition(" ")
            try:
                raw = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                continue
            if name == origin and raw[:4] == mark and key.check(raw[4:], f"{text}\n".encode()):
                break
        else:
            raise Misfit(f"{where} is not signed by the key of the log")
    return origin, size, root


# ---------------------------------------------------------------- records


def bodies(directory: Path, check: Check, least: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, body and leaf hash of every record of a shard, in order; `least` of them must be there.

    Raises:
        Misfit: naming the first record that does not fit.
    """
    begun = least > 0 or bool(segment_files(directory))
    try:
        durable = max(durable_by_head(directory, check), least)
    except Misfit:
        if begun:
            raise
        return  # its writer is about to begin it, or was killed there
    names = segment_files(directory)  # after HEAD, which may be about a segment that was not there before
    seq, chain = 0, bytes(32)
    hash_of = hashlib.sha256
    for number, path in enumerate(names):
        data, tries = path.read_bytes(), TRIES
        first_seq, salt, before = segment_page(data, path, check)
        if number == 0:
            seq, chain = first_seq, before
            if first_seq == 0 and before != bytes(32):
                raise Misfit(f"record 0: `{path}` does not begin a chain")
            if first_seq:
                raise Misfit(f"record 0: the first segment begins with record {first_seq}")
        if first_seq != seq or before != chain:
            raise Misfit(f"record {seq}: `{path}` does not continue what is before it")
        at = PAGE
        while True:
            for body, leaf, end in frames(data, at, seq, salt, check):
                chain = hash_of(b"\x02" + chain + leaf).digest()
                yield seq, body, leaf
                seq, at = seq + 1, end
            if number < len(names) - 1 or not tries or data.count(0, at) == len(data) - at:
                break
            # Somebody may be writing there just now: what is whole a moment later was never torn.
            tries -= 1
            time.sleep(PAUSE_S)
            data = path.read_bytes()
        if data.count(0, at) != len(data) - at:
            if number < len(names) - 1:
                raise Misfit(f"record {seq}: `{path}` at byte {at} is not as it was written")
            witness = later_frame(data, at, seq, salt, check)
            if witness is not None:
                raise Misfit(f"record {seq}: `{path}` at byte {at}: record {witness} says that it was durable")
    if seq < durable:
        raise Misfit(f"record {seq}: it is missing or damaged; {durable} records were known to be durable")


def segment_files(directory: Path) -> list[Path]:
    """The files of records, in order."""
    return sorted(path for path in directory.glob("*.seg") if path.stem.isdigit() and len(path.stem) == 16)


def durable_by_head(directory: Path, check: Check) -> int:
    """How many records were durable, by the file HEAD: two slots, the higher one that fits counts."""
    try:
        data = (directory / "HEAD").read_bytes()
    except FileNotFoundError:
        raise Misfit(f"record 0: `{directory}/HEAD` is missing") from None
    marks = []
    for begin in (0, 512):
        slot = data[begin : begin + 512]
        if len(slot) == 512:
            number, mark = struct.unpack_from("<QQ", slot)
            if (mark == check(slot[:8]) if check else mark != 0) and not any(slot[16:]):
                marks.append(number)
    if not marks:
        raise Misfit(f"record 0: `{directory}/HEAD` is damaged in both slots")
    return int(max(marks))


def segment_page(data: bytes, path: Path, check: Check) -> tuple[int, int, bytes]:
    if len(data) < PAGE:
        raise Misfit(f"record {int(path.stem)}: `{path}` is shorter than its first page")
    magic, version, zero, first_seq, salt, chain = SEGMENT.unpack_from(data)
    mark = struct.unpack_from("<Q", data, SEGMENT.size)[0]
    sound = (magic, version, zero) == (SEGMENT_MAGIC, 1, 0) and first_seq == int(path.stem) and salt % 2 == 1
    if not sound or any(data[SEGMENT.size + 8 : PAGE]) or (check and mark != check(data[: SEGMENT.size])):
        raise Misfit(f"record {int(path.stem)}: the first page of `{path}` is not as it was written")
    return first_seq, salt, chain


def frames(data: bytes, at: int, seq: int, salt: int, check: Check) -> Iterator[tuple[bytes, bytes, int]]:
    """Body, leaf hash and end of each sound frame from a byte on: `frame_at` in one piece, because this is the work."""
    unpack, hash_of, size = FRAME.unpack_from, hashlib.sha256, len(data)  # bound once: looked up a million times else
    while at + HEADER <= size:
        magic, length, its_seq, durable, its_salt, mark = unpack(data, at)
        end = at + HEADER + length
        padding = -end % 8
        if magic != FRAME_MAGIC or its_seq != seq or its_salt != salt or durable > seq or length > BODY_MAX:
            return
        if end > size or (padding and data[end : end + padding] != ZEROS[:padding]):
            return
        body = data[at + HEADER : end]
        if check and mark != check(data[at : at + 32] + body):
            return
        at, seq = end + padding, seq + 1
        yield body, hash_of(b"\x00" + body).digest(), at


def frame_at(data: bytes, at: int, seq: int, salt: int, check: Check) -> bytes | None:
    """The body of the frame at this byte, or None where there is none that is sound."""
    if at + FRAME.size > len(data):
        return None
    magic, length, its_seq, durable, its_salt, mark = FRAME.unpack_from(data, at)
    end = at + FRAME.size + length
    if (magic, its_seq, its_salt) != (FRAME_MAGIC, seq, salt) or durable > seq or length > BODY_MAX or end > len(data):
        return None
    body = data[at + FRAME.size : end]
    if any(data[end : end + -end % 8]) or (check and mark != check(data[at : at + 32] + body)):
        return None
    return body


def later_frame(data: bytes, begin: int, seq: int, salt: int, check: Check) -> int | None:
    """A sound frame behind a bad one that was written when record `seq` was durable already."""
    at = data.find(FRAME_MAGIC, begin)
    while at >= 0:
        if at % 8 == 0 and at + FRAME.size <= len(data):
            _, _, its_seq, durable, _, _ = FRAME.unpack_from(data, at)
            if seq < durable <= its_seq and frame_at(data, at, its_seq, salt, check) is not None:
                return int(its_seq)
        at = data.find(FRAME_MAGIC, at + 1)
    return None


# ---------------------------------------------------------------- the whole log


class Report:
    """What was found: a line for each tree, what does not fit, and what was not checked."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.problems: list[str] = []
        self.unchecked: list[str] = []


def verify(directory: Path, key_text: str | None, since: bytes | None) -> Report:
    """Hold every record of a log against what was signed for it.

    Raises:
        Unreadable: there is no log, or the key is none.
    """
    report = Report()
    try:
        origin = json.loads((directory / "log.json").read_bytes())["origin"]
    except FileNotFoundError:
        raise Unreadable(f"evidence log `{directory}` does not exist, or its `log.json` is gone") from None
    except (ValueError, KeyError, TypeError):
        raise Unreadable(f"`{directory}/log.json` is not as it was written") from None
    if key_text is None:
        report.unchecked.append("the key, which was read from the folder; give your own with --key")
        try:
            key_text = (directory / "log.pub").read_text("utf-8")
        except FileNotFoundError:
            raise Unreadable(f"`{directory}/log.pub` does not exist; give the public key with --key") from None
    key = Key(key_text)
    if key.name != origin:
        raise Unreadable(f"the log is `{origin}`, and the key is of `{key.name}`")
    signatures, check = can_check_signatures(), frame_check()
    if not signatures:
        report.unchecked.append("signatures, for `cryptography` is not installed")
    if check is None:
        report.unchecked.append("marks of torn writes, for `xxhash` is not installed")
    signed: dict[str, list[Signed]] = {}
    if since is None:
        report.unchecked.append(
            "that nothing was cut off, which takes an older checkpoint; give one with --since-checkpoint"
        )
    else:
        name, size, root = read_checkpoint(since, key, signatures, "the older checkpoint")
        if name != origin and not name.startswith(f"{origin}/"):
            raise Unreadable(f"the older checkpoint is of `{name}`, and the log is `{origin}`")
        signed.setdefault(name, []).append((size, root, "the older checkpoint"))
    trees = [(origin, directory / "root")]
    # What a tree's own checkpoint says is read before its records, and the root log before it is asked which shards
    # there are, for somebody may be writing.
    for name, path in trees:
        if (path / "checkpoint").is_file():
            try:
                where = f"the checkpoint of `{path.name}`"
                found, size, root = read_checkpoint((path / "checkpoint").read_bytes(), key, signatures, where)
                if found != name:
                    raise Misfit(f"{where} is of another log, `{found}`")
                signed.setdefault(name, []).append((size, root, where))
            except Misfit as misfit:
                report.problems.append(str(misfit))
        visit = None
        if name == origin:

            def visit(seq: int, body: bytes) -> None:
                shard, size, root = read_checkpoint(body, key, signatures, f"record {seq} of the root log")
                signed.setdefault(shard, []).append((size, root, f"record {seq} of the root log"))

        try:
            if name != origin or path.is_dir():
                report.lines.append(walk(path, check, signed.get(name, []), visit))
        except Misfit as misfit:
            report.problems.append(f"{path.name}: {misfit}")
        if name == origin:
            shards = sorted((directory / "shards").glob("*"))
            trees += [(f"{origin}/{path.name}", path) for path in shards if path.is_dir() and path.name[:1] != "."]
    missing = signed.keys() - {name for name, _ in trees}
    report.problems += [f"`{name}` was signed for, and is not there" for name in sorted(missing)]
    return report


def kind_of(body: bytes) -> bytes:
    """The kind that a record says it is of; a quote within a text has a backslash before it."""
    at = body.find(KIND)
    end = body.find(b'"', at + len(KIND))
    return body[at + len(KIND) : end] if 0 <= at < end else b"unreadable"


def walk(path: Path, check: Check, signed: list[Signed], visit: Callable[[int, bytes], None] | None) -> str:
    """Read one tree to its end; what was signed for it must be what it was at each of those sizes."""
    roots: dict[int, set[tuple[bytes, str]]] = {}
    for size, root, where in signed:
        roots.setdefault(size, set()).add((root, where))
    tree, kinds, agreed = Tree(), Counter[bytes](), 0

    def held() -> int:
        for root, where in roots.pop(tree.size, ()):
            if root != tree.root():
                raise Misfit(f"record {agreed}, or one up to {tree.size - 1}, is not what {where} was signed for")
        return tree.size

    if 0 in roots:
        held()
    add = tree.add
    for seq, body, leaf in bodies(path, check, max(roots, default=0)):
        add(leaf)
        if visit is not None:
            visit(seq, body)
        else:
            kinds[kind_of(body)] += 1
        if seq + 1 in roots:
            agreed = held()
    said = ", ".join(f"{kind.decode('utf-8', 'replace')} {count:,}" for kind, count in kinds.most_common())
    beyond = f"; {tree.size - agreed:,} of them not signed for yet" if tree.size > agreed else ""
    return f"{path.name}: {tree.size:,} records, root {tree.root().hex()}{beyond}{f' ({said})' if said else ''}"


def printable(text: str) -> str:
    """A text that writes no line but its own: what stands in a log that does not fit may be meant for the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m thoth.evidence.verify", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--key", help="the public key of the log, or a file that holds it, from outside the folder")
    parser.add_argument("--since-checkpoint", type=Path, metavar="FILE", help="an older checkpoint that you kept")
    asked = parser.parse_args(argv)
    try:
        key = Path(asked.key).read_text("utf-8") if asked.key and Path(asked.key).is_file() else asked.key
        since = asked.since_checkpoint.read_bytes() if asked.since_checkpoint else None
        report = verify(asked.directory, key, since)
    except (Unreadable, Misfit, OSError) as error:
        print(printable(f"not verified: {error}"), file=sys.stderr)  # noqa: T201
        return 3 if isinstance(error, Misfit) else 2
    for line in report.lines:
        print(printable(line))  # noqa: T201
    for problem in report.problems:
        print(printable(f"DOES NOT FIT: {problem}"))  # noqa: T201
    if not report.problems:
        print("all records fit")  # noqa: T201
    unchecked = "; ".join(report.unchecked)
    print(f"not checked: {unchecked}" if unchecked else "everything was checked")  # noqa: T201
    return 3 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
