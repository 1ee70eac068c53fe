"""A short campaign of malformed frames and requests; `make fuzz` sends a million."""

from pathlib import Path

import pytest

from thoth.server import Approvers

from .fuzz import POLICY, campaign
from .live import live


@pytest.mark.parametrize("seed", [1, 2])
def test_malformed_frames_and_requests_stop_nothing_and_slow_nobody(tmp_path: Path, seed: int) -> None:
    told = {"approvers": {"leads": Approvers(["cfo"])}, "http_socket": str(tmp_path / "run" / "h")}
    with live(tmp_path, POLICY, **told) as running:
        assert campaign(running, 3_000, seed) >= 3_000
        assert running.on_loop(lambda: running.sidecar.frames.in_flight) == 0
