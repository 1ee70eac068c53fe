"""The policy language: text to syntax tree and back, and messages about text."""
