"""Calls that were let through and of which nobody said how they ended."""

from collections.abc import Iterable
from typing import Final

from ..contract import Effect
from .browse import Entry

LET_THROUGH: Final = (Effect.ALLOW, Effect.MODIFY)


def unfinished(entries: Iterable[Entry]) -> list[Entry]:
    """Return the decisions that let a call through and have no outcome, in their order.

    They may have run: their process was killed before it knew, or they are under way. Cost: one pass, and memory for
    what is open at a time.
    """
    found: dict[str, Entry] = {}
    ended: set[str] = set()  # outcomes that stand before their decision: shards are read side by side
    for entry in entries:
        record = entry.record
        if record.get("kind") == "decision" and record.get("effect") in LET_THROUGH:
            id = str(record.get("id"))
            if id in ended:
                ended.discard(id)
            else:
                found[id] = entry
        elif record.get("kind") == "outcome":
            id = str(record.get("decision"))
            if found.pop(id, None) is None:
                ended.add(id)
    return list(found.values())
