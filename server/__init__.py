"""The decision sidecar: one process beside the agents that answers, holds and records."""

from .settings import Approvers, Settings, read_settings
from .sidecar import Sidecar
from .tenants import Tenants

__all__ = ["Approvers", "Settings", "Sidecar", "Tenants", "read_settings"]
