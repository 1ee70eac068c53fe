"""The policy language, all of it: text to syntax tree and back, and messages about text."""

from .messages import Message, PolicyError

__all__ = ["Message", "PolicyError"]
