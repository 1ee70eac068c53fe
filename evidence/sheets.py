"""The sheets after which native code drafts the records of each call: what `record.py` says, for all but what is rare.

`record.py` is the meaning. A sheet gives the same bytes for the same salts and time, which tests hold against it, or it
says that it does not draft this one.
"""

from dataclasses import fields
from typing import Any, Final

from ..contract import Decision, Outcome, Request
from ..contract.request import FIELDS
from ..native.drafting import (
    CONSTANT,
    COUNT,
    FLAG,
    GROUP,
    LENGTH,
    MAPPING,
    MOMENT,
    NOW,
    NUMBER,
    ONE,
    SAME,
    SEALED,
    SHOWN,
    TEXT,
    TEXTS,
    VIA,
    Member,
    Sheet,
)
from ..native.forms import Form
from .canonical import canonical
from .record import (
    ARGS_MAX,
    BODY_BYTES_MAX,
    LIST_ITEMS_MAX,
    OF_DECISION,
    SEALED_FIELDS,
    SHOWN_BYTES_MAX,
    TEXT_CHARS_MAX,
    VERSION,
    asks_of,
    changed_args,
    dropped_args,
    limits_of,
)

REQUEST: Final = Form(Request, FIELDS)
DECISION: Final = Form(Decision, tuple(field.name for field in fields(Decision)))
OUTCOME: Final = Form(Outcome, tuple(field.name for field in fields(Outcome)))


def sheet(form: Form, members: list[Member], body_bytes: int) -> Sheet:
    return Sheet(
        form,
        REQUEST,
        sorted(members, key=lambda member: member.path),
        text_chars=TEXT_CHARS_MAX,
        list_items=LIST_ITEMS_MAX,
        mapping_items=ARGS_MAX,
        shown_bytes=SHOWN_BYTES_MAX,
        body_bytes=body_bytes,
    )


def constant(name: str, value: Any) -> Member:
    return Member(name, CONSTANT, extra=canonical(value))


def clear(form: Form, kind: int, *names: str, guard: str = "") -> list[Member]:
    """Members that are called as their slots are."""
    return [Member(name, kind, form, name, guard=guard) for name in names]


def about() -> list[Member]:
    """In whom and what a call was about."""
    named = {
        "tenant": "tenant_id",
        "principal": "user_id",
        "agent": "agent_id",
        "session": "session_id",
        "tool": "tool_name",
        "request_id": "request_id",
    }
    return [Member(name, TEXT, REQUEST, slot, of_request=True) for name, slot in named.items()]


def decision_sheet(engine: str, recording: str, body_bytes: int = BODY_BYTES_MAX) -> Sheet:
    """Return the sheet of decisions that have a request, in at most so many bytes."""
    in_clear = ("environment", "server", "enforcement_mode", "data_classification")
    members = [
        constant("kind", "decision"),
        constant("v", VERSION),
        constant("engine", engine),
        constant("recording", recording),
        Member("at_us", NOW),
        Member("decided_us", MOMENT, DECISION, "now"),
        *clear(DECISION, TEXT, "id", "effect", "verdict", "by", "mode", "reason_code", "policy_digest", "approval"),
        *clear(DECISION, TEXTS, "rules", "would_be", "trial", "lenient", "controls", "regimes"),
        *clear(DECISION, COUNT, "rules_more", "risk"),
        *clear(DECISION, NUMBER, "hold_s", "retry_after_s"),
        *clear(DECISION, FLAG, "modified"),
        Member("asks", VIA, DECISION, "asks", extra=lambda decision, request: asks_of(decision)),
        Member("limits", VIA, DECISION, "reservations", extra=lambda decision, request: limits_of(decision)),
        Member("session_opened_us", MOMENT, DECISION, "session_opened_at", guard="session_digest"),
        Member("session_begun", NUMBER, DECISION, "session_begun", guard="session_digest"),
        Member("decided_in", SAME, DECISION, "session_id", extra="session_id", guard="session_digest"),
        *about(),
        *[Member(name, TEXT, REQUEST, name, of_request=True) for name in in_clear],
        Member("args", MAPPING, REQUEST, "tool_args", of_request=True),
        Member("ran", MAPPING, DECISION, "modified", extra=lambda decision, request: changed_args(decision)),
        Member("dropped", VIA, DECISION, "modified", extra=lambda decision, request: dropped_args(decision)),
        Member(
            "request",
            GROUP,
            REQUEST,
            of_request=True,
            extra=tuple((name, REQUEST.place(name), None) for name in sorted(SEALED_FIELDS)),
        ),
        Member(
            "decision",
            GROUP,
            DECISION,
            extra=tuple(
                (name, DECISION.place(slot), tuple(map(DECISION.place, value)) if isinstance(value, tuple) else value)
                for name, (slot, value) in sorted(OF_DECISION.items())
            ),
        ),
        Member("sealed", SEALED),
        Member("shown", SHOWN),
    ]
    return sheet(DECISION, members, body_bytes)


def outcome_sheet(recording: str, body_bytes: int = BODY_BYTES_MAX) -> Sheet:
    """Return the sheet of endings of calls that have a request, in at most so many bytes."""
    members = [
        constant("kind", "outcome"),
        constant("v", VERSION),
        constant("recording", recording),
        Member("at_us", NOW),
        Member("decision", TEXT, OUTCOME, "decision_id"),
        Member("ended", TEXT, OUTCOME, "ending"),
        *clear(OUTCOME, FLAG, "withheld", "part", "late"),
        *clear(OUTCOME, TEXTS, "rules", "labels", "perhaps"),
        *about(),
        Member("heard", ONE, OUTCOME, "heard", extra=True, guard="heard"),
        Member("result", ONE, OUTCOME, "result"),
        Member("result_bytes", LENGTH, OUTCOME, "result"),
        Member("sealed", SEALED),
    ]
    return sheet(OUTCOME, members, body_bytes)
