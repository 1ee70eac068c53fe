"""What holds for every command: help that teaches, exit codes, errors in one line, colours on a terminal only."""

import importlib.metadata
import json
import os
import platform
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from thoth.cli import COMMANDS, main

# Commands whose examples run with the files that lie on the desk.
ON_THE_DESK = ("init", "check", "fmt", "test", "explain")


def examples(help_text: str) -> list[str]:
    return [line.strip() for line in help_text.splitlines() if line.startswith("  thoth ")]


def thoth(*words: str, cwd: Path, **settings: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "thoth.cli", *words], cwd=cwd, capture_output=True, text=True, check=False, **settings
    )


def test_thoth_alone_says_what_to_do_first(desk: Any) -> None:
    alone = desk.type("thoth")
    assert alone.code == 0
    assert [line.split()[1] for line in examples(alone.out)] == ["init", "test", "explain"]
    assert all(f"\n  {name} " in alone.out for name in COMMANDS)
    for line in ("thoth --help", "thoth -h", "thoth help"):
        assert desk.type(line).out == alone.out


def test_what_to_do_first_runs(empty_desk: Any) -> None:
    empty_desk.write("request.json", '{"tool_name": "restart", "tool_args": {"service": "x"}}')
    for line in examples(empty_desk.type("thoth").out):
        assert empty_desk.type(re.split(r" {2,}", line)[0]).code == 0, line


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_example_and_says_the_exit_codes(desk: Any, command: str) -> None:
    shown = desk.type(f"thoth {command} --help")
    assert shown.code == 0
    assert shown.err == ""
    assert examples(shown.out), "no example"
    assert "Exit codes: 0 " in shown.out
    assert desk.type(f"thoth help {command}").out == shown.out


@pytest.mark.parametrize("command", ON_THE_DESK)
def test_every_example_of_a_help_runs(desk: Any, command: str) -> None:
    for line in examples(desk.type(f"thoth {command} --help").out):
        if command == "init":
            (desk.folder / "policy.thoth").unlink(missing_ok=True)
        shown = desk.type(line)
        assert (shown.code, shown.err) == (0, ""), line


def test_the_version_is_that_of_the_package(desk: Any) -> None:
    assert desk.type("thoth --version").out == f"thoth {importlib.metadata.version('thoth-runtime')}\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("thoth chekc", "unknown command `chekc`; did you mean `check`?"),
        ("thoth frobnicate", "unknown command `frobnicate`; `thoth` alone lists the commands"),
        ("thoth --check", "unknown option `--check`; options stand behind the command"),
        ("thoth check policy.thoth --formt json", "check: unknown option `--formt`; did you mean `--format`?"),
        ("thoth check policy.thoth --format jsn", "check: `--format` cannot be `jsn`; did you mean `json`?"),
        ("thoth check policy.thoth --format xml", "check: `--format` cannot be `xml`; write `text` or `json`"),
        ("thoth check policy.thoth --path", "check: `--path` needs a value"),
        ("thoth check policy.thoth --no-path", "check: unknown option `--no-path`; did you mean `--path`?"),
        ("thoth check policy.thoth --format json --format json", "check: `--format` is given more than once"),
        ("thoth check", "check: `FILE...` is missing"),
        ("thoth explain --request request.json", "explain: `--policy` is missing"),
        ("thoth init a b", "init: `b`: nothing more is expected here"),
        ("thoth test policy.thoth --evaluator fast", "test: `--evaluator` cannot be `fast`"),
        ("thoth check nowhere.thoth", "`nowhere.thoth` cannot be read: No such file or directory"),
        ("thoth fmt nowhere.thoth", "`nowhere.thoth` cannot be read: No such file or directory"),
        ("thoth test policy.thoth modules", "`modules` cannot be read: Is a directory"),
    ],
)
def test_wrong_usage_says_in_one_line_what_to_write_instead(desk: Any, line: str, told: str) -> None:
    shown = desk.type(line)
    assert shown.code == 2
    assert shown.out == ""
    assert shown.err.startswith(f"thoth: {told}")
    assert shown.err.count("\n") == 1


