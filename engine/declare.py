"""From schemas that others wrote to the `tool` lines of a policy.

Read are an MCP `tools/list` reply, tool lists as OpenAI and Anthropic take them, JSON Schemas, and a catalog of
suites. What a schema says and a declaration cannot is told in notes; where the two differ, the declaration is
the wider one, but for members that a schema leaves open without a word: those a declaration refuses.

Classes come from words and hints, split where two are joined: `write_external` is `write, external`. MCP's hints are
the server's own word about itself: readOnlyHint true is `read`, false is `write`; destructiveHint true is
`write, destructive`; openWorldHint true is `untrusted` where the tool only reads and `external` where it writes.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from ..contract import Json
from ..grammar import syntax as s

__all__ = ["Declared", "Undeclarable", "declare"]

DEPTH_MAX: Final = 16
TOOLS_MAX: Final = 20_000
STEPS_MAX: Final = 10_000
"""Most parts of one tool's schema that are looked at; references can make a short one very wide."""
ENVELOPES_MAX: Final = 8

SIMPLE: Final = {"string": "string", "integer": "int", "number": "number", "boolean": "boolean", "object": "record"}
FORMATS: Final = {
    "email": "email",
    "idn-email": "email",
    "uri": "url",
    "url": "url",
    "iri": "url",
    "ipv4": "ip",
    "ipv6": "ip",
    "hostname": "host",
    "idn-hostname": "host",
    "uuid": "id",
}
WIDER: Final = {frozenset({"int", "number"}): "number"}
TEXTS: Final = frozenset({"string", "email", "url", "host", "ip", "enum"})

UNSAID: Final = (
    "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "minItems", "maxItems", "uniqueItems", "contains", "prefixItems", "not", "if", "minProperties", "maxProperties",
    "contentEncoding",
)  # fmt: skip
UNSAID_OF_ALL: Final = (
    "patternProperties", "propertyNames", "dependentRequired", "dependentSchemas", "dependencies", "anyOf", "oneOf",
    "allOf", "not", "if", "minProperties", "maxProperties",
)  # fmt: skip
SCHEMA_PLACES: Final = ("inputSchema", "input_schema", "parameters", "params", "schema")

_class = re.compile(r"[A-Za-z][A-Za-z0-9-]*")

Schema: TypeAlias = Mapping[str, Any]


class Undeclarable(ValueError):
    """The document holds no tools that can be found; the text says what was looked for."""


@dataclass(frozen=True, slots=True)
class Declared:
    """The declarations, and what they leave out, tool by tool. Tools come by name, so that lists can be compared."""

    policy: s.Policy
    notes: tuple[str, ...] = ()

    @property
    def tool_count(self) -> int:
        """How many tools are declared, each group's counted."""
        return sum(len(item.items) if isinstance(item, s.ForItem) else 1 for item in self.policy.items)


@dataclass(slots=True)
class _Found:
    """One tool as its document has it."""

    name: str
    schema: Schema | None
    classes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(slots=True)
class _Reader:
    """One tool's schema on its way; `whole` is the document in which its references point."""

    tool: str
    whole: Schema
    notes: dict[str, None] = field(default_factory=dict)
    steps: int = 0

    def note(self, where: str, what: str) -> None:
        place = f"`{self.tool}`, argument `{where}`" if where else f"`{self.tool}`"
        self.notes[f"{place}: {what}"] = None


def declare(document: Json, env: str | None = None) -> Declared:
    """Return the tools of a document as declarations, in a group for `env` where one is named.

    A catalog, `{SUITE: {"tools": …}}`, gives one group for each suite; `env` then picks that suite alone.
    Cost: linear in the document; references are followed each time they stand, STEPS_MAX at most.

    Raises:
        Undeclarable: there are no tools in it, or no such suite.
    """
    notes: list[str] = []
    suites = _suites(document)
    if suites is None:
        tools = _items(_tools(document, notes), notes)
        if not tools:
            raise Undeclarable("the list of tools is empty")
        return Declared(s.Policy(_grouped(env, tools)), tuple(notes))
    if env is not None and env not in suites:
        raise Undeclarable(f"the catalog has no suite `{env}`; it has {', '.join(sorted(suites))}")
    items: list[s.Item] = []
    for suite in sorted(suites) if env is None else [env]:
        told: list[str] = []
        items += _grouped(suite, _items(_tools(suites[suite], told), told))
        notes += [f"{suite}: {note}" for note in told]
    return Declared(s.Policy(tuple(items)), tuple(notes))


