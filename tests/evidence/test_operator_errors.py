"""What an operator meets when a log is opened, made, read or written: each error says what happened and what to do."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thoth import evidence
from thoth.cli.main import main
from thoth.engine import Engine
from thoth.evidence import FileStorage
from thoth.evidence.errors import ClockWentBack, DiskError, NoLog, NoSpace, ReadOnly, ShardLocked, WrongOwner
from thoth.evidence.keys import KeyFileError

from .logs import POLICY, made, pay

LINE = '{"decision": "ALLOW", "request": {"tool_name": "pay", "tool_args": {"to": "ACME"}}}\n'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = made(tmp_path / "evidence")
    with evidence.open(directory) as log:
        pay(Engine.from_text(POLICY, recorder=log))
    return directory


class Refusing(FileStorage):
    """A disk that refuses every call of some kinds, as the system would."""

    def __init__(self, number: int, *calls: str) -> None:
        for name in calls:
            setattr(self, name, self._refuse)
        self._number = number

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise OSError(self._number, os.strerror(self._number))


REFUSED = [
    (errno.EACCES, WrongOwner, r"may not \w+ `.*`; run as the owner of the log, or give it the folder with `chown -R`"),
    (errno.EROFS, ReadOnly, r"mounted read-only; evidence cannot be written there.*mount it writable or move the log"),
    (errno.EIO, DiskError, r"see to the disk, then start again"),
]


@pytest.mark.parametrize(("number", "error", "said"), REFUSED)
@pytest.mark.parametrize("calls", [("open",), ("lock",)])
def test_what_the_system_refuses_is_said_when_a_log_is_opened(
    directory: Path, number: int, error: type[Exception], said: str, calls: tuple[str, ...]
) -> None:
    with pytest.raises(error, match=said):
        evidence.open(directory, storage=Refusing(number, *calls))


@pytest.mark.parametrize(("number", "error", "said"), REFUSED)
def test_what_the_system_refuses_is_said_when_a_log_is_made(
    tmp_path: Path, number: int, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        evidence.init(tmp_path / "new", storage=Refusing(number, "make_dir"))


def test_no_space_for_a_shard_is_said_when_a_log_is_opened_and_room_made_is_found(tmp_path: Path) -> None:
    directory = made(tmp_path / "evidence")
    with pytest.raises(NoSpace, match=r"no space for another segment of [0-9]+ bytes in `.*shards/00`; free space"):
        evidence.open(directory, storage=Refusing(errno.ENOSPC, "create", "pwrite"))
    with evidence.open(directory) as log:
        assert pay(Engine.from_text(POLICY, recorder=log)).effect == "ALLOW"


def test_no_space_is_said_in_the_decision_that_could_not_be_recorded(directory: Path) -> None:
    disk = Refusing(0)
    with evidence.open(directory, mode="sync", storage=disk) as log:
        engine = Engine.from_text(POLICY, recorder=log)
        disk._number = errno.ENOSPC
        disk.create = disk._refuse  # type: ignore[method-assign]
        decisions = [pay(engine, note="x" * 1_000) for _ in range(200)]
        refused = [decision for decision in decisions if decision.effect == "BLOCK"]
        assert {decision.reason_code for decision in refused} == {"evidence_unavailable"}
        assert "NoSpace" in refused[0].problem
        del disk.create
        assert pay(engine).effect == "ALLOW"


def test_a_shard_that_a_living_process_writes_is_named_with_the_process(directory: Path) -> None:
    with (
        evidence.open(directory, shard="00"),
        pytest.raises(ShardLocked, match=rf"00/LOCK` is locked by process {os.getpid()}, which is alive; .*own"),
    ):
        evidence.open(directory, shard="00")


def test_a_clock_that_went_back_is_named_with_both_times(directory: Path) -> None:
    disk = FileStorage()
    disk.now = lambda: 1_000_000_000_000_000_000  # type: ignore[method-assign]
    said = r"the clock says 2001-09-09T01:46:40\+00:00, but the newest record in .* was written at 20.*`timedatectl`"
    with pytest.raises(ClockWentBack, match=said):
        evidence.open(directory, storage=disk)


def test_a_key_that_is_missing_or_open_to_others_is_named(directory: Path) -> None:
    key = directory / "signing.pem"
    key.chmod(0o644)
    with pytest.raises(KeyFileError, match=r"signing\.pem`.*chmod"):
        evidence.open(directory)
    key.unlink()
    with pytest.raises(KeyFileError, match=r"signing\.pem` does not exist"):
        evidence.open(directory)


def no_log(directory: Path) -> None:
    (directory / "log.json").unlink()


def no_key(directory: Path) -> None:
    (directory / "signing.pem").unlink()


def no_public_key(directory: Path) -> None:
    (directory / "log.pub").unlink()


@pytest.mark.parametrize(
    ("harm", "line", "said"),
    [
        (no_log, "verify", "does not exist; create it with `thoth evidence init"),
        (no_log, "show", "does not exist; create it with `thoth evidence init"),
        (no_log, "stats", "does not exist; create it with `thoth evidence init"),
        (no_key, "append", "signing.pem` does not exist"),
        (no_public_key, "verify", "log.pub` cannot be read"),
    ],
)
def test_the_command_says_it_in_one_line_and_exits_2(
    directory: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[Path], None],
    line: str,
    said: str,
) -> None:
    harm(directory)
    (tmp_path / "lines.jsonl").write_text(LINE)
    more = [str(tmp_path / "lines.jsonl")] if line == "append" else []
    code = main(["evidence", line, str(directory), *more])
    told = capsys.readouterr().err
    assert code == 2
    assert said in told
    assert "Traceback" not in told


BY_COMMAND = [
    ("verify", "open", errno.EACCES, "run as the owner of the log"),
    ("show", "open", errno.EACCES, "run as the owner of the log"),
    ("verify", "open", errno.EIO, "see to the disk, then start again"),
    ("init", "make_dir", errno.EROFS, "mount it writable or move the log"),
    ("init", "create", errno.EROFS, "mount it writable or move the log"),
    ("append", "lock", errno.EACCES, "run as the owner of the log"),
    ("append", "lock", errno.EROFS, "mount it writable or move the log"),
    ("append", "create", errno.ENOSPC, "free space"),
    ("append", "sync", errno.EIO, "end the process; when the shard is opened again, recovery decides"),
]


@pytest.mark.parametrize(("command", "call", "number", "said"), BY_COMMAND)
def test_what_the_system_refuses_is_said_by_the_command(
    directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    call: str,
    number: int,
    said: str,
) -> None:
    (tmp_path / "lines.jsonl").write_text(LINE)
    if number == errno.ENOSPC:
        directory = made(tmp_path / "empty")  # a shard that has to be made takes space
    words = {"init": [str(tmp_path / "new")], "append": [str(directory), str(tmp_path / "lines.jsonl")]}
    monkeypatch.setattr(FileStorage, call, Refusing(number)._refuse)
    assert main(["evidence", command, *words.get(command, [str(directory)])]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_the_command_says_that_the_clock_went_back(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lines.jsonl").write_text(LINE)
    monkeypatch.setattr(FileStorage, "now", lambda _: 1_000_000_000_000_000_000)
    assert main(["evidence", "append", str(directory), str(tmp_path / "lines.jsonl")]) == 2
    assert "set the clock right (`timedatectl`), then start again" in capsys.readouterr().err


def test_a_log_that_is_not_there_is_not_made_by_opening_it(tmp_path: Path) -> None:
    with pytest.raises(NoLog, match="create it with `thoth evidence init"):
        evidence.open(tmp_path / "nix")
    assert not (tmp_path / "nix").exists()
