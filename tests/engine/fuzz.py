"""Requests and bundles of changed bytes, for as long as one likes: `python tests/engine/fuzz.py SECONDS [SEED]`.

Whatever comes as a request gets a decision. A bundle with a right digest and wrong numbers is refused, or decides;
deciding under one may fail, for what its rules say is read late, but never reads beside it: that would end the process.
The seed is printed first: the same seed draws the same changes.
"""

import hashlib
import json
import random
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from thoth.contract import Decision
from thoth.engine import Engine, bundle
from thoth.engine.decide import decide
from thoth.native.arena import HEADER_BYTES, SIZES

NOW = 1_770_000_000.0
ARENA = bundle.SECTIONS.index("arena")
POLICY = """
policy fuzzed
    approvers "ops"

tool pay(amount: number, to: key string, body?: string, tags?: list of string, ...) is write
allow pay as small when args.amount <= 1000.01 and args.to in {"ACME", "Umbrella"}
step_up pay as large when args.amount > 500 ask "finance" within 10m
block pay as cards when args.body matches card_number or args.body matches "a+b"
block * as files when args.path under "/etc"
block pay as tagged when any args.tags in {"x", "y"}
limit pay as often to 3 calls per 1m by agent else block
risk * +10 as odd unless purpose is "payables"
""" + "\n".join(
    f'block pay as r{n} when args.to starts with "p{n}" and args.amount between {n} and {n * 7}\n'
    f"step_up pay as s{n} when args.amount between {n * 90} and {n * 100}"
    for n in range(1, 40)
)
CALLS: list[dict[str, Any]] = [
    {"tool_name": "pay", "tool_args": {"amount": 100, "to": "ACME"}, "agent_id": "a", "session_id": "s"},
    {"tool_name": "pay", "tool_args": {"amount": 600.5, "to": "p12", "tags": ["x", "z"]}, "purpose": "payables"},
    {"tool_name": "pay", "tool_args": {"amount": 1, "to": "é", "body": "4111 1111 1111 1111 aab " * 20}},
    {"tool_name": "other", "tool_args": {"path": "/etc/../etc/passwd"}, "metadata": {"a": [1, {"b": None}]}},
]
PIECES = [
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\xff",
    b"\x00",
    b"\xed\xa0\x80",
    b"1e999",
    b"-",
    b"NaN",
    b"null",
]


def changed(content: bytes, drawn: random.Random, first: int = 0) -> bytes:
    """Return content with a few changes from byte `first` on."""
    made = bytearray(content)
    for _ in range(drawn.randint(1, 4)):
        at = drawn.randrange(first, max(first + 1, len(made) - 8))
        match drawn.randrange(6):
            case 0:
                made[at] ^= 1 << drawn.randrange(8)
            case 1:
                made[at : at + 1] = drawn.choice(PIECES)
            case 2:
                made[at & ~3 : (at & ~3) + 4] = drawn.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80"))
            case 3:
                del made[at : at + drawn.randint(1, 9)]
            case 4:
                made[at:at] = made[at : at + drawn.randint(1, 40)]
            case _:
                to, length = drawn.randrange(first, len(made)), drawn.randint(1, 64)
                made[to : to + length] = made[at : at + length]
    return bytes(made)


def requests(drawn: random.Random) -> Iterator[None]:
    """Decide changed JSON texts, for ever."""
    engine = Engine.from_text(POLICY, clock=lambda: NOW)
    while True:
        content = changed(json.dumps(drawn.choice(CALLS)).encode(), drawn)
        decided = engine.decide(content)
        assert isinstance(decided, Decision), content
        yield


def bundles(drawn: random.Random) -> Iterator[None]:
    """Load changed bundles, for ever, and decide under those that are not refused."""
    content = bundle.build(Engine.from_text(POLICY).policy, {"p.thoth": POLICY})[: -bundle.DIGEST_BYTES]
    while True:
        tried(changed(content, drawn, 24))
        yield


def numbers(drawn: random.Random) -> Iterator[None]:
    """Load bundles with one number of the table changed to one at an edge, for ever, and decide under what is loaded.

    Edges are what one off by one comes to: how many records a section has, one more, one less, and each below zero.
    """
    content = bundle.build(Engine.from_text(POLICY).policy, {"p.thoth": POLICY})[: -bundle.DIGEST_BYTES]
    first, length = bundle.SECTION.unpack_from(content, bundle.HEAD.size + bundle.SECTION.size * ARENA)
    counts = [struct.unpack_from("<Q", content, first + 24 + 16 * one)[0] for one in range(len(SIZES))]
    edges = sorted({sign * (count + step) for count in (0, *counts) for step in (-1, 0, 1) for sign in (-1, 1)})
    while True:
        made = bytearray(content)
        size = drawn.choice((1, 2, 4, 4))
        at = drawn.randrange(HEADER_BYTES, length - size) // size * size + first
        made[at : at + size] = (drawn.choice(edges) % 256**size).to_bytes(size, "little")
        tried(made)
        yield


def tried(made: bytes | bytearray) -> None:
    """Load a bundle's changed content under a right digest; where it is not refused, decide under it."""
    try:
        table = bundle.load(bytes(made) + hashlib.sha256(made).digest(), "fuzzed").table
    except bundle.BundleError:
        return
    for call in CALLS:
        try:
            decide(table, json.loads(json.dumps(call)), now=NOW)
        except Exception:  # noqa: BLE001  what is read late may be unreadable
            pass


def campaign(seed: int, going: Callable[[int], bool]) -> int:
    """Change and try, by turns, for as long as `going` says of the number of rounds; return that number."""
    tries = [draws(random.Random(f"{seed} {draws.__name__}")) for draws in (requests, bundles, numbers)]
    rounds = 0
    while going(rounds):
        for one in tries:
            next(one)
        rounds += 1
    return rounds


if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(2**32)
    print(f"fuzzing requests and bundles for {seconds:g} s, seed {seed}", flush=True)
    until = time.monotonic() + seconds
    print(f"{campaign(seed, lambda rounds: time.monotonic() < until):,} rounds, nothing found")
