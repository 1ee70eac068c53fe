from typing import Final

DIRECT: Final[bool]

def write_zeros(file: int, size: int, synced_bytes: int) -> int: ...
