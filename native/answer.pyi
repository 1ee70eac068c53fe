from collections.abc import Callable
from typing import Any

from .facts import Facts
from .forms import Form
from .limits import Limit
from .signatures import Signature
from .table import Rows, Table
from .values import Kind

class Place:
    def __init__(
        self,
        declared: object,
        signature: Signature | None,
        kinds: dict[str, Kind],
        optional: frozenset[str],
        risk: tuple[Rows, ...],
        rules: tuple[Rows, ...],
        limited: bool,
    ) -> None: ...

class Stance:
    def __init__(self, mode: object, soft: int, observing: bool, laddered: bool) -> None: ...

class Words:
    def __init__(
        self,
        code: str | None,
        ask: object,
        tell: tuple[str, str] | None,
        retry_after_s: int | None,
        controls: frozenset[str],
    ) -> None: ...

class Answers:
    rule_ids: tuple[str, ...]
    def __init__(
        self,
        table: Table,
        request: Form,
        answer: Form,
        session: Form,
        facts_kind: type[Facts],
        knowledge: object,
        digest: Callable[[Any, Any, Any], str],
        default_reason: Callable[[Any], str],
        places: dict[str, Place | None],
        unknown: Place,
        stances: dict[str | None, Stance],
        rows: list[tuple[str, float, int, int, bool, bool, int, Limit | None, Words | None]],
        effects: tuple[Any, ...],
        reasons: tuple[str, ...],
        deciders: tuple[Any, ...],
        blank: tuple[Any, ...],
        permissive: bool,
        scoped: bool,
        mode_ask: object,
        mode_hold_s: int,
    ) -> None: ...
