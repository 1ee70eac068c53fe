"""docs/evidence-format.md: its example is made again, and a parser that only follows the page reads it."""

import hashlib
import re
import struct
from pathlib import Path

import xxhash

from thoth.evidence.shard import Shard

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
