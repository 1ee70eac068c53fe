"""One spelling for every value: RFC 8785, so that whoever writes a value again gets the same bytes.

Bodies of records keep to a profile without floats: ASCII keys, integers up to 2**53. What a caller sent can be any JSON
value; there numbers are written as ECMAScript writes them, and integers beyond 2**53 with all their digits.
"""

import hashlib
import re
from typing import Any, Final

import msgspec

INTEGER_MAX: Final = 2**53
SALT_BYTES: Final = 16

_encode = msgspec.json.Encoder(order="deterministic").encode
_SURROGATES = re.compile("[\ud800-\udfff]")


def encode_body(body: dict[str, Any]) -> bytes:
    """The bytes of a record: keys sorted, no spaces.

    Cost: one pass. That a body keeps to the profile is our own promise; `assert_profile` is for tests.
    """
    return _encode(body)


def assert_profile(value: Any) -> None:
    """Assert that a body holds nothing but what the profile allows."""
    if isinstance(value, dict):
        for key, member in value.items():
            assert isinstance(key, str)
            assert key.isascii(), key
            assert_profile(member)
    elif isinstance(value, list | tuple):
        for item in value:
            assert_profile(item)
    elif isinstance(value, int):
        assert -INTEGER_MAX <= value <= INTEGER_MAX, value
    else:
        assert value is None or isinstance(value, str), f"a {type(value).__name__} in a record"


def canonical(value: Any) -> bytes:
    """A JSON value in its one spelling; what is no JSON value is spelled as the text that `str` makes of it."""
    if value is None or value is True or value is False or isinstance(value, str):
        return _scalar(value)
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, float):
        return _number(value).encode()
    if isinstance(value, list | tuple):
        return b"[" + b",".join([canonical(item) for item in value]) + b"]"
    if isinstance(value, dict):
        # RFC 8785 sorts keys by their UTF-16 code units.
        keys = sorted(value, key=_utf16)
        return b"{" + b",".join([_scalar(str(key)) + b":" + canonical(value[key]) for key in keys]) + b"}"
    return _scalar(str(value))


def canonical_members(members: dict[str, bytes]) -> bytes:
    """The one spelling of an object whose values are spelled already."""
    return b"{" + b",".join([_scalar(key) + b":" + members[key] for key in sorted(members, key=_utf16)]) + b"}"


def _scalar(value: str | bool | None) -> bytes:
    try:
        return _encode(value)
    except (UnicodeEncodeError, ValueError):
        return _encode(whole(str(value)))


def whole(text: str) -> str:
    """A text without halves of characters (lone surrogates), which no UTF-8 can hold."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def _utf16(key: object) -> bytes:
    return str(key).encode("utf-16-be", "surrogatepass")


def _number(value: float) -> str:
    """A double as ECMAScript's Number::toString writes it: the shortest digits that read back as the same double."""
    if value != value or value in (float("inf"), float("-inf")):
        return f'"{value}"'  # no JSON number; a text says what it was
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, power = f"{abs(value)!r}".partition("e")
    before, _, after = mantissa.partition(".")
    after = "" if after == "0" else after
    digits = (before + after).lstrip("0")
    point = len(before) + int(power or 0)  # where the decimal point stands in before + after
    point -= len(before + after) - len(digits)
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    exponent = point - 1
    fraction = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{'+' if exponent >= 0 else '-'}{abs(exponent)}"


def commitment(salt: bytes, path: str, value: bytes) -> str:
    """What stands in a record in place of a value, which is given in its one spelling; in hexadecimal.

    Without the salt nobody can find the value by trying; with salt and value anybody can check it.
    """
    assert len(salt) == SALT_BYTES
    return hashlib.sha256(salt + whole(path).encode() + b"\0" + value).hexdigest()
