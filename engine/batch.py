"""Many calls decided at once, outside sessions and counters: nothing is recorded, counted or reserved."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

from ..contract import By, Effect, Fault, RequestError
from ..contract.attributes import WIRE
from ..contract.request import FIELDS
from ..native.arrow import Arrow
from ..native.batch import Batch, Batching
from .answers import REASONS
from .compile import DecisionTable
from .decide import ENTRY

OBJECTS: Final = {
    "args": "tool_args",
    "context": "metadata",
    **{name: name for name in ("tool_args", "metadata", "task_context")},
}
EFFECTS: Final = tuple(Effect)
DECIDERS: Final = tuple(By)


def decide_many(table: DecisionTable, calls: Iterable[Any], *, now: float) -> Batch:
    """Decide calls as `decide` decides each: the answers as columns, by place.

    What a call may be is what `decide` takes. While it runs, nobody may change what it was given.
    Cost: what deciding costs, less a copy of each request and a `Decision`.
    """
    return Batching(ENTRY, table, now, batch_of(table)).take_all(calls)


def decide_batch(table: DecisionTable, rows: object, *, now: float) -> Batch:
    """Decide the rows of an Arrow table, each as `decide` decides a request of the values that are not null.

    `rows` is anything that offers `__arrow_c_stream__` or `__arrow_c_array__`. A column's name is an attribute as
    policies name it (`tool`, `agent`, `args.amount`, `context.region`) or as requests do (`tool_name`, `agent_id`,
    `tool_args.amount`, `metadata.region`, or the whole of `tool_args` as structs).

    Raises:
        RequestError: a column's name is no attribute.
        TypeError: that is no Arrow table, or a column is of a type that no value of a request is of.
        OSError: the stream fails.
    """
    batch = batch_of(table)
    Arrow(Batching(ENTRY, table, now, batch), path_of, Fault).take(rows)
    return batch


def path_of(column: str) -> tuple[str, ...]:
    """Return where in a request a column's values stand: a field, or a field and a member of it.

    Raises:
        RequestError: nowhere.
    """
    if column in WIRE:
        return WIRE[column]
    head, dot, member = column.partition(".")
    field = OBJECTS.get(head, head)
    if field not in FIELDS or (dot and not (member and field in OBJECTS.values())):
        near = get_close_matches(column, [*WIRE, *FIELDS], 1)
        raise RequestError(
            f"the column `{column}` is no attribute of a request" + (f"; did you mean `{near[0]}`?" if near else "")
        )
    return (field, member) if dot else (field,)


def batch_of(table: DecisionTable) -> Batch:
    """Return a batch without calls yet."""
    return Batch(EFFECTS, DECIDERS, REASONS, table.answers.rule_ids)
