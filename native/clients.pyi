from typing import Any

from .replies import Replies

class Kept:
    id: int
    client: Client
    lane: Any
    question: bytes | None
    answer: bytes | None
    @property
    def digest(self) -> bytes: ...
    def give(self, decision: Any, token: str) -> None: ...

class Client:
    waiting: dict[int, Kept]
    replies: Replies
    connections: int
    seen_at: float
    def __init__(self, now: float, answers_max: int, answers_bytes_max: int) -> None: ...
    def begin(self, id: int, digest: bytes, lane: Any) -> Kept: ...
    def answered(self, kept: Kept, answer: bytes, now: float) -> None: ...
