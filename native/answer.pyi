from collections.abc import Callable
from typing import Any

from .forms import Form
from .limits import Limit
from .table import Rows, Table
from .values import Kind

class Place:
    def __init__(
        self,
        declared: Any,
        params: tuple[tuple[str, Kind, bool], ...],
        kinds: dict[str, Kind],
        optional: frozenset[str],
        more: bool,
        lenient: bool,
        risk: tuple[Rows, ...],
        rules: tuple[Rows, ...],
    ) -> None: ...

class Missing:
    key: bytes
    facts: Any
    rows: list[int]
    reserved: list[Any]
    counters: list[Any]

class Answers:
    def __new__(
        cls,
        table: Table,
        request: Form,
        answer: Form,
        facts_kind: type[Any],
        knowledge: Any,
        digest: Callable[[Any, Any, Any], str],
        default_reason: Callable[[Any], str],
        places: dict[str, Place | None],
        unknown: Place,
        postures: dict[str | None, int],
        observing: frozenset[int],
        rows: list[tuple[float, int, int, bool]],
        limits: list[Limit | None],
    ) -> Answers: ...
    def find(self, request: Any, session: Any, ledger: Any, now: float, id: str) -> Any: ...
    def keep(self, key: bytes, answer: Any, held: bool, reserving: bool, scoped: bool) -> None: ...
