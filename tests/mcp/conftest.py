"""Where the official clients and servers are, and a policy that stands between them."""

import os
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]
ROOM = Path(__file__).parent
LIBRARY = HOUSE / ".venvs" / "mcp" / "bin" / "python"
SERVERS = HOUSE / ".venvs" / "mcp-servers" / "bin"
NODE = HOUSE / ".venvs" / "mcp-node"


class Between:
    """How a server's command line becomes one behind the proxy, and the environment for both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "THOTH_HOME_DIR": str(folder / "home"), "XDG_STATE_HOME": str(folder / "state")}
        self.policy("policy open\n    default allow\n")

    def policy(self, text: str) -> None:
        (self.folder / "policy.thoth").write_text(text)

    def proxied(self, command: list[str], *options: str) -> list[str]:
        policy = str(self.folder / "policy.thoth")
        return [
            sys.executable,
            "-m",
            "thoth.cli",
            "run",
            "--policy",
            policy,
            "--server",
            "judge",
            *options,
            *(["--", *command] if command else []),
        ]


@pytest.fixture
def between(tmp_path: Path) -> Between:
    return Between(tmp_path)
