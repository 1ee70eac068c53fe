"""One line of JSON as a record: a decision or an outcome that was taken elsewhere."""

import secrets
import time
from typing import Any, TypeVar

from ..contract import By, Decision, Effect, Ending, Fault, Mode, OperationError, Outcome, Request, admit, read_json
from ..evidence.record import Draft, decision_draft, outcome_draft
from ..grammar.messages import did_you_mean

DECISION = {"kind", "id", "decision", "effect", "verdict", "by", "mode", "reason_code", "policy_digest", "rules",
            "would_be", "trial", "risk", "args", "now", "request", "problem"}  # fmt: skip
OUTCOME = {"kind", "decision_id", "ending", "result", "withheld", "rules", "labels", "request"}

Word = TypeVar("Word", Effect, By, Mode, Ending)


def read_line(line: bytes, where: str, requests: dict[str, Request]) -> Draft:
    """The record that a line asks for; `requests` remembers what each decision was about, for its outcome.

    Raises:
        OperationError: naming the line, what is wrong with it, and what to write instead.
    """
    given = read_json(line)
    if isinstance(given, Fault):
        raise OperationError(f"{where}: {given}")
    if not isinstance(given, dict):
        raise OperationError(f"{where}: a record is an object; `thoth evidence append --help` shows one")
    kind = given.get("kind", "decision")
    if kind == "decision":
        return _decision(given, where, requests)
    if kind == "outcome":
        return _outcome(given, where, requests)
    raise OperationError(f"{where}: `kind` is `decision` or `outcome`, not `{kind}`")


def _decision(given: dict[str, Any], where: str, requests: dict[str, Request]) -> Draft:
    _known(given, DECISION, where)
    effect = _word(Effect, given.get("decision", given.get("effect")), "decision", where)
    args = given.get("args")
    decision = Decision(
        id=_text(given, "id", where) or f"appended-{secrets.token_hex(8)}",
        effect=effect,
        verdict=_word(Effect, given.get("verdict", effect.value), "verdict", where),
        by=_word(By, given.get("by", "rule"), "by", where),
        reason_code=_text(given, "reason_code", where),
        policy_digest=_text(given, "policy_digest", where),
        request=_request(given.get("request"), where),
        now=_number(given.get("now", time.time()), "now", where),
        mode=_word(Mode, given.get("mode", "block"), "mode", where),
        rules=_texts(given, "rules", where),
        would_be=_texts(given, "would_be", where),
        trial=_texts(given, "trial", where),
        risk=int(_number(given.get("risk", 0), "risk", where)),
        args=args if isinstance(args, dict) else None,
        modified=isinstance(args, dict) and effect is Effect.MODIFY,
        problem=_text(given, "problem", where),
    )
    if decision.request is not None:
        requests[decision.id] = decision.request
    return decision_draft(decision, engine="thoth evidence append")


def _outcome(given: dict[str, Any], where: str, requests: dict[str, Request]) -> Draft:
    _known(given, OUTCOME, where)
    decision_id = _text(given, "decision_id", where)
    if not decision_id:
        raise OperationError(f"{where}: `decision_id` is missing; it names the decision that the call ran by")
    outcome = Outcome(
        decision_id,
        _word(Ending, given.get("ending", "completed"), "ending", where),
        given.get("result"),
        given.get("withheld") is True,
        _texts(given, "rules", where),
        _texts(given, "labels", where),
    )
    request = _request(given["request"], where) if "request" in given else requests.get(decision_id)
    return outcome_draft(outcome, request)


def _known(given: dict[str, Any], names: set[str], where: str) -> None:
    for name in given:
        if name not in names:
            meant = did_you_mean(name, names) or "; `thoth evidence append --help` shows what there is"
            raise OperationError(f"{where}: unknown field `{name}`{meant}")


def _request(given: object, where: str) -> Request:
    request = admit(given if given is not None else {})
    if isinstance(request, Fault):
        raise OperationError(f"{where}: `request`: {request}")
    return request


def _word(words: type[Word], given: object, name: str, where: str) -> Word:
    try:
        return words(str(given))
    except ValueError:
        known = ", ".join(f"`{word.value}`" for word in words)
        raise OperationError(f"{where}: `{name}` is one of {known}, not `{given}`") from None


def _text(given: dict[str, Any], name: str, where: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise OperationError(f"{where}: `{name}` is a text")
    return value


def _texts(given: dict[str, Any], name: str, where: str) -> tuple[str, ...]:
    value = given.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise OperationError(f"{where}: `{name}` is a list of texts")
    return tuple(value)


def _number(given: object, name: str, where: str) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise OperationError(f"{where}: `{name}` is a number")
    return float(given)
