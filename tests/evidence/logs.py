"""A log with an engine before it, in a folder of its own: what the tests of this room begin with."""

from pathlib import Path
from typing import Any

from thoth import evidence
from thoth.contract import Decision
from thoth.engine import Engine
from thoth.evidence.browse import Entry, LogReader, Wanted

POLICY = """\
tool pay(amount: number, note?: shown string, ...) is write
allow pay as small when args.amount < 10
block pay as large when args.amount >= 10
"""
SEGMENT_BYTES = 1 << 16
SECRET = "correct horse battery staple"


def made(directory: Path) -> Path:
    """A log in small segments."""
    evidence.init(directory, segment_bytes=SEGMENT_BYTES)
    return directory


def pay(engine: Engine, amount: float = 5, **args: Any) -> Decision:
    """One payment by ann of acme."""
    return engine.decide(
        {
            "tool_name": "pay",
            "tool_args": {"amount": amount, **args},
            "tenant_id": "acme",
            "user_id": "ann",
            "session_id": "s1",
            "session_tool_calls": ["pay"],
        }
    )


def entries(directory: Path, **wanted: Any) -> list[Entry]:
    """What a log holds."""
    return list(LogReader(directory).entries(Wanted(**wanted)))
