from collections.abc import Callable
from typing import Any

from .entry import Entry
from .forms import Form

class Forms:
    def __init__(self, call: Form, decision: Form, session: Form, past: Form, kind: Form) -> None: ...

class Passage:
    def __init__(
        self,
        forms: Forms,
        entry: Entry,
        table: Any,
        kinds: dict[Any, Any],
        allow: Any,
        block: Any,
        completed: Any,
        remember: Callable[..., None] | None,
        calls_max: int,
    ) -> None: ...
    def run(
        self,
        calls: tuple[Any, ...],
        at: int,
        session: Any,
        ledger: Any,
        counts: dict[Any, list[int]],
        known: set[str],
        marks: list[str],
        suite: str | None,
        agent: str | None,
        since: float,
        until: float,
        stopped: bool,
        number: int,
        shown: int,
    ) -> tuple[int, bool, int, Any]: ...
