"""What a policy means, and the decision: check, compile, decide, session facts and ledger, explain.

`from thoth.engine import Engine` is the way in for anybody who embeds decisions in a program.
"""

from ..grammar import PolicyError
from .compiler import Compiler
from .embed import UNTOLD, Engine
from .files import load
from .session import Session

__all__ = ["UNTOLD", "Compiler", "Engine", "PolicyError", "Session", "load"]
