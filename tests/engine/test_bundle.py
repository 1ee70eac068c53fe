"""A bundle decides as the policy that it was built from does, and a damaged one is not loaded."""

import hashlib
import json
import random
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.decisions import NOW, NOWS, ledgers, policies, requests, sessions
from thoth.contract import OperationError
from thoth.engine import Engine, bundle
from thoth.engine import checked as c
from thoth.engine.compile import compile
from thoth.engine.decide import decide
from thoth.engine.packing import pack, unpack
from thoth.engine.session import Session
from thoth.native.arena import SIZES

POLICY = """
policy payments
    version "7"
    approvers "ops"

tool pay(amount: number, to: key string, body?: string) is write
allow pay as small when args.amount <= 1000.01 and args.to in {"ACME", "Umbrella"}
step_up pay as large when args.amount > 500 ask "finance" within 10m because "two pairs of eyes" tell "wait for finance"
block pay as cards when args.body matches card_number
limit pay as often to 3 calls per 1m by agent else block
risk * +10 as odd unless purpose is "payables"
"""
CALLS: list[dict[str, Any]] = [
    {"tool_name": "pay", "tool_args": {"amount": 100, "to": "ACME"}, "agent_id": "a"},
    {"tool_name": "pay", "tool_args": {"amount": 600, "to": "ACME"}, "agent_id": "a", "purpose": "payables"},
    {"tool_name": "pay", "tool_args": {"amount": 1, "to": "ACME", "body": "4111 1111 1111 1111"}, "agent_id": "b"},
    {"tool_name": "pay", "tool_args": {"amount": "x"}},
    {"tool_name": "other"},
]


@pytest.fixture(scope="module")
def built() -> bytes:
    policy = Engine.from_text(POLICY).policy
    return bundle.build(policy, {"payments.thoth": POLICY})


def resealed(content: bytes) -> bytes:
    """Return changed content with the digest that it now has."""
    return content + hashlib.sha256(content).digest()


@settings(max_examples=100)
@given(st.data(), policies(), st.lists(requests(), min_size=1, max_size=4), sessions(), NOWS)
def test_a_bundle_decides_as_its_policy_does(
    data: st.DataObject, policy: c.CheckedPolicy, calls: list[Any], session: Session | None, now: float
) -> None:
    ledger = data.draw(ledgers(policy))
    table, loaded = compile(policy), bundle.load(bundle.build(policy, {}), "b").table
    for call in calls:
        expected = decide(table, call, session=session, ledger=ledger, now=now)
        assert decide(loaded, call, session=session, ledger=ledger, now=now).facts() == expected.facts()


@settings(max_examples=50)
@given(policies())
def test_what_is_packed_is_unpacked_again(policy: c.CheckedPolicy) -> None:
    plain = replace(policy, tests=())
    again = unpack(pack(plain))
    assert again == plain
    assert spelled(again) == spelled(plain)


def spelled(policy: c.CheckedPolicy) -> str:
    """A policy in words, so that 1 and true are two things; the members of a set in an order of their own."""
    members = r"(?<=frozenset\(\{)[^{}]*(?=\}\))"
    return re.sub(members, lambda found: ", ".join(sorted(found[0].split(", "))), repr(policy))


def test_an_engine_takes_a_bundle_in_the_place_of_files(tmp_path: Path, built: bytes) -> None:
    file = tmp_path / "payments.thothb"
    bundle.write(file, built)
    engine, plain = Engine.from_file(file, clock=lambda: NOW), Engine.from_text(POLICY, clock=lambda: NOW)
    slow = Engine.from_file(file, clock=lambda: NOW, evaluator="reference")
    for call in CALLS * 3:
        expected, ours = plain.decide(call), engine.decide(call)
        for other in (ours, slow.decide(call)):
            assert replace(other, id="", request=expected.request).facts() == replace(expected, id="").facts()
        assert ours.explain() == expected.explain()
    with pytest.raises(OperationError, match="not signed"):
        Engine.from_file(file, trusted=[])


def test_equal_policies_make_equal_bundles(built: bytes) -> None:
    assert bundle.build(Engine.from_text(POLICY).policy, {"payments.thoth": POLICY}) == built
    assert bundle.load(built, "b").sources == {"payments.thoth": POLICY}
    assert bundle.load(built, "b").about.version == "7"


