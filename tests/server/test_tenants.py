"""Tenants as folders: each decides, records and holds by itself; whose a call is says its key or its socket."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thoth.contract import Effect, OperationError
from thoth.evidence import LogReader
from thoth.evidence import init as make_log
from thoth.server import Settings, Tenants, read_settings
from thoth.server.keys import Keys
from thoth.socket_client import SocketClient

from .live import Clock, Live, served
from .test_http import Client

POLICIES = {
    "acme": """
allow * as all
step_up wire as large ask "leads"
limit pay as few to 1 calls per 1d by tenant else block
""",
    "globex": "allow search as search\nlimit search as few to 2 calls per 1d by tenant else block\n",
}
APPROVERS = '[approvers.leads]\nmembers = ["cfo"]\n'
ASKED: dict[str, Any] = {
    "agent_id": "bot",
    "user_id": "ann",
    "environment": "prod",
    "session_id": "s1",
    "tool_args": {},
}


def made(folder: Path, clock: Clock, **more: Any) -> Tenants:
    for name, policy in POLICIES.items():
        own = folder / "tenants" / name
        own.mkdir(parents=True)
        (own / "policy.thoth").write_text(policy)
        make_log(own / "evidence")
    (folder / "tenants" / "acme" / "tenant.toml").write_text(APPROVERS)
    told = Settings(
        tenants=str(folder / "tenants"),
        recording="sync",
        socket=str(folder / "run" / "thoth.sock"),
        http_socket=str(folder / "run" / "h"),
        **more,
    )
    return Tenants(told, clock=clock)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Live]:
    with served(made(tmp_path, Clock(1_900_000_000.0))) as found:
        yield found


def client(running: Live, tenant: str, principal: str = "bot-key", *permissions: Any, of: str | None = None) -> Client:
    keys = Keys(Path(running.sidecar.sidecars[tenant].settings.state) / "keys.db")  # as `thoth keys` does, from beside
    text, _ = keys.create(principal, permissions or ("execute",), 1.0, tenant=of)
    keys.close()
    return Client(Path(running.sidecar.settings.http_socket), text)


def tools(running: Live, tenant: str) -> list[tuple[str, str, str]]:
    entries = LogReader(Path(running.sidecar.sidecars[tenant].settings.evidence)).entries()
    records = [entry.record for entry in entries]
    return [(r.get("tool", ""), r["effect"], r.get("tenant", "")) for r in records if r["kind"] == "decision"]


def test_each_tenant_has_a_policy_counters_and_evidence_of_its_own(running: Live) -> None:
    acme, globex = client(running, "acme"), client(running, "globex")
    assert acme.enforce("pay", {}, tenant_id="acme")["decision"] == "ALLOW"
    assert acme.enforce("pay", {}, tenant_id="acme")["decision_reason_code"] == "limit_exceeded"
    assert globex.enforce("pay", {}, tenant_id="globex")["decision_reason_code"] == "no_rule_allows"
    assert globex.enforce("search", {}, tenant_id="globex")["decision"] == "ALLOW"
    assert tools(running, "acme") == [("pay", "ALLOW", "acme"), ("pay", "BLOCK", "acme")]
    assert tools(running, "globex") == [("pay", "BLOCK", "globex"), ("search", "ALLOW", "globex")]


def test_a_session_of_the_same_name_is_another_one(running: Live) -> None:
    for tenant in POLICIES:
        assert client(running, tenant).enforce("search", {}, tenant_id=tenant)["decision"] == "ALLOW"
    found = [one.engine.session("s1") for one in running.sidecar.sidecars.values()]
    assert [[call.tool for call in session.calls] for session in found] == [["search"], ["search"]]


def test_a_call_is_the_keys_tenants_and_its_body_cannot_make_it_anothers(running: Live) -> None:
    acme = client(running, "acme")
    status, answer = acme.ask("POST", "/v1/enforce", {**ASKED, "tool_name": "pay", "tenant_id": "globex"})
    assert (status, answer["error"]) == (403, "forbidden")
    status, answer = acme.ask("POST", "/v1/enforce", {**ASKED, "tool_name": "pay"})
    assert (status, answer["decision"]) == (200, "ALLOW")
    status, answer = acme.ask("POST", "/v1/enforce", {**ASKED, "tool_name": "pay"})
    assert answer["decision_reason_code"] == "limit_exceeded", "what the body leaves out counts as the key's tenant"
    assert tools(running, "acme") == [("pay", "ALLOW", "acme"), ("pay", "BLOCK", "acme")]
    assert tools(running, "globex") == []


def test_a_frame_is_the_sockets_tenants(running: Live, tmp_path: Path) -> None:
    with SocketClient(tmp_path / "run" / "globex.sock") as globex:
        assert globex.decide({**ASKED, "tool_name": "search"}).decision.effect == Effect.ALLOW
        refused = globex.decide({**ASKED, "tool_name": "pay", "tenant_id": "acme"}).decision
        assert (refused.effect, refused.reason_code) == (Effect.BLOCK, "request_invalid")
        assert "calls of tenant `globex` are taken here" in refused.problem
        assert globex.decide({**ASKED, "tool_name": "search", "tenant_id": "globex"}).decision.effect == Effect.ALLOW
        over = globex.decide({**ASKED, "tool_name": "search"}).decision
        assert over.reason_code == "limit_exceeded"
    assert tools(running, "acme") == []
    assert ("", "BLOCK", "") in tools(running, "globex"), "the refusal is in the evidence, without the other's name"


def test_a_tenant_that_is_not_there_is_refused(running: Live, tmp_path: Path) -> None:
    nobody = Client(tmp_path / "run" / "h", "thoth_0123456789ab_secret")
    status, answer = nobody.ask("POST", "/v1/enforce", {**ASKED, "tool_name": "search", "tenant_id": "initech"})
    assert (status, answer["error"]) == (401, "unauthorized")
    with pytest.raises(OperationError), SocketClient(tmp_path / "run" / "initech.sock", timeout_s=0.2) as initech:
        initech.ping()


def test_a_key_that_says_another_tenant_does_not_count_in_this_folder(running: Live) -> None:
    stray = client(running, "acme", of="globex")
    assert stray.ask("POST", "/v1/enforce", {**ASKED, "tool_name": "search"})[0] == 401


def test_holds_and_approvers_are_the_tenants(running: Live) -> None:
    held = client(running, "acme").enforce("wire", {}, tenant_id="acme")
    token = held["hold_token"]
    theirs = client(running, "globex", "cfo", "read", "write", "execute")
    assert theirs.ask("GET", "/v1/approvals")[1] == {"data": [], "total": 0}
    assert theirs.ask("POST", f"/v1/approvals/{token}/resolve", {"decision": "approve"})[0] == 404
    assert theirs.ask("GET", f"/v1/enforce/hold/{token}")[0] == 404
    ours = client(running, "acme", "cfo", "read", "write")
    assert ours.ask("POST", f"/v1/approvals/{token}/resolve", {"decision": "approve"})[1]["status"] == "approved"


def test_one_metrics_page_adds_the_tenants_up(running: Live) -> None:
    for tenant in POLICIES:
        client(running, tenant).enforce("search", {}, tenant_id=tenant)
    status, text = client(running, "acme").ask("GET", "/metrics")
    assert status == 200
    assert b'thoth_decisions_total{effect="ALLOW"} 2.0' in text
    assert client(running, "acme").ask("GET", "/readyz") == (200, {"status": "ready"})
    assert client(running, "acme").ask("GET", "/healthz") == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a b", "allow * as all\n", "a tenant's name has"),
        ("initech", "", "tenant `initech` has no policy"),
        ("initech", 'step_up pay as p ask "nobody"\n', "binds nobody|bind nobody"),
        ("initech", "allow * as all\n", "evidence"),
    ],
)
def test_a_tenant_with_a_mistake_stops_the_start(tmp_path: Path, name: str, text: str, what: str) -> None:
    own = tmp_path / "tenants" / name
    own.mkdir(parents=True)
    if text:
        (own / "policy.thoth").write_text(text)
    if "step_up" in text:
        make_log(own / "evidence")
    told = Settings(tenants=str(tmp_path / "tenants"), socket=str(tmp_path / "run" / "s"))
    with pytest.raises(OperationError, match=what):
        Tenants(told)


def test_what_each_tenant_has_is_not_said_for_all() -> None:
    for name, value in (("policy", ["x"]), ("state", "x"), ("evidence", "x")):
        with pytest.raises(OperationError, match=f"leave `{name}` away"):
            read_settings(None, {}, {"tenants": "t", name: value})
