from collections.abc import Callable
from typing import Any

from .admission import Intake

class Wire:
    def __init__(self, intake: Intake, json: Callable[[Any], Any], msgpack: Callable[[Any], Any]) -> None: ...
    def read(self, data: object) -> Any: ...
