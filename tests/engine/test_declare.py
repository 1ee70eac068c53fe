"""Schemas of others become `tool` lines: what is carried over, what is told, and what stays readable."""

import json
from typing import Any

import pytest

from thoth.engine.check import check
from thoth.engine.declare import Declared, Undeclarable, declare
from thoth.grammar import parse
from thoth.grammar.format import format


def lines(document: Any, env: str | None = None) -> str:
    """Return the text of a document's tools, after reading it back as a policy that checks."""
    text = format(declare(document, env).policy)
    assert check(parse(text)).warnings == ()
    return text.strip()


def of(**properties: Any) -> str:
    """Return the line of a tool `t` all of whose arguments are required."""
    return lines({"t": {"type": "object", "properties": properties, "required": sorted(properties)}})


def notes(**properties: Any) -> tuple[str, ...]:
    """Return what is told about a tool `t` of these arguments."""
    return declare({"t": {"type": "object", "properties": properties}}).notes


MCP = {
    "tools": [
        {
            "name": "files/delete",
            "description": "Deletes a file.",
            "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
            "annotations": {"title": "Delete", "readOnlyHint": False, "destructiveHint": True},
        },
        {
            "name": "fetch",
            "inputSchema": {"type": "object", "properties": {"url": {"type": "string", "format": "uri"}}},
            "annotations": {"readOnlyHint": True, "openWorldHint": True},
        },
        {
            "name": "post",
            "inputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": False, "openWorldHint": True},
        },
    ]
}


def test_a_tool_list_of_mcp_becomes_tool_lines_with_classes_from_its_hints() -> None:
    assert lines(MCP).splitlines() == [
        "tool fetch(url?: url) is read, untrusted",
        "tool files/delete(path: string) is write, destructive",
        "tool post() is write, external",
    ]


def test_the_envelope_of_a_reply_changes_nothing() -> None:
    assert lines({"jsonrpc": "2.0", "id": 1, "result": MCP}) == lines(MCP) == lines(MCP["tools"])


def test_a_further_page_is_told() -> None:
    assert "further page" in declare({"result": {**MCP, "nextCursor": "abc"}}).notes[0]


@pytest.mark.parametrize(
    "document",
    [
        [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "integer"}}}}}],
        [{"type": "function", "name": "f", "parameters": {"properties": {"a": {"type": "integer"}}}}],
        [{"name": "f", "input_schema": {"properties": {"a": {"type": "integer"}}}}],
        {"tools": [{"name": "f", "input_schema": {"properties": {"a": {"type": "integer"}}}}]},
        {"name": "f", "inputSchema": {"properties": {"a": {"type": "integer"}}}},
        {"f": {"type": "object", "properties": {"a": {"type": "integer"}}}},
        {"f": {"params": {"type": "object", "properties": {"a": {"type": "integer"}}}}},
        {"title": "f", "type": "object", "properties": {"a": {"type": "integer"}}},
    ],
)
def test_the_same_tool_is_read_from_every_shape_of_list(document: Any) -> None:
    assert lines(document) == "tool f(a?: int)"


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, "string"),
        ({"type": "integer"}, "int"),
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "object"}, "record"),
        ({"type": "array", "items": {"type": "string", "format": "email"}}, "list of email"),
        ({"type": "array"}, "list of any"),
        ({"type": "string", "format": "hostname"}, "host"),
        ({"type": "string", "format": "ipv6"}, "ip"),
        ({"type": "string", "format": "uuid"}, "id"),
        ({"type": "string", "format": "date-time"}, "string"),
        ({"enum": ["open", "in progress"]}, 'enum {open, "in progress"}'),
        ({"const": "fixed"}, "enum {fixed}"),
        ({"allOf": [{"type": "boolean"}]}, "boolean"),
        ({"anyOf": [{"type": "string"}, {}]}, "any"),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "number"),
        ({"type": ["string", "integer"]}, "any"),
        ({}, "any"),
        (True, "any"),
    ],
)
def test_each_type_of_a_schema_has_its_type_in_a_declaration(schema: Any, kind: str) -> None:
    assert of(a=schema) == f"tool t(a: {kind})"


def test_what_may_be_null_or_left_out_or_has_a_default_is_optional() -> None:
    properties = {
        "a": {"type": "string"},
        "b": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "c": {"type": ["number", "null"]},
        "d": {"type": "string", "default": "x"},
        "e": {"type": "string"},
    }
    document = {"t": {"type": "object", "properties": properties, "required": ["a", "b", "c", "d"]}}
    assert lines(document) == "tool t(a: string, b?: string, c?: number, d?: string, e?: string)"


def test_further_arguments_are_permitted_where_the_schema_says_so_itself() -> None:
    assert lines({"t": {"type": "object", "additionalProperties": True}}) == "tool t(...)"
    assert lines({"t": {"type": "object", "additionalProperties": False}}) == "tool t()"
    assert lines({"t": {"type": "object"}}) == "tool t()"