def _grouped(env: str | None, tools: tuple[s.ToolItem, ...]) -> tuple[s.Item, ...]:
    if env is None or not tools:
        return tools
    return (s.ForItem((), (s.Text(_literal_glob(env)),), tools),)


def _literal_glob(env: str) -> str:
    """Return the pattern that fits this environment alone."""
    return re.sub(r"([\\*?])", r"\\\1", env)


# ---------------------------------------------------------------- where the tools stand


def _suites(document: Json) -> dict[str, Json] | None:
    """Return a catalog's suites, or None where the document is not a catalog."""
    if not isinstance(document, dict) or not document:
        return None
    if all(isinstance(suite, dict) and isinstance(suite.get("tools"), dict | list) for suite in document.values()):
        return dict(document)
    return None


def _tools(document: Json, notes: list[str], envelopes: int = 0) -> Iterator[_Found]:
    """Return the tools of a list, of an envelope around one, of a mapping from names, or of one schema."""
    if isinstance(document, list):
        for place, entry in enumerate(document, 1):
            if not isinstance(entry, dict):
                notes.append(f"entry {place} of the list is not an object; left out")
            else:
                yield from _entry("", entry, place, notes)
        return
    if not isinstance(document, dict) or envelopes > ENVELOPES_MAX:
        raise Undeclarable("a tool list is a JSON object or array")
    failure = document.get("error")
    if isinstance(failure, dict) and "result" not in document:
        raise Undeclarable(f"the reply is an error: {failure.get('message', failure)}")
    for envelope in ("result", "tools"):
        inner = document.get(envelope)
        if isinstance(inner, list) or (isinstance(inner, dict) and not _is_schema(inner) and not _is_schema(document)):
            if document.get("nextCursor"):
                notes.append("the reply has a further page (`nextCursor`), whose tools are not here")
            yield from _tools(inner, notes, envelopes + 1)
            return
    lone = isinstance(document.get("name"), str) and any(place in document for place in SCHEMA_PLACES)
    if lone or isinstance(document.get("function"), dict):
        yield from _entry("", document, 1, notes)
    elif _is_schema(document):
        name = document.get("name") or document.get("title")
        if not isinstance(name, str):
            raise Undeclarable("the schema names no tool; give it a `title`, or write {NAME: SCHEMA}")
        yield _Found(name, document)
    elif all(isinstance(entry, dict) for entry in document.values()):
        for place, (name, entry) in enumerate(document.items(), 1):
            yield from _entry(name, entry, place, notes)  # type: ignore[arg-type]
    else:
        raise Undeclarable("no tools found; expected an MCP `tools/list` reply, a list of tools, or {NAME: SCHEMA}")


def _is_schema(document: Schema) -> bool:
    kind = document.get("type")
    if isinstance(kind, dict) or ("properties" in document and not isinstance(document["properties"], dict)):
        return False
    return isinstance(kind, str | list) or isinstance(document.get("properties"), dict) or "$schema" in document


def _entry(name: str, entry: dict[str, Any], place: int, notes: list[str]) -> Iterator[_Found]:
    """Return the tool of one entry of a list, or of a mapping under its name."""
    hints = entry.get("annotations")
    said = entry
    if isinstance(entry.get("function"), dict):
        said = entry["function"]
    for title in (said.get("name"), said.get("title") if _is_schema(said) else None):
        name = name or (title if isinstance(title, str) else "")
    if not name:
        notes.append(f"entry {place} of the list has no name; left out")
        return
    schema: Any = next((said[place] for place in SCHEMA_PLACES if isinstance(said.get(place), dict)), None)
    if schema is None and _is_schema(said) and not any(place in said for place in SCHEMA_PLACES):
        schema = said if isinstance(said.get("properties"), dict) or said.get("type") == "object" else None
    keys = entry.get("key_args")
    yield _Found(
        name,
        schema,
        _classes(name, entry.get("effect"), hints, notes),
        tuple(key for key in keys if isinstance(key, str)) if isinstance(keys, list) else (),
    )


def _classes(tool: str, effect: Any, hints: Any, notes: list[str]) -> tuple[str, ...]:
    """Return the classes that a word for the effect, or an MCP server's hints, stand for."""
    found: list[str] = []
    for part in re.split(r"[_\s/]+", effect) if isinstance(effect, str) else ():
        if _class.fullmatch(part):
            found.append(part.lower())
        elif part:
            notes.append(f"`{tool}`: `{part}` is no name for a class; left out")
    if isinstance(hints, dict):
        reads, destroys, opens = (hints.get(f"{hint}Hint") for hint in ("readOnly", "destructive", "openWorld"))
        if reads is True and destroys is True:
            notes.append(f"`{tool}`: its hints call it read-only and destructive; taken as destructive")
        if destroys is True:
            found += ["write", "destructive"]
        elif reads is not None:
            found.append("read" if reads is True else "write")
        if opens is True and found:
            found.append("external" if "write" in found else "untrusted")
    return tuple(dict.fromkeys(found))


