from typing import Any

from .values import Kind

class Signature:
    params: tuple[tuple[str, Kind, bool], ...]
    more: bool
    lenient: bool
    def __init__(self, params: tuple[tuple[str, Kind, bool], ...], more: bool, lenient: bool) -> None: ...
    def fit(self, args: dict[str, Any]) -> bool: ...
