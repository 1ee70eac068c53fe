from collections.abc import Callable
from typing import Any, Final

from .arena import Arena
from .facts import Facts, Reader
from .questions import Question
from .scan import Scan
from .sweep import Sweep

MASK_NO: Final[int]
MASK_YES: Final[int]
MASK_DOUBT: Final[int]
MASK_AWAY: Final[int]

class Column: ...

class Asked(Column):
    def __init__(self, ask: Callable[[Any], Any]) -> None: ...

class Sought(Column):
    def __init__(self, reader: int, number: int, scan: Scan, together: Together | None) -> None: ...

class Together:
    def __init__(
        self, sweep: Sweep | None, match: Callable[[bytes], list[int]] | None, columns: list[Sought]
    ) -> None: ...

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

class Table:
    arena: Arena
    def __new__(
        cls, arena: Arena, readers: tuple[Reader, ...], make: Callable[[int], Column], scan_chars: int
    ) -> Table: ...
    def clocked(self, facts: Facts, rows: Rows, now: float) -> int: ...

class Rows:
    def __new__(cls, table: Table, bucket: int) -> Rows: ...
    def __len__(self) -> int: ...

class Walk:
    def __new__(cls, table: Table, facts: Facts) -> Walk: ...
    def holding(self, rows: Rows, now: float) -> list[int]: ...
    def surveyed(self, rows: Rows, now: float) -> tuple[list[int], list[tuple[int, int]]]: ...
    def truth(self, column: int, opposite: bool) -> bool | None: ...
