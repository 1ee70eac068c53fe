from collections.abc import Callable
from typing import Any

from .admission import Intake

class Entry:
    def __init__(
        self,
        intake: Intake,
        fault: type[Any],
        admit: Callable[[object], Any],
        in_full: Callable[[Any, Any, Any, Any, float, Any, str], Any],
    ) -> None: ...
    def decide(
        self,
        table: Any,
        given: object,
        *,
        session: Any = None,
        ledger: Any = None,
        now: float,
        approval: Any = None,
        id: str = "",
    ) -> Any: ...
    def decide_admitted(
        self, table: Any, request: Any, *, session: Any, ledger: Any, now: float, approval: Any, id: str
    ) -> Any: ...
