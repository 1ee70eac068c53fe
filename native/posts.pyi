from collections.abc import Callable
from typing import Any

from .docket import Docket
from .lane import Street

class Asker:
    name: str
    def __init__(self, name: str, asks: bool, until: float | None, tenant: str | None, agent: str | None) -> None: ...

class Template:
    def __init__(self, shown: tuple[Any, ...], before: bytes, behind: bytes | None, between: list[bytes]) -> None: ...

class Posts:
    mine: Callable[[object], bool] | None
    def __init__(
        self,
        *,
        target: bytes,
        street: Street,
        docket: Docket,
        askers: dict[bytes, Asker],
        shown: tuple[str, ...],
        policy_of: Any,
        cut: Callable[[Any, bool], Template | None],
        spell: Callable[[str], bytes],
        clock: Callable[[], float],
    ) -> None: ...
    def take(self, reader: object, read: int, data: bytes) -> Any: ...
