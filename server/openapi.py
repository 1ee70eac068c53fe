"""The description of the HTTP door (OpenAPI 3.1), made from the very types that are sent and read."""

from typing import Any, Final

import msgspec

from ..contract import Request
from ..contract.envelope import (
    ApprovalList,
    ApprovalView,
    Envelope,
    ErrorBody,
    EventsTaken,
    Explanation,
    HoldStatus,
    OverrideList,
    OverrideView,
    Resolve,
    SaidBody,
)
from .events import TYPES
from .overrides import Signed

BODIES: Final = (
    ApprovalList, ApprovalView, Envelope, ErrorBody, EventsTaken, Explanation, HoldStatus, OverrideList, OverrideView,
    Resolve, SaidBody, Signed,
)  # fmt: skip
TOKEN: Final[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9_.-]+$"}


def description(version: str) -> bytes:
    """Return the document as JSON."""
    _, components = msgspec.json.schema_components(BODIES, ref_template="#/components/schemas/{name}")
    components["EnforceRequest"] = _request()
    components["Event"] = _event()
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Thoth decision sidecar",
            "version": version,
            "description": "Asks, before a tool call runs, whether an agent may make it.",
        },
        "paths": _paths(),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"key": []}, {"bearer": []}],
    }
    return msgspec.json.encode(document)


def _request() -> dict[str, Any]:
    """The request as it is well-formed. A field of an odd type is no mistake: what it says is unknown."""
    anything: dict[str, Any] = {}
    fields: dict[str, Any] = dict.fromkeys(Request.__struct_fields__, anything)
    fields.update(
        tool_name={"type": "string", "minLength": 1},
        tool_args={"type": ["object", "null"]},
        enforcement_trace_id=anything,
        action_attestation_id=anything,
    )
    return {"type": "object", "properties": fields, "required": ["tool_name"]}


def _event() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "event_type": {"enum": list(TYPES)},
            "session_id": {"type": "string"},
            "tenant_id": {"type": "string"},
            "event_id": {},
            "tool_name": {},
            "metadata": {},
        },
        "required": ["event_type", "session_id", "tenant_id"],
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _named(name: str, schema: dict[str, Any], where: str = "path") -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


def _errors(*statuses: int) -> dict[str, Any]:
    texts = {
        400: "the body is not what is asked for",
        401: "no valid API key",
        403: "this key may not",
        404: "there is no such thing",
        409: "it was answered before",
        413: "larger than 1 MiB",
        415: "a body is JSON",
        422: "the policy has mistakes; the last one stays in force",
        503: "not now",
    }
    return {str(status): _answer(texts[status], _ref("ErrorBody")) for status in statuses}


