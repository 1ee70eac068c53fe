"""docs/evidence-format.md: its example is made again, and a parser that only follows the page reads it."""

import hashlib
import re
import struct
from pathlib import Path

import xxhash
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from thoth.contract import Ending
from thoth.engine.session import Call, Session
from thoth.evidence.shard import Shard
from thoth.evidence.vault import Vault, spell_box
from thoth.native.tray import Tray

from .simulated import SimulatedStorage

PAGE = Path(__file__).resolve().parents[2] / "docs/evidence-format.md"


class KnownSalt(SimulatedStorage):
    def random(self, count: int) -> bytes:
        return bytes.fromhex("00112233445566770011223344556677")[:count]


def example() -> SimulatedStorage:
    storage = KnownSalt()
    with Shard.open(storage, "log", create=True, segment_bytes=8192) as shard:
        shard.append(b'{"n":0}')
        shard.append(b'{"n":1}')
        shard.commit()
        shard.append(b'{"n":"two"}')
    return storage


def dump(data: bytes) -> str:
    """Sixteen bytes a line; a run of zeros is one line with a star."""
    lines: list[str] = []
    for offset in range(0, len(data), 16):
        row = data[offset : offset + 16]
        if any(row):
            text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
            lines.append(f"{offset:08x}  {row.hex(' ', 1)}  {text}")
        elif lines[-1:] != ["*"]:
            lines.append("*")
    return "\n".join(lines)


def in_page(title: str) -> str:
    found = re.search(rf"^`{re.escape(title)}`:\n\n```\n(.*?)\n```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


def test_the_example_of_the_page_is_what_is_written() -> None:
    storage = example()
    for name in ("0000000000000000.seg", "HEAD"):
        assert in_page(name) == dump(bytes(storage.names[f"log/{name}"].cache))


def test_the_example_can_be_read_with_nothing_but_the_page() -> None:
    data = bytes(8192)
    for line in in_page("0000000000000000.seg").splitlines():
        if line != "*":
            offset, row = int(line[:8], 16), bytes.fromhex(line[10:57])
            data = data[:offset] + row + data[offset + 16 :]
    magic, version, zero, first_seq, salt, chain, check = struct.unpack("<8sIIQQ32sQ", data[:72])
    assert (magic, version, zero, first_seq, salt % 2) == (b"\x9eTHOTHSG", 1, 0, 0, 1)
    assert check == xxhash.xxh3_64_intdigest(data[:64])
    offset = 4096
    bodies: list[bytes] = []
    watermarks: list[int] = []
    while data[offset : offset + 4] == b"\x9eTF1":
        _, length, seq, durable, its_salt, check = struct.unpack("<4sIQQQQ", data[offset : offset + 40])
        body = data[offset + 40 : offset + 40 + length]
        assert (seq, its_salt) == (len(bodies), salt)
        assert check == xxhash.xxh3_64_intdigest(data[offset : offset + 32] + body)
        chain = hashlib.sha256(b"\2" + chain + hashlib.sha256(b"\0" + body).digest()).digest()
        bodies.append(body)
        watermarks.append(durable)
        offset += (40 + length + 7) // 8 * 8
    assert bodies == [b'{"n":0}', b'{"n":1}', b'{"n":"two"}']
    assert watermarks == [0, 0, 2]
    assert chain.hex() in PAGE.read_text()


class Counting(SimulatedStorage):
    def random(self, count: int) -> bytes:
        return bytes(range(count))


SECRETS = {"args.to": (bytes(range(0xA0, 0xB0)), b'"ACME"'), "args.n": (bytes(range(0xB0, 0xC0)), b"1")}
CHANCE = bytes(range(0x10, 0x2C))
SUBJECT = hashlib.sha256(b'["acme","ann"]').hexdigest()[:32]
BOX = "vault/boxes/2026-01-31/00-000102030405.box"
KEY = f"vault/keys/{SUBJECT}/2026-01-31.key"


def of_page(title: str) -> bytes:
    return b"".join(bytes.fromhex(line[10:].partition("  ")[0]) for line in in_page(title).splitlines())


def test_the_vault_of_the_page_is_what_is_written() -> None:
    storage = Counting()
    vault, tray = Vault("vault", storage, "00"), Tray(Counting().random, 10, 1_000_000)
    assert tray.put(b"{}", vault.key("acme", "ann", "2026-01-31"), spell_box(SECRETS, CHANCE), 1)
    vault.write(vault.place(vault.sealed(tray.take()), "2026-01-31"), sync=True)
    for path in (KEY, BOX):
        assert in_page(path) == dump(bytes(storage.names[path].cache))


def test_the_box_of_the_page_can_be_opened_with_nothing_but_the_page() -> None:
    data, key = of_page(BOX), of_page(KEY)
    magic, length, box, nonce = struct.unpack("<4sI16s12s", data[:36])
    assert magic == b"\x9eTV1"
    bound = b"thoth vault 1\0" + f"{SUBJECT}/2026-01-31".encode() + b"\0" + box
    plain = AESGCM(key).decrypt(nonce, data[36 : 36 + length], bound)
    assert in_page("sealed in it") == dump(plain)
    found = {}
    while plain:
        size = int.from_bytes(plain[:2], "little")
        path, salt, rest = plain[2 : 2 + size].decode(), plain[2 + size : 18 + size], plain[18 + size :]
        size = int.from_bytes(rest[:4], "little")
        found[path], plain = (salt, rest[4 : 4 + size]), rest[4 + size :]
    assert found == SECRETS


def text(value: str) -> bytes:
    return b"\1" + struct.pack("<Q", len(value.encode())) + value.encode()


def texts(*values: str) -> bytes:
    return b"\2" + struct.pack("<Q", len(values)) + b"".join(map(text, sorted(values)))


def test_the_digest_of_a_session_is_made_as_the_page_says() -> None:
    session = Session("s1", 1_767_614_400.0, True, "acme")
    session.said("pay ACME")
    session.let_through(Call("d-1", "pay", frozenset({"write", "pay"}), 1_767_614_401.5), frozenset({"paid"}))
    session.blocked()
    session.ended(session.calls[0], Ending.COMPLETED, "done", frozenset())
    opened, decided = 1_767_614_400_000_000, 1_767_614_401_500_000
    events = [
        (0, opened, text("s1") + text("acme") + text("begun")),
        (2, decided, text("pay") + texts("write", "pay") + texts("paid") + texts()),
        (3, 0, b""),
        (
            4,
            0,
            b"\4" + struct.pack("<q", 1) + text("completed") + b"\3" + hashlib.sha256(b"done").digest() + b"\0"
            + texts() + texts(),
        ),
    ]  # fmt: skip
    digest, lines = bytes(32), []
    for kind, at, parts in events:
        digest = hashlib.sha256(b"\3" + digest + struct.pack("<Bq", kind, at) + parts).digest()
        lines.append(f"{kind}  {digest.hex()}")
    said = hashlib.sha256(b"pay ACME").digest()
    said = hashlib.sha256(b"\3" + bytes(32) + struct.pack("<Bq", 1, 0) + b"\3" + said).digest()
    assert (session.digest, session.said_digest) == (digest, said)
    assert in_page("digests of s1") == "\n".join([*lines, f"1  {said.hex()}"])
