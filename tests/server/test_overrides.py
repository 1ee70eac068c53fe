"""Break-glass: who may, what it crosses and what never, and what is left of it in evidence and metrics."""

import base64
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from thoth.cli import main
from thoth.contract import Effect, Ending, OperationError
from thoth.evidence import LogReader
from thoth.evidence import init as make_log
from thoth.server import Approvers
from thoth.server.overrides import CONTEXT, Signed, made
from thoth.server.settings import Operator
from thoth.socket_client import SocketClient

from .live import CONTEXT as CALL
from .live import Clock, Live, live
from .test_holds import CFO, answer
from .test_http import Served

POLICY = """
tool deploy(service: string) is execute atomic
tool read_customer(id: string) is read yields pii
allow read_customer, mail, pay, wire, share, deploy as some
block mail as leak when session.labels contains pii
block deploy as frozen when args.service in {"db", "queue"}
step_up deploy as asked when args.service is "queue" ask "leads"
step_up wire as large ask "leads" within 10m
modify wire as short set args.rows = 10
limit pay as few to 1 calls per 1d by agent else block
defer share as later retry after 30m
"""
KEY = Ed25519PrivateKey.generate()
PUBLIC = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()


def request(tool: str, **args: object) -> dict[str, Any]:
    known = {"tool_name": tool, "tool_args": args, "session_id": "s1", "session_tool_calls": [tool]}
    return {**CALL, **known}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    make_log(tmp_path / "evidence")
    clock = Clock(1_900_000_000.0)
    told: dict[str, Any] = {
        "recording": "sync",
        "evidence": str(tmp_path / "evidence"),
        "http_socket": str(tmp_path / "run" / "h"),
        "approvers": {"leads": Approvers(["cfo"])},
        "operators": {"ann": Operator(PUBLIC)},
        "clock": clock,
    }
    with live(tmp_path, POLICY, **told) as running:
        yield Served(running, clock)


def signed(served: Served, *tools: str, seconds: float = 1_800.0, key: Ed25519PrivateKey = KEY, **scope: Any) -> Signed:
    operator = scope.pop("operator", "ann")
    return made(key, operator, "incident 42", served.clock(), seconds, tools, **scope)


def begin(served: Served, one: Signed, *permissions: str) -> tuple[int, Any]:
    client = served.client("ops", *(permissions or ("write",)))
    return client.ask("POST", "/v1/overrides", msgspec.to_builtins(one))


def records(running: Live, kind: str) -> list[dict[str, Any]]:
    found = [entry.record for entry in LogReader(Path(running.sidecar.settings.evidence)).entries()]
    return [record for record in found if record["kind"] == kind]


def test_it_lets_through_what_it_names_until_it_ends_and_says_so_each_time(served: Served) -> None:
    with SocketClient(served.running.path) as client:
        assert client.decide(request("deploy", service="db")).decision.rules == ("frozen",)
        status, told = begin(served, signed(served, "deploy"))
        assert (status, told["operator"], told["tools"]) == (201, "ann", ["deploy"])
        through = client.decide(request("deploy", service="db")).decision
        assert (through.effect, through.verdict, through.by) == (Effect.ALLOW, Effect.BLOCK, "mode")
        assert (through.reason_code, through.would_be) == ("break_glass", ("frozen",))
        assert client.ended(through.id, Ending.FAILED).ending == Ending.FAILED
        assert client.decide(request("wipe")).decision.effect == Effect.BLOCK, "another tool is not named"
        assert served.client().enforce("deploy", {"service": "db"})["decision_reason_code"] == "break_glass"
        served.clock.now += 1_800
        assert client.decide(request("deploy", service="db")).decision.rules == ("frozen",)
    (override,) = records(served.running, "override")
    assert (override["what"], override["operator"], override["reason"]) == ("begun", "ann", "incident 42")
    decided = [r for r in records(served.running, "decision") if r["tool"] == "deploy"]
    assert [r["effect"] for r in decided] == ["BLOCK", "BLOCK", "ALLOW", "BLOCK", "ALLOW", "BLOCK"]
    assert [r.get("approval") for r in decided if r["effect"] == "ALLOW"] == [f"override-{override['override']}"] * 2
    metrics = served.client().ask("GET", "/metrics")[1].decode()
    assert "thoth_overridden_total 2.0" in metrics
    assert "thoth_overrides_open 0.0" in metrics


