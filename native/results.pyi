from typing import Any, Final

from .forms import Form

ALWAYS: Final[int]
UNLESS: Final[int]
OTHER_THAN: Final[int]
ABSENT: Final[int]
ASKED_ARGS: Final[int]

class Results:
    def __init__(
        self, answer: Form, request: Form, members: list[tuple[str, int, str, str, Any]], asked: str, args: str
    ) -> None: ...
    def spelled(self, answer: Any, id: int) -> bytes | None: ...
