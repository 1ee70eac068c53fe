from collections.abc import Callable
from typing import Any

from .batch import Batching

class Arrow:
    def __init__(
        self, batching: Batching, path_of: Callable[[str], tuple[str, ...]], fault: Callable[[str], Any]
    ) -> None: ...
    def take(self, table: object) -> None: ...
