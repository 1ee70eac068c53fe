"""When the enforcer is away: nothing runs unasked, no report is lost, and what comes late counts once."""

import asyncio
import json
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

import thoth
from thoth.http_enforcer import HttpEnforcer
from thoth.spool import Spool


def reader(client: Any, ran: list[Any], then: Any = None) -> Any:
    @client.tool
    def read_customer(id: str) -> str:
        ran.append(id)
        if then is not None:
            then()
        return id

    return read_customer


def test_away_means_no(away: Any) -> None:
    ran: list[Any] = []
    read = reader(away.client(), ran)
    away.server.stop()
    with pytest.raises(thoth.EnforcerUnavailable) as refused:
        read("7")
    assert refused.value.decision_reason_code == "enforcer_unavailable"
    assert "enforcer unavailable" in refused.value.reason
    assert ran == []
    with pytest.raises(thoth.EnforcerUnavailable):
        asyncio.run(_acheck(away.client()))


async def _acheck(client: Any) -> None:
    await client.acheck("read_customer", {"id": "7"})


def test_fail_open_lets_a_call_through_records_it_and_warns_once(away: Any) -> None:
    ran: list[Any] = []
    client = away.client(fail_open=True)
    read = reader(client, ran)
    away.server.stop()
    with pytest.warns(RuntimeWarning, match="ungoverned"):
        read("7")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read("8")
    assert ran == ["7", "8"]
    audit = client.audit()
    assert (audit.ungoverned, audit.unreported) == (2, 4)
    away.server.start()
    assert client.guard.spool.flush(final=True) == 0
    kinds = [(event["event_type"], event["metadata"].get("fail_open")) for event in away.server.events.values()]
    assert kinds == [("TOOL_CALL_PRE", True), ("TOOL_CALL_POST", True)] * 2


MALFORMED = [
    b"", b"{", b"[]", b"null", b"{}", b'{"decision":null}', b'{"decision":"FLAG"}', b'{"decision":1}',
    b'{"decision":"ALLOW","authorization_decision":"BLOCK"}', b'{"decision":"STEP_UP"}',
    b'{"decision":"MODIFY"}', b'{"decision":"MODIFY","modified_tool_args":{}}',
    b'{"decision":"MODIFY","modified_tool_args":[]}', b'{"decision":"DEFER","defer_timeout_seconds":"soon"}',
    b'{"decision":"ALLOW","matched_rule_ids":"all"}',
    b'{"decision":"BLOCK","decision":"ALLOW"}', b'{"decision":"BLOCK","Decision":"ALLOW"}',
    b'{"authorizationDecision":"BLOCK","authorization_decision":"ALLOW"}',
    b'{"decision":"MODIFY","modified_tool_args":{"id":"9","id":"7"}}',
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED)
def test_a_malformed_answer_never_lets_a_call_through(away: Any, body: bytes) -> None:
    ran: list[Any] = []
    away.server.script = lambda method, path: (200, body)
    with pytest.raises(thoth.EnforcerUnavailable) as refused:
        reader(away.client(fail_open=True), ran)("7")
    assert refused.value.decision_reason_code == "enforcer_rejected_request"
    assert ran == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"resolved":false,"resolution":null,"decision":"ALLOW"}',
        b'{"resolved":true,"resolution":"BLOCK","decision":"ALLOW"}',
        b'{"resolved":true,"resolution":"MAYBE","decision":"ALLOW"}',
    ],
)
def test_an_answer_to_a_hold_that_contradicts_itself_never_lets_a_call_through(away: Any, body: bytes) -> None:
    ran: list[Any] = []
    step_up = b'{"decision":"STEP_UP","hold_token":"t-1"}'
    away.server.script = lambda method, path: (200, step_up if method == "POST" else body)
    with pytest.raises(thoth.EnforcerUnavailable) as refused:
        reader(away.client(fail_open=True), ran)("7")
    assert refused.value.decision_reason_code == "enforcer_rejected_request"
    assert ran == []


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 422])
def test_a_key_that_is_not_right_never_lets_a_call_through(away: Any, status: int) -> None:
    ran: list[Any] = []
    away.server.script = lambda method, path: (status, b"{}")
    with pytest.raises(thoth.EnforcerUnavailable, match=str(status)):
        reader(away.client(fail_open=True), ran)("7")
    assert ran == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_enforcer_with_too_much_to_do_is_away(away: Any, status: int) -> None:
    ran: list[Any] = []
    away.server.script = lambda method, path: (status, b"{}") if path == "/v1/enforce" else None
    with pytest.raises(thoth.EnforcerUnavailable):
        reader(away.client(), ran)("7")
    with pytest.warns(RuntimeWarning):
        reader(away.client(fail_open=True), ran)("7")
    assert ran == ["7"]


def test_a_null_list_is_an_empty_one(away: Any) -> None:
    """A field that says nothing must not change the answer, neither to yes nor to no."""
    away.server.script = lambda method, path: (200, b'{"decision":"ALLOW","matched_rule_ids":null}')
    assert reader(away.client(), [])("7") == "7"


def test_an_outcome_that_cannot_be_sent_waits_and_comes_later_once(away: Any) -> None:
    client = away.client()
    read = reader(client, [], then=away.server.stop)
    assert read("7") == "7"
    assert client.audit().unreported == 1
    assert not client.audit().balanced
    away.server.start()
    assert client.guard.spool.flush(final=True) == 0
    assert client.guard.spool.flush(final=True) == 0
    assert away.recorder.endings == ["completed"]
    assert client.audit().balanced
    (event,) = away.server.events.values()
    assert event["metadata"]["result_size_bytes"] == 3
    assert len(event["metadata"]["result_sha256"]) == 64
    assert "result" not in event["metadata"]


