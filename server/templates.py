"""Envelopes of decisions that differ in nothing but ids and latency, spelled once and filled in.

A template is what `envelope_of` says of such a decision with marks in the places that differ, encoded and cut at the
marks. So an envelope that is filled in is the one that `envelope_of` would have made, byte for byte but for the
spelling of the latency.
"""

import secrets
from dataclasses import replace
from typing import Any, Final

import msgspec

from ..contract import Decision
from ..engine import Engine
from .envelopes import NOTHING_TOLD, Told, envelope_of

_json = msgspec.json.encode
TEMPLATES_MAX: Final = 1_024
SHOWN_CHARS_MAX: Final = 4_096
MARK: Final = secrets.token_hex(16)
"""What stands for the id of a decision: 128 random bits, so that no policy and no request can hold it."""
TRACE: Final = _json(MARK)
LATENCY_S: Final = 987_654.321
LATENCY: Final = b'"latency_ms":987654321.0,'
"""Behind an unescaped quote, so that no text of an envelope can hold it."""


class Templates:
    """Spells envelopes under one engine, which may take other policies."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[tuple[Any, ...], tuple[bytes, list[bytes]]] = {}
        self._policy: object = None

    def spell(self, decision: Decision, told: Told, latency_s: float) -> bytes | None:
        """Return the envelope of an ALLOW or BLOCK that changes nothing, as JSON; None where somebody else makes it.

        Cost: a look-up by what the envelope shows.
        """
        request, trace = decision.request, told.enforcement_trace_id
        if request is None or decision.modified or told.action_attestation_id is not None:
            return None
        if trace is not None and type(trace) is not str:
            return None
        environment = request.environment
        if environment is not None and type(environment) is not str:
            return None
        if self._engine.policy is not self._policy:
            self._known.clear()
            self._policy = self._engine.policy
        # Members of an enumeration are one object each, and hashing one takes Python.
        shown = (
            id(decision.effect), id(decision.verdict), id(decision.by), id(decision.mode), decision.reason_code,
            decision.rules, decision.would_be, decision.trial, decision.risk, decision.lenient, decision.tells,
            decision.controls, decision.regimes, decision.problem, request.tool_name, environment, trace is None,
        )  # fmt: skip
        found = self._known.get(shown)
        if found is None:
            found = cut(self._engine, decision, trace is not None)
            if len(decision.problem) + len(request.tool_name) + len(environment or "") <= SHOWN_CHARS_MAX:
                if len(self._known) >= TEMPLATES_MAX:
                    self._known.clear()
                self._known[shown] = found
        before, between = found
        if trace is not None:
            before = before.replace(TRACE, _json(trace), 1)
        return before + b'"latency_ms":%.3f,' % (latency_s * 1e3) + decision.id.encode().join(between)


def cut(engine: Engine, decision: Decision, traced: bool) -> tuple[bytes, list[bytes]]:
    """Return an envelope up to its latency, with a mark as its trace, and what stands between the ids behind that."""
    told = Told(enforcement_trace_id=MARK) if traced else NOTHING_TOLD
    text = _json(envelope_of(engine, replace(decision, id=MARK), None, told, LATENCY_S))
    before, latency, rest = text.partition(LATENCY)
    assert latency, "an envelope says how long it took, before any id"
    assert before.count(MARK.encode()) == traced
    return before, rest.split(MARK.encode())
