"""The policy language, all of it: text to syntax tree and back, and messages about text."""

from .format import format
from .messages import Message, PolicyError
from .parse import parse, parse_condition, read_policy
from .syntax import Policy
from .write import condition as format_condition

__all__ = ["Message", "Policy", "PolicyError", "format", "format_condition", "parse", "parse_condition", "read_policy"]
