"""The official clients see the same of an official server through the proxy as without it, in both eras.

`make mcp-clients` installs them and runs this.
"""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).resolve().parents[2]
ROOM = Path(__file__).parent
LIBRARY = HOUSE / ".venvs" / "mcp" / "bin" / "python"
NODE = HOUSE / ".venvs" / "mcp-node"
PATIENCE_S = 120

needs_library = pytest.mark.skipif(not LIBRARY.exists(), reason="`make mcp-clients` installs the official library")
needs_node = pytest.mark.skipif(not (NODE / "node_modules").exists(), reason="`make mcp-clients` installs the clients")
JUDGE = [str(LIBRARY), str(ROOM / "judge_server.py")]
VERSIONS = {"legacy": "2025-11-25", "auto": "2026-07-28", "2026-07-28": "2026-07-28"}


def seen_by(client: list[str], env: dict[str, str], cwd: Path) -> dict[str, Any]:
    run = subprocess.run(client, env=env, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert run.returncode == 0, run.stderr
    seen: dict[str, Any] = json.loads(run.stdout)
    return seen


def python(mode: str, server: list[str], *calls: str) -> list[str]:
    return [str(LIBRARY), str(ROOM / "client.py"), mode, *server, *(["::", *calls] if calls else [])]


@needs_library
@pytest.mark.parametrize("mode", VERSIONS)
def test_the_library_s_own_client_sees_the_same(between: Any, tmp_path: Path, mode: str) -> None:
    direct = seen_by(python(mode, JUDGE), between.env, tmp_path)
    through = seen_by(python(mode, between.proxied(JUDGE)), between.env, tmp_path)
    assert direct["version"] == VERSIONS[mode]
    assert direct["greet"]["content"][0]["text"] == "accept Ann"
    assert direct["cancelled"] is True
    assert through == direct


@pytest.fixture
def judge_at() -> Iterator[str]:
    """The judge behind Streamable HTTP on loopback: its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [*JUDGE, "http", str(listening.fileno())]
        with subprocess.Popen(command, pass_fds=[listening.fileno()]) as process:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
            process.kill()


@needs_library
@pytest.mark.parametrize("mode", VERSIONS)
def test_a_server_behind_streamable_http_is_seen_as_over_stdio(
    between: Any, judge_at: str, tmp_path: Path, mode: str
) -> None:
    direct = seen_by(python(mode, JUDGE), between.env, tmp_path)
    through = seen_by(python(mode, between.proxied([], "--upstream", judge_at)), between.env, tmp_path)
    assert direct["version"] == VERSIONS[mode]
    assert through == direct


@needs_library
def test_the_library_s_own_server_may_start_anew_behind_a_client_that_goes_on(between: Any, tmp_path: Path) -> None:
    """It answers a session of its life before with 404; the client hears nothing of that."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [*JUDGE, "http", str(listening.fileno())]
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"

        def started() -> "subprocess.Popen[bytes]":
            return subprocess.Popen(command, pass_fds=[listening.fileno()])

        proxy = subprocess.Popen(
            between.proxied([], "--upstream", url),
            **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE),
            env=between.env,
            cwd=tmp_path,
        )
        with proxy, started() as before:
            assert proxy.stdin
            assert proxy.stdout
            assert proxy.stderr

            def ask(id: int, method: str, **params: Any) -> Any:
                message = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
                proxy.stdin.write(json.dumps(message).encode() + b"\n")
                proxy.stdin.flush()
                return next(one for line in proxy.stdout if (one := json.loads(line)).get("id") == id)

            hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
            assert "result" in ask(0, "initialize", **hello)
            proxy.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
            assert "result" in ask(1, "tools/call", name="echo", arguments={"text": "one"})
            before.kill()
            before.wait()
            with started() as after:
                answer = ask(2, "tools/call", name="echo", arguments={"text": "two"})
                assert answer["result"]["content"][0]["text"] == "two"
                proxy.stdin.close()
                assert b"session_renewed" in proxy.stderr.read()
                after.kill()


@needs_library
@needs_node
@pytest.mark.parametrize("mode", ["sdk", "legacy", "auto"])
def test_the_typescript_clients_see_the_same(between: Any, mode: str) -> None:
    client = ["node", str(ROOM / "client.mjs"), mode]
    direct = seen_by([*client, *JUDGE], between.env, NODE)
    through = seen_by([*client, *between.proxied(JUDGE)], between.env, NODE)
    # When a result comes these clients forget who asked for progress, and so a last step that is read together with it.
    for steps in (direct.pop("steps"), through.pop("steps")):
        assert steps == [{"progress": n, "total": 3, "message": f"step {n}"} for n in (1, 2, 3)][: len(steps)]
    assert through == direct


GOVERNED = """\
policy governed
    default block
allow echo as echoing
allow weather as looking
allow greet as greeting
step_up echo as asks-the-user when args.text is "ask" ask user within 1m
step_up echo as asks-finance when args.text is "finance" ask "finance" within 1m
modify weather as elsewhere set args.place = "Paris"
on result echo as gone withhold when result contains "hide me"
"""


@needs_library
@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_library_s_own_client_takes_every_answer(between: Any, tmp_path: Path, mode: str) -> None:
    """What we say is valid to the judge in both eras, and the client's own driver answers our question."""
    between.policy(GOVERNED)
    calls = ["echo=" + json.dumps({"text": text}) for text in ("plain", "ask", "finance", "hide me")]
    calls += ['weather={"place":"Rome"}', "fail={}", "nothing={}", "greet={}"]
    seen = seen_by(python(mode, between.proxied(JUDGE), *calls), between.env, tmp_path)
    plain, ask, finance, hidden, weather, fail, nothing, greet = (seen[call] for call in calls)
    assert seen["tools"] == ["echo", "weather", "greet"]
    assert plain["content"][0]["text"] == "plain"
    assert ask["content"][0]["text"] == "ask"
    assert any("asks for your approval (asks-the-user)" in question for question in seen["asked"])
    assert weather["structuredContent"] == {"place": "Paris", "degrees": 21.5}
    assert greet["content"][0]["text"] == "accept Ann"
    for refused, why in (
        (finance, "finance"),
        (hidden, "not shown"),
        (fail, "no rule allows"),
        (nothing, "tool-unlisted"),
    ):
        assert refused["isError"] is True
        assert why in refused["content"][0]["text"].lower()
