"""The folder of this user's own things, `~/.thoth`: only the user may enter it."""

import os
from pathlib import Path
from typing import Final

HOME: Final = "THOTH_HOME_DIR"
PINS: Final = "mcp-pins.json"


def home() -> Path:
    """Return it: THOTH_HOME_DIR, or `~/.thoth`."""
    named = os.environ.get(HOME)
    return Path(named) if named else Path.home() / ".thoth"
