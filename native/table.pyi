from collections.abc import Callable
from typing import Any, Final

from .facts import Facts, Reader
from .questions import Question

HOLDS: Final[int]
FAILS: Final[int]
EACH_ANY: Final[int]
EACH_ALL: Final[int]
MASK_NO: Final[int]
MASK_YES: Final[int]
MASK_DOUBT: Final[int]
MASK_AWAY: Final[int]

class Column: ...

class Asked(Column):
    def __init__(self, ask: Callable[[Any], Any]) -> None: ...

class Tested(Column):
    def __init__(
        self,
        reader: int,
        question: Question,
        right: Any = None,
        right_reader: int = -1,
        each: int = 0,
        negated: bool = False,
    ) -> None: ...

class Choice(Column):
    def __init__(self, reader: int, first: int, constants: list[tuple[Any, ...]]) -> None: ...

class Table:
    def __new__(
        cls, columns: list[Column], readers: tuple[Reader, ...], nodes: list[tuple[int, int, int, int]]
    ) -> Table: ...

class Pivot: ...

class Rows:
    def __new__(
        cls,
        table: Table,
        rows: list[tuple[int, int, float]],
        rest: bytes | None = None,
        pivots: tuple[Pivot, ...] = (),
    ) -> Rows: ...
    def __len__(self) -> int: ...

class Walk:
    def __new__(cls, table: Table, facts: Facts) -> Walk: ...
    def holding(self, rows: Rows, now: float) -> list[int]: ...
    def truth(self, column: int, opposite: bool) -> bool | None: ...
