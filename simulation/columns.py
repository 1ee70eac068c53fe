"""Calls in tables of somebody else's making: JSONL or Parquet, and a mapping from our fields to their columns.

A mapping names for each field the column that holds it: `tool_name=action.tool` reads a member of a record. A field
that is not mapped is looked for under its own name. Needed are the session, the tool and the time.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from ..contract import Effect, Fault, OperationError
from ..engine.decide import admitted
from ..engine.session import clean
from ..grammar.messages import did_you_mean
from .calls import LABELS, RECORDED, Call, Laid, Was
from .opening import Progress, lines
from .problems import Problems
from .reading import read_line, read_object, seconds

FIELDS: Final = (
    "session_id", "tool_name", "ts", "tool_args", "agent_id", "user_id", "tenant_id", "environment", "prompt",
    "result", "error", "executed", "decision", "rules", "scope", "purpose", "intent", "data_classification", "seq",
)  # fmt: skip
OTHER_NAMES: Final = {
    "environment": "suite",
    "result": "tool_result_excerpt",
    "error": "tool_error",
    "prompt": "user_prompt",
}
EFFECTS: Final = frozenset(effect.value for effect in Effect)
SENT: Final = {"purpose": "purpose", "intent": "session_intent", "data_classification": "data_classification"}
ROWS_AT_ONCE: Final = 10_000


def read_mapping(given: list[str]) -> dict[str, str]:
    """Return a mapping written as FIELD=COLUMN.

    Raises:
        OperationError: a field is not known, or there is no column.
    """
    mapping: dict[str, str] = {}
    for one in given:
        field, equals, column = one.partition("=")
        if not equals or not column:
            raise OperationError(f"`{one}` is no mapping; write FIELD=COLUMN, as in `tool_name=action`")
        if field not in FIELDS and field not in LABELS:
            meant = did_you_mean(field, [*FIELDS, *LABELS]) or f"; the fields are {', '.join(FIELDS)}"
            raise OperationError(f"unknown field `{field}`{meant}")
        mapping[field] = column
    return mapping


def table_calls(
    file: Path, mapping: Mapping[str, str], found: Problems, progress: Progress | None = None
) -> Iterator[Laid]:
    """Return (number, prompt, whether the session was seen to begin, call) for each row of a table."""
    rows = _parquet(file) if file.name.endswith(".parquet") else _jsonl(file, found, progress)
    for number, row in rows:
        read = {field: _column(row, mapping.get(field, field)) for field in (*FIELDS, *LABELS)}
        for field, name in OTHER_NAMES.items():
            if read[field] is None and field not in mapping:
                read[field] = row.get(name)
        call = _call(read)
        if isinstance(call, str):
            found.problem(f"{file}:{number}", call)
        else:
            prompt = read["prompt"]
            yield number, clean(prompt) if isinstance(prompt, str) else None, True, call


def _jsonl(file: Path, found: Problems, progress: Progress | None) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in lines(file, progress):
        row = read_object(line)
        if isinstance(row, str):
            found.problem(f"{file}:{number}", row)
        else:
            yield number, row


def _parquet(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise OperationError("Parquet needs a library; install `thoth-runtime[arrow]`, or write JSONL") from None
    from pyarrow import ArrowException

    number = 0
    try:
        with parquet.ParquetFile(file) as table:
            for batch in table.iter_batches(ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (ArrowException, OSError) as error:
        raise OperationError(f"`{file}` cannot be read: {error}") from error


def _column(row: Mapping[str, Any], path: str) -> Any:
    """Return a column of a row, by its whole name or by a path into records."""
    if path in row:
        return row[path]
    value: Any = row
    for step in path.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value


def _call(read: Mapping[str, Any]) -> Call | str:
    """Return the call that a row is, or what keeps it from being one."""
    id, args = read["session_id"], read["tool_args"]
    if isinstance(id, int) and not isinstance(id, bool):
        id = str(id)
    if not isinstance(id, str) or not id:
        return "`session_id` is not a text; map it, as in `--map session_id=conversation`"
    ts = _time(read["ts"])
    if ts is None:
        return "`ts` is not a time; map it, as in `--map ts=created_at`"
    if read["tool_name"] is None:
        return "`tool_name` is missing; map it, as in `--map tool_name=action`"
    if isinstance(args, str):
        parsed = read_line(args.encode("utf-8", "replace"))
        if isinstance(parsed, Fault):
            return f"`tool_args` is a text that is not JSON: {parsed}"
        args = parsed
    executed, decision, result, error = (read[name] for name in ("executed", "decision", "result", "error"))
    if executed is None:
        executed = decision not in ("BLOCK", "STEP_UP", "DEFER")
    if not isinstance(executed, bool):
        return "`executed` is not true or false"
    tenant, user = str(read["tenant_id"] or RECORDED), str(read["user_id"] or RECORDED)
    request = {
        "tool_name": read["tool_name"],
        "tool_args": {} if args is None else args,
        "agent_id": read["agent_id"],
        "session_id": id,
        "environment": read["environment"],
        "tenant_id": tenant,
        "user_id": user,
        "approved_scope": read["scope"],
        **{sent: read[name] for name, sent in SENT.items()},
    }
    rules = read["rules"] if isinstance(read["rules"], list) else []
    return Call(
        session_id=clean(id),
        seq=0,
        ts=ts,
        suite=read["environment"] if isinstance(read["environment"], str) else None,
        agent_id=read["agent_id"] if isinstance(read["agent_id"], str) else None,
        tool_name=read["tool_name"],
        tool_args=request["tool_args"],
        executed=executed,
        tool_error=error if isinstance(error, str) and error else None,
        result=clean(result) if isinstance(result, str) else None,
        whole=isinstance(result, str),
        labels={name: read[name] for name in LABELS if read[name] is not None},
        tenant_id=tenant,
        user_id=user,
        sent=admitted(request),
        was=Was(decision, tuple(map(str, rules))) if decision in EFFECTS else None,
    )


def _time(given: Any) -> float | None:
    """Return a time in epoch seconds: RFC 3339, a number of seconds (or of milliseconds, where it is that large)."""
    if isinstance(given, datetime):
        return (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()
    if isinstance(given, date):
        return datetime(given.year, given.month, given.day, tzinfo=UTC).timestamp()
    if isinstance(given, int | float) and not isinstance(given, bool):
        return given / 1000 if given > 1e11 else float(given)
    return seconds(given)
