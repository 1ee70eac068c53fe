"""What every test here has: an enforcer of its own, and nothing of the machine's own settings and folders."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .office import HttpWorld, World
from .sidecar import UnixWorld
from .sidecar_office import SidecarHttpWorld

TRANSPORTS = {"embedded": World, "unix": UnixWorld, "http": HttpWorld, "sidecar-http": SidecarHttpWorld}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(params=TRANSPORTS)
def anywhere(request: pytest.FixtureRequest) -> Iterator[World]:
    """The same office, behind each transport."""
    made = TRANSPORTS[request.param]()
    yield made
    made.close()


@pytest.fixture
def away() -> Iterator[HttpWorld]:
    """An office behind an enforcer that can go away."""
    made = HttpWorld()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("THOTH_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