def pem_of(key: Ed25519PrivateKey) -> tuple[bytes, bytes]:
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def test_only_what_a_trusted_key_signed_is_trusted(built: bytes) -> None:
    (ours, our_half), (_, their_half) = pem_of(Ed25519PrivateKey.generate()), pem_of(Ed25519PrivateKey.generate())
    signed = bundle.build(Engine.from_text(POLICY).policy, {"payments.thoth": POLICY}, ours)
    assert signed.startswith(built)
    assert bundle.load(signed, "b", [their_half, our_half]).key == bundle.public_key(our_half)
    assert bundle.load(signed, "b").key == bundle.public_key(ours)
    with pytest.raises(bundle.BundleError, match="not among the trusted"):
        bundle.load(signed, "b", [their_half])
    with pytest.raises(bundle.BundleError, match="not signed"):
        bundle.load(built, "b", [our_half])
    with pytest.raises(bundle.BundleError, match="signature that is not its own"):
        bundle.load(signed[:-1] + bytes([signed[-1] ^ 1]), "b")


def damaged(content: bytes, drawn: random.Random) -> Iterator[bytes]:
    """Yield content with bytes changed, numbers set to what breaks most, or pieces moved."""
    while True:
        changed = bytearray(content)
        for _ in range(drawn.randint(1, 3)):
            at = drawn.randrange(16, len(changed) - 8)
            match drawn.randrange(4):
                case 0:
                    changed[at] ^= 1 << drawn.randrange(8)
                case 1:
                    changed[at] = drawn.choice((0, 1, 0x7F, 0x80, 0xFF))
                case 2:
                    changed[at & ~3 : (at & ~3) + 4] = drawn.choice(
                        (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80")
                    )
                case _:
                    length, to = drawn.randint(1, 64), drawn.randrange(16, len(changed) - 64)
                    piece = bytes(changed[at : at + length])
                    changed[to : to + len(piece)] = piece
        yield bytes(changed)


def test_a_right_digest_is_no_excuse_for_wrong_numbers(built: bytes) -> None:
    """Whatever is changed, the bundle is refused or decides; it never reads beside its table, hangs or raises."""
    content, drawn = built[: -bundle.DIGEST_BYTES], random.Random(7)
    refused = loaded = 0
    for changed in (one for one, _ in zip(damaged(content, drawn), range(1_500), strict=False)):
        try:
            table = bundle.load(resealed(changed), "b").table
        except bundle.BundleError:
            refused += 1
            continue
        loaded += 1
        for call in CALLS[:4]:
            try:
                decide(table, json.loads(json.dumps(call)), now=NOW)
            except Exception as error:  # noqa: BLE001  what a rule says is unpacked late: it may be unreadable, never unsafe
                assert not isinstance(error, MemoryError)  # noqa: PT017
    assert refused > 300
    assert loaded > 100


SPANS = "tool pay(amount: number) is write\n" + "\n".join(
    f"block pay when args.amount between {n} and 1000" for n in range(40)
)
ROWS, FAMILIES = 4, 12


def test_a_rule_of_a_family_behind_the_last_one_is_refused() -> None:
    """Row -1 is family 0, so -n is the last of n families, and -n - 1 lies beside the table."""
    content = bytearray(bundle.build(Engine.from_text(SPANS).policy, {"p.thoth": SPANS})[: -bundle.DIGEST_BYTES])
    place = bundle.SECTIONS.index("arena")
    arena, _ = bundle.SECTION.unpack_from(content, bundle.HEAD.size + bundle.SECTION.size * place)
    offset, rows = struct.unpack_from("<QQ", content, arena + 16 + 16 * ROWS)
    _, families = struct.unpack_from("<QQ", content, arena + 16 + 16 * FAMILIES)
    size = SIZES[ROWS]
    numbers = [struct.unpack_from("<i", content, arena + offset + size * row)[0] for row in range(rows)]
    assert families
    assert min(numbers) == -families
    bundle.load(resealed(bytes(content)), "b")
    struct.pack_into("<i", content, arena + offset + size * numbers.index(-families), -families - 1)
    with pytest.raises(bundle.BundleError, match="a row of no rule"):
        bundle.load(resealed(bytes(content)), "b")


@pytest.mark.parametrize("cut", [0, 1, 7, 20, 200, -33, -32, -1])
def test_a_bundle_that_is_cut_is_refused(built: bytes, cut: int) -> None:
    with pytest.raises(bundle.BundleError, match=r"is no bundle|is damaged"):
        bundle.load(built[:cut], "b")


def test_a_bundle_of_other_versions_is_refused(built: bytes) -> None:
    changed = built[: -bundle.DIGEST_BYTES].replace(b'"language":"1"', b'"language":"0"')
    with pytest.raises(bundle.BundleError, match="build it again"):
        bundle.load(resealed(changed), "b")
