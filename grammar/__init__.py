"""The policy language, all of it: text to syntax tree and back, and messages about text."""

from .messages import Message, PolicyError
from .parse import parse, parse_condition
from .syntax import Policy

__all__ = ["Message", "Policy", "PolicyError", "parse", "parse_condition"]
