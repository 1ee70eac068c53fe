"""Which ids were ever forgotten, in a few bytes for each: Bloom filters (B. H. Bloom, "Space/time trade-offs in hash
coding with allowable errors", 1970), one of twice the size begun when the last is full (P. S. Almeida et al.,
"Scalable Bloom Filters", 2007).

It never says no of an id that was added, so forgetting loosens nothing. Of one that was not it may say yes, once in a
thousand for each filter: then a session that is new is taken for one that goes on, of which less is known.
"""

from hashlib import blake2b
from typing import Final

BYTES_FIRST: Final = 1 << 19
BYTES_EACH: Final = 2
PLACES: Final = 6


class Forgotten:
    """A set of texts that only grows; empty it takes nothing."""

    __slots__ = ("_filters", "_room")

    def __init__(self) -> None:
        self._filters: list[bytearray] = []
        self._room = 0

    def add(self, text: str) -> None:
        """Take a text in. Cost: a hash."""
        numbers = _numbers(text)
        if self._knows(numbers):
            return
        if not self._room:
            size = len(self._filters[-1]) * 2 if self._filters else BYTES_FIRST
            self._filters.append(bytearray(size))
            self._room = size // BYTES_EACH
        bits = self._filters[-1]
        for number in numbers:
            place = number & len(bits) * 8 - 1
            bits[place >> 3] |= 1 << (place & 7)
        self._room -= 1

    def __contains__(self, text: str) -> bool:
        """Say whether a text was taken in: yes of all that were, and perhaps of another. Cost: a hash."""
        return bool(self._filters) and self._knows(_numbers(text))

    def _knows(self, numbers: list[int]) -> bool:
        for bits in self._filters:
            mask = len(bits) * 8 - 1
            if all(bits[(number & mask) >> 3] >> (number & 7) & 1 for number in numbers):
                return True
        return False


def _numbers(text: str) -> list[int]:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8 * PLACES).digest()
    return [int.from_bytes(digest[place : place + 8], "little") for place in range(0, 8 * PLACES, 8)]
