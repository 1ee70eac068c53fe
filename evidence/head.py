"""HEAD: how far the log was known to be durable, kept apart from the log.

Two slots of 512 bytes, written in turn, so a torn write leaves the other one. A log that ends below what HEAD says has
lost records.
"""

import struct
from dataclasses import dataclass

from xxhash import xxh3_64_intdigest

NAME = "HEAD"
SLOT_BYTES = 512
HEAD_BYTES = 2 * SLOT_BYTES
DURABLE = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Head:
    durable: int
    slot: int  # the slot that says so; the next write goes to the other one
    damaged: bool = False  # the other slot holds neither a watermark nor zeros: a torn write, or damage


def encode_slot(durable: int) -> bytes:
    number = DURABLE.pack(durable)
    return (number + DURABLE.pack(xxh3_64_intdigest(number))).ljust(SLOT_BYTES, b"\0")


def parse_slot(slot: bytes) -> int | None:
    """The watermark, or None where one bit of the slot is not as it was written."""
    if len(slot) != SLOT_BYTES:
        return None
    durable: int = DURABLE.unpack_from(slot)[0]
    return durable if encode_slot(durable) == slot else None


def encode_head() -> bytes:
    """The HEAD of a new log."""
    return encode_slot(0) + bytes(SLOT_BYTES)


def parse_head(data: bytes) -> Head | None:
    """The higher of the two watermarks; None where neither slot can be read, which no crash brings about."""
    slots = [data[:SLOT_BYTES], data[SLOT_BYTES:]]
    marks = [parse_slot(slot) for slot in slots]
    known = [(mark, number) for number, mark in enumerate(marks) if mark is not None]
    if not known:
        return None
    durable, number = max(known)
    return Head(durable, number, damaged=marks[1 - number] is None and slots[1 - number] != bytes(SLOT_BYTES))
