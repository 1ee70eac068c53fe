from collections.abc import Callable
from typing import Any

from .forms import Form
from .values import Kind

class Facts:
    knowledge: Any
    request: Any
    name: str
    declared: Any
    session: Any
    result: Any
    now: float
    risk: int
    read: dict[str, Any]
    kinds: dict[str, Kind]
    optional: frozenset[str]
    readable: bool

class Reader:
    def __call__(self, facts: Any) -> Any: ...

class Function(Reader):
    def __init__(self, function: Callable[[Any], Any]) -> None: ...

class TextField(Reader):
    def __init__(self, form: Form, name: str) -> None: ...

class Folder(Reader):
    def __init__(self, form: Form, name: str, member: str) -> None: ...

class ArgumentPath(Reader):
    def __init__(self, steps: tuple[str | int | None, ...]) -> None: ...
