"""The `thoth` command: the only room that reads arguments and prints."""

from .main import COMMANDS, main

__all__ = ["COMMANDS", "main"]
