from collections.abc import Callable
from typing import Any

from .desk import Desk
from .forms import Form
from .load import Load
from .replies import Replies
from .results import Results
from .running import Running
from .tally import Tally

class Street:
    desk: Desk | None
    tenant: str | None
    def __init__(
        self,
        *,
        desk: Desk | None,
        load: Load,
        results: Results,
        tally: Tally,
        answer: Form,
        allow: object,
        block: object,
        running: Running[Any],
        running_max: int,
        running_bytes_max: int,
        forget_oldest: Callable[[], None],
        recent: Any,
        recent_each: int,
        recent_bytes_max: int,
        waits: bool,
        tenant: str | None = None,
    ) -> None: ...

class Lane:
    replies: Replies | None
    failed: tuple[str, str] | None
    id: int
    count: int
    def __init__(
        self,
        street: Street,
        asker: str,
        at_leisure: Callable[[int, bytes, Any], None],
        when_durable: Callable[[int, bytes, Any, bytes], None],
    ) -> None: ...
    @property
    def torn(self) -> bool: ...
    @property
    def waiting(self) -> bool: ...
    def took(self, data: bytes) -> bool: ...
    def feed(self, data: bytes) -> None: ...
    def next(self) -> tuple[int, int, int, bytes] | None: ...
    def put(self, data: bytes) -> None: ...
    def taken(self) -> bytes: ...
    def send(self, descriptor: int) -> bytes: ...
