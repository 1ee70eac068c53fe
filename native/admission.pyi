from typing import Any

from .forms import Form

class Bounds:
    def __init__(self, depth: int, bits: int, values: int, chars: int) -> None: ...

class Intake:
    def __init__(self, form: Form, bounds: Bounds, text: str, members: str) -> None: ...
    def read(self, given: object) -> Any: ...
