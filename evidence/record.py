"""What is written down: one `Draft` per event, its body in clear and its values sealed.

A value that a caller or a tool brought never enters a body. There stands its commitment; salt and value lie in a
sealed box of the vault (`vault.py`), so they can be given up while every proof stays. In clear are names, verdicts,
times, and the arguments that a policy declares `shown`. docs/evidence.md lists every field.
"""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from ..contract import Answer, Approval, Decision, Outcome, Request
from .canonical import SALT_BYTES, canonical, canonical_members, commitment, encode_body, whole

BODY_BYTES_MAX: Final = 65_535
TEXT_CHARS_MAX: Final = 200
LIST_ITEMS_MAX: Final = 32
SHOWN_BYTES_MAX: Final = 1_000
ARGS_MAX: Final = 128
VERSION: Final = 1
IN_CLEAR: Final = ("environment", "server", "enforcement_mode", "data_classification")
SEALED_FIELDS: Final = (
    "session_intent",
    "purpose",
    "approved_scope",
    "session_tool_calls",
    "task_context",
    "metadata",
)
SHORTENED_FIRST: Final = (
    "shown", "ran", "asks", "would_be", "trial", "lenient", "limits", "controls", "regimes", "labels", "rules",
    "args", "request", "days", "files",
)  # fmt: skip

FOLDED: Final = ("ran", "args")
FOLDED_MIN: Final = 8
"""Values: so few never fill a record, whatever they are called."""
BODY_BYTES_LATER: Final = 1_000
"""Room for what stands in a body only when it is written: its time, its box."""

Shown = Callable[[str], Collection[str]] | Mapping[str, Collection[str]]
"""Which arguments of a tool are in clear: by its name; `*` in a mapping stands for every tool."""