def test_a_report_that_waits_survives_the_process(away: Any, tmp_path: Path) -> None:
    away.server.stop()
    spool = Spool(tmp_path, away.enforcer)
    spool.keep(
        {"kind": "outcome", "event_id": "acme:1", "decision_id": "d", "ending": "completed", "tenant_id": "acme"}
    )
    spool.abandon()
    again = Spool(tmp_path, away.enforcer)
    assert again.count == 1
    other = Spool(tmp_path, HttpEnforcer("https://else.example"))
    assert other.count == 0
    away.server.start()
    assert again.flush(final=True) == 0
    assert list(away.server.events) == ["acme:1"]
    assert not list(tmp_path.rglob("*.jsonl"))


def test_the_reports_of_a_living_process_are_its_own(away: Any, tmp_path: Path) -> None:
    away.server.stop()
    spool = Spool(tmp_path, away.enforcer)
    spool.keep({"event_id": "acme:1"})
    assert Spool(tmp_path, away.enforcer).count == 0
    spool.abandon()


def test_what_waits_is_bounded_and_what_is_lost_is_counted(away: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from thoth import spool

    monkeypatch.setattr(spool, "REPORTS_MAX", 2)
    client = away.client()
    read = reader(client, [], then=away.server.stop)
    for id in "123":
        if away.server._server is None:
            away.server.start()
        away.server.script = lambda method, path: (503, b"") if "events" in path else None
        read(id)
    assert (client.audit().unreported, client.audit().lost) == (2, 1)
    assert not client.audit().balanced


def test_what_an_ended_process_left_and_cannot_be_taken_over_is_counted(
    away: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thoth import spool

    left = Spool(tmp_path, away.enforcer)
    for number in range(3):
        left.keep({"kind": "outcome", "event_id": f"acme:{number}"})
    left.abandon()
    (file,) = tmp_path.rglob("*.jsonl")
    with file.open("ab") as torn:
        torn.write(b'{"kind":"outc')
    monkeypatch.setattr(spool, "REPORTS_MAX", 2)
    again = Spool(tmp_path, away.enforcer)
    assert (again.count, again.untaken) == (2, 2)
    again.abandon()


def test_a_report_that_was_interrupted_is_kept_and_counts_once(away: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = away.client()
    read = reader(client, [])
    enforcer = client.guard.enforcer
    report = enforcer.report

    def interrupted(*args: Any, **kwargs: Any) -> None:
        report(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(enforcer, "report", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read("7")
    assert client.audit().unreported == 1
    assert client.guard.spool.flush(final=True) == 0
    assert away.recorder.endings == ["completed"]
    assert client.audit().balanced


def test_a_result_goes_to_another_machine_only_where_that_is_configured(away: Any) -> None:
    away.enforcer = HttpEnforcer(away.server.url, tell_results=True)
    reader(away.client(), [])("secret")
    (event,) = away.server.events.values()
    assert event["metadata"]["result"] == "secret"


def test_both_kinds_of_key_header_are_sent(away: Any) -> None:
    reader(away.client(), [])("7")
    for headers in away.server.headers:
        assert headers["x-api-key"] == "thoth_test_1"
        assert headers["authorization"] == "Bearer thoth_test_1"
        assert headers["user-agent"].startswith("thoth-python/")


def test_a_key_never_goes_out_in_clear_to_another_machine() -> None:
    with pytest.raises(thoth.ConfigurationError, match="https://"):
        HttpEnforcer("http://enforce.acme.example", api_key="k")
    for url in ("https://user:pw@x.example", "https://", "https://x.example?k=v"):
        with pytest.raises(thoth.ConfigurationError):
            HttpEnforcer(url)
    with pytest.raises(thoth.ConfigurationError, match="ASCII"):
        HttpEnforcer("https://x.example", api_key="a\r\nx-evil: 1")


def test_a_kept_connection_that_broke_is_made_anew(away: Any) -> None:
    read = reader(away.client(), [])
    read("7")
    away.server.stop()
    away.server.start()
    assert read("8") == "8"
    assert len(away.recorder.decisions) == 2


def test_an_enforcer_that_is_killed_and_started_again_loses_nothing(away: Any) -> None:
    """The short version of the ten thousand calls of benchmarks/bench_sdk.py."""
    ran: list[Any] = []
    client = away.client()
    read = reader(client, ran)
    refused = 0
    stop = threading.Event()

    def restart() -> None:
        while not stop.wait(0.02):
            away.server.stop()
            away.server.start()

    thread = threading.Thread(target=restart)
    thread.start()
    try:
        for number in range(300):
            try:
                read(str(number))
            except thoth.EnforcerUnavailable:
                refused += 1
    finally:
        stop.set()
        thread.join()
    assert client.guard.spool.flush(final=True) == 0
    audit = client.audit()
    assert audit.balanced
    assert audit.executions + refused == 300
    decided = {d.id for d in away.recorder.decisions if d.effect == "ALLOW"}
    ended = {outcome.decision_id for outcome in away.recorder.outcomes}
    assert len(ran) == audit.executions
    assert len(ended) == len(ran)
    assert ended <= decided


def test_the_wire_holds_what_a_public_enforcer_needs(away: Any) -> None:
    client = away.client(session_intent="triage", purpose="support", task_context="task-1", data_classification="PHI")
    reader(client, [])("7")
    (request,) = away.server.requests
    assert request["tool_name"] == "read_customer"
    assert request["tool_args"] == {"id": "7"}
    assert request["session_tool_calls"] == ["read_customer"]
    assert request["task_context"] == {"task_id": "task-1"}
    for name in ("agent_id", "tenant_id", "user_id", "session_id", "approved_scope", "enforcement_mode", "environment"):
        assert request[name], name
    assert request["enforcement_trace_id"] == request["session_id"]
    json.dumps(request)
