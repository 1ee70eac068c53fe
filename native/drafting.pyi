from collections.abc import Callable, Collection
from typing import Any, Final

from .forms import Form
from .tray import SealKey, Tray

CONSTANT: Final[int]
TEXT: Final[int]
TEXTS: Final[int]
NUMBER: Final[int]
COUNT: Final[int]
FLAG: Final[int]
MOMENT: Final[int]
NOW: Final[int]
VIA: Final[int]
GROUP: Final[int]
MAPPING: Final[int]
ONE: Final[int]
LENGTH: Final[int]
SHOWN: Final[int]
SEALED: Final[int]
NEVER: Final[int]
SAME: Final[int]

class Member:
    kind: int
    path: bytes
    def __init__(
        self,
        name: str,
        kind: int,
        form: Form | None = None,
        slot: str = "",
        of_request: bool = False,
        extra: bytes | str | Callable[[Any, Any], Any] | tuple[Any, ...] | bool | None = None,
        guard: str = "",
    ) -> None: ...

class Clerk:
    shown: Callable[[str], Collection[str]] | None
    def __init__(
        self,
        tray: Tray,
        sheet: Sheet,
        clock: Callable[[], int],
        shown: Callable[[str], Collection[str]] | None,
        *,
        seals: bool,
        keep: bool,
        see_to: Callable[[int], object] | None = None,
        at_leisure: Callable[..., None] | None = None,
        drafts: bool = True,
        waits: bool = False,
    ) -> None: ...
    @property
    def count(self) -> int: ...
    def decided(self, decision: object) -> None: ...
    def ended(self, decision: object, outcome: object) -> None: ...
    def take(self, main: object, request: object) -> int: ...

class Sheet:
    def __init__(
        self,
        main: Form,
        request: Form,
        members: list[Member],
        *,
        text_chars: int,
        list_items: int,
        mapping_items: int,
        shown_bytes: int,
        body_bytes: int,
    ) -> None: ...
    def draft(
        self,
        tray: Tray,
        main: object,
        request: object,
        key: SealKey | None,
        now_us: int,
        shown: Collection[str] | None,
        keep: bool,
    ) -> int: ...
