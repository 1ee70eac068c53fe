"""What the client gets of a tool's result: the bytes that came, what is left of them, or that they are not shown."""

from typing import Any

from ..contract import Ending, Fault
from ..enforcer import Passed
from .call import Call
from .message import Message, encode, joined, loosely, result_message, value_of
from .refusals import notice
from .results import put_back, told


def result_of(message: Message) -> tuple[Any, Ending]:
    """Return what a server's response holds, and how the call has ended by it.

    Raises:
        Malformed: it is no JSON.
    """
    if "error" in message.fields:
        return loosely(message.fields["error"]), Ending.FAILED
    result = loosely(message.fields["result"])
    failed = isinstance(result, dict) and result.get("isError") is True
    return result, Ending.FAILED if failed else Ending.COMPLETED


def passed_on(call: Call, message: Message, result: Any, passed: Passed | Exception | None) -> bytes:
    """Return the answer as the client may see it: the bytes that came, where nothing of it was changed."""
    strict = _filters(call)
    if strict and (passed is None or isinstance(passed, Exception)):
        return _withheld(call, "what may be shown of the result is not known")
    if passed is None or isinstance(passed, Exception) or call.enforcer is None:
        return message.line
    if passed.withheld:
        return _withheld(call, "the policy withholds what this tool returned", passed.rules)
    as_told = told(result)
    if not strict or passed.result == as_told:
        if strict and isinstance(value_of(message.fields.get("result", message.fields.get("error", b""))), Fault):
            return _withheld(call, "the result can be read in two ways")
        return message.line
    name = "result" if "result" in message.fields else "error"
    try:
        return joined({**message.fields, name: encode(put_back(result, passed.result))})
    except ValueError:
        return _withheld(call, "what may be shown of the result is not known")


def _filters(call: Call) -> bool:
    try:
        return call.enforcer is None or call.enforcer.filters(call.tool)
    except Exception:  # noqa: BLE001 - in doubt it does
        return True


def _withheld(call: Call, why: str, rules: tuple[str, ...] = ()) -> bytes:
    facts: dict[str, Any] = {"effect": "WITHHELD", "rules": list(rules)}
    if call.reply is not None:
        facts["decision_id"] = call.reply.id
    text = f"The tool has run, and its result is not shown: {why}."
    return result_message(call.message.raw_id, notice(text, facts, modern=call.modern))
