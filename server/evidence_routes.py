"""HTTP about what is recorded: events that tell how calls ended, and receipts of decisions."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..contract import Fault, RequestError, read_json
from ..contract.envelope import EventsTaken, EventTaken
from .events import POST, Events, events_of, id_of
from .hold_routes import TOKEN_CHARS_MAX
from .holds import NotYours
from .http import Asked
from .keys import Key, asker_of
from .receipts import Found, Receipts, reference_of

EVENTS: Final = "/v1/events/batch"
RECEIPTS: Final = "/v1/receipts/"

_json = msgspec.json.encode


class EvidenceRoutes:
    """Takes events in, and makes receipts where there is evidence to make them from."""

    def __init__(self, events: Events, receipts: Receipts | None) -> None:
        self.events, self.receipts = events, receipts

    def take(self, asked: Asked, key: Key) -> None:
        """Take in events: they tell how calls ended."""
        body = read_json(asked.body)
        if isinstance(body, Fault):
            asked.refuse(400, "malformed", str(body))
            return
        events = events_of(body)
        if isinstance(events, Fault):
            asked.refuse(400, "malformed", str(events))
            return
        if key.tenant is not None and any(event.get("tenant_id") != key.tenant for event in events):
            raise NotYours("this key is another tenant's")

        chained = wants(asked.query, "chain", "1")

        def give(taken: EventsTaken, error: Exception | None) -> None:
            if error is not None:
                asked.refuse(503, "unavailable", "the events could not be recorded; send them again")
            elif chained and self.receipts is not None:
                self._chained(taken, events, self.receipts, lambda taken: asked.answer(202, _json(taken)))
            else:
                shown = taken.events if chained else ()
                asked.answer(202, _json(msgspec.structs.replace(taken, events=shown)))

        self.events.take(events, asker_of(key), give)

    def _chained(
        self,
        taken: EventsTaken,
        events: list[dict[str, Any]],
        receipts: Receipts,
        give: Callable[[EventsTaken], None],
    ) -> None:
        """Fill in where each event's decision, or the ending that it told, stands in the evidence."""
        ends = {id_of(event) for event in events if event["event_type"] == POST}
        places: dict[tuple[bool, str], Found] = {}
        missing = 2

        def told(ended: bool, found: dict[str, Found]) -> None:
            nonlocal missing
            places.update({(ended, id): one for id, one in found.items()})
            missing -= 1
            if not missing:
                named = [(one, (one.event_id in ends, one.decision_id or "")) for one in taken.events]
                filled = tuple([_placed(one, places.get(name)) for one, name in named])
                give(msgspec.structs.replace(taken, events=filled))

        for ended, kind in ((False, "decision"), (True, "outcome")):
            ids = [e.decision_id for e in taken.events if e.decision_id is not None and (e.event_id in ends) is ended]
            receipts.ask(ids, lambda found, ended=ended: told(ended, found), kind)  # type: ignore[misc]

    def receipt(self, asked: Asked, key: Key) -> None:
        """Make the signed receipt of a decision that was taken here lately."""
        id = asked.path[len(RECEIPTS) :].removeprefix("rec_")
        if self.receipts is None or not 0 < len(id) <= TOKEN_CHARS_MAX:
            raise RequestError("there is no evidence here to make receipts from")

        def told(found: dict[str, Found]) -> None:
            one = found.get(id)
            said = {} if one is None else msgspec.json.decode(one.record)
            if one is None or not key.speaks_for(said.get("tenant"), said.get("agent")):
                asked.refuse(404, "not_found", "it is none of the last decisions; `thoth evidence receipt` has all")
            else:
                asked.answer(200, _json(reference_of(id, one)))

        self.receipts.ask([id], told)


def wants(query: str, name: str, value: str) -> bool:
    """Say whether a query asks for something."""
    return bool(query) and f"{name}={value}" in query.split("&")


def _placed(taken: EventTaken, found: Found | None) -> EventTaken:
    if found is None:
        return taken
    return EventTaken(
        taken.event_id,
        taken.decision_id,
        found.receipt.chain_index,
        found.receipt.hash,
        found.previous_hash,
        found.signature,
    )
