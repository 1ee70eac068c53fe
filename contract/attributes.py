"""One table from the names that policies use to the fields that requests carry.

Everything here is context, said by the caller; `args.…`, `session.…`, `risk` and `now` come from
elsewhere. A field that is absent, null or of the wrong type makes the tests on it unknown.
"""

from typing import Final

WIRE: Final[dict[str, tuple[str, ...]]] = {
    "tool": ("tool_name",),
    "server": ("server",),
    "agent": ("agent_id",),
    "user": ("user_id",),
    "tenant": ("tenant_id",),
    "env": ("environment",),
    "scope": ("approved_scope",),
    "intent": ("session_intent",),
    "purpose": ("purpose",),
    "data": ("data_classification",),
    "task.initiated_by": ("task_context", "initiated_by"),
    "task.id": ("task_context", "task_id"),
    "task.chain": ("task_context", "chain"),
    "context": ("metadata",),
}

CWD: Final[tuple[str, ...]] = ("metadata", "cwd")
"""Where a request may say which folder relative paths start from."""
CWD_CHARS_MAX: Final = 4096
"""How long that folder may be; each relative path of a request is read behind it."""

ALIASES: Final[dict[str, str]] = {"initiatedBy": "initiated_by", "taskId": "task_id"}
"""Spellings inside `task_context` that some clients use."""

DATA_ORDER: Final[tuple[str, ...]] = ("public", "internal", "confidential", "restricted")
RISK_ORDER: Final[tuple[str, ...]] = ("low", "medium", "high", "critical")

UNREADABLE: Final[frozenset[str]] = frozenset({"[truncated]", "[circular]", "[function]"})
"""What clients put in the place of values that they could not send; tests on such a value are unknown."""
