"""Any change at or below the watermark is reported, never silent."""

import pytest

from thoth.evidence.read import read

from . import flips

PARTS = 4


@pytest.mark.parametrize("closed", [True, False])
def test_every_flipped_bit_of_a_page_a_frame_its_padding_or_head_is_seen(closed: bool) -> None:
    count, unseen = flips.flips_unseen(flips.two_segments(closed=closed))
    assert unseen == []
    assert count == 8 * (2 * flips.SEGMENT_BYTES + 1024)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_flipped_bit_below_head_is_refused_and_one_above_is_reported(part: int) -> None:
    storage = flips.two_segments(closed=True)
    watermark = sum(1 for _ in read(flips.FOLDER, storage=storage))
    said = [flips.open_with_flip(storage, *flip, watermark) for flip in flips.bits(storage, 149)[part::PARTS]]
    assert set(said) == {"refused", "dropped", "HEAD"}
    assert said.count("refused") > len(said) / 2


@pytest.mark.parametrize("part", range(PARTS))
def test_a_flipped_bit_below_the_watermark_of_the_frames_is_refused_without_head(part: int) -> None:
    """The last batch has no later witness: it may be dropped, and that is reported; the batches before may not."""
    storage = flips.two_segments(closed=False)
    count = sum(1 for _ in read(flips.FOLDER, storage=storage))
    for flip in flips.bits(storage, 149)[part::PARTS]:
        flips.open_with_flip(storage, *flip, count - 8)
