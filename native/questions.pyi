from typing import Any

from .scan import Scan

class Question:
    def truth(self, left: Any, right: Any = None) -> bool | None: ...

class Comparison(Question):
    def __init__(self, op: str) -> None: ...

class Membership(Question):
    def __init__(self, values: tuple[Any, ...]) -> None: ...

class Likeness(Question):
    def __init__(
        self, globs: tuple[str, ...], emails: tuple[str, ...], hosts: tuple[str, ...], scan_chars: int
    ) -> None: ...

class Finding(Question):
    def __init__(self, scan: Scan, scan_chars: int) -> None: ...

class Affixed(Question):
    def __init__(self, ends: bool) -> None: ...

class Containment(Question):
    def __init__(self, scan_chars: int) -> None: ...

class Below(Question):
    def __init__(self, folders: tuple[str, ...]) -> None: ...

class Inside(Question):
    def __init__(self, networks: tuple[tuple[int, int, int], ...]) -> None: ...
