"""When there is too much to do, as `native.load` says: it is asked for every frame."""

from ..native.load import OVERLOADED, PATIENCE_S, TOO_MUCH, WAIT_S, Load

__all__ = ["OVERLOADED", "PATIENCE_S", "TOO_MUCH", "WAIT_S", "Load"]
