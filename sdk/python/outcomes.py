"""How a call ended, as a report that can wait on disk and be sent later: of the result its size and digest only."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

from .enforcer import UNTOLD

if TYPE_CHECKING:
    from .contract import Ending
    from .enforcer import Reply


def outcome_of(reply: Reply | None, ending: Ending, result: object, about: dict[str, Any]) -> dict[str, Any]:
    """Return the report of a call's end; its `event_id` follows from the call, so however often sent it counts once."""
    name = (reply.id if reply is not None else "") or about.get("request_id") or uuid.uuid4()
    report = {
        "kind": "outcome",
        "event_id": f"{about.get('tenant_id')}:{name}:ended",
        "occurred_us": time.time_ns() // 1000,
        "decision_id": None if reply is None else reply.id,
        "ending": ending.value,
        **about,
    }
    if result is not UNTOLD:
        report.update(digest_of(result))
    return report


def digest_of(result: object) -> dict[str, Any]:
    """Return size in bytes and SHA-256 (hex) of a result as JSON with sorted keys."""
    text = json.dumps(result, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    encoded = text.encode("utf-8", "replace")
    return {"result_bytes": len(encoded), "result_sha256": hashlib.sha256(encoded).hexdigest()}
