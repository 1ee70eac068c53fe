"""HTTP about held calls: whether one is answered yet, and the answers of approvers."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..contract import RequestError
from ..contract.envelope import ApprovalList, Resolve
from .dispatch import Dispatcher
from .envelopes import status_of, view_of
from .holds import Hold, Principal
from .http import Asked
from .keys import Key, asker_of
from .shapes import client_kind

HOLD: Final = "/v1/enforce/hold/"
APPROVALS: Final = "/v1/approvals"
WAIT_S_MAX: Final = 60.0
TOKEN_CHARS_MAX: Final = 128

_json = msgspec.json.encode


class HoldRoutes:
    """Answers about the holds of one dispatcher. `later` is the loop's `call_later`."""

    def __init__(self, dispatcher: Dispatcher, later: Callable[..., Any]) -> None:
        self.dispatcher, self.later = dispatcher, later

    def poll(self, asked: Asked, key: Key) -> None:
        """Say how a hold stands; with `?wait=30` when it is answered, or after so many seconds."""
        token = asked.path[len(HOLD) :]
        hold = self.dispatcher.holds.find(token) if len(token) <= TOKEN_CHARS_MAX else None
        if hold is None or not _concerns(hold, key):
            asked.refuse(404, "not_found", "there is no such hold; it was answered over an hour ago, or never opened")
            return
        kind = client_kind(asked.headers.get(b"user-agent", b""))

        def tell(hold: Hold) -> None:
            asked.answer(200, _json(status_of(self.dispatcher.engine, hold, kind)))

        seconds = wait_of(asked.query)
        if seconds is None:
            asked.refuse(400, "malformed", f"`wait` is a number of seconds, at most {WAIT_S_MAX:.0f}")
            return
        if not hold.waiting or not seconds:
            tell(hold)
            return

        def told(hold: Hold) -> None:
            timer.cancel()
            tell(hold)

        def late() -> None:
            gone()
            tell(hold)

        def gone() -> None:
            timer.cancel()
            if give_up is not None:
                give_up()

        give_up = self.dispatcher.holds.wait(token, told)
        timer = self.later(seconds, late)
        asked.gone = gone

    def approvals(self, asked: Asked, key: Key) -> None:
        """List the holds that wait."""
        open_holds = self.dispatcher.holds.open_for(principal_of(key))
        holds = [view_of(hold) for hold in open_holds if _concerns(hold, key)]
        asked.answer(200, _json(ApprovalList(holds, len(holds))))

    def approval(self, asked: Asked, key: Key) -> None:
        """Show one hold."""
        hold = self._hold_of(asked.path[len(APPROVALS) + 1 :], key)
        asked.answer(200, _json(view_of(hold)))

    def _hold_of(self, token: str, key: Key) -> Hold:
        hold = self.dispatcher.holds.find(token)
        if hold is None or not _concerns(hold, key):
            raise RequestError("there is no such hold")
        return hold

    def resolve(self, asked: Asked, key: Key) -> None:
        """Take an approver's answer."""
        token = asked.path[len(APPROVALS) + 1 : -len("/resolve")]
        try:
            answer = msgspec.json.decode(asked.body, type=Resolve)
        except (msgspec.MsgspecError, ValueError) as error:
            asked.refuse(400, "malformed", str(error))
            return
        hold = self._hold_of(token, key)
        if not self.dispatcher.holds.takes_answers(hold):
            asked.refuse(409, "resolved", "this call waits no longer: it was answered, or its time is over")
            return

        def durable(error: Exception | None) -> None:
            if error is not None:
                asked.refuse(503, "unavailable", "the answer could not be written down")
            else:
                asked.answer(200, _json(view_of(hold)))

        granted = answer.decision == "approve"
        self.dispatcher.holds.answer(token, principal_of(key), granted, answer.comment[:1000], durable)


def _concerns(hold: Hold, key: Key) -> bool:
    return key.speaks_for(hold.request.get("tenant_id"), hold.request.get("agent_id"))


def principal_of(key: Key) -> Principal:
    """Return who speaks with a key."""
    return Principal(key.principal, asker_of(key), key.tenant)


def wait_of(query: str) -> float | None:
    """Return how long a poll waits, 0 where it does not say; None where it says nonsense."""
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name == "wait":
            if not value.isascii() or not value.isdecimal() or len(value) > 4:
                return None
            return min(float(value), WAIT_S_MAX)
    return 0.0
