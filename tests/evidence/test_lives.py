"""A log with its vault that is killed: what it had acknowledged is there, and the next life finds nothing in its way.

The promises are in `lives.py`. `make crash` kills a life at each of its calls, here it is at a few.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from . import lives

EVERY = 71


@pytest.mark.skipif(sys.platform == "darwin", reason="a process that was forked is not to be relied on there")
@pytest.mark.parametrize("way", range(len(lives.WAYS)), ids=["sync", "async", "async-native"])
def test_a_log_killed_at_any_call_keeps_what_it_acknowledged_and_blocks_nobody_afterwards(way: int) -> None:
    program = Path(lives.__file__)
    first = 5 + 17 * way
    run = subprocess.run(
        [sys.executable, program, str(EVERY), str(first), str(way)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "what each had acknowledged is there" in run.stderr
