from typing import Final

MAGIC: Final[bytes]
VERSION: Final[int]
SIZES: Final[tuple[int, ...]]
HEADER_BYTES: Final[int]
HOLDS: Final[int]
FAILS: Final[int]
EACH_ANY: Final[int]
EACH_ALL: Final[int]
FORMS: Final[dict[str, int]]
OPS: Final[dict[str, int]]
SHAPES: Final[dict[str, int]]
SIDES: Final[dict[str, int]]
KINDS: Final[dict[str, int]]
LENGTHS: Final[int]
ENTRY_FORM_BITS: Final[int]
RUN_OF_ONE: Final[int]

class ArenaError(ValueError): ...

class Arena:
    byte_count: int
    def memory(self) -> memoryview: ...
    def bound(self, number: int) -> tuple[int, int]: ...
    def __new__(cls, source: bytes | memoryview, readers: int, rules: int) -> Arena: ...
