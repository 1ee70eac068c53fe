from typing import Final

PATTERNS_MAX: Final[int]

class Sweep:
    made: bool
    def __new__(cls, automata: list[tuple[bytes, int, int, int]]) -> Sweep: ...
    def found(self, text: str) -> list[int] | None: ...