def test_references_inside_the_document_are_followed_and_circles_end() -> None:
    document = {
        "t": {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/level"}, "b": {"$ref": "#/$defs/self"}, "c": {"$ref": "other.json"}},
            "$defs": {"level": {"enum": ["low", "high"]}, "self": {"$ref": "#/$defs/self"}},
        }
    }
    assert lines(document) == "tool t(a?: enum {low, high}, b?: any, c?: any)"
    assert [note.split(": ", 1)[1] for note in declare(document).notes] == [
        "`#/$defs/self` refers to itself; declared as any",
        "`other.json` is not in the document; declared as any",
    ]


def test_what_a_declaration_cannot_say_is_told_and_nothing_is_refused() -> None:
    assert notes(n={"type": "integer", "minimum": 1}) == ("`t`, argument `n`: `minimum` is not carried over",)
    assert notes(n={"enum": [1, 2]}) == ("`t`, argument `n`: its list of values is not carried over; declared as int",)
    assert notes(r={"type": "object", "properties": {"x": {}}}) == (
        "`t`, argument `r`: a record; the types of its members are not carried over",
    )
    assert notes(s={"type": "string"}) == ()


def test_names_that_are_no_plain_words_are_quoted_and_those_beyond_spelling_are_told() -> None:
    document = [
        {"name": "do it", "inputSchema": {"type": "object", "properties": {"odd name": {"type": "string"}}}},
        {"name": "all*", "inputSchema": {"type": "object"}},
        {"name": "x\ny", "inputSchema": {"type": "object"}},
        {"inputSchema": {"type": "object"}},
        {"name": "in", "inputSchema": {"type": "object", "properties": {"": {}, "key": {"type": "string"}}}},
    ]
    assert lines(document).splitlines() == [
        'tool "do it"("odd name"?: string)',
        'tool "in"(key?: string, ...)',
    ]
    assert len(declare(document).notes) == 4


def test_of_two_tools_with_one_name_the_first_is_taken_and_a_difference_is_told() -> None:
    same = {"name": "f", "inputSchema": {"type": "object"}}
    other = {"name": "f", "inputSchema": {"type": "object", "properties": {"a": {}}}}
    assert declare([same, same]).notes == ()
    assert lines([same, other]) == "tool f()"
    assert "differently" in declare([same, other]).notes[0]


CATALOG = {
    "shop": {
        "tools": {
            "pay": {
                "params": {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]},
                "effect": "write_external",
                "key_args": ["to", "payee"],
            }
        }
    },
    "desk": {"tools": {"look": {"params": {"type": "object"}, "effect": "read", "key_args": []}}},
}


def test_a_catalog_gives_one_group_for_each_suite_with_key_arguments_and_classes() -> None:
    assert lines(CATALOG).split("\n\n") == [
        "for env desk {\n    tool look() is read\n}",
        "for env shop {\n    tool pay(to: key string) is write, external\n}",
    ]
    assert declare(CATALOG).notes == (
        "shop: `pay`, argument `payee`: named as a key argument, but the tool has no such argument",
    )


def test_an_environment_picks_a_suite_of_a_catalog_and_groups_any_other_list() -> None:
    assert "pay" not in lines(CATALOG, "desk")
    assert lines(MCP["tools"][2:], "prod") == "for env prod {\n    tool post() is write, external\n}"
    with pytest.raises(Undeclarable, match="it has desk, shop"):
        declare(CATALOG, "office")


def test_the_same_tools_in_another_order_give_the_same_text() -> None:
    assert lines({"tools": MCP["tools"][::-1]}) == lines(MCP)


@pytest.mark.parametrize("document", [None, 3, "x", [], {}, {"a": 1}, {"error": {"message": "no"}}, {"tools": []}])
def test_a_document_without_tools_is_refused_with_what_was_looked_for(document: Any) -> None:
    with pytest.raises(Undeclarable):
        declare(document)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": [1], "required": 3},
        {"properties": {"a": {"type": 3}, "b": {"enum": 4}, "c": {"items": [{}]}, "d": {"anyOf": [None]}}},
        {"properties": {"a": {"type": ["null"]}, "b": {"type": []}, "c": {"anyOf": [], "oneOf": {}}}},
        {"$ref": "#/x", "allOf": [{}]},
        {"properties": {"a": {"enum": [[1], {"x": 2}, None]}, "b": {"const": "\ud800"}, "\ud800": {}}},
    ],
)
def test_a_broken_schema_never_stops_the_rest(schema: Any) -> None:
    declared: Declared = declare([{"name": "bad", "inputSchema": schema}, {"name": "good", "inputSchema": {}}])
    names = [item.name for item in declared.policy.items]  # type: ignore[union-attr]
    assert names == ["bad", "good"]
    assert parse(format(declared.policy)) == declared.policy
    assert json.dumps(declared.notes)


def test_a_schema_that_references_make_very_wide_ends_soon() -> None:
    parts = {f"p{i}": {"anyOf": [{"$ref": f"#/$defs/p{i + 1}"}] * 9} for i in range(14)}
    schema = {"properties": {"a": {"$ref": "#/$defs/p0"}}, "$defs": {**parts, "p14": {"type": "string"}}}
    assert "too wide" in declare({"t": schema}).notes[0]


def test_envelopes_in_envelopes_are_refused_not_followed_for_ever() -> None:
    document: Any = MCP
    for _ in range(200):
        document = {"result": document}
    with pytest.raises(Undeclarable):
        declare(document)
