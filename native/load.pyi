from collections.abc import Callable
from typing import Final

WAIT_S: Final[float]
PATIENCE_S: Final[float]
OVERLOADED: Final[str]
TOO_MUCH: Final[str]

class Load:
    now: float
    crowded_since: float
    longest: float
    wait_s: float
    patience_s: float
    def __init__(self, clock: Callable[[], float], soon: Callable[..., object]) -> None: ...
    def arrive(self) -> bool: ...
    def arrive_in(self, reader: int, read: int) -> bool: ...
