"""The folder of this user's own things, `~/.thoth`: only the user may enter it."""

import os
from pathlib import Path
from typing import Final

from ..contract import Fault, Json, OperationError, read_json

HOME: Final = "THOTH_HOME_DIR"
PINS: Final = "mcp-pins.json"
KEY: Final = "proxy_api_key.json"
INTENTS: Final = "intent_map.json"


def home() -> Path:
    """Return it: THOTH_HOME_DIR, or `~/.thoth`."""
    named = os.environ.get(HOME)
    return Path(named) if named else Path.home() / ".thoth"


def api_key() -> str | None:
    """Return the key for an enforcer, None where there is none or THOTH_API_KEY has it, which is the SDK's to read.

    It is in the file that THOTH_API_KEY_FILE names, or in `~/.thoth/proxy_api_key.json` (`{"api_key": "…"}`).

    Raises:
        OperationError: a file that is named cannot be read, or others can read the one in the home folder.
    """
    if os.environ.get("THOTH_API_KEY"):
        return None
    named = os.environ.get("THOTH_API_KEY_FILE")
    if named:
        try:
            return Path(named).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise OperationError(f"THOTH_API_KEY_FILE names `{named}`, which cannot be read ({error})") from error
    said = _object(home() / KEY)
    key = said.get("api_key") if said else None
    if not isinstance(key, str) or not key:
        return None
    if (home() / KEY).stat().st_mode & 0o077:
        raise OperationError(
            f"others can read `{home() / KEY}`, which holds a key; `chmod 600` it, and have a new key made"
        )
    return key


def intents() -> dict[str, frozenset[str]]:
    """Return the tools of each intent as `~/.thoth/intent_map.json` lists them: `{"intent": ["tool", …]}`.

    Raises:
        OperationError: it is there and cannot be read.
    """
    found: dict[str, frozenset[str]] = {}
    for name, tools in (_object(home() / INTENTS) or {}).items():
        if not isinstance(tools, list) or not all(isinstance(tool, str) for tool in tools):
            raise OperationError(f"`{home() / INTENTS}`: `{name}` is a list of tool names")
        found[name] = frozenset(str(tool) for tool in tools)
    return found


def _object(file: Path) -> dict[str, Json] | None:
    try:
        said = read_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperationError(f"`{file}` cannot be read: {error.strerror or error}") from error
    if isinstance(said, Fault) or not isinstance(said, dict):
        raise OperationError(f"`{file}` is not one JSON object")
    return said
