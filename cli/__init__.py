"""The `thoth` command: the only room that reads arguments and prints."""