def _paths() -> dict[str, Any]:
    events: dict[str, Any] = {"type": "array", "items": _ref("Event"), "maxItems": 1000}
    enveloped = {
        "200": _answer("the decision", _ref("Envelope")),
        "400": _answer("not well-formed: a decision too, BLOCK", _ref("Envelope")),
        **_errors(401, 403, 413, 415, 503),
    }
    status = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}
    open_: dict[str, Any] = {"security": []}
    return {
        "/v1/enforce": {
            "post": {
                "operationId": "enforce",
                "summary": "May this call run?",
                "parameters": [_named("receipt", {"description": "`signed`: with the receipt"}, "query")],
                "requestBody": _body(_ref("EnforceRequest")),
                "responses": enveloped,
            }
        },
        "/v1/simulate": {
            "post": {
                "operationId": "simulate",
                "summary": "What would be decided now? Nothing is recorded, counted or held.",
                "requestBody": _body(_ref("EnforceRequest")),
                "responses": enveloped,
            }
        },
        "/v1/explain": {
            "post": {
                "operationId": "explain",
                "summary": "A refusal in words for a person.",
                "requestBody": _body(_ref("EnforceRequest")),
                "responses": {
                    "200": _answer("the explanation", _ref("Explanation")),
                    **_errors(400, 401, 403, 413, 415),
                },
            }
        },
        "/v1/enforce/hold/{token}": {
            "get": {
                "operationId": "poll",
                "summary": "How does a held call stand?",
                "parameters": [
                    _named("token", TOKEN),
                    _named("wait", {"type": "integer", "minimum": 0, "maximum": 60}, "query"),
                ],
                "responses": {"200": _answer("how it stands", _ref("HoldStatus")), **_errors(400, 401, 403, 404)},
            }
        },
        "/v1/events/batch": {
            "post": {
                "operationId": "events",
                "summary": "How calls ended.",
                "parameters": [_named("chain", {"description": "`1`: where in the evidence each stands"}, "query")],
                "requestBody": _body(
                    {
                        "anyOf": [
                            events,
                            {"type": "object", "properties": {"events": events}, "required": ["events"]},
                        ]
                    }
                ),
                "responses": {"202": _answer("taken", _ref("EventsTaken")), **_errors(400, 401, 403, 413, 415, 503)},
            }
        },
        "/v1/sessions/{id}/said": {
            "post": {
                "operationId": "said",
                "summary": "What the user of a session said.",
                "parameters": [_named("id", {"type": "string", "minLength": 1, "maxLength": 512})],
                "requestBody": _body(_ref("SaidBody")),
                "responses": {"202": _answer("heard", {"type": "object"}), **_errors(400, 401, 403, 404, 413, 415)},
            }
        },
        "/v1/approvals": {
            "get": {
                "operationId": "approvals",
                "summary": "The calls that wait.",
                "responses": {"200": _answer("oldest first", _ref("ApprovalList")), **_errors(401, 403)},
            }
        },
        "/v1/approvals/{id}": {
            "get": {
                "operationId": "approval",
                "summary": "One call that waits, or waited.",
                "parameters": [_named("id", TOKEN)],
                "responses": {"200": _answer("the call", _ref("ApprovalView")), **_errors(401, 403, 404)},
            }
        },
        "/v1/approvals/{id}/resolve": {
            "post": {
                "operationId": "resolve",
                "summary": "Approve or deny. Who answers is whoever holds the key.",
                "parameters": [_named("id", TOKEN)],
                "requestBody": _body(_ref("Resolve")),
                "responses": {
                    "200": _answer("as it stands", _ref("ApprovalView")),
                    **_errors(400, 401, 403, 404, 409, 413, 415, 503),
                },
            }
        },
        "/v1/receipts/{decision_id}": {
            "get": {
                "operationId": "receipt",
                "summary": "The signed receipt of a decision that was taken lately.",
                "parameters": [_named("decision_id", TOKEN)],
                "responses": {"200": _answer("the receipt", _ref("ReceiptReference")), **_errors(401, 403, 404)},
            }
        },
        "/v1/overrides": {
            "get": {
                "operationId": "overrides",
                "summary": "The overrides that count now.",
                "responses": {"200": _answer("first to end first", _ref("OverrideList")), **_errors(401, 403, 404)},
            },
            "post": {
                "operationId": "override",
                "summary": "Break-glass: let through what the policy refuses, as an operator has signed.",
                "requestBody": _body(_ref("Signed")),
                "responses": {
                    "201": _answer("it counts", _ref("OverrideView")),
                    **_errors(400, 401, 403, 404, 413, 415, 503),
                },
            },
        },
        "/v1/overrides/{id}/end": {
            "post": {
                "operationId": "end",
                "summary": "End an override before its time.",
                "parameters": [_named("id", TOKEN)],
                "responses": {
                    "200": _answer("it counts no longer", _ref("OverrideView")),
                    **_errors(401, 403, 404, 413, 415, 503),
                },
            }
        },
        "/v1/policy/reload": {
            "post": {
                "operationId": "reload",
                "summary": "Read the policy again.",
                "responses": {
                    "200": _answer(
                        "in force",
                        {
                            "type": "object",
                            "properties": {"policy_digest": {"type": "string"}},
                            "required": ["policy_digest"],
                        },
                    ),
                    **_errors(401, 403, 413, 415, 422),
                },
            }
        },
        "/healthz": {"get": {"operationId": "health", "responses": {"200": _answer("the loop runs", status)}, **open_}},
        "/readyz": {
            "get": {
                "operationId": "ready",
                "responses": {"200": _answer("calls are decided", status), **_errors(503)},
                **open_,
            }
        },
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "responses": {
                    "200": {
                        "description": "counters, in Prometheus's text format",
                        "content": {"text/plain": {"schema": {"type": "string"}}},
                    }
                },
                **open_,
            }
        },
        "/openapi.json": {
            "get": {"operationId": "openapi", "responses": {"200": _answer("this", {"type": "object"})}, **open_}
        },
    }
