"""What a decision of a policy can cost: a bound from its table, whatever a call brings."""

from dataclasses import dataclass

from . import checked as c
from .compile import DecisionTable


@dataclass(frozen=True, slots=True)
class Cost:
    """The bound of a table. A call reads each of `slots` values at most once.

    It looks at one of `buckets`, under `tool` at the most `rows` of the policy's; where it brings the values that rules
    ask for, an index lets `narrowed` of these through at most. Looking for patterns goes over `scanned_bytes` at most:
    each value once for each pattern in it, up to the cap on scans, four bytes a character.
    """

    slots: int
    tests: int
    buckets: int
    tool: str
    rows: int
    narrowed: int
    scanned_bytes: int
    table_bytes: int


def cost_of(table: DecisionTable) -> Cost:
    """Return the bound of a table."""
    arena = table.table.arena
    tool, most, narrowed = "*", 0, 0
    for name, (risk, others) in [(("*", -1), table.placement.unknown), *table.placement.known.items()]:
        bounds = [arena.bound(bucket) for bucket in risk + others]
        rows = sum(every for every, _ in bounds)
        if rows > most:
            tool, most, narrowed = name[0], rows, sum(few for _, few in bounds)
    scanning = sum(1 for test in table.columns.tests if isinstance(test.predicate, c.Matches | c.Contains | c.Like))
    return Cost(
        slots=len(table.columns.readers),
        tests=len(table.columns.tests),
        buckets=len({buckets for pair in table.placement.known.values() for buckets in pair[0] + pair[1]}),
        tool=tool,
        rows=most,
        narrowed=narrowed,
        scanned_bytes=4 * scanning * table.knowledge.scan_chars,
        table_bytes=arena.byte_count,
    )
