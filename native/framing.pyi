from typing import Final, NamedTuple

from typing_extensions import Buffer

from .peaks import Peaks
from .tray import Half

BODY_BYTES_MAX: Final = 65_535
FRAME_HEADER_BYTES: Final = 40
HAS_SHA_INSTRUCTIONS: Final[bool]

class Scan(NamedTuple):
    end: int
    frame_count: int
    chain: bytes
    durable: int
    leaves: bytes
    spans: list[tuple[int, int]]
    cut: bool

class Committed(NamedTuple):
    leaves: bytes
    errno: int
    what: str

class Batch:
    next_seq: int
    chain: bytes
    def __init__(self, next_seq: int, chain: bytes) -> None: ...
    @property
    def count(self) -> int: ...
    @property
    def byte_count(self) -> int: ...
    def add(self, body: bytes) -> tuple[bytes, bytes]: ...
    def add_all(self, half: Half, start: int, room: int, peaks: Peaks) -> bytes: ...
    def commit_all(
        self,
        half: Half,
        start: int,
        room: int,
        peaks: Peaks,
        durable: int,
        salt: int,
        file: int,
        offset: int,
        boxes: Buffer | None,
        box_file: int,
        box_offset: int,
    ) -> Committed | None: ...
    def seal(self, durable: int, salt: int) -> memoryview: ...
    def clear(self) -> None: ...

def scan_frames(data: Buffer, start: int, seq: int, salt: int, chain: bytes, want_spans: bool) -> Scan: ...
def read_frame(data: Buffer, start: int) -> tuple[int, int, int, int] | None: ...
def zeros_end(data: Buffer, start: int) -> int: ...
def tagged_sha256(tag: int, first: Buffer, second: Buffer) -> bytes: ...
def xxh3_of(data: Buffer) -> int: ...
def choose_sha(instructions: bool) -> bool: ...
