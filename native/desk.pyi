from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from .entry import Entry
from .forms import Form
from .running import Running
from .wire import Wire

class Lock:
    def __enter__(self) -> None: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

class Ids:
    text: str
    def __init__(self, prefix: str) -> None: ...
    def next(self) -> str: ...

class Desk:
    lock: Lock
    ids: Ids
    ledger: Any
    recorder: Any
    running: Running[Any]
    def __init__(
        self,
        *,
        prefix: str,
        wire: Wire,
        admit_text: Callable[[Any], Any],
        clock: Callable[[], float],
        recorder: object,
        ledger: object,
        sessions: Any,
        engine: object,
        explain: Callable[[Any, Any, Any, int, Any], str],
        session_of: Callable[[Any], Any],
        unrecorded: Callable[[Any, Exception], Any],
        account: Callable[[Any, Any, Any], None],
        remember: Callable[[Any], tuple[frozenset[str] | None, frozenset[str], frozenset[str]]],
        allow: object,
        request: Form,
        decision: Form,
        session: Form,
        call: Form,
        outcome: Form,
        heard: Form,
        endings: Iterable[Any],
        running_max: int,
        calls_max: int,
    ) -> None: ...
    def take(
        self,
        entry: Entry | None,
        table: object,
        admit: Callable[[object], Any],
        decide_in_full: Callable[..., Any],
        plain: frozenset[str],
        quiet: frozenset[str],
        in_flight_s: float,
        refusal: tuple[Any, ...],
    ) -> None: ...
    def decide(self, given: object, session: Any, approval: Any) -> Any: ...
    def decide_admitted(self, admitted: Any) -> Any: ...
    def refuse(self, admitted: Any, reason_code: str, problem: str) -> Any: ...
    def ended(self, decision: Any, ending: Any, result: object, whole: bool) -> Any: ...
    def let_through(self, decision: Any, session: Any) -> None: ...
