"""A short run of the campaign in `fuzz.py`; `make fuzz-table` runs it for longer."""

from tests.engine.fuzz import campaign


def test_changed_requests_are_decided_and_changed_bundles_are_refused_or_decide() -> None:
    assert campaign(20_261, lambda rounds: rounds < 300) == 300
