"""The parts of `check`, one idea a file."""