# ---------------------------------------------------------------- one tool


def _items(found: Iterable[_Found], notes: list[str]) -> tuple[s.ToolItem, ...]:
    """Return the declarations by name; of two that differ under one name, the first."""
    items: dict[str, s.ToolItem] = {}
    for tool in found:
        wrong = _unspeakable(tool.name)
        if wrong:
            notes.append(f"`{tool.name}`: {wrong}; left out")
            continue
        if len(items) >= TOOLS_MAX:
            raise Undeclarable(f"more than {TOOLS_MAX} tools")
        item = _item(tool, notes)
        if items.setdefault(item.name, item) != item:
            notes.append(f"`{tool.name}`: declared twice, and differently; the first is taken")
    return tuple(items[name] for name in sorted(items))


def _unspeakable(name: str) -> str:
    """Say why the language cannot spell a name; "" where it can."""
    if not name:
        return "an empty name"
    if "*" in name or "?" in name:
        return "`*` and `?` stand for other characters in the names of tools"
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name):
        return "its name holds control characters"
    return ""


def _item(tool: _Found, notes: list[str]) -> s.ToolItem:
    reader = _Reader(tool.name, tool.schema or {})
    params: list[s.Param] = []
    schema = tool.schema
    if schema is None:
        reader.note("", "no schema for its arguments; any are taken")
        notes += reader.notes
        return s.ToolItem(tool.name, (), True, tool.classes)
    schema = _followed(reader, "", schema, set())
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    required = schema.get("required")
    required = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
    more = _takes_more(reader, schema)
    for name, written in properties.items():
        wrong = "an empty name" if not name else "half of a surrogate pair" if _broken(name) else ""
        if wrong or any(unicodedata.normalize("NFC", name) == param.name for param in params):
            reader.note(name, f"{wrong or 'the same name as another argument'}; `...` stands for it")
            more = True
            continue
        type_, nullable = _type(reader, name, written, set(), 0)
        optional = name not in required or nullable or (isinstance(written, dict) and "default" in written)
        if nullable and name in required and not (isinstance(written, dict) and "default" in written):
            reader.note(name, "required but may be null; declared as optional")
        params.append(s.Param(unicodedata.normalize("NFC", name), type_, optional, name in tool.keys))
    for name in sorted(required - set(properties)):
        reader.note(name, "required but not described; declared as any")
        params.append(s.Param(name, s.Type("any"), key=name in tool.keys))
    for name in tool.keys:
        if name not in properties and name not in required:
            reader.note(name, "named as a key argument, but the tool has no such argument")
    notes += reader.notes
    return s.ToolItem(tool.name, tuple(params), more, tool.classes)


def _broken(name: str) -> bool:
    return any(unicodedata.category(sign) == "Cs" for sign in name)


def _takes_more(reader: _Reader, schema: Schema) -> bool:
    """Tell whether further arguments are permitted; note what else the schema says of all of them."""
    more = schema.get("additionalProperties")
    if isinstance(more, dict) and more:
        reader.note("", "further arguments are permitted, but not with a type (`additionalProperties`)")
    for word in UNSAID_OF_ALL:
        if word in schema:
            reader.note("", f"`{word}` is not carried over")
    unnamed = isinstance(schema.get("patternProperties"), dict) and bool(schema["patternProperties"])
    return more is True or isinstance(more, dict) or unnamed


# ---------------------------------------------------------------- types


def _followed(reader: _Reader, where: str, schema: Schema, seen: set[str]) -> Schema:
    """Return a schema with its references and lone `allOf` resolved; an empty one where they lead nowhere."""
    while True:
        parts = schema.get("allOf")
        reference = schema.get("$ref")
        if isinstance(reference, str):
            target = _target(reader.whole, reference) if reference not in seen else None
            if target is None:
                why = "refers to itself" if reference in seen else "is not in the document"
                reader.note(where, f"`{reference}` {why}; declared as any")
                return {}
            seen.add(reference)
            schema = {**target, **{word: value for word, value in schema.items() if word != "$ref"}}
        elif isinstance(parts, list) and len(parts) == 1 and isinstance(parts[0], dict):
            schema = {**parts[0], **{word: value for word, value in schema.items() if word != "allOf"}}
        else:
            return schema


