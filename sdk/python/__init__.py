"""Thoth decides, before a tool call runs, whether an agent may make it, and keeps evidence of the answer.

This is what an agent's developer imports: the Policy Enforcement Point (PEP).
Importing it stays light; the compiler and the parser are loaded only when an
engine is embedded.
"""

from typing import Final

__all__ = ["__version__"]

__version__: Final = "0.1.0"
