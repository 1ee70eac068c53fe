"""The real thing on pipes: whatever becomes of the server, the client or the proxy, somebody hears of it and nothing
stays."""

import contextlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from thoth.cli import main
from thoth.evidence import LogReader

Start = Callable[..., Any]
GONE_S = 10.0
BIG = 50_000_000
PERMISSIVE = "policy p\n    default allow\n"


def texts(result: dict[str, Any]) -> str:
    return "\n".join(part["text"] for part in result["content"])


def runs(pid: int) -> bool:
    """Whether a process is there, and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def soon_gone(pid: int) -> bool:
    until = time.monotonic() + GONE_S
    while runs(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not runs(pid)


def recorded(proxy: Any) -> list[tuple[str, str]]:
    """Decisions and outcomes of the evidence log that the proxy kept, in their order."""
    log = LogReader(proxy.folder / "state" / "thoth" / "evidence")
    found = [entry.record for entry in log.entries() if entry.record["kind"] in ("decision", "outcome")]
    return [(one["kind"], str(one.get("effect") or one.get("ended"))) for one in found]


def test_calls_pass_and_are_recorded_and_the_client_s_leaving_ends_everything(proxied: Start) -> None:
    proxy = proxied("policy p\n    default block\nallow echo as e\nallow pid as p\n")
    assert proxy.initialize()["result"]["serverInfo"]["name"] == "scripted"
    tools = [tool["name"] for tool in proxy.request(1, "tools/list")["result"]["tools"]]
    assert tools == ["echo", "pid"]  # the others could never be called
    assert texts(proxy.call(2, "echo", text="hi")) == "hi"
    assert proxy.call(3, "crash")["isError"] is True
    pid = int(texts(proxy.call(4, "pid")))
    assert proxy.request(5, "prompts/list")["error"]["code"] == -32601
    assert proxy.leave() == 0
    assert soon_gone(pid)
    assert "tools_pinned" in proxy.said_on_stderr


def test_a_crash_of_the_server_is_told_at_once_and_the_evidence_is_whole(proxied: Start) -> None:
    proxy = proxied()
    proxy.initialize()
    result = proxy.call(1, "crash")
    assert result["isError"] is True
    assert "exit code 3" in texts(result)
    assert proxy.ended() == 3
    assert recorded(proxy) == [("decision", "ALLOW"), ("outcome", "failed")]


def test_a_torn_answer_is_no_answer(proxied: Start) -> None:
    proxy = proxied()
    proxy.initialize()
    assert "the server has ended" in texts(proxy.call(1, "torn"))
    proxy.ended()


def test_a_server_that_hangs_is_given_up(proxied: Start) -> None:
    proxy = proxied(None, "--silence", "1")
    (proxy.folder / "policy.thoth").write_text("policy p\n    default allow\n")
    proxy.initialize()
    began = time.monotonic()
    result = proxy.call(1, "hang")
    assert result["isError"] is True
    assert time.monotonic() - began < GONE_S
    assert texts(proxy.call(2, "echo", text="still here")) == "still here"


def test_a_flood_on_stderr_rubbish_on_stdout_and_a_failure_hurt_nobody(proxied: Start) -> None:
    proxy = proxied()
    proxy.initialize()
    assert texts(proxy.call(1, "flood")) == "flooded"
    assert texts(proxy.call(2, "babble")) == "babbled"
    assert proxy.call(3, "fail")["isError"] is True
    proxy.leave()
    assert proxy.said_on_stderr.count("server_line_dropped") >= 3


def test_a_result_of_fifty_megabytes_arrives(proxied: Start) -> None:
    proxy = proxied()
    proxy.initialize()
    proxy.says(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "huge", "arguments": {"bytes": BIG}}}
    )
    line = proxy.line()
    assert line is not None
    assert len(line) > BIG
    assert texts(proxy.call(2, "echo", text="next")) == "next"


def test_a_killed_proxy_leaves_no_process_of_the_server_s(proxied: Start) -> None:
    """Nor one that the server has started, which a signal to the server alone would leave."""
    proxy = proxied()
    proxy.initialize()
    pids = [int(texts(proxy.call(1, "pid"))), int(texts(proxy.call(2, "orphan")))]
    assert all(map(runs, pids))
    proxy.process.kill()
    assert all(map(soon_gone, pids))


def test_a_proxy_that_is_killed_while_its_call_runs_has_recorded_the_decision_before(
    proxied: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--recording sync`: the server kills the proxy as soon as the call reaches it, and the record is there."""
    proxy = proxied(None, "--recording", "sync")
    (proxy.folder / "policy.thoth").write_text(PERMISSIVE)
    proxy.initialize()
    assert texts(proxy.call(1, "echo", text="before")) == "before"
    proxy.says({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "kill", "arguments": {}}})
    assert proxy.ended() == -signal.SIGKILL
    folder = str(proxy.folder / "state" / "thoth" / "evidence")
    assert recorded(proxy) == [("decision", "ALLOW"), ("outcome", "completed"), ("decision", "ALLOW")]
    assert main(["evidence", "verify", folder]) == 0
    capsys.readouterr()
    again = proxied()
    again.initialize()
    assert texts(again.call(1, "echo", text="after")) == "after"
    again.leave()
    assert main(["evidence", "show", folder, "--unfinished"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 1
    assert "ALLOW   kill for scripted" in shown[0]
    assert main(["evidence", "show", folder, "--unfinished", "--tool", "echo"]) == 1
    assert main(["evidence", "verify", folder]) == 0


def test_a_killed_proxy_whose_records_are_written_at_leisure_leaves_evidence_that_fits(
    proxied: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `sync` what was not written in the last milliseconds may be missing; what is there is whole."""
    proxy = proxied()
    proxy.initialize()
    assert texts(proxy.call(1, "echo", text="before")) == "before"
    proxy.says({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "kill", "arguments": {}}})
    assert proxy.ended() == -signal.SIGKILL
    assert main(["evidence", "verify", str(proxy.folder / "state" / "thoth" / "evidence")]) == 0
    whole = [("decision", "ALLOW"), ("outcome", "completed"), ("decision", "ALLOW")]
    assert recorded(proxy) == whole[: len(recorded(proxy))]


def test_a_terminated_proxy_answers_what_waits_and_ends_its_server(proxied: Start) -> None:
    proxy = proxied()
    proxy.initialize()
    pids = [int(texts(proxy.call(1, "pid"))), int(texts(proxy.call(2, "orphan")))]
    proxy.says({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "hang", "arguments": {}}})
    assert texts(proxy.call(4, "echo", text="order")) == "order"
    proxy.process.send_signal(signal.SIGTERM)
    assert "the proxy is stopping" in texts(proxy.response(3)["result"])
    assert proxy.ended() == 0
    assert all(map(soon_gone, pids))


def test_a_client_that_has_said_everything_still_gets_its_answers(proxied: Start) -> None:
    """`thoth run … < requests.jsonl`: the input ends before the policy is read."""
    proxy = proxied()
    start = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    proxy.says({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": start})
    for id in range(1, 21):
        params = {"name": "echo", "arguments": {"text": str(id)}}
        proxy.says({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
    proxy.process.stdin.close()
    assert [texts(proxy.response(id)["result"]) for id in range(1, 21)] == [str(id) for id in range(1, 21)]
    assert proxy.ended() == 0


def test_a_program_that_is_not_there_is_said_to_the_client(proxied: Start) -> None:
    proxy = proxied(command=["no-such-server"])
    answer = proxy.request(0, "initialize", protocolVersion="2025-11-25", capabilities={})
    assert "`no-such-server` cannot be started: it is not on the PATH" in answer["error"]["message"]
    assert proxy.leave() == 127


@pytest.mark.parametrize("policy", [None, "policy p\nallow echo as e when args.txet is\n"])
def test_without_a_policy_every_call_is_refused_with_a_reason_and_recorded(proxied: Start, policy: str | None) -> None:
    proxy = proxied(policy)
    proxy.initialize()
    result = proxy.call(1, "echo", text="hi")
    assert result["isError"] is True
    assert "The policy cannot be read" in texts(result)
    assert result["_meta"]["thoth/decision"]["rules"] == ["policy-unreadable"]
    proxy.leave()
    assert "policy_unreadable" in proxy.said_on_stderr


def test_a_listed_process_above_stops_every_call(proxied: Start) -> None:
    proxy = proxied(env={"THOTH_BLOCKED_LINEAGE_ANCESTOR_TOKENS": "no-such-process, pytest"})
    proxy.initialize()
    assert proxy.call(1, "echo", text="hi")["_meta"]["thoth/decision"]["reason_code"] == "lineage_ancestor_blocked"


def test_a_listed_program_and_another_intent_stop_calls(proxied: Start) -> None:
    name = os.path.basename(os.path.realpath(sys.executable))  # noqa: PTH119
    proxy = proxied(None, env={"THOTH_BLOCKED_LINEAGE_UPSTREAM_BINARIES": name})
    (proxy.folder / "policy.thoth").write_text("policy p\n    default allow\n")
    proxy.initialize()
    assert (
        proxy.call(1, "echo", text="a")["_meta"]["thoth/decision"]["reason_code"] == "lineage_upstream_binary_blocked"
    )
    listed = {"THOTH_INTENT_TOOL_ALLOWLIST": "look=echo|pid,other=crash"}
    proxy = proxied("policy p\n    default allow\n", "--intent", "look", env=listed)
    proxy.initialize()
    assert texts(proxy.call(1, "echo", text="a")) == "a"
    code = proxy.call(2, "crash")["_meta"]["thoth/decision"]["reason_code"]
    assert code == "tool_not_allowed_for_session_intent"


def test_an_intent_map_counts_and_a_key_that_others_can_read_is_none(proxied: Start, tmp_path: Any) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "intent_map.json").write_text('{"look": ["echo"]}')
    proxy = proxied()
    proxy.initialize()
    assert proxy.call(1, "echo", text="a")["_meta"]["thoth/decision"]["rules"] == ["outside-intent"]
    (home / "proxy_api_key.json").write_text('{"api_key": "thoth_live_x"}')
    (home / "proxy_api_key.json").chmod(0o644)
    proxy = proxied()
    assert proxy.ended() == 2
    assert "others can read" in proxy.said_on_stderr


def test_keys_for_the_enforcer_are_not_the_server_s_to_read(proxied: Start) -> None:
    look = "import os, sys; print(any(name.startswith('THOTH_') for name in os.environ), file=sys.stderr)"
    proxy = proxied(command=[sys.executable, "-c", look], env={"THOTH_API_KEY": "thoth_live_x"})
    proxy.ended()
    assert "False" in proxy.said_on_stderr.splitlines()


def test_wrong_options_end_the_server_again(proxied: Start) -> None:
    proxy = proxied(None, "--silence", "soon")
    assert proxy.ended() == 2
    assert "`--silence` cannot be `soon`" in proxy.said_on_stderr
    with contextlib.suppress(BrokenPipeError):
        proxy.process.stdin.close()


class Decider(http.server.BaseHTTPRequestHandler):
    """An enforcer over HTTP that lets `echo` through."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[tuple[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body))
        tool = body.get("tool_name") if isinstance(body, dict) else None
        answer = {"decision": "ALLOW" if tool == "echo" else "BLOCK", "decision_reason_code": "no_rule_allows"}
        text = json.dumps(answer if self.path == "/v1/enforce" else {"accepted": 1}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


def test_an_enforcer_over_http_decides_and_hears_the_end_and_when_it_is_away_nothing_runs(proxied: Start) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Decider) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        proxy = proxied(None, "--api-url", f"http://127.0.0.1:{server.server_port}")
        proxy.initialize()
        assert texts(proxy.call(1, "echo", text="hi")) == "hi"
        assert proxy.call(2, "pid")["isError"] is True
        server.shutdown()
        thread.join()
    proxy.leave()
    paths = [path for path, _ in Decider.asked]
    assert paths.count("/v1/enforce") == 2
    (ended,) = [body[0] for path, body in Decider.asked if path == "/v1/events/batch"]
    assert ended["tool_name"] == "echo"
    proxy = proxied(None, "--api-url", "http://127.0.0.1:9")
    proxy.initialize()
    result = proxy.call(1, "echo", text="hi")
    assert result["_meta"]["thoth/decision"]["rules"] == ["enforcer-away"]


def test_a_sidecar_on_this_machine_decides_redacts_and_holds(proxied: Start, tmp_path: Any) -> None:
    tmp_path.chmod(0o700)
    policy = tmp_path / "sidecar.thoth"
    policy.write_text(
        "policy s\n    default block\nallow echo as e\nallow fail as f\n"
        "modify echo as mask when args.text matches card_number"
        ' redact args.text matching card_number with "[card]"\n'
        'on result echo as numbers redact result matching us_ssn with "[number]"\n'
        'step_up fail as asks ask "finance" within 1m\n'
    )
    (tmp_path / "c.toml").write_text('[approvers.finance]\nmembers = ["bob@acme.com"]\n')
    words = ["--config", "c.toml", "--policy", str(policy), "--recording", "none", "--socket", str(tmp_path / "s")]
    command = [sys.executable, "-m", "thoth.cli", "serve", *words, "--state", str(tmp_path / "st")]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as sidecar:
        assert sidecar.stderr is not None
        assert any(b'"serving"' in line for line in sidecar.stderr)
        try:
            proxy = proxied(None, "--api-url", f"unix:{tmp_path / 's'}", "--on-hold", "pending")
            proxy.initialize()
            assert texts(proxy.call(1, "echo", text="4111 1111 1111 1111, 078-05-1120")) == "[card], [number]"
            assert proxy.call(2, "pid")["_meta"]["thoth/decision"]["reason_code"] == "no_rule_allows"
            assert "waits for the approval of finance" in texts(proxy.call(3, "fail"))
            proxy.leave()
        finally:
            sidecar.terminate()
