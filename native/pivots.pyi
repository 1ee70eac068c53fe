from typing import Any, Final

from .table import Pivot

FORM_TEXT: Final[int]
FORM_NUMBER: Final[int]
FORM_ID: Final[int]
FORM_EMAIL: Final[int]
FORM_HOST: Final[int]
FORM_COUNT: Final[int]

class Matching(Pivot):
    def __init__(
        self, reader: int, runs: tuple[dict[Any, bytes], ...], defaults: tuple[bytes, ...], every: bytes
    ) -> None: ...

class Beginning(Pivot):
    def __init__(self, reader: int, runs: dict[str, bytes], every: bytes, scan_chars: int) -> None: ...

class Bounded(Pivot):
    def __init__(self, reader: int, bounds: list[Any], run: bytes, every: bytes, above: bool) -> None: ...
