"""What happened: append, verify, prove, export. An auditor needs this room and little else.

Names are loaded when they are used, so `python -m thoth.evidence.verify` loads nothing compiled.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .browse import LogReader
    from .errors import EvidenceError
    from .examine import Audit, audit
    from .folder import make_folder as init
    from .log import EvidenceLog
    from .opening import open_log as open
    from .read import Record
    from .receipt import Receipt, verify_receipt
    from .shard import Appended, Shard
    from .storage import FileStorage, Storage
    from .writer import Place

__all__ = [
    "Appended",
    "Audit",
    "EvidenceError",
    "EvidenceLog",
    "FileStorage",
    "LogReader",
    "Place",
    "Receipt",
    "Record",
    "Shard",
    "Storage",
    "audit",
    "init",
    "open",
    "verify_receipt",
]

_WHERE = {
    # name: module, and what it is called there; none is called as a module is, which would take its place
    "Appended": ("shard", "Appended"),
    "Audit": ("examine", "Audit"),
    "EvidenceError": ("errors", "EvidenceError"),
    "EvidenceLog": ("log", "EvidenceLog"),
    "FileStorage": ("storage", "FileStorage"),
    "LogReader": ("browse", "LogReader"),
    "Place": ("writer", "Place"),
    "Receipt": ("receipt", "Receipt"),
    "Record": ("read", "Record"),
    "Shard": ("shard", "Shard"),
    "Storage": ("storage", "Storage"),
    "audit": ("examine", "audit"),
    "init": ("folder", "make_folder"),
    "open": ("opening", "open_log"),
    "verify_receipt": ("receipt", "verify_receipt"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    import importlib

    module, attribute = _WHERE[name]
    found = getattr(importlib.import_module(f".{module}", __name__), attribute)
    globals()[name] = found
    return found
