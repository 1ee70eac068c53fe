from typing import Any, Final

class Nothing: ...

ABSENT: Final[Nothing]
UNKNOWN: Final[Nothing]

class Named:
    kind: int
    text: str
    def __init__(self, kind: int, text: str) -> None: ...

class Word:
    text: str
    order: tuple[str, ...]
    rank: int
    def __init__(self, text: str, order: tuple[str, ...]) -> None: ...

class Range:
    low: Any
    high: Any
    def __init__(self, low: Any, high: Any) -> None: ...

class Kind:
    name: str
    code: int
    items: Kind
    values: frozenset[str]
    def __init__(self, name: str, items: Kind | None = None, values: tuple[str, ...] = ()) -> None: ...
    def fits(self, value: object) -> bool: ...

ANY_KIND: Final[Kind]
EMAIL_CODE: Final[int]
HOST_CODE: Final[int]
ID_CODE: Final[int]

def follow(value: Any, kind: Kind, steps: tuple[str | int | None, ...]) -> Any: ...
def argument(
    args: dict[str, Any], kinds: dict[str, Kind], optional: frozenset[str], steps: tuple[str | int | None, ...]
) -> Any: ...
def fit_exactly(
    args: dict[str, Any], params: tuple[tuple[str, Kind, bool], ...], more: bool, lenient: bool
) -> bool: ...
def text_of_value(value: Any) -> str | None: ...
def equal(left: Any, right: Any) -> bool | None: ...
def less(left: Any, right: Any) -> bool | None: ...