def test_it_crosses_rules_limits_holds_delays_and_the_default(served: Served) -> None:
    begin(served, signed(served, "*"))
    with SocketClient(served.running.path) as client:
        for tool, effect in (("wire", Effect.MODIFY), ("share", Effect.ALLOW), ("nobody_allows", Effect.ALLOW)):
            found = client.decide(request(tool)).decision
            assert (found.effect, found.reason_code) == (effect, "break_glass"), tool
        assert client.decide(request("wire")).decision.args == {"rows": 10}, "what runs is changed as the policy says"
        assert client.decide(request("pay")).decision.reason_code == "allowed_by_policy"
        assert client.decide(request("pay")).decision.reason_code == "break_glass"
        client.decide(request("read_customer", id="1"))
        assert client.decide(request("mail")).decision.would_be == ("leak",)


def test_it_never_crosses_mistakes_arguments_or_a_persons_no(served: Served) -> None:
    with SocketClient(served.running.path) as client:
        token = client.decide(request("wire")).hold_token
        begin(served, signed(served, "*"))
        answer(served.running, token, CFO, granted=False)
        denied = client.wait(token, 10)
        assert denied is not None
        assert (denied.effect, denied.reason_code) == (Effect.BLOCK, "approval_denied")
        wrong = client.decide(request("deploy", service="db", force=True)).decision
        assert (wrong.effect, wrong.reason_code) == (Effect.BLOCK, "arguments_invalid")
        assert client.decide({"tool_name": 7}).decision.reason_code == "request_invalid"
    again = served.client()
    body = {**request("deploy", service="db"), "request_id": "r"}
    assert again.ask("POST", "/v1/enforce", body)[1]["decision"] == "ALLOW"
    body["tool_args"] = {"service": "web"}
    assert again.ask("POST", "/v1/enforce", body)[1]["decision_reason_code"] == "request_id_reused"


def test_what_cannot_be_recorded_does_not_run(served: Served) -> None:
    begin(served, signed(served, "*"))
    engine = served.running.sidecar.engine
    recorder = engine.recorder

    class Full:
        def decided(self, decision: Any) -> None:
            if decision.reason_code == "break_glass":
                raise OSError("the disk is full")
            recorder.decided(decision)

        def ended(self, decision: Any, outcome: Any) -> None:
            recorder.ended(decision, outcome)

    served.running.on_loop(setattr, engine, "recorder", Full())
    with SocketClient(served.running.path) as client:
        found = client.decide(request("deploy", service="db")).decision
        assert (found.effect, found.reason_code) == (Effect.BLOCK, "evidence_unavailable")
    served.running.on_loop(setattr, engine, "recorder", recorder)


@pytest.mark.parametrize(
    ("scope", "through"),
    [
        ({"agents": ("bot",)}, True),
        ({"agents": ("bo?",), "tenants": ("acme",)}, True),
        ({"agents": ("other",)}, False),
        ({"tenants": ("globex",)}, False),
        ({"rules": ("frozen",)}, True),
        ({"rules": ("leak",)}, False),
    ],
)
def test_its_scope_is_what_is_signed(served: Served, scope: dict[str, Any], through: bool) -> None:
    assert begin(served, signed(served, "deploy", **scope))[0] == 201
    found = served.client().enforce("deploy", {"service": "db"}, session_tool_calls=["deploy"])
    assert (found["decision"] == "ALLOW") is through


def test_one_for_a_rule_leaves_what_others_ask_for(served: Served) -> None:
    """The strictest rule is the one that is named in a refusal; a milder one behind it is not crossed with it."""
    assert begin(served, signed(served, "deploy", "launch", rules=("frozen",)))[0] == 201
    client = served.client()
    assert client.enforce("deploy", {"service": "db"})["decision"] == "ALLOW"
    assert client.enforce("deploy", {"service": "queue"})["decision"] == "BLOCK"
    assert client.enforce("launch", {})["decision"] == "BLOCK", "nothing allows it, whatever is crossed"
    assert begin(served, signed(served, "deploy", rules=("frozen", "asked")))[0] == 201
    assert client.enforce("deploy", {"service": "queue"})["decision"] == "ALLOW"


def test_only_an_operators_signature_counts(served: Served) -> None:
    good = signed(served, "deploy")
    document = base64.b64decode(good.document)
    wider = base64.b64encode(document.replace(b'"deploy"', b'"*"')).decode()
    bare = base64.b64encode(KEY.sign(document)).decode()
    stranger = Ed25519PrivateKey.generate()
    for wrong in (
        Signed(wider, good.signature),
        Signed(good.document, bare),
        signed(served, "deploy", key=stranger),
        signed(served, "deploy", operator="bob"),
        signed(served, "deploy", seconds=86_401),
        signed(served, "deploy", seconds=-1),
        signed(served),
        Signed("no base64", good.signature),
        Signed(good.document, ""),
        Signed(base64.b64encode(b"{}").decode(), base64.b64encode(KEY.sign(CONTEXT + b"{}")).decode()),
    ):
        assert begin(served, wrong)[0] == 400, wrong
    assert begin(served, good, "read", "execute")[0] == 403
    served.clock.now += 1_800
    assert begin(served, good)[0] == 400, "it is over"
    assert records(served.running, "override") == []
    assert served.client("ops", "read").ask("GET", "/v1/overrides")[1] == {"data": [], "total": 0}