def test_values_follow_one_flag_or_repeat_it(desk: Any) -> None:
    desk.write("a.thoth", "policy a\nuse b\nuse c\nuse d\n")
    for name, folder in (("b", "x"), ("c", "y"), ("d", "z")):
        desk.write(f"{folder}/{name}.thoth", 'set s = "x"\n')
    assert desk.type("thoth check a.thoth --path x y --path z").code == 0
    assert desk.type("thoth check a.thoth --path x y").code == 1


def test_the_front_page_loads_no_library() -> None:
    code = (
        "import sys, thoth.cli; thoth.cli.main(['--help']); sys.exit(not {'cyclopts', 'rich'}.isdisjoint(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_pipe_gets_no_colours_and_a_terminal_does(desk: Any) -> None:
    broken = desk.write("broken.thoth", "block pay when args.amount > > 1\n")
    assert "\x1b" not in thoth("check", str(broken), cwd=desk.folder).stdout
    assert "\x1b[" in on_a_terminal(["check", str(broken)])
    assert "\x1b" not in on_a_terminal(["check", str(broken)], NO_COLOR="1")


def on_a_terminal(words: list[str], **environment: str) -> str:
    """Run a command on a pseudo-terminal and return what it showed."""
    main_end, other_end = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm-256color"} | environment
    with subprocess.Popen(
        [sys.executable, "-m", "thoth.cli", *words], stdout=other_end, stderr=other_end, stdin=other_end, env=env
    ):
        os.close(other_end)
        shown = b""
        while True:
            try:
                piece = os.read(main_end, 65536)
            except OSError:  # how Linux says that the other end is closed
                break
            if not piece:
                break
            shown += piece
    os.close(main_end)
    return shown.decode()


def test_a_closed_pipe_ends_quietly(desk: Any) -> None:
    broken = desk.write("broken.thoth", "block pay when args.amount > > 1\n" * 5000)
    with subprocess.Popen(
        [sys.executable, "-m", "thoth.cli", "check", str(broken)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 130


READ = {"x86_64": "0", "aarch64": "63"}.get(platform.machine(), "")
"""The number of the system call `read`."""


def reads_stdin(pid: int) -> bool:
    """Whether a process waits in `read` for what is typed."""
    return Path(f"/proc/{pid}/syscall").read_text().split()[:2] == [READ, "0x0"]


def test_ctrl_c_ends_quietly(desk: Any) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "thoth.cli", "explain", "--policy", "policy.thoth", "--request", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=desk.folder,
        # A shell ignores the signal for what runs in the background, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:  # fmt: skip
        until = time.monotonic() + (30 if READ else 1.5)
        while not reads_stdin(process.pid) and time.monotonic() < until:
            time.sleep(0.01)  # the interpreter is still starting
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait() == 130


def test_escape_sequences_in_a_policy_do_not_reach_the_terminal(desk: Any) -> None:
    desk.write("odd.thoth", 'block pay when args.x is "\x1b[2J\x9b\u202e" and and\n')
    shown = desk.type("thoth check odd.thoth")
    assert shown.code == 1
    assert not set("\x1b\x9b\u202e") & set(shown.out)


def test_a_terminal_that_is_not_unicode_gets_the_text_all_the_same(desk: Any) -> None:
    shown = thoth("test", "policy.thoth", cwd=desk.folder, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "12 tests passed" in shown.stdout


def test_main_takes_the_words_of_the_process_where_none_are_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["thoth", "chekc"])
    assert main() == 2
    assert "did you mean `check`?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        "check broken.thoth",
        "lint broken.thoth",
        "test broken.thoth",
        "explain --policy broken.thoth --request request.json",
        "diff policy.thoth broken.thoth",
        "simulate --policy broken.thoth --trace .",
    ],
)
@pytest.mark.parametrize("option", ["--format json", "--format=json"])
def test_whoever_asks_for_json_gets_json_of_a_policy_with_mistakes_too(desk: Any, command: str, option: str) -> None:
    desk.write("broken.thoth", "tool pay(amount: number) is write\nallow pay when args.amout > 1\n")
    printed = desk.type(f"thoth {command} {option}")
    assert printed.code == 1
    found = json.loads(printed.out)
    assert found["ok"] is False
    assert "args.amout" in json.dumps(found)
