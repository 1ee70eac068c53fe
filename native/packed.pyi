from typing import Any

from .admission import Intake

class Packed:
    def __init__(self, intake: Intake) -> None: ...
    def read(self, data: bytes) -> Any: ...
