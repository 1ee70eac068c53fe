"""A call that might be made, with the past of its session: what a witness is made of.

It can be decided under any policy, and written as a `test` block of the language, so that whoever reads a witness can
keep it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

from ..contract import Decision, Fault, Json, Mode, admit
from ..grammar import write
from .checked import CheckedPolicy, ModeSetting, Rule
from .embed import UNTOLD, Engine
from .learned import Baseline
from .ledger import Ledger
from .session import Session
from .testing import FIELDS, PLAIN_NOW, baseline_with
from .witness import Witness

PLAIN: Final[dict[str, Json]] = {
    "tenant_id": "test",
    "user_id": "test",
    "environment": "test",
    "session_id": "test",
    "task_context": {"chain": []},
}
"""Fields of a call about which nothing is said, as in the tests of a policy."""


@dataclass(frozen=True, slots=True)
class Past:
    """A call that was let through before: what it returned (None: not told), or that it failed or still runs."""

    tool: str
    args: dict[str, Any] = field(default_factory=dict)
    returns: str | None = ""
    ending: Literal["completed", "failed", "in flight"] = "completed"


@dataclass(frozen=True, slots=True)
class Situation:
    """One call and what was before it. `fields` are those of the request; `session` False: a call without one.

    `baseline` are values that recorded behaviour used, besides those of the policy's own: tool, argument, value.
    """

    tool: str
    args: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=lambda: dict(PLAIN))
    said: tuple[str, ...] = ()
    past: tuple[Past, ...] = ()
    blocks: int = 0
    age_s: int = 0
    now: float = PLAIN_NOW
    session: bool = True
    baseline: tuple[tuple[str, str, Json], ...] = ()

    def key(self) -> str:
        """Return what tells a situation from others."""
        past = [(call.tool, call.args, call.returns, call.ending) for call in self.past]
        told = (
            self.tool, self.args, self.fields, self.said, past, self.blocks, self.age_s, self.now, self.session,
            self.baseline,
        )  # fmt: skip
        return json.dumps(told, sort_keys=True)

    def request(self) -> dict[str, Any]:
        """Return the request, in the wire's field names."""
        request = {**self.fields, "tool_name": self.tool, "tool_args": self.args}
        if not self.session:
            request.pop("session_id", None)
        return request

    def with_field(self, name: str, value: Any) -> "Situation":
        """Return the same with one field of the request set, or taken away where `value` is None."""
        fields = {key: kept for key, kept in self.fields.items() if key != name}
        return replace(self, fields=fields if value is None else {**fields, name: value})

    # ------------------------------------------------------------ as text

    def sentence(self) -> str:
        """Return the call in one line, with whatever is not plain about it."""
        said = [f"{_LABELS[name]} {_text(value)}" for name, value in self._odd() if name in _LABELS]
        said += [f"context {_text(self.fields['metadata'])}"] if self.fields.get("metadata") else []
        said += ["without a tenant"] if "tenant_id" not in self.fields else []
        said += ["without a user"] if "user_id" not in self.fields else []
        said += ["without an env"] if "environment" not in self.fields else []
        chain = self.fields.get("task_context")
        said += ["without a task"] if chain is None else [f"task {_text(chain)}"] if chain != {"chain": []} else []
        said += [
            f"{_text(value)} is in the baseline of {write.tool_name(tool)}.{name}"
            for tool, name, value in self.baseline
        ]
        said += [f"the user said {_text(text)}" for text in self.said]
        said += [f"after {_call(call.tool, call.args)}{_ending(call)}" for call in _counted(self.past)]
        said += [f"{self.blocks} calls of the session were blocked"] if self.blocks else []
        said += [f"the session is {self.age_s} s old"] if self.age_s else []
        said += ["without a session"] if not self.session else []
        said += [f"at {_moment(self.now)} UTC"] if self.now != PLAIN_NOW else []
        return _call(self.tool, self.args) + (f" ({'; '.join(said)})" if said else "")

    def test(self, title: str, expects: str) -> str | None:
        """Return the situation as a `test` block, None where the language's tests cannot say all of it."""
        chain = self.fields.get("task_context")
        if not self.session or self.blocks or self.age_s or chain != {"chain": []} or "server" in self.fields:
            return None
        if any(name not in self.fields for name in ("tenant_id", "user_id", "environment")):
            return None
        given = [f"{_LABELS[name]} {write.word(value)}" for name, value in self._odd() if name in _GIVEN]
        if "approved_scope" in self.fields:
            scope = self.fields["approved_scope"]
            if not scope:
                return None
            given.append(f"scope {', '.join(write.tool_name(tool) for tool in scope)}")
        given += [f"context {write.word(k)} {_value(v)}" for k, v in (self.fields.get("metadata") or {}).items()]
        given += [f"said {write.quote(text)}" for text in self.said]
        given += [f"at {_moment(self.now)}"] if self.now != PLAIN_NOW else []
        if not all(isinstance(value, str) for _, _, value in self.baseline):
            return None
        given += [f"baseline {write.tool_name(tool)}.{name} {_value(value)}" for tool, name, value in self.baseline]
        lines = [f"test {write.quote(title)} {{"]
        lines += [f"    given {one}" for one in given]
        lines += [f"    after {_call(call.tool, call.args)}{_ending(call)}" for call in self.past]
        return "\n".join([*lines, f"    call {_call(self.tool, self.args)}", f"    expect {expects}", "}"])

    def as_json(self) -> dict[str, Any]:
        """Return the situation as JSON values."""
        return {
            "request": self.request(),
            "said": list(self.said),
            "baseline": [{"tool": tool, "argument": name, "value": value} for tool, name, value in self.baseline],
            "after": [
                {"tool_name": call.tool, "tool_args": call.args, "result": call.returns, "ended": call.ending}
                for call in self.past
            ],
            "blocks": self.blocks,
            "session_age_s": self.age_s,
            "now": self.now,
        }

    def _odd(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in self.fields.items() if PLAIN.get(name) != value]


