"""The front door: a light import, settings and where they come from, asking without wrapping, and the count."""

import logging
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

import thoth
from thoth.client import ThothClient, connect
from thoth.config import ThothConfig, configured

from .office import World

POLICY = """
tool read(id: string) is read
allow * as in-scope when tool in scope
"""
WHO: dict[str, Any] = {"agent_id": "a", "approved_scope": ["read"], "tenant_id": "acme"}


def test_importing_thoth_loads_nothing_heavy() -> None:
    heavy = "lark pyarrow uvloop httpx asyncio cryptography msgspec inspect thoth.contract thoth.engine thoth.evidence"
    program = f"import sys, thoth; print(*[name for name in {heavy.split()} if name in sys.modules])"
    plain = "import sys; print(*[name for name in sys.modules])"
    before = set(
        subprocess.run([sys.executable, "-c", plain], capture_output=True, text=True, check=True).stdout.split()
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) - before == set()


def test_wrapping_loads_no_event_loop_no_http_and_no_parser_until_they_are_needed() -> None:
    program = (
        "import sys, thoth\nfrom thoth import instrument, session, ThothConfig, ThothPolicyViolation\n"
        "print(*[name for name in ('lark', 'asyncio', 'uvloop', 'httpx', 'cryptography', 'thoth.engine') "
        "if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_a_policy_is_named_and_never_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "policy.thoth").write_text(POLICY)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(thoth.ConfigurationError, match=r"policy=.*THOTH_POLICY"):
        thoth.instrument({"read": lambda id: id}, **WHO)
    with pytest.raises(thoth.ConfigurationError, match="embedded engine needs a policy"):
        thoth.instrument({"read": lambda id: id}, api_url="embedded", **WHO)


def test_three_lines_govern_an_agent_and_leave_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "p.thoth"
    policy.write_text(POLICY)
    tools = thoth.instrument({"read": lambda id: id}, policy=policy, evidence=tmp_path / "evidence", **WHO)
    assert tools["read"]("7") == "7"
    from thoth import embedded

    (enforcer,) = [found for found in embedded._SHARED.values() if str(policy) in found.where]
    embedded.forget(enforcer)
    lines = subprocess.run(
        [sys.executable, "-m", "thoth.cli", "evidence", "show", str(tmp_path / "evidence")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert any("ALLOW" in line for line in lines)
    assert any("completed" in line for line in lines)


def test_the_operators_url_counts_before_the_authors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THOTH_API_URL", "https://enforce.acme.example")
    assert configured(api_url="https://else.example", **WHO).where == "https://enforce.acme.example"


@pytest.mark.parametrize(
    ("variable", "field", "said"),
    [
        ("THOTH_API_KEY", "api_key", "k"),
        ("THOTH_EVENT_INGEST_TOKEN", "event_ingest_token", "t"),
        ("THOTH_ENVIRONMENT", "environment", "staging"),
        ("THOTH_POLICY", "policy", "p.thoth"),
        ("THOTH_EVIDENCE", "evidence", "e"),
        ("THOTH_SPOOL", "spool", "s"),
    ],
)
def test_an_argument_counts_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str, field: str, said: str
) -> None:
    monkeypatch.setenv(variable, said)
    assert getattr(configured(**WHO), field) == said
    assert getattr(configured(**WHO, **{field: "given"}), field) == "given"


@pytest.mark.parametrize(("said", "meant"), [("1", True), ("true", True), ("YES", True), ("on", True), ("0", False)])
def test_fail_open_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, said: str, meant: bool) -> None:
    monkeypatch.setenv("THOTH_FAIL_OPEN", said)
    assert configured(**WHO).fail_open is meant
    assert configured(**WHO, fail_open=False).fail_open is False


def test_what_is_neither_yes_nor_no_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THOTH_FAIL_OPEN", "perhaps")
    with pytest.raises(thoth.ConfigurationError, match="THOTH_FAIL_OPEN"):
        configured(**WHO)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"approved_scope": "read"}, "list of tool names"),
        ({"agent_id": ""}, "agent_id"),
        ({"enforcement": "sometimes"}, "enforcement"),
        ({"polcy": "p"}, "did you mean `policy`"),
        ({"on_hold": 3}, "on_hold"),
        ({"api_url": "ftp://x"}, "api_url"),
    ],
)
def test_a_wrong_setting_says_what_to_write(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(thoth.ConfigurationError, match=says):
        connect(configured(**WHO | settings))


def test_a_key_never_shows_in_a_text() -> None:
    assert "thoth_live_1" not in repr(ThothConfig(api_key="thoth_live_1", event_ingest_token="thoth_live_1", **WHO))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://ann:s3cret@enforce.example", "not `https://…@enforce.example`"),
        ("https://s3cret@enforce.example/v1", "not `https://…@enforce.example/…`"),
        ("https://enforce.example/?key=s3cret", "not `https://enforce.example/…`"),
        ("https://enforce.example#s3cret", "not `https://enforce.example#…`"),
        ("https://enforce.example:many", "not `https://enforce.example:many`"),
        ("ftp://ann:s3cret@enforce.example", "not `ftp://…@enforce.example`"),
        ("ann:s3cret@enforce.example", "not `…@enforce.example`"),
    ],
)
def test_an_address_that_is_wrong_is_told_without_what_is_secret_in_it(url: str, told: str) -> None:
    with pytest.raises(thoth.ConfigurationError) as wrong:
        ThothClient(agent_id="a", approved_scope=[], tenant_id="t", api_url=url)
    text = "".join(traceback.format_exception(wrong.value))
    assert told in text
    assert "s3cret" not in text


