"""Receipts and events: what an answer proves, to whoever has the log's key, and which decision an event is about."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thoth.evidence import LogReader, verify_receipt
from thoth.evidence import init as make_log
from thoth.evidence.merkle import ProofError, leaf_hash
from thoth.evidence.receipt import Receipt
from thoth.server import Approvers

from .live import Clock, live
from .test_http import Served

POLICY = 'allow search, read, wire as some\nstep_up wire as large ask "leads"\nblock never as never\n'


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    make_log(tmp_path / "evidence")
    clock = Clock(time.time())
    told: dict[str, Any] = {
        "recording": "async",
        "evidence": str(tmp_path / "evidence"),
        "http_socket": str(tmp_path / "run" / "h"),
        "approvers": {"leads": Approvers(["cfo"])},
        "clock": clock,
    }
    with live(tmp_path, POLICY, **told) as running:
        yield Served(running, clock)


def call(tool: str, **more: Any) -> dict[str, Any]:
    known = {"agent_id": "bot", "user_id": "ann", "tenant_id": "acme", "session_id": "s1", "tool_name": tool}
    return {**known, **more}


def check(served: Served, receipt: dict[str, Any]) -> None:
    """Verify a receipt with the log's public key, and nothing else of ours."""
    log = served.running.sidecar.evidence
    key = log.folder.signing_key(log.shard).verifier()
    proof = Receipt(**{**receipt["proof"], "proof": tuple(receipt["proof"]["proof"])})
    checkpoint = verify_receipt(proof, receipt["record"].encode(), key)
    assert checkpoint.size > receipt["chain_index"] == proof.chain_index
    assert receipt["hash"] == proof.hash
    assert receipt["key_id"] == key.name
    assert receipt["signature"] in proof.checkpoint
    with pytest.raises(ProofError):
        verify_receipt(proof, receipt["record"].replace("ALLOW", "BLOCK", 1).encode() + b" ", key)


def test_an_answer_has_its_signed_receipt_where_it_is_asked_for(served: Served) -> None:
    client = served.client()
    for tool, effect in (("search", "ALLOW"), ("never", "BLOCK"), ("wire", "STEP_UP")):
        status, answer = client.ask("POST", "/v1/enforce?receipt=signed", call(tool))
        assert (status, answer["decision"]) == (200, effect)
        receipt = answer["receipt"]
        check(served, receipt)
        assert receipt["decision_id"] == answer["decision_evidence"]["decision_id"]
        assert f'"effect":"{effect}"' in receipt["record"]
        assert receipt["signing_algorithm"] == "ed25519"
    plain = client.enforce("search", {})["receipt"]
    assert plain.keys() == {"receipt_id", "decision_id"}, "its schema version is the only one"


def test_a_receipt_is_made_later_too_for_whom_it_concerns(served: Served) -> None:
    client = served.client()
    receipt = client.enforce("search", {})["receipt"]
    assert receipt.keys() <= {"receipt_id", "decision_id", "schema_version"}
    for name in (receipt["receipt_id"], receipt["decision_id"]):
        status, found = client.ask("GET", f"/v1/receipts/{name}")
        assert status == 200
        check(served, found)
    assert served.client(tenant="acme").ask("GET", f"/v1/receipts/{receipt['receipt_id']}")[0] == 200
    assert served.client(tenant="globex").ask("GET", f"/v1/receipts/{receipt['receipt_id']}")[0] == 404
    assert client.ask("GET", "/v1/receipts/rec_0000")[0] == 404
    assert served.client("x", "write").ask("GET", f"/v1/receipts/{receipt['receipt_id']}")[0] == 403


def test_the_record_before_is_in_the_chain(served: Served) -> None:
    client = served.client()
    found = [client.ask("POST", "/v1/enforce?receipt=signed", call("search"))[1]["receipt"] for _ in range(3)]
    entries = {entry.seq: entry for entry in LogReader(Path(served.running.sidecar.settings.evidence)).entries()}
    for receipt in found:
        before = entries[receipt["chain_index"] - 1]
        assert receipt["previous_hash"] == leaf_hash(before.body).hex()


def event(kind: str, tool: str, id: str, **metadata: Any) -> dict[str, Any]:
    return {**call(tool), "event_type": kind, "event_id": id, "metadata": metadata, "chain_index": 99, "hash": "mine"}