def test_it_ends_early_for_good_and_outlives_a_restart_until_then(served: Served, tmp_path: Path) -> None:
    one = signed(served, "deploy")
    id = begin(served, one)[1]["id"]
    assert begin(served, one)[0] == 400, "it is here already"
    ops = served.client("ops", "read", "write")
    assert [found["id"] for found in ops.ask("GET", "/v1/overrides")[1]["data"]] == [id]
    elsewhere = served.client("ops", "read", "write", tenant="globex")
    assert elsewhere.ask("GET", "/v1/overrides")[1]["total"] == 1, "it is for every tenant"
    sidecar = served.running.sidecar
    sidecar.overrides._version = -1  # as a process that comes back
    sidecar.overrides._all = {}
    assert served.client().enforce("deploy", {"service": "db"})["decision"] == "ALLOW"
    assert ops.ask("POST", f"/v1/overrides/{id}/end", {})[0] == 200
    assert served.client().enforce("deploy", {"service": "db"})["decision"] == "BLOCK"
    assert ops.ask("POST", f"/v1/overrides/{id}/end", {})[0] == 404
    assert begin(served, one)[0] == 400, "the same signature does not bring it back"
    assert [record["what"] for record in records(served.running, "override")] == ["begun", "ended"]


def test_without_operators_there_is_no_glass_to_break(tmp_path: Path) -> None:
    clock, bound = Clock(), {"leads": Approvers(["cfo"])}
    with live(tmp_path, POLICY, approvers=bound, clock=clock, http_socket=str(tmp_path / "run" / "h")) as running:
        served = Served(running, clock)
        assert begin(served, signed(served, "*"))[0] == 404
    for key, what in (("short", "no Ed25519 public key"), (PUBLIC, "recorded")):
        told: dict[str, Any] = {"approvers": bound, "operators": {"ann": Operator(key)}}
        with pytest.raises(OperationError, match=what), live(tmp_path, POLICY, **told):
            pass


def test_an_operator_does_it_from_the_command_line(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served.clock.now = time.time()
    assert main(["override", "key", str(tmp_path / "ann.pem")]) == 0
    (public,) = re.findall(r'public_key = "(\S+)"', capsys.readouterr().out)
    assert (tmp_path / "ann.pem").stat().st_mode & 0o777 == 0o600
    assert main(["override", "key", str(tmp_path / "ann.pem")]) == 2
    served.running.on_loop(served.running.sidecar.overrides._operators.update, {"ann": public})
    monkeypatch.setenv("THOTH_API_KEY", served.key("ops", "read", "write"))
    at = ["--at", f"unix:{served.path}"]
    words = ["--signing-key", str(tmp_path / "ann.pem"), "--operator", "ann", "--reason", "incident 42"]
    capsys.readouterr()
    assert main(["override", "begin", *words, "--tools", "deploy", "--minutes", "30", "--format", "json", *at]) == 0
    id = json.loads(capsys.readouterr().out)["id"]
    assert served.client().enforce("deploy", {"service": "db"})["decision"] == "ALLOW"
    assert main(["override", "list", *at]) == 0
    assert f"{id}  counts" in capsys.readouterr().out
    assert main(["override", "end", id, *at]) == 0
    assert main(["override", "list", *at]) == 0
    assert "none counts" in capsys.readouterr().out
    log = str(tmp_path / "evidence")
    assert main(["evidence", "replay", log, "--policy", str(tmp_path / "policy.thoth")]) == 0
    assert "let through by an operator's override" in capsys.readouterr().out


@pytest.mark.parametrize("looked", ["asked", "swept"])
def test_one_that_was_over_does_not_come_back_with_the_clock(served: Served, looked: str) -> None:
    one = signed(served, "deploy", seconds=600)
    assert begin(served, one)[0] == 201
    assert served.client().enforce("deploy", {"service": "db"})["decision"] == "ALLOW"
    served.clock.now += 601
    if looked == "asked":
        assert served.client().enforce("deploy", {"service": "db"})["decision"] == "BLOCK"
    else:
        served.running.on_loop(served.running.sidecar.sweep)
    served.clock.now -= 300
    assert served.client().enforce("deploy", {"service": "db"})["decision"] == "BLOCK"
    assert served.client("ops", "read").ask("GET", "/v1/overrides")[1]["total"] == 0
    assert begin(served, one)[0] == 400