_LABELS: Final = {field: word for word, field in FIELDS.items()} | {"approved_scope": "scope", "server": "server"}
_GIVEN: Final = frozenset(FIELDS.values())


def _call(tool: str, args: Mapping[str, Any]) -> str:
    return (
        f"{write.tool_name(tool)}({', '.join(f'{write.word(name)}: {_value(value)}' for name, value in args.items())})"
    )


def _ending(call: Past) -> str:
    if call.ending == "failed":
        return " fails"
    if call.ending == "in flight":
        return " is in flight"
    return "" if call.returns is None else f" returns {write.quote(call.returns)}"


def _counted(past: tuple[Past, ...]) -> list[Past]:
    """Return past calls, equal ones once: a limit of thirty is not thirty lines."""
    return list({_call(call.tool, call.args) + _ending(call): call for call in past}.values())


def _value(value: Any) -> str:
    match value:
        case str():
            return write.quote(value)
        case Mapping():
            return "{" + ", ".join(f"{write.word(name)}: {_value(member)}" for name, member in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _moment(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M")


class Judge:
    """Decides situations under one policy, each in a session and with counters of its own."""

    def __init__(self, policy: CheckedPolicy, evaluator: Literal["native", "reference"] = "native") -> None:
        """Lay the policy out once."""
        self.policy = policy
        self._evaluator = evaluator
        self._now = PLAIN_NOW
        self._plain = self._engines(policy)
        self._learned: tuple[Engine, Engine] | None = None
        self._baseline: Baseline = {}

    def _engines(self, policy: CheckedPolicy) -> tuple[Engine, Engine]:
        """Return what decides a call, and what lets those before it through."""
        observing = replace(policy, mode=ModeSetting("fixed", Mode.OBSERVE))
        engine, past = (Engine(one, evaluator=self._evaluator, clock=self._clock) for one in (policy, observing))
        return engine, past

    def _engines_of(self, situation: Situation) -> tuple[Engine, Engine]:
        """Return the engines for a situation: with a baseline of its own, their policy's is filled anew."""
        if not situation.baseline:
            return self._plain
        if self._learned is None:
            self._learned = self._engines(replace(self.policy, baseline=self._baseline))
        self._baseline.clear()
        self._baseline.update(baseline_with(self.policy, situation.baseline))
        return self._learned

    def _clock(self) -> float:
        return self._now

    def decide(self, situation: Situation) -> Decision:
        """Return the decision about the situation's call."""
        engine, past = self._engines_of(situation)
        return engine.weigh(situation.request(), session=self._session(situation, engine, past))

    def witness(self, situation: Situation, risk: int = 0) -> Witness | None:
        """Return who says what each condition comes to in a situation; None where its request is none."""
        request = admit(situation.request())
        if isinstance(request, Fault):
            return None
        engine, past = self._engines_of(situation)
        return engine.witness(request, self._session(situation, engine, past), self._now, risk)

    def applies(self, rule: Rule, situation: Situation) -> bool:
        """Say whether a rule of the policy applies in a situation."""
        witness = self.witness(situation)
        return witness is not None and witness.applies(rule)

    def _session(self, situation: Situation, engine: Engine, past: Engine) -> Session | None:
        self._now = situation.now
        engine.ledger = past.ledger = Ledger()
        if not situation.session:
            return None
        bound = self.policy.bounds.provenance_bytes
        tenant = situation.fields.get("tenant_id")
        opened = situation.now - situation.age_s
        session = Session("test", opened, tenant=tenant if isinstance(tenant, str) else None, provenance_bytes=bound)
        for text in situation.said:
            session.said(text)
        for call in situation.past:
            request = {**situation.fields, "tool_name": call.tool, "tool_args": call.args}
            decision = past.decide(request, session=session)
            if decision.request is None:
                continue
            past.ran(decision, session)
            result = UNTOLD if call.returns is None else call.returns
            if call.ending == "failed":
                past.failed(decision, result)
            elif call.ending == "completed":
                past.completed(decision, result)
        for _ in range(situation.blocks):
            session.blocked()
        return session
