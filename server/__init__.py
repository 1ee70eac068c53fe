"""The decision sidecar: one process beside the agents that answers, holds and records."""

from .settings import Approvers, Settings, read_settings
from .sidecar import Sidecar

__all__ = ["Approvers", "Settings", "Sidecar", "read_settings"]
