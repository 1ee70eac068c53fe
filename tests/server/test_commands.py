"""`thoth keys` and `thoth approvals`, against a sidecar that runs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from thoth.cli import main
from thoth.contract import Effect
from thoth.server import Approvers
from thoth.socket_client import SocketClient

from .live import CONTEXT, Live, live

POLICY = 'allow * as all\nstep_up pay as large ask "leads"\n'
PAY = {**CONTEXT, "tool_name": "pay", "tool_args": {"amount": 5, "to": "bob\x1b[2J"}}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Live]:
    bound = {"leads": Approvers(["cfo"])}
    with live(tmp_path, POLICY, approvers=bound, http_socket=str(tmp_path / "run" / "h")) as found:
        yield found


def state(running: Live) -> str:
    return running.sidecar.settings.state


def made(running: Live, capsys: pytest.CaptureFixture[str], principal: str, *permissions: str) -> str:
    """A key, as its maker sees it."""
    words = ["keys", "create", "--state", state(running), "--principal", principal, "--permissions", *permissions]
    assert main([*words, "--format", "json"]) == 0
    key: str = json.loads(capsys.readouterr().out)["key"]
    return key


@pytest.fixture
def at(running: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Where the sidecar speaks HTTP; the environment has the key of somebody who may approve."""
    monkeypatch.setenv("THOTH_API_KEY", made(running, capsys, "cfo", "read", "write"))
    return f"unix:{running.sidecar.settings.http_socket}"


def test_a_call_is_listed_shown_and_approved(running: Live, at: str, capsys: pytest.CaptureFixture[str]) -> None:
    with SocketClient(running.path) as client:
        token = client.decide(PAY).hold_token
        assert main(["approvals", "list", "--at", at]) == 0
        listed = capsys.readouterr().out
        assert token in listed
        assert "pay  asks leads" in listed
        assert main(["approvals", "show", token, "--at", at]) == 0
        shown = capsys.readouterr().out
        assert "amount = 5" in shown
        assert "\x1b" not in shown
        assert main(["approvals", "approve", token, "--comment", "checked", "--at", at]) == 0
        assert capsys.readouterr().out == f"{token}: approved\n"
        decision = client.wait(token, 0)
        assert decision is not None
        assert decision.effect == Effect.ALLOW
        assert main(["approvals", "list", "--at", at]) == 0
        assert capsys.readouterr().out == "nothing waits\n"


def test_a_call_is_denied_once(running: Live, at: str, capsys: pytest.CaptureFixture[str]) -> None:
    with SocketClient(running.path) as client:
        token = client.decide(PAY).hold_token
        assert main(["approvals", "deny", token, "--at", at, "--format", "json"]) == 0
        assert json.loads(capsys.readouterr().out)["status"] == "denied"
        assert main(["approvals", "approve", token, "--at", at]) == 2
        assert "waits no longer" in capsys.readouterr().err


def test_who_was_not_asked_is_told_so(
    running: Live, at: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(made(running, capsys, "somebody", "read", "write") + "\n")
    with SocketClient(running.path) as client:
        token = client.decide(PAY).hold_token
        assert main(["approvals", "approve", token, "--at", at, "--key-file", str(tmp_path / "key")]) == 2
        assert "`somebody` was not asked; the call waits for leads" in capsys.readouterr().err


def test_without_a_key_or_a_sidecar_it_says_what_to_do(
    running: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("THOTH_API_KEY", raising=False)
    assert main(["approvals", "list"]) == 2
    assert "put it into $THOTH_API_KEY" in capsys.readouterr().err
    monkeypatch.setenv("THOTH_API_KEY", "thoth_nothing")
    assert main(["approvals", "list", "--at", "unix:/nowhere/at/all"]) == 2
    assert "no sidecar answers at `unix:/nowhere/at/all`" in capsys.readouterr().err


def test_keys_are_listed_without_their_secrets_and_revoked(running: Live, capsys: pytest.CaptureFixture[str]) -> None:
    key = made(running, capsys, "support-bot", "execute")
    prefix, secret = key.split("_", 2)[1:]
    assert main(["keys", "list", "--state", state(running)]) == 0
    listed = capsys.readouterr().out
    assert listed == f"{prefix}  counts   execute             support-bot\n"
    assert secret not in listed
    assert main(["keys", "revoke", prefix, "--state", state(running)]) == 0
    assert main(["keys", "list", "--state", state(running)]) == 0
    assert f"{prefix}  revoked" in capsys.readouterr().out
    assert main(["keys", "revoke", prefix, "--state", state(running)]) == 2