def _target(whole: Schema, reference: str) -> Schema | None:
    """Return what a reference inside the document (`#/$defs/NAME`) points at."""
    at: Any = whole
    if not reference.startswith("#"):
        return None
    for step in reference[1:].split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        at = at.get(key) if isinstance(at, dict) else None
    return at if isinstance(at, dict) else None


def _type(reader: _Reader, where: str, written: Any, seen: set[str], depth: int) -> tuple[s.Type, bool]:
    """Return a schema's type, and whether null is one of its values."""
    if not isinstance(written, dict):
        return s.Type("any"), False
    reader.steps += 1
    if depth > DEPTH_MAX or reader.steps > STEPS_MAX:
        reader.note(where, "nested too deeply, or too wide; declared as any")
        return s.Type("any"), False
    seen = set(seen)
    schema = _followed(reader, where, written, seen)
    for word in UNSAID:
        if word in schema:
            reader.note(where, f"`{word}` is not carried over")
    if "enum" in schema or "const" in schema:
        return _enum(reader, where, schema["enum"] if "enum" in schema else [schema["const"]])
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list):
            return _union(reader, where, schema[word], seen, depth)
    if isinstance(schema.get("allOf"), list):
        reader.note(where, "`allOf` is not carried over; declared as any")
        return s.Type("any"), False
    kind = schema.get("type")
    if isinstance(kind, list):
        return _union(reader, where, [{**schema, "type": one} for one in kind], seen, depth)
    if kind == "null":
        return s.Type("null"), True
    if kind == "array":
        return s.Type("list", _items_type(reader, where, schema, seen, depth)), False
    if kind == "string":
        return s.Type(FORMATS.get(str(schema.get("format")), "string")), False
    if kind is None and isinstance(schema.get("properties"), dict):
        kind = "object"
    if kind == "object" and schema.get("properties"):
        reader.note(where, "a record; the types of its members are not carried over")
    if isinstance(kind, str) and kind in SIMPLE:
        return s.Type(SIMPLE[kind]), False
    if kind is not None:
        reader.note(where, f"unknown type `{kind}`; declared as any")
    return s.Type("any"), False


def _items_type(reader: _Reader, where: str, schema: Schema, seen: set[str], depth: int) -> s.Type:
    items = schema.get("items")
    if isinstance(items, list):
        reader.note(where, "a type for each place of the list; declared as a list of any")
        return s.Type("any")
    type_, nullable = _type(reader, where, items, seen, depth + 1)
    if nullable:
        reader.note(where, "its items may be null; declared as a list of any")
        return s.Type("any")
    return type_


def _enum(reader: _Reader, where: str, values: Any) -> tuple[s.Type, bool]:
    """Return an enumeration of texts; of other values, their common type."""
    values = values if isinstance(values, list) else []
    nullable = None in values
    values = [value for value in values if value is not None]
    if values and all(isinstance(value, str) for value in values):
        if any(_broken(value) for value in values):
            reader.note(where, "a value holds half of a surrogate pair; declared as string")
            return s.Type("string"), nullable
        return s.Type("enum", None, tuple(dict.fromkeys(unicodedata.normalize("NFC", v) for v in values))), nullable
    kinds = {_kind(value) for value in values}
    kind = kinds.pop() if len(kinds) == 1 else WIDER.get(frozenset(kinds), "any")
    reader.note(where, f"its list of values is not carried over; declared as {kind}")
    return s.Type(kind), nullable


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "int"
        case float():
            return "number"
        case str():
            return "string"
        case dict():
            return "record"
    return "any"


def _union(reader: _Reader, where: str, parts: list[Any], seen: set[str], depth: int) -> tuple[s.Type, bool]:
    """Return the one type of several; any where they differ."""
    found = [_type(reader, where, part, seen, depth + 1) for part in parts]
    nullable = any(null for _, null in found)
    types = list(dict.fromkeys(type_ for type_, _ in found if type_.name != "null"))
    if not types:
        reader.note(where, "nothing but null; declared as any")
        return s.Type("any"), nullable
    if len(types) == 1:
        return types[0], nullable
    names = frozenset(type_.name for type_ in types)
    if names == {"enum"}:
        return replace(types[0], values=tuple(dict.fromkeys(v for type_ in types for v in type_.values))), nullable
    wider = WIDER.get(names) or ("string" if names <= TEXTS else "any")
    if wider not in names:
        told = " or ".join(type_.name for type_ in types)
        reader.note(where, f"{told}; declared as {wider}")
    return s.Type(wider), nullable