def test_each_event_is_about_one_decision_and_says_where_it_stands(served: Served) -> None:
    client = served.client()
    made = [client.enforce(tool, {})["decision_evidence"]["decision_id"] for tool in ("search", "search", "never")]
    events = [
        event("TOOL_CALL_PRE", "search", "e1"),
        event("TOOL_CALL_POST", "search", "e2"),
        event("TOOL_CALL_PRE", "search", "e3"),
        event("TOOL_CALL_POST", "search", "e4", decision_id=made[1]),
        event("TOOL_CALL_PRE", "never", "e5"),
        event("TOOL_CALL_BLOCK", "never", "e6"),
        event("TOOL_CALL_BLOCK", "search", "e7"),
        event("TOOL_CALL_PRE", "read", "e8"),
        event("LLM_INVOCATION", "search", "e9"),
    ]
    status, taken = client.ask("POST", "/v1/events/batch?chain=1", [*events, events[0]])
    assert (status, taken["accepted"], taken["duplicates"], taken["paired"]) == (202, 9, 1, 6)
    found = {one["event_id"]: one for one in taken["events"]}
    about = {id: one.get("decision_id") for id, one in found.items()}
    first, second, refused = made
    assert about == {
        "e1": first, "e2": first, "e3": second, "e4": second, "e5": refused, "e6": refused,
        "e7": None, "e8": None, "e9": None,
    }  # fmt: skip
    entries = {entry.seq: entry.record for entry in LogReader(Path(served.running.sidecar.settings.evidence)).entries()}
    for id, one in found.items():
        if about[id] is None:
            assert one.keys() == {"event_id"}
            continue
        record = entries[one["chain_index"]]
        kind = "outcome" if id in ("e2", "e4") else "decision"
        assert (record["kind"], record.get("id", record.get("decision"))) == (kind, about[id])
        assert one["signature"]
        assert one["hash"] != one["previous_hash"]
    again = client.ask("POST", "/v1/events/batch?chain=1", events)[1]
    assert again == {"accepted": 0, "duplicates": 9, "paired": 0}


@pytest.mark.parametrize("kind", ["TOOL_CALL_PRE", "TOOL_CALL_POST", "TOOL_CALL_BLOCK"])
def test_an_event_about_nothing_that_has_a_name_is_about_nothing(served: Served, kind: str) -> None:
    client = served.client()
    client.enforce("never", {})
    for number, tool in enumerate(({}, [], 7, None)):
        taken = client.ask("POST", "/v1/events/batch", [event(kind, "never", f"e{number}") | {"tool_name": tool}])[1]
        assert taken == {"accepted": 1, "duplicates": 0, "paired": 0}


def test_another_keys_events_are_about_nothing_of_ours(served: Served) -> None:
    served.client().enforce("never", {})
    taken = served.client("other").ask("POST", "/v1/events/batch", [event("TOOL_CALL_BLOCK", "never", "e1")])[1]
    assert taken == {"accepted": 1, "duplicates": 0, "paired": 0}


def test_a_key_of_an_agent_sees_nothing_of_another_agents(served: Served) -> None:
    answer = served.client().enforce("wire", {"to": "bob"})
    token, receipt = answer["hold_token"], answer["receipt"]["receipt_id"]
    ways = (
        ("GET", f"/v1/receipts/{receipt}", None),
        ("GET", f"/v1/enforce/hold/{token}", None),
        ("GET", f"/v1/approvals/{token}", None),
        ("POST", f"/v1/approvals/{token}/resolve", {"decision": "approve"}),
    )
    other, same = (served.client("cfo", "read", "write", "execute", agent=name) for name in ("cat", "bot"))
    assert other.ask("GET", "/v1/approvals")[1]["data"] == []
    assert [other.ask(*way)[0] for way in ways] == [404] * 4
    assert [hold["id"] for hold in same.ask("GET", "/v1/approvals")[1]["data"]] == [token]
    assert [same.ask(*way)[0] for way in ways] == [200] * 4


def test_calls_with_very_long_names_are_not_remembered_for_events(served: Served) -> None:
    client, docket = served.client(), served.running.sidecar.dispatcher.docket
    for session in ("s" * 100, "s" * 100_000):
        client.ask("POST", "/v1/enforce", call("search", session_id=session))
        client.ask("POST", "/v1/enforce", call("search", session_id=session, action_attestation_id="a"))
    assert [len(made[1]) for made in docket.made] == [len(made[1]) for made in docket.open] == [100]
