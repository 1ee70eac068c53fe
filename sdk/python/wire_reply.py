"""Decision envelopes of the public protocol, read strictly: what is not plainly a decision is none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .contract import Effect
from .enforcer import EnforcerRefused

if TYPE_CHECKING:
    from .contract import Ask

WORDS: Final[dict[str, Effect]] = {
    **{effect.value: effect for effect in Effect},
    "DENY": Effect.BLOCK,
    "CHALLENGE": Effect.STEP_UP,
    "ESCALATE": Effect.STEP_UP,
    "REVIEW": Effect.STEP_UP,
    "MODIFIED": Effect.MODIFY,
    "TRANSFORM": Effect.MODIFY,
    "DEFERRED": Effect.DEFER,
    "HOLD": Effect.DEFER,
}


@dataclass(frozen=True, slots=True)
class WireReply:
    """A reply as it came over HTTP; `envelope` is the whole of it, in snake_case."""

    id: str
    effect: Effect
    reason_code: str
    args: dict[str, Any] | None
    modified: bool
    rules: tuple[str, ...]
    hold_s: int | None
    retry_after_s: int | None
    hold_token: str
    envelope: dict[str, Any]
    request: dict[str, Any]
    asks: tuple[Ask, ...] = ()
    tells: tuple[tuple[str, str], ...] = ()


def read_reply(body: bytes, request: dict[str, Any]) -> WireReply:
    """Return the reply in the body of a response.

    Raises:
        EnforcerRefused: it is no decision, or one that cannot be carried out.
    """
    return reply_of(read_object(body), request)


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body, its names in snake_case.

    Raises:
        EnforcerRefused: there is none.
    """
    try:
        value = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise EnforcerRefused(f"malformed answer: not JSON ({type(error).__name__})") from None
    if not isinstance(value, dict):
        raise EnforcerRefused("malformed answer: not an object")
    names: dict[str, Any] = {}
    for name, member in value.items():
        if names.setdefault(_snake(name), member) != member:
            raise EnforcerRefused("malformed answer: one name in two spellings, and with two values")
    return names


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise EnforcerRefused("malformed answer: a name stands twice, and readers differ in which one counts")
    return found


def reply_of(envelope: dict[str, Any], request: dict[str, Any]) -> WireReply:
    """Return the reply that an envelope says; see `read_reply`."""
    effect = effect_of(envelope)
    token = envelope.get("hold_token") or ""
    args = None
    if effect is Effect.STEP_UP and not (isinstance(token, str) and token):
        raise EnforcerRefused("malformed answer: STEP_UP without a `hold_token`")
    if effect is Effect.MODIFY:
        args = envelope.get("modified_tool_args")
        if not isinstance(args, dict) or not args:
            raise EnforcerRefused("malformed answer: MODIFY without `modified_tool_args`")
    rules = envelope.get("matched_rule_ids") or ()
    if not isinstance(rules, list | tuple) or not all(isinstance(rule, str) for rule in rules):
        raise EnforcerRefused("malformed answer: `matched_rule_ids` is a list of texts")
    evidence = envelope.get("decision_evidence")
    receipt = envelope.get("receipt")
    ids = (
        evidence.get("decision_id") if isinstance(evidence, dict) else None,
        receipt.get("decision_id") if isinstance(receipt, dict) else None,
        envelope.get("violation_id"),
        request.get("request_id"),
    )
    reason = envelope.get("reason") or envelope.get("modification_reason") or envelope.get("defer_reason")
    envelope.setdefault("authorization_decision", effect.value)
    envelope["reason"] = reason if isinstance(reason, str) and reason else effect.value
    return WireReply(
        id=next((one for one in ids if isinstance(one, str) and one), ""),
        effect=effect,
        reason_code=str(envelope.get("decision_reason_code") or ""),
        args=args,
        modified=effect is Effect.MODIFY,
        rules=tuple(rules),
        hold_s=_seconds(envelope.get("step_up_timeout_seconds")),
        retry_after_s=_seconds(envelope.get("defer_timeout_seconds")),
        hold_token=str(token),
        envelope=envelope,
        request=request,
    )


def effect_of(envelope: dict[str, Any]) -> Effect:
    """Return what an envelope decides.

    Raises:
        EnforcerRefused: nothing, something unknown, or two different things.
    """
    said = [word for name in ("decision", "authorization_decision") if (word := envelope.get(name)) is not None]
    effects = {WORDS.get(word.strip().upper()) if isinstance(word, str) else None for word in said}
    if len(effects) != 1 or None in effects:
        raise EnforcerRefused("malformed answer: no decision, or one that is not known")
    (effect,) = effects
    assert effect is not None
    return effect


def _seconds(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise EnforcerRefused("malformed answer: a time that is no whole number of seconds")
    return value


def _snake(name: str) -> str:
    if name.islower():
        return name
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