@dataclass(slots=True)
class Draft:
    """A record before it has its time and place: `secrets` are salt and spelling of each value, by path."""

    body: dict[str, Any]
    secrets: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    tenant: str = ""
    subject: str = ""
    shortened: list[str] = field(default_factory=list)
    _chance: bytes = b""  # random bytes not used yet: one system call for the salts of sixteen values

    def put(self, **fields: Any) -> None:
        """Add what is not empty, each text at most 200 characters and each list at most 32 of them."""
        for name, value in fields.items():
            if value is None or (not value and not isinstance(value, int)):
                continue
            self.body[name] = self._short(name, value)

    def _short(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            value = whole(value)
            if len(value) <= TEXT_CHARS_MAX:
                return value
            self._cut(name)
            return f"{value[:TEXT_CHARS_MAX]}… sha256:{sha256(value.encode()).hexdigest()}"
        if isinstance(value, list | tuple):
            if len(value) > LIST_ITEMS_MAX:
                self._cut(name)
            return [self._short(name, item) for item in value[:LIST_ITEMS_MAX]]
        return value

    def _cut(self, name: str) -> None:
        if name not in self.shortened:
            self.shortened.append(name)

    def seal(self, path: str, value: Any) -> str:
        """Keep a value for the vault and return its commitment."""
        return self._seal_spelled(path, canonical(value))

    def _seal_spelled(self, path: str, spelling: bytes) -> str:
        if not self._chance:
            self._chance = os.urandom(16 * SALT_BYTES)
        salt, self._chance = self._chance[:SALT_BYTES], self._chance[SALT_BYTES:]
        self.secrets[path] = (salt, spelling)
        return commitment(salt, path, spelling)

    def seal_each(self, name: str, values: Mapping[str, Any], shown: Collection[str] = ()) -> None:
        """Put a commitment for each value under `name`, and in clear what is shown; very many are folded into one."""
        if not values:
            return
        names = {key: whole(key) for key in values}
        too_many = len(values) > ARGS_MAX or any(len(key) > TEXT_CHARS_MAX for key in values)
        if too_many or len(set(names.values())) < len(names):  # no two values stand under one path
            self._cut(name)
            self.body[name] = {"*": self.seal(name, values)}
            return
        sealed: dict[str, str] = {}
        clear: dict[str, str] = {}
        for key, value in values.items():
            if key in shown:
                spelling = canonical(value)
                if len(spelling) <= SHOWN_BYTES_MAX:
                    clear[names[key]] = spelling.decode()
                    continue
                self._cut("shown")
            sealed[names[key]] = self.seal(f"{name}.{names[key]}", value)
        # Argument names are data of the caller: as values of a list they may be any text, as keys only ASCII.
        if sealed:
            self.body[name] = sorted([key, digest] for key, digest in sealed.items())
        if clear:
            self.body["shown"] = [*self.body.get("shown", ()), *sorted([f"{name}.{k}", v] for k, v in clear.items())]

    def fold(self, bytes_max: int = BODY_BYTES_MAX) -> None:
        """Commit to all values of a group as one where there is no room for each; before they are put into a box.

        Otherwise whoever chooses long names would choose that nothing stands for the values.
        """
        for name in FOLDED:
            if len(self.secrets) < FOLDED_MIN or len(encode_body(self.body)) <= bytes_max - BODY_BYTES_LATER:
                return
            held = self.body.get(name)
            if isinstance(held, list):
                values = {key: self.secrets.pop(f"{name}.{key}")[1] for key, _ in held}
                self._cut(name)
                self.body[name] = {"*": self._seal_spelled(name, canonical_members(values))}

    def encode(self, bytes_max: int = BODY_BYTES_MAX) -> bytes:
        """The exact bytes of the record, at most so many (60,000 or more); what had to go is named in `shortened`."""
        body = self.body
        if self.shortened:
            body["shortened"] = sorted(self.shortened)
        encoded = encode_body(body)
        for name in SHORTENED_FIRST:
            if len(encoded) <= bytes_max:
                break
            if name in body:
                del body[name]
                self._cut(name)
                body["shortened"] = sorted(self.shortened)
                encoded = encode_body(body)
        assert len(encoded) <= bytes_max, "what is left of a record is bounded"
        return encoded


def microseconds(seconds: float) -> int:
    """Epoch seconds as an integer of microseconds, held within what a record can say."""
    return max(-(2**53), min(2**53, round(seconds * 1_000_000))) if seconds == seconds else 0


def day_of(at_us: int) -> str:
    """The day (UTC) of a time, as keys of the vault are named: 2026-01-31."""
    return datetime.fromtimestamp(max(0, min(at_us, 253_402_300_799_000_000)) // 1_000_000, UTC).date().isoformat()


def decision_draft(
    decision: Decision,
    *,
    shown: Collection[str] = (),
    subject: str | None = None,
    engine: str = "",
) -> Draft:
    """What is kept of a decision. `subject` names the argument that says whose values these are; else it is the user.

    Cost: one hash for each argument.
    """
    request = decision.request
    draft = Draft({"kind": "decision", "v": VERSION})
    draft.put(
        id=decision.id,
        decided_us=microseconds(decision.now),
        effect=decision.effect.value,
        verdict=decision.verdict.value,
        by=decision.by.value,
        mode=decision.mode.value,
        reason_code=decision.reason_code,
        policy_digest=decision.policy_digest,
        engine=engine,
        rules=decision.rules,
        rules_more=decision.rules_more or None,
        would_be=decision.would_be,
        trial=decision.trial,
        risk=decision.risk or None,
        modified=decision.modified or None,
        lenient=decision.lenient,
        asks=asks_of(decision),
        hold_s=decision.hold_s,
        retry_after_s=decision.retry_after_s,
        controls=decision.controls,
        regimes=decision.regimes,
        limits=limits_of(decision),
        approval=decision.approval,
    )
    about(draft, request)
    if decision.session_digest:
        draft.put(session_opened_us=microseconds(decision.session_opened_at), session_begun=decision.session_begun)
        if request is None or request.session_id != decision.session_id:
            draft.put(decided_in=decision.session_id)
    if request is not None:
        draft.subject = _subject(request, subject)
        draft.seal_each("args", request.tool_args, shown)
        if decision.modified and decision.args is not None:
            draft.seal_each("ran", changed_args(decision), shown)
            draft.put(dropped=dropped_args(decision))
        given = {name: getattr(request, name) for name in SEALED_FIELDS}
        open_fields = {name.removeprefix("request.") for name in shown if name.startswith("request.")}
        draft.seal_each("request", {name: value for name, value in given.items() if value is not None}, open_fields)
    rest = {name: (getattr(decision, slot), value) for name, (slot, value) in OF_DECISION.items()}
    said = {
        name: [getattr(decision, slot).hex() for slot in value]
        if isinstance(value, tuple)
        else value(decision)
        if value
        else held
        for name, (held, value) in rest.items()
        if held
    }
    draft.seal_each("decision", said)
    return draft


def asks_of(decision: Decision) -> list[Any]:
    return [[ask.source, ask.quorum, *ask.approvers] for ask in decision.asks]


def limits_of(decision: Decision) -> list[str]:
    return sorted({reservation.limit for reservation in decision.reservations})


def changed_args(decision: Decision) -> dict[str, Any]:
    """Return the arguments that run otherwise than they were asked for."""
    asked = decision.request.tool_args if decision.request else {}
    return {k: v for k, v in (decision.args or {}).items() if k not in asked or not _same(asked[k], v)}


def dropped_args(decision: Decision) -> list[str] | None:
    """Return the names of arguments that were asked for and do not run."""
    asked = decision.request.tool_args if decision.request else {}
    return sorted(whole(name) for name in asked if name not in (decision.args or {})) or None


def _same(left: Any, right: Any) -> bool:
    return left is right or (type(left) is type(right) and left == right)


def _presented(decision: Decision) -> dict[str, Any]:
    approval = decision.presented
    assert approval is not None
    answers = [[a.source, a.approver, a.principal, a.granted] for a in approval.answers]
    return {
        "id": approval.id,
        "call": approval.call,
        "expires": approval.expires,
        "answers": answers,
        "reservations": approval.reservations,
    }


OF_DECISION: Final[dict[str, tuple[str, Callable[[Decision], Any] | tuple[str, ...] | None]]] = {
    "call": ("call", None),
    "problem": ("problem", None),
    "tells": ("tells", None),
    "reservations": ("reservations", lambda d: [[r.limit, r.key, str(r.amount)] for r in d.reservations]),
    "violation": ("violation", lambda d: [*d.violation.principal, d.violation.call] if d.violation else None),
    "session": ("session_digest", ("session_digest", "said_digest")),
    "counters": (
        "counters",
        lambda d: [[c.limit, c.key, None if c.spent is None else str(c.spent)] for c in d.counters],
    ),
    "presented": ("presented", _presented),
}
"""What is committed to under `decision`: from which slot, and how it is spelled, or which digests it lists. These can
repeat what was in the arguments; a digest of them without a salt could be found by trying."""


def about(draft: Draft, request: Request | None) -> None:
    """Put in whom and what a call was about."""
    if request is None:
        return
    draft.tenant = request.tenant_id or ""
    draft.subject = request.user_id or ""
    draft.put(
        tenant=request.tenant_id,
        principal=request.user_id,
        agent=request.agent_id,
        session=request.session_id,
        tool=request.tool_name,
        request_id=request.request_id,
    )
    draft.put(**{name: getattr(request, name) for name in IN_CLEAR})


def _subject(request: Request, argument: str | None) -> str:
    value = request.tool_args.get(argument) if argument else None
    if value is None:
        return request.user_id or ""
    return value if isinstance(value, str) else canonical(value).decode()


def outcome_draft(
    outcome: Outcome, request: Request | None, *, subject: str | None = None, keep_result: bool = False
) -> Draft:
    """What is kept of an ending: size and commitment of the result, the result itself only with `keep_result`."""
    draft = Draft({"kind": "outcome", "v": VERSION})
    draft.put(
        decision=outcome.decision_id,
        ended=outcome.ending.value,
        withheld=outcome.withheld or None,
        rules=outcome.rules,
        labels=outcome.labels,
        perhaps=outcome.perhaps,
        part=outcome.part or None,
        late=outcome.late or None,
    )
    about(draft, request)
    for name in IN_CLEAR:
        draft.body.pop(name, None)
    if request is not None:
        draft.subject = _subject(request, subject)
    if outcome.heard:
        draft.put(heard=draft.seal("heard", outcome.heard))
    if outcome.result is not None:
        digest = draft.seal("result", outcome.result)
        salt, spelling = draft.secrets["result"]
        draft.put(result=digest, result_bytes=len(spelling))
        if not keep_result:
            draft.secrets["result"] = (salt, b"")  # whoever has the result can still check it
    return draft


def approval_draft(approval: Approval, answer: Answer, decision: Decision) -> Draft:
    """One approver's answer to a held call; `approval.call` is the digest that binds it, kept sealed."""
    draft = Draft({"kind": "approval", "v": VERSION})
    about(draft, decision.request)
    draft.put(
        approval=approval.id,
        decision=decision.id,
        source=answer.source,
        approver=answer.approver,
        principal=answer.principal,
        granted=answer.granted,
        expires_us=microseconds(approval.expires),
    )
    draft.seal_each("approval", {"call": approval.call})
    return draft


def override_draft(id: str, operator: str, what: str, facts: Mapping[str, Any]) -> Draft:
    """An operator's override began or was ended, as `what` says; `facts` are its scope, its times, its reason."""
    draft = Draft({"kind": "override", "v": VERSION})
    draft.put(override=id, operator=operator, what=what, **facts)
    return draft


def policy_load_draft(digest: str, *, previous: str = "", files: Collection[str] = ()) -> Draft:
    """A policy came into force; `files` are the names it was read from."""
    draft = Draft({"kind": "policy_load", "v": VERSION})
    draft.put(policy_digest=digest, previous=previous, files=list(files))
    return draft


def recovered_draft(seq: int, segment: str, offset: int, byte_count: int, digest: str) -> Draft:
    """A torn tail was dropped when the shard was opened: what of it there was."""
    draft = Draft({"kind": "recovered", "v": VERSION})
    draft.put(from_seq=seq, segment=segment, offset=offset, dropped_bytes=byte_count, digest=digest)
    return draft


def heartbeat_draft(*, opened: bool, on_failure: str, engine: str, decisions: int, shed: int) -> Draft:
    """The log is alive; with `opened`, how it was opened and what the operator chose for when it cannot be written."""
    draft = Draft({"kind": "heartbeat", "v": VERSION})
    draft.put(opened=opened or None, on_failure=on_failure, engine=engine, decisions=decisions, shed=shed)
    return draft


def redaction_draft(tenant: str, subject: str, days: Collection[str], reason: str) -> Draft:
    """A subject's keys were destroyed: those of `days`."""
    draft = Draft({"kind": "redaction", "v": VERSION})
    draft.put(tenant=tenant, subject=subject, keys=len(days), days=sorted(days), reason=reason)
    return draft


def shed_draft(count: int, since_us: int, until_us: int, why: str) -> Draft:
    """So many records were not written, because the operator chose `on_failure="allow"`."""
    draft = Draft({"kind": "shed", "v": VERSION})
    draft.put(count=count, since_us=since_us, until_us=until_us, why=why)
    return draft
