from typing import Any

class Ink:
    used: int

def spelled(value: Any) -> bytes | None: ...
