"""When there is too much to do, as `native.load` says: it is asked for every frame."""

from ..native.load import PATIENCE_S, WAIT_S, Load

__all__ = ["PATIENCE_S", "WAIT_S", "Load"]
