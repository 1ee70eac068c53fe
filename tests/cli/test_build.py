"""`thoth build`, what takes its bundles, and `thoth check --cost`."""

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from thoth.engine import Engine, bundle


def test_what_is_built_decides_as_the_text_does(desk: Any) -> None:
    built = desk.type("thoth build policy.thoth -o policy.thothb")
    assert (built.code, built.err) == (0, "")
    assert built.out.startswith("policy.thothb: 10 rules, digest ")
    expected = desk.type("thoth explain --policy policy.thoth --request request.json")
    assert desk.type("thoth explain --policy policy.thothb --request request.json").out == expected.out
    assert [file.name for file in desk.folder.iterdir() if file.name.startswith(".")] == []


def test_a_bundle_holds_the_texts_that_it_was_built_from(desk: Any) -> None:
    desk.type("thoth build policy.thoth -o policy.thothb")
    text = (desk.folder / "policy.thoth").read_text()
    assert bundle.read(desk.folder / "policy.thothb").sources == {"policy.thoth": text}


def test_a_key_signs(desk: Any) -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    desk.write("key.pem", pem.decode())
    built = desk.type("thoth build policy.thoth -o policy.thothb --sign key.pem")
    assert built.out.endswith(", signed\n")
    assert Engine.from_file(desk.folder / "policy.thothb", trusted=[desk.folder / "key.pem"]).policy.rules
    assert desk.type("thoth build policy.thoth -o policy.thothb --sign policy.thoth").code == 2


def test_what_cannot_be_built_or_read_is_told(desk: Any) -> None:
    desk.write("wrong.thoth", "allow")
    assert desk.type("thoth build wrong.thoth -o x.thothb").code == 1
    unwritable = desk.type("thoth build policy.thoth -o nowhere/x.thothb")
    assert (unwritable.code, "cannot be written" in unwritable.err) == (2, True)
    desk.type("thoth build policy.thoth -o policy.thothb")
    refused = desk.type("thoth check policy.thothb")
    assert (refused.code, "is a compiled bundle" in refused.err) == (2, True)
    (desk.folder / "policy.thothb").write_bytes((desk.folder / "policy.thothb").read_bytes()[:-1])
    damaged = desk.type("thoth decide --policy policy.thothb --request request.json")
    assert (damaged.code, "is damaged" in damaged.err) == (2, True)


def test_check_tells_what_a_decision_can_cost(desk: Any) -> None:
    told = desk.type("thoth check policy.thoth --cost --format json")
    cost = json.loads(told.out)["policy"]["cost"]
    assert set(cost) >= {"slots", "buckets", "rows", "scanned_bytes", "search_ns"}
    assert 0 < cost["narrowed"] <= cost["rows"] <= 10
    assert 0 < cost["search_ns"] < 1_000_000_000
    assert "search ns" in desk.type("thoth check policy.thoth --cost").out
