"""Envelopes of decisions that differ in nothing but ids and latency, spelled once, to be filled in.

A template is what `envelope_of` says of such a decision with marks in the places that differ, encoded and cut at the
marks. So an envelope that is filled in is the one that `envelope_of` would have made, byte for byte but for the
spelling of the latency.
"""

import secrets
from dataclasses import replace
from typing import Final

import msgspec

from ..contract import Decision
from ..engine import Engine
from ..native.posts import Template
from .envelopes import NOTHING_TOLD, Told, envelope_of

_json = msgspec.json.encode
SHOWN: Final = (
    "effect", "verdict", "by", "mode", "reason_code", "rules", "would_be", "trial", "risk", "modified", "lenient",
    "tells", "controls", "regimes", "problem",
)  # fmt: skip
"""What an envelope shows of a decision, besides its ids; tool and environment decide what the policy says of it."""
MARK: Final = secrets.token_hex(16)
"""What stands for the id of a decision: 128 random bits, so that no policy and no request can hold it."""
TRACE: Final = _json(MARK)
LATENCY_S: Final = 987_654.321
LATENCY: Final = b'"latency_ms":987654321.0,'
"""Behind an unescaped quote, so that no text of an envelope can hold it."""


def cut(engine: Engine, decision: Decision, traced: bool) -> Template | None:
    """Return what the envelope of an ALLOW or BLOCK is filled into; None where arguments are changed.

    `traced`: the envelope repeats a trace, as JSON.
    """
    request = decision.request
    if request is None or decision.modified:
        return None
    if request.environment is not None and type(request.environment) is not str:
        return None
    told = Told(enforcement_trace_id=MARK) if traced else NOTHING_TOLD
    text = _json(envelope_of(engine, replace(decision, id=MARK), None, told, LATENCY_S))
    before, latency, rest = text.partition(LATENCY)
    assert latency, "an envelope says how long it took, before any id"
    before, trace, behind = before.partition(TRACE)
    assert bool(trace) == traced
    assert MARK.encode() not in behind
    shown = (*(getattr(decision, name) for name in SHOWN), request.tool_name, request.environment, traced)
    return Template(shown, before, behind if traced else None, rest.split(MARK.encode()))
