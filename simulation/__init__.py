"""Yesterday's calls under tomorrow's policy.

`for call, decision in replay(engine, read_traces([folder]), clock)` decides recorded calls again.
"""

from .calls import Call, RecordedSession
from .replay import ReplayClock, replay
from .traces import Traces, read_traces

__all__ = ["Call", "RecordedSession", "ReplayClock", "Traces", "read_traces", "replay"]
