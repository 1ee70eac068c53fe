from collections.abc import Callable
from typing import Any

from .clients import Client
from .desk import Desk
from .forms import Form
from .load import Load
from .results import Results
from .running import Running
from .tally import Tally
from .waiting import Waiting

class Street:
    desk: Desk | None
    tenant: str | None
    in_flight: int
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
        waits: Waiting | None = None,
        undurable: Callable[[Any, Exception], None] | None = None,
        tenant: str | None = None,
    ) -> None: ...

class Lane:
    client: Client | None
    connection: Any
    in_flight: int
    failed: tuple[str, str] | None
    id: int
    count: int
    def __init__(self, street: Street, asker: str, connection: Any) -> None: ...
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

def give_out(taken: list[Any], error: Exception | None) -> None: ...