def test_asking_without_wrapping(world: Any) -> None:
    client = world.client()
    with client.check("pay", {"amount": 700, "to": "ACME"}) as call:
        assert (call.effect, call.args) == ("MODIFY", {"amount": 500, "to": "ACME"})
        call.completed("paid")
    with pytest.raises(ZeroDivisionError), client.check("read_customer", {"id": "1"}):
        raise ZeroDivisionError
    with client.check("read_customer", {"id": "1"}):
        pass
    with pytest.raises(thoth.ThothPolicyViolation):
        client.check("wipe", {"path": "/"})
    assert world.recorder.endings == ["completed", "failed", "completed"]
    assert client.audit().balanced


def test_asking_with_the_client_that_was_configured(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from thoth import client as clients

    monkeypatch.setattr(clients, "_DEFAULT", [])
    with pytest.raises(thoth.ConfigurationError, match="configure"):
        thoth.check("read_customer", {"id": "1"})
    thoth.configure(agent_id="a", approved_scope=["read_customer"], tenant_id="acme", enforcer=world.enforcer)
    with thoth.check("read_customer", {"id": "1"}) as call:
        assert call.completed({"name": "Ann"}) == {"name": "Ann"}

    @thoth.tool
    def read_customer(id: str) -> str:
        return id

    assert read_customer("1") == "1"
    assert len(world.recorder.decisions) == 2


def test_a_call_that_was_asked_for_and_never_reported_shows_in_the_audit(world: Any) -> None:
    client = world.client()
    call = client.check("read_customer", {"id": "1"})
    audit = client.audit()
    assert (audit.decisions, audit.executions, audit.running, audit.running_tools) == (1, 1, 1, ("read_customer",))
    assert not audit.balanced
    call.cancelled()
    assert client.audit().balanced


def test_the_mode_that_is_asked_for_is_said_once_where_the_policy_does_not_follow(
    world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="thoth"):
        client = world.client(enforcement="observe")
        client.instrument({"read_customer": lambda id: id})
        client.instrument({"wipe": lambda path: path})
    said = [record.getMessage() for record in caplog.records if "only tightens" in record.getMessage()]
    assert len(said) == 1
    assert "mode from request" in said[0]


def test_observe_asks_too_and_stops_nothing_where_the_policy_lets_callers_choose() -> None:
    world = World(mode="mode from request")
    client = world.client(enforcement="observe")
    tools = client.instrument({"wipe": lambda path: path})
    assert tools["wipe"]("/srv") == "/srv"
    decision = world.recorder.decisions[0]
    assert (decision.effect, decision.verdict) == ("ALLOW", "BLOCK")
    assert thoth.coverage(tools).notes == []


def test_a_decision_that_cannot_be_recorded_is_refused_even_in_observe() -> None:
    world = World(mode="mode from request")
    world.recorder.broken = True
    ran: list[Any] = []
    tools = world.client(enforcement="observe").instrument({"wipe": ran.append})
    with pytest.raises(thoth.ThothPolicyViolation) as refused:
        tools["wipe"]("/srv")
    assert refused.value.decision_reason_code == "evidence_unavailable"
    assert ran == []
