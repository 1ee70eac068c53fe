"""What an agent is told in place of a tool's result: that the call did not run, why, and what it may do instead."""

from collections.abc import Iterable
from typing import Any, Final

from ..contract import REASONS, Effect
from ..enforcer import Reply

META: Final = "thoth/decision"

OPENINGS: Final = {
    Effect.BLOCK: "This call was not made: {reason}.",
    Effect.DEFER: "This call was not made: {reason}. It may be tried again {when}.",
    Effect.STEP_UP: "This call was not made yet: it waits for the approval of {approvers}.",
}


def refusal(reply: Reply, *, modern: bool, more: str = "", approvers: Iterable[str] = ()) -> dict[str, Any]:
    """Return the tool result for a reply that does not let a call through.

    No argument value is in it. `modern`: the client speaks the revision whose results say of what type they are.
    """
    effect = Effect(reply.effect)
    opening = OPENINGS.get(effect, OPENINGS[Effect.BLOCK]).format(
        reason=reason_of(reply),
        when=f"after {seconds(reply.retry_after_s)}" if reply.retry_after_s else "later",
        approvers=" and ".join(approvers) or "a person",
    )
    parts = [opening, *(_sentence(text) for _, text in reply.tells), _sentence(more)]
    facts: dict[str, Any] = {
        "effect": effect.value,
        "reason_code": reply.reason_code,
        "decision_id": reply.id,
        "rules": list(reply.rules),
    }
    if reply.retry_after_s:
        facts["retry_after_s"] = reply.retry_after_s
    return notice(" ".join(part for part in parts if part), facts, modern=modern)


def notice(text: str, facts: dict[str, Any], *, modern: bool) -> dict[str, Any]:
    """Return a tool result that is an error, with what is for programs in `_meta`."""
    result: dict[str, Any] = {"resultType": "complete"} if modern else {}
    return {**result, "content": [{"type": "text", "text": text}], "isError": True, "_meta": {META: facts}}


def reason_of(reply: Reply) -> str:
    """Return why a call is refused, in words, with the rules that say so."""
    text = REASONS.get(reply.reason_code, reply.reason_code)
    return f"{text} ({', '.join(reply.rules)})" if reply.rules else text


def seconds(count: float) -> str:
    """Return a time as one says it."""
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if count >= size and count % size == 0:
            return f"{count // size:.0f} {name}{'s' if count != size else ''}"
    return f"{count:.0f} seconds"


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text else text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
