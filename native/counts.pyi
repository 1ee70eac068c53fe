from collections.abc import Callable
from typing import Any

from .facts import Reader
from .forms import Form

class Tally: ...

class Sessions:
    def __init__(self, session: Form, call: Form) -> None: ...

class Counted(Reader):
    def __init__(
        self,
        forms: Sessions,
        fit: Callable[[str, frozenset[str] | None], bool | None],
        window_s: float | None,
        completed: object,
        ending: bool | None,
    ) -> None: ...

class Labelled(Reader):
    def __init__(self, forms: Sessions, label: str) -> None: ...
    def __call__(self, facts: Any) -> bool | None: ...
