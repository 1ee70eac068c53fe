"""A digest over events is what the page of the module says, whatever the parts are."""

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thoth.engine import Engine
from thoth.engine.session import LET_THROUGH
from thoth.native.digests import FIRST, after, digest_of

Part = str | frozenset[str] | bytes | int | None
parts = st.one_of(
    st.none(),
    st.text(max_size=80),
    st.frozensets(st.text(max_size=8), max_size=4),
    st.binary(min_size=32, max_size=32),
    st.integers(-(2**63), 2**63 - 1),
)


def spelled(part: Part) -> bytes:
    if part is None:
        return b"\0"
    if isinstance(part, str):
        text = part.encode("utf-8", "surrogatepass")
        return b"\1" + struct.pack("<Q", len(text)) + text
    if isinstance(part, frozenset):
        return b"\2" + struct.pack("<Q", len(part)) + b"".join(spelled(text) for text in sorted(part))
    return b"\3" + part if isinstance(part, bytes) else b"\4" + struct.pack("<q", part)


@given(st.integers(0, 255), st.integers(-(10**15), 10**15), st.lists(parts, max_size=5))
def test_a_link_covers_the_one_before_the_kind_the_time_and_every_part(
    kind: int, at_us: int, given: list[Part]
) -> None:
    before = after(FIRST, 1, 0.0)
    data = b"\3" + before + struct.pack("<Bq", kind, at_us) + b"".join(map(spelled, given))
    assert after(before, kind, at_us / 1e6, *given) == hashlib.sha256(data).digest()


@given(st.text(st.characters()))
def test_a_text_is_hashed_as_utf_8(text: str) -> None:
    assert digest_of(text) == hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


@pytest.mark.parametrize("at", [float("nan"), float("inf"), float("-inf"), 1e300])
def test_no_time_is_too_much(at: float) -> None:
    assert len(after(FIRST, 0, at)) == 32


@pytest.mark.parametrize("wrong", [b"short", 1.5, 1 << 63, ["list"]])
def test_what_is_no_part_is_refused(wrong: object) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        after(FIRST, 0, 0.0, wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("tool", ["pay", "unknown"])
def test_a_call_of_a_session_is_one_link_of_its_digest(tool: str) -> None:
    engine = Engine.from_text("tool pay(to: string) is write yields paid\nallow *", clock=lambda: 7.0)
    session = engine.session("s")
    before = session.digest
    engine.decide({"tool_name": tool, "tool_args": {"to": "x"}, "session_id": "s"})
    (call,) = session.calls
    labels = frozenset(session.labels)
    assert session.digest == after(before, LET_THROUGH, 7.0, tool, call.classes, labels, call.pending)
