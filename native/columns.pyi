from collections.abc import Callable
from typing import Any

from .questions import Question
from .scan import Scan
from .sweep import Sweep
from .table import Column

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
